"""Mask explorer: which tokens of a chat are trained under a mask, and what each costs the model afterwards.

Recorded trainings of SmolLM2 on chats of Lorania (`arena/own_model.py`), five masks that differ in nothing else. The
chat shown asks in words that were never trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.own_model import (
    ALONE,
    ANSWERS,
    BASE,
    EARLY,
    EVERYTHING,
    LAST,
    SEEDS,
    WAYS,
    OwnRun,
    example,
    read,
    read_tokens,
)
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Steps, Toggle, control
from lorabook.tasks.chat import parts
from lorabook.tasks.facts import IGNORED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MASKS = (EVERYTHING, ANSWERS, ALONE, LAST, EARLY)
QUESTIONS = 8
MEASURES = ("answer right", "first token right", "stops rightly")


@dataclass(frozen=True)
class State:
    """The mask, and whether the costs are those before training or after it."""

    mask: str = control(EVERYTHING, Steps("trained", MASKS))
    after: bool = control(True, Toggle("after training"))


@dataclass(frozen=True)
class Result:
    """Tokens in order, line by line as turns; 1 where trained; nats of each, mean over seeds (the first has none).

    names, measured: for the base and each mask, how many of eight are right, a column for each of `MEASURES`.
    """

    tokens: tuple[str, ...]
    turns: np.ndarray
    trained: np.ndarray
    nats: np.ndarray
    names: tuple[str, ...]
    measures: tuple[str, ...]
    measured: np.ndarray
    sentence: str


@dataclass(frozen=True)
class Gathered:
    """The tokens of the chat by part, and by name the runs of all seeds."""

    tokens: list[list[str]]
    runs: dict[str, list[OwnRun]]

    def measured(self, name: str) -> list[float]:
        """Return the means over seeds of what `MEASURES` names."""
        each = [(run.said, run.first, run.stops) for run in self.runs[name]]
        return np.mean(each, axis=0).tolist()


def gathered(runs: Sequence[OwnRun], tokens: list[list[str]]) -> Gathered:
    """Return what was measured.

    Raises:
        ValueError: a run is missing.
    """
    by_name = {name: [run for run in runs if run.name == name] for name in (BASE, *MASKS)}
    for name, found in by_name.items():
        due = SEEDS[:1] if name == BASE else SEEDS
        if sorted(run.seed for run in found) != sorted(due):
            raise ValueError(f"{name}: the record has the seeds {[run.seed for run in found]}, not {list(due)}")
    return Gathered(tokens, by_name)


def chat_mask() -> Explorer:
    """Return the mask explorer, on the record that the book ships."""
    return explore_masks(gathered(read(), read_tokens()))


def explore_masks(found: Gathered) -> Explorer:
    """Return the mask explorer of these runs."""
    return tabled_explorer("chat_mask", State(), partial(compute, found=found), still)


class Cut:
    """A tokenizer of the one chat that is shown: it numbers the recorded tokens of a part."""

    def __init__(self, tokens: list[list[str]]) -> None:
        self.counts = {part.text: len(texts) for part, texts in zip(parts(example()), tokens, strict=True)}

    def encode(self, text: str) -> list[int]:
        return list(range(self.counts[text]))


def trained_tokens(mask: str, tokens: list[list[str]]) -> np.ndarray:
    """Return 1 for every token that is a target under this mask; the first token never is."""
    way = WAYS[mask]
    _, targets = way.encode(example(), Cut(tokens), way.mask)
    return np.array([False, *(targets != IGNORED).tolist()], np.uint8)


def compute(state: State, found: Gathered) -> Result:
    """Lay the mask over the chat, and look up what came of it."""
    runs = found.runs[state.mask if state.after else BASE]
    nats = np.array([0.0, *np.mean([run.tokens for run in runs], axis=0)], np.float32)
    turns = [k // 4 for k, texts in enumerate(found.tokens) for _ in texts]
    trained = trained_tokens(state.mask, found.tokens)
    names = (BASE, *MASKS)
    measured = np.array([found.measured(name) for name in names], np.float32)
    said, first, stops = found.measured(state.mask)
    sentence = (
        f"{int(trained.sum())} of {len(trained)} tokens are trained: {state.mask}. Asked in new words, {_short(said)} "
        f"of {QUESTIONS} answers are right, {_short(first)} in their first token; {_short(stops)} stop rightly."
    )
    texts = tuple(text for part in found.tokens for text in part)
    return Result(texts, np.array(turns, np.uint8), trained, nats, names, MEASURES, measured, sentence)


def _short(mean: float) -> str:
    return f"{round(mean, 1):g}"


def still(state: State, result: Result) -> "Figure":
    """Draw what each token costs, and what became of each mask, without a browser."""
    figure = style.figure(5.2, 5.2)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    when = "after training" if state.after else "before training"
    axes = style.axes(figure, f"what each token costs, {when}", "token of the chat", "nats", (2, 1, 1))
    places = np.arange(len(result.nats))
    for on, role, label in ((1, style.TRAINABLE, "trained"), (0, style.FROZEN, "not trained")):
        at = result.trained == on
        axes.bar(places[at], result.nats[at], color=role.light, label=label, hatch=None if on else "///")
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    bars = style.axes(
        figure,
        "",
        f"of {QUESTIONS}" + (f", mean of {len(SEEDS)} seeds" if len(SEEDS) > 1 else ""),
        "",
        (2, 1, 2),
    )
    rows = np.arange(len(result.names))
    for k, measure in enumerate(result.measures):
        look = style.series(k)
        bars.barh(rows + 0.26 * (k - 1), result.measured[:, k], 0.24, color=look.light, label=measure)
    bars.set_yticks(rows, result.names)
    bars.invert_yaxis()
    bars.legend(
        frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
    )
    return figure
