"""What a chapter displays: Markdown, and where HTML is understood a page that says the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorabook.claims.card import card
from lorabook.claims.claim import Claim


@dataclass(frozen=True)
class Shown:
    """Markdown for a notebook, which a terminal reads as it is; `page` is HTML in its place."""

    text: str
    page: str = ""

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        page = {"text/html": self.page} if self.page else {}
        return {"text/plain": self.text, "text/markdown": self.text, **page}


def fold(title: str, *claims: Claim) -> Shown:
    """Verify claims and return their cards, folded away under one line that a reader may open.

    Raises:
        ClaimNotReproduced: as `card`.
    """
    bundles = [card(claim)._repr_mimebundle_() for claim in claims]
    head = f"<details><summary>{title} ({len(claims)} cards)</summary>"
    text = "\n\n".join(bundle["text/markdown"] for bundle in bundles)
    return Shown(f"{head}\n\n{text}\n\n</details>", head + "".join(b["text/html"] for b in bundles) + "</details>")


def verdicts(sentences: Mapping[str, bool]) -> Shown:
    """Return what a cell has decided: each sentence with a yes or a no, which the book's tests compare."""
    return Shown("\n".join(f"- {sentence}: **{'yes' if holds else 'no'}**" for sentence, holds in sentences.items()))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Shown:
    """Return a table; numbers stand right."""
    numbers = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    lines = [list(head), ["--:" if right else "---" for right in numbers], *rows]
    return Shown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))
