"""O-LoRA: what the adapter of a new task reads of what earlier adapters read."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import lorabook as lb
from lorabook.book.figures.cells import heat
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import D_IN, fit_towards, plain_layer
from lorabook.book.figures.page import MIDDLE, TOP, beside_lora
from lorabook.many.orthogonal import Project, Pull
from lorabook.many.row_space import capacity

R, TASKS, STEPS, CELL = 4, 4, 40, 12


def overlap(recipe: lb.Recipe) -> tuple[Tensor, list[dict]]:
    """Return the cosines between the rows of all earlier A and those of the last, and what was learned."""
    x = torch.randn(32, D_IN, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    common = plain_layer(seed=30).weight.detach()

    def task(number: int) -> Callable[[nn.Module], None]:
        goal = (common + plain_layer(seed=30 + number).weight.detach()).T  # tasks have something in common
        return lambda model: fit_towards(model, x, x @ goal, STEPS)

    learned = lb.learn_in_turn(
        nn.Sequential(plain_layer()), [task(t) for t in range(1, TASKS + 1)], recipe, targets="0"
    )
    earlier = torch.cat([pairs["0"].A for pairs in learned[:-1]])
    return normalize(learned[-1]["0"].A) @ normalize(earlier).T, learned


def draw() -> Drawing:
    projected, learned = overlap(lb.OrthogonalLoRA(r=R, keep=Project()))
    overlaps = {
        "LoRA": overlap(lb.LoRA(r=R))[0],
        "O-LoRA, penalty": overlap(lb.OrthogonalLoRA(r=R, keep=Pull(2.0)))[0],
        "O-LoRA, projected": projected,
    }
    drawing = beside_lora(
        "O-LoRA: the A of a new task reads nothing that an earlier A reads",
        "W = W₀ + s·Σ_{i<t} B_{i}A_{i} + s·B_{t}A_{t} with A_{i}A_{t}^{T} = 0; only (B_{t}, A_{t}) trains",
        f"Measured: {TASKS} tasks of rank {R} in turn. {D_IN} input directions hold "
        f"{capacity(D_IN, R)} such tasks. Not OLoRA, which is a start.",
    )
    x, y = MIDDLE + 44, TOP + 32
    drawing.heading(x + 64, y - 10, "rows of A, task by task", anchor="middle")
    for number, pairs in enumerate(learned, start=1):
        (r, wide), top = pairs["0"].A.shape, y + 36 * (number - 1)
        last = number == len(learned)
        drawing.rect(x, top + 8, 2 * wide, 2 * r, "trainable" if last else "frozen")
        drawing.text(x - 8, top + 17, f"A_{{{number}}}", size=13, anchor="end", bold=last)
    drawing.note(x + 64, y + 36 * len(learned) + 6, "frozen, but for the last")
    largest = overlaps["LoRA"].abs().max().item()
    left = MIDDLE + 214
    drawing.heading(left, y - 10, f"|cos| between rows of A_{{{TASKS}}} and A_{{1}} … A_{{{TASKS - 1}}}")
    for place, (name, cosines) in enumerate(overlaps.items()):
        top = y + 59 * place
        heat(drawing, cosines, left, top, CELL, "trainable", largest=largest)
        drawing.text(left + CELL * cosines.shape[1] + 12, top + 22, name, size=12, anchor="start")
        drawing.note(
            left + CELL * cosines.shape[1] + 12, top + 38, f"largest {cosines.abs().max().item():.2f}", anchor="start"
        )
    return drawing
