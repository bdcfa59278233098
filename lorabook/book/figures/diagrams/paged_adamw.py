"""paged AdamW: the optimiser's state gives way to a spike, and comes back."""

import torch

from lorabook.axes.optim.paged import PagedAdamW
from lorabook.book.figures.blocks import key
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import LEFT, foot

PAGE, PAGES = 1024, 24
SPIKES = (0, 0, 0, 18, 18, 0, 0)
"""Pages that something else needs at each step: a long text's activations."""


def run() -> tuple[list[int], list[int], PagedAdamW]:
    """Return the pages of state that are on the device after each step, and those that were moved in for it."""
    p = torch.zeros(PAGES * PAGE // 16, dtype=torch.float64, requires_grad=True)
    optimiser = PagedAdamW([p], lr=0.01, page=PAGE, budget=PAGES * PAGE)
    resident, moved_in = [], []
    for spike in SPIKES:
        before = optimiser.pages.traffic.ins
        optimiser.pages.resize((PAGES - spike) * PAGE)
        p.grad = torch.ones_like(p)
        optimiser.step()
        resident.append(optimiser.pages.resident // PAGE)
        moved_in.append(optimiser.pages.traffic.ins - before)
    return resident, moved_in, optimiser


def draw() -> Drawing:
    resident, moved_in, optimiser = run()
    drawing = Drawing("paged AdamW: when memory is short, its state steps aside, and returns")
    top, high, step, wide = 78, 140, 80, 46
    unit, left = high / PAGES, 150
    drawing.line([(left - 20, top), (left + step * len(SPIKES), top)], "reference", width=2)
    drawing.text(left - 28, top + 4, "device is full", size=12, anchor="end")
    for t, (spike, here) in enumerate(zip(SPIKES, resident, strict=True)):
        x = left + step * t
        drawing.rect(x, top + high - unit * here, wide, unit * here, "hue-1")
        if spike:
            drawing.rect(x, top + high - unit * (here + spike), wide, unit * spike, "hue-3")
        drawing.note(x + wide / 2, top + high + 16, f"step {t + 1}")
        drawing.note(x + wide / 2, top + high + 32, f"{moved_in[t]} in")
    drawing.line([(left - 20, top + high), (left + step * len(SPIKES), top + high)], "quiet")
    drawing.note(left - 28, top + high + 32, "pages moved", anchor="end")
    key(drawing, LEFT, top + 40, "hue-1", "state")
    key(drawing, LEFT, top + 64, "hue-3", "a spike")
    foot(
        drawing,
        "the update is AdamW's, entry by entry: m and v of a number lie in one page",
        f"Counted on the library's optimiser: {PAGES} pages of {PAGE} bytes, all of them in host memory; "
        f"{optimiser.pages.traffic.outs} written back.",
    )
    return drawing
