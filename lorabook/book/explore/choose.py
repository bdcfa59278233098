"""Decision explorer: from what is fixed before training to what remains, a recipe, its bytes, and what was measured.

Nobody is asked how a training will go. Memory is `lorabook.cost.memory`'s arithmetic for LLaMA's shapes. What merges,
and what another program can read, was tried on a small model. Losses are the arena's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorabook.arena.answers import Compared, read
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.explore.choose_facts import MERGED, facts
from lorabook.book.explore.choose_plan import JOBS, KNOWN, ONE, OPEN, WAYS, Need, code, first_that_fits
from lorabook.book.explore.choose_words import ahead, sentence, why
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, Toggle, control, folded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class State:
    """What is fixed before the training."""

    gpu: int = control(24, Steps("GPU memory", (16, 24, 48, 80), "GiB"))
    length: int = control(1024, Steps("tokens in a text", (512, 1024, 2048, 4096, 16384)))
    job: str = control(ONE, Choice("the job", JOBS))
    goes: str = control(MERGED, Choice("it must run in", WAYS))
    model: str = folded("7B", Choice("model", ("7B", "13B", "70B")))
    open_rank: bool = folded(False, Toggle("rank to be chosen after training"))


@dataclass(frozen=True)
class Contenders:
    """Names, what is `against` each, its loss less LoRA's on the Bible at equal parameters, and what that `says`."""

    names: tuple[str, ...]
    against: tuple[str, ...]
    losses: tuple[str, ...]
    says: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """The recipe's code, why each part of it is there, its GiB by purpose, and who else can go where it must run."""

    code: tuple[str, ...]
    why: tuple[str, ...]
    purposes: tuple[str, ...]
    gib: tuple[float, ...]
    contenders: Contenders
    sentence: str


def choose() -> Explorer:
    """Return the decision explorer, on the record that the book ships."""
    return explore_choices({each.method: each for each in read(Record().folder).comparisons if _told(each)})


def explore_choices(measured: Mapping[str, Compared]) -> Explorer:
    """Return the decision explorer on these comparisons with LoRA."""
    return tabled_explorer("choose", State(), partial(compute, measured=measured), still)


def compute(state: State, measured: Mapping[str, Compared]) -> Result:
    """Plan, and say of each contender whether it remains."""
    need = Need(state.model, state.length, state.job, state.goes, OPEN if state.open_rank else KNOWN)
    means, parts = first_that_fits(need, state.gpu)
    everyone = contenders(state.goes, measured)
    remain = [name for name, why in zip(everyone.names, everyone.against, strict=True) if not why]
    needs = sum(parts.values())
    return Result(
        tuple(code(need, means)),
        tuple(why(need, means, measured)),
        tuple(parts),
        tuple(parts.values()),
        everyone,
        f"{sentence(need, means, needs, state.gpu)} {ahead(need, remain, len(everyone.names), measured)}",
    )


def contenders(goes: str, measured: Mapping[str, Compared]) -> Contenders:
    """Return everyone, the lowest loss first."""
    rows = sorted(facts(), key=lambda each: measured[each.name].difference if each.name in measured else 0.0)
    told = [measured.get(each.name) for each in rows]
    return Contenders(
        tuple(each.name for each in rows),
        tuple(each.obstacles.get(goes, "") for each in rows),
        tuple("0" if one is None else f"{one.difference:+.3f}".replace("-", "−") for one in told),
        tuple("" if one is None else one.says for one in told),
    )


def still(state: State, result: Result) -> "Figure":
    """Draw the bill and print the code without a browser."""
    figure = style.figure(5.2, 2.6)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    axes = style.axes(figure, "", "GiB", "")
    left = 0.0
    for i, size in enumerate(result.gib):
        axes.barh(-i, size, left=left, color=style.FROZEN.light)
        left += size
    axes.set_yticks([-i for i in range(len(result.purposes))], result.purposes)
    axes.axvline(state.gpu, color=style.FALSE.light, linestyle="--")
    axes.set_xlim(0, max(left, state.gpu) * 1.04)
    return figure


def _told(each: Compared) -> bool:
    return each.task == KJV.name and each.budget == "equal"
