"""A prediction: the reader's answer before the result, kept until the chapter comes back to it. No grade.

guess = predict("What share … ?", Steps("energy in 8 directions", tuple(range(0, 101, 5)), "%"))
guess.look_back("64 %")
"""

from dataclasses import dataclass
from typing import Any

import anywidget
import traitlets

from lorabook.book.explore.alive import answer_alive
from lorabook.book.explore.bundle import bundle, stylesheet
from lorabook.book.explore.state import Control, Value

OPEN = "…"
UNANSWERED = "You did not predict. Answer above and run this cell again, or open what was measured"


class Prediction(anywidget.AnyWidget):
    """A question with one control; `answer` is None until the reader moves it."""

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    question = traitlets.Unicode().tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)
    answer = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(self, question: str, by: Control) -> None:
        self.by = by
        super().__init__(_esm=bundle("predict"), _css=stylesheet(), question=question, spec=by.spec())
        self.on_msg(answer_alive)

    def look_back(self, measured: str) -> "LookBack":
        """Return the reader's answer beside what was measured."""
        answer = None if self.answer is None else self.by.parse(self.answer)
        return LookBack(self.question, answer, self.by.unit, measured)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundled = super()._repr_mimebundle_(**options)
        data, metadata = bundled if isinstance(bundled, tuple) else (bundled, {})
        points = self.by.points()
        text = f"*Predict:* {self.question} ({points[0]} {OPEN} {points[-1]})"
        return {**data, "text/plain": text, "text/markdown": text}, metadata


@dataclass(frozen=True)
class LookBack:
    """A prediction, and what happened; as long as nothing was predicted, what happened is folded away."""

    question: str
    answer: Value | None
    unit: str
    measured: str

    def __repr__(self) -> str:
        guess = "you did not predict" if self.answer is None else f"you predicted {self.answer} {self.unit}".strip()
        return f"{self.question}\n  {guess}; measured: {self.measured}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        measured = f"Measured: **{self.measured}**"
        if self.answer is None:
            verdict = f"<details><summary>{UNANSWERED}</summary>\n\n{measured}\n\n</details>"
        else:
            verdict = f"> You predicted **{f'{self.answer} {self.unit}'.strip()}**. {measured}"
        return {"text/plain": repr(self), "text/markdown": f"{self.question}\n\n{verdict}"}


def predict(question: str, by: Control) -> Prediction:
    """Return the widget that asks `question` and keeps the answer.

    Raises:
        ValueError: the question is empty, or the control leaves nothing to choose.
    """
    if not question.strip() or len(by.points()) < 2:
        raise ValueError(f"predict({question!r}): ask something, and offer at least two answers, not {by.points()}.")
    return Prediction(question, by)
