"""What chapter 04 measures and draws: the peak of a training step's memory, and five patients beside their cures."""

from contextlib import nullcontext
from textwrap import fill

import torch

from lorabook.arena.clinic import FLAT, FORGETS, GAP, NAN, PATIENTS, SWINGS, regimen
from lorabook.arena.clinic_course import LOOKS, STOPS
from lorabook.arena.clinic_runs import ClinicRun, recorded
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.cost.peak import peak_bytes
from lorabook.models.load import load
from lorabook.models.recompute import recomputed
from lorabook.tasks.text import batches

TEXT = style.NEUTRAL.text
CURES: dict[str, tuple[str, str]] = {
    SWINGS: ("× 1", "α ÷ 8"),
    NAN: ("× 1", "weights in bfloat16"),
    FLAT: ("× 1", "adapters on all seven"),
    GAP: ("÷ 8", "nothing"),
    FORGETS: ("÷ 2.8", "nothing"),
}
"""One of each patient's cures."""
SENTENCE, LETTERS = "One thing changed, and the complaint is gone: five patients, one cure each.", 66


def peak(r: int = 16, length: int = 64, texts: int = 4, parts: int = 1, checkpointing: bool = False) -> float:
    """Return the most MiB of new tensors in one LoRA step on the shipped base: `texts` a step, in so many parts."""
    model, draw = load("tiny").model, torch.Generator().manual_seed(0)
    inject(model, LoRA(r, 2 * r), "_proj", draw)
    stream = batches(KJV.corpus, texts // parts, length, draw)
    with recomputed(model) if checkpointing else nullcontext():
        step = peak_bytes(lambda: fit(model, stream, steps=1, lr=1e-3, accumulate=parts, progress=False))
    return step / 2**20


def cures() -> Picture:
    """Draw what every patient complains of, as it was heard and after one cure."""
    figure = style.figure(5.2, 4.3)
    figure.suptitle(fill(SENTENCE, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    for place, (name, how) in enumerate(CURES.items(), 1):
        first, then = (recorded()[name, each.label] for each in (PATIENTS[name].regimen, regimen(name, *how)))
        measure = "drift" if name == FORGETS else "loss"
        nats = "" if place in (2, 3) else f"{measure}, nats"
        axes = style.axes(figure, "", "step" if place > 3 else "", nats, (2, 3, place))
        for run, colour, dash in ((first, TEXT, "--"), (then, style.variant("LoRA").light, "-")):
            _line(axes, run, measure, colour, dash)
        title = how[1].removeprefix("adapters ") if how[1] != "nothing" else f"rate {how[0]}"
        axes.set_title(f"{name}\n→ {title}", color=TEXT, fontsize=8, loc="left")
    key = figure.add_subplot(2, 3, 6)
    key.axis("off")
    words = "dashed: the patient\nsolid: with one cure\nthin: batches of the\npage, training loss\n×: NaN"
    key.text(0, 0.5, words, color=TEXT, fontsize=8, va="center")
    return Picture(SENTENCE, figure)


def _line(axes: object, run: ClinicRun, measure: str, colour: str, dash: str) -> None:
    if measure == "drift":
        axes.plot((0, *STOPS), (0, *run.drift), color=colour, linestyle=dash)
        return
    axes.plot((0, *LOOKS)[: 1 + len(run.new)], (run.start, *run.new), color=colour, linestyle=dash)
    if run.patient == GAP:
        axes.plot(range(1, 1 + len(run.seen)), run.seen, color=colour, linewidth=0.7, alpha=0.6)
    if not run.new:
        axes.plot(len(run.seen), run.start, "x", color=colour, markersize=8)
