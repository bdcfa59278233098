"""What an exercise shows of itself: its card and its hints."""

from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise


@dataclass(frozen=True)
class Shown:
    """A few lines of Markdown, as a notebook shows them and as a terminal does."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/markdown": self.text}


def show(exercise: Exercise) -> Shown:
    """Return the exercise's card: title, difficulty, minutes, what is asked."""
    dots = "●" * exercise.difficulty + "○" * (5 - exercise.difficulty)
    head = f"**{exercise.title}** — difficulty {dots}, about {exercise.minutes} minutes"
    return Shown(f"{head}\n\n{exercise.prompt}\n\n*{len(exercise.hints)} hints, if you want them.*")


def hint(exercise: Exercise, n: int) -> Shown:
    """Return hint n, counted from 1; each says more than the one before.

    Raises:
        ValueError: there is no such hint.
    """
    if not 1 <= n <= len(exercise.hints):
        raise ValueError(
            f"{exercise.title} has hints 1 to {len(exercise.hints)}, not {n}; after the last one, solution(…) shows "
            f"a solution"
        )
    return Shown(f"*Hint {n} of {len(exercise.hints)}.* {exercise.hints[n - 1]}")
