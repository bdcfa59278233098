"""One row of W in the plane: where LoRA and DoRA take it with the same A and B, and what the gradient does to V.

W₀_i has length 1, A one row a of length 1, s = 1, so V_i = W₀_i + B_i·a. LoRA's row is V_i itself, DoRA's is
m_i·V_i/‖V_i‖. The loss is L = ½‖W_i − T‖² for DoRA's row and a wanted row T. With the norm in the graph, ∂L/∂V has no
part along V (`claims.dora.the_constant_norm_leaves_in_the_part_along_v`).
"""

from dataclasses import dataclass
from functools import cache
from itertools import product
from math import cos, hypot, radians, sin
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.axes.form.dora import RowScaled
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Slider, Steps, control
from lorabook.core.layer_types import freeze
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Factors, LayerSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, float]

W0: Point = (0.0, 1.0)
TANGENT = 0.7
WANTED: dict[str, Point] = {
    "longer": (0.0, 1.5),
    "turned": (TANGENT / hypot(1, TANGENT), 1 / hypot(1, TANGENT)),
    "turned and longer": (TANGENT, 1.0),
    "turned round": (0.8, -0.6),
}
B, M = Slider("s·Bᵢ", -1.2, 1.2, 0.1), Slider("length mᵢ", 0.4, 1.8, 0.1)


@dataclass(frozen=True)
class State:
    """What the task wants of the row, what is trained, and A's angle to W₀ᵢ."""

    wanted: str = control("longer", Choice("the task wants the row", tuple(WANTED)))
    b: float = control(0.0, B)
    m: float = control(1.0, M)
    angle: int = control(90, Steps("A's angle", (60, 90, 120), "°"))


@dataclass(frozen=True)
class Result:
    """The points of the picture; `along` and `across` are the parts of −∂L/∂V, along V and at a right angle to it.

    lora, dora: how far each row is from the wanted one; lora_reach, dora_reach: how near B and m can bring it.
    push, push_in_graph: −∂L/∂B, the norm held constant or not.
    """

    a: Point
    v: Point
    w: Point
    target: Point
    along: Point
    across: Point
    lora: float
    dora: float
    lora_reach: float
    dora_reach: float
    push: float
    push_in_graph: float
    sentence: str


def one_row() -> Explorer:
    """Return the explorer of one row."""
    return tabled_explorer("one_row", State(), compute, still)


def compute(state: State) -> Result:
    """Place both rows, measure how far they are, and split the gradient."""
    rows, i = _rows(state.angle), _order().index((state.wanted, state.b, state.m))
    target, a = np.array(WANTED[state.wanted]), np.array(_a(state.angle))
    v, w, along, across = (rows[name][i] for name in ("v", "w", "along", "across"))
    # LoRA's rows are a line through W₀ along a; DoRA's all of one side of the line through 0 along a.
    normal = np.array((-a[1], a[0]))
    lora_reach = abs(normal @ (target - np.array(W0)))
    dora_reach = max(0.0, -(normal @ target))
    lora, dora = (float(np.linalg.norm(row - target)) for row in (v, w))
    push, in_graph = (float(step @ a) for step in (along + across, across))
    sentence = (
        f"The task wants the row {state.wanted}. LoRA is {lora:.2f} off (with this A {lora_reach:.2f} at best), DoRA "
        f"{dora:.2f} ({dora_reach:.2f} at best). B's gradient step is {_signed(push)}; with the norm in the graph it "
        f"is {_signed(in_graph)}."
    )
    points = (_point(each) for each in (a, v, w, target, along, across))
    return Result(*points, lora, dora, float(lora_reach), float(dora_reach), push, in_graph, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw the plane without a browser."""
    figure = style.figure(5.2, 3.4)
    axes = style.axes(figure, result.sentence, "", "")
    mine, other, text = style.variant("LoRA").light, style.variant("DoRA").light, style.NEUTRAL.text
    line = np.array([-3.0, 3.0])
    a, w0 = np.array(result.a), np.array(W0)
    edge = np.outer(line, a)
    axes.fill(
        *np.concatenate([edge, edge[::-1] + 4 * w0]).T, color=other, alpha=0.12, linewidth=0, label="DoRA's reach"
    )
    axes.plot(*(w0 + edge).T, color=mine, label="LoRA's reach")
    axes.annotate("", W0, (0, 0), arrowprops={"arrowstyle": "->", "color": style.FROZEN.light, "linewidth": 2.5})
    axes.plot(*result.v, "o", color=mine, label="V, LoRA's row")
    axes.plot(*result.w, "D", color=other, label="W, DoRA's row")
    axes.plot(*result.target, "*", color=text, markersize=11, label="what the task wants")
    for part, dash in ((result.across, "-"), (result.along, "--")):
        axes.plot(*zip(result.v, np.add(result.v, np.multiply(0.5, part)), strict=True), dash, color=text)
    axes.set(xlim=(-1.9, 1.9), ylim=(-0.8, 1.9), aspect="equal")
    axes.legend(frameon=False, labelcolor=text, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _a(angle: int) -> Point:
    return sin(radians(angle)), cos(radians(angle))


@cache
def _order() -> list[tuple[str, float, float]]:
    return list(product(WANTED, B.points(), M.points()))


@cache
def _rows(angle: int) -> dict[str, np.ndarray]:
    """Compute the rows of all states at once, as the rows of one layer."""
    wanted, b, m = zip(*_order(), strict=True)
    layer = nn.Linear(2, len(b), bias=False, dtype=torch.float64)
    layer.weight.data.copy_(torch.tensor([W0]).expand(len(b), 2))
    base, spec = freeze(layer), LayerSpec("row", 1, 1.0, 0.0, torch.Generator())
    factors = Factors(torch.tensor([_a(angle)]).double(), torch.tensor(b).double()[:, None])
    dora = RowScaled(base, factors, spec)
    dora.m.data = torch.tensor(m).double()
    v = LowRank(base, factors, spec).weight(base.matrix).detach()
    target = torch.tensor([WANTED[name] for name in wanted])
    # V = W₀ + s·BA, so a gradient with respect to W₀ is one with respect to V.
    w0 = base.matrix.clone().requires_grad_()
    w = dora.weight(w0)
    (w - target).square().sum().div(2).backward()
    along = _part_along(-w0.grad, v)
    parts = {"v": v, "w": w.detach(), "along": along, "across": -w0.grad - along}
    return {name: part.numpy() for name, part in parts.items()}


def _part_along(step: Tensor, v: Tensor) -> Tensor:
    unit = F.normalize(v)
    return (step * unit).sum(1, keepdim=True) * unit


def _point(p: np.ndarray) -> Point:
    return round(float(p[0]), 4), round(float(p[1]), 4)


def _signed(x: float) -> str:
    return f"{x:+.2f}".replace("-0.00", "+0.00").replace("-", "−").replace("+0.00", "0.00")
