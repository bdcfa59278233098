"""DP-DyLoRA: clients train nested factors; their changes are clipped, summed, and drowned in noise."""

from itertools import repeat

import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.axes.optim.private import Noise, clipped, norm
from lorabook.book.figures.blocks import Scale, block, pair
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import foot
from lorabook.many.federated import DPDyLoRA, Federation, sent

CLIENTS, Q, ROUNDS, DELTA, STEP = 1000, 0.05, 100, 1e-5, 0.1
NOISE = Noise(C=0.4, sigma=1.0, expected=Q * CLIENTS)
SIZES = (0.3, 1.0, 0.6, 1.6)
"""How hard the data of the clients of one round pull."""
SCALE = Scale(rank=1, d_out=0.64, d_in=0.7)


def federation() -> Federation:
    """Return the clients of whom one in twenty is in a round; their data are beside the point."""
    clients = [lambda: repeat((torch.zeros(1), torch.zeros(1)))] * CLIENTS
    return Federation(clients, Q, NOISE, 1, STEP, torch.Generator().manual_seed(0))


def changes(model: nn.Module) -> list[list[Tensor]]:
    """Return what one local step changes at each client, of what is sent at the rank in use."""
    generator, layer = torch.Generator().manual_seed(4), model["layer"]
    (d_out, d_in), differences = layer.base.store.shape, []
    for size in SIZES:
        x, pull = (torch.randn(16, d, generator=generator, dtype=torch.float64) for d in (d_in, d_out))
        model.zero_grad()
        (layer(x) * size * pull).sum().div(16).backward()
        before = [part.detach().clone() for part in sent(model)]
        torch.optim.SGD(layer.update.parameters(), lr=STEP).step()
        differences.append([part.detach() - was for part, was in zip(sent(model), before, strict=True)])
        with torch.no_grad():
            for part, was in zip(sent(model), before, strict=True):
                part.copy_(was)
    return differences


def draw() -> Drawing:
    layer = adapt(DPDyLoRA(r=RANK))
    model = nn.ModuleDict({"layer": layer})
    lb.truncate(model, RANK // 2)
    of_clients = changes(model)
    drawing = Drawing("DP-DyLoRA: each client's change is clipped, and the sum gets noise", 760, 360)
    top, step = 92, 48
    bars, unit = 208, 96 / max(norm(change).item() for change in of_clients)
    limit = bars + unit * NOISE.C
    drawing.text(56, top - 22, "clients", size=13, anchor="start", bold=True)
    drawing.text(bars, top - 22, "size of its change", size=13, anchor="start", bold=True)
    for i, change in enumerate(of_clients):
        y = top + step * i
        drawing.rect(36, y - 4, 132, 36, "grid", faint=0.5)
        drawing.text(46, y + 18, f"data {i + 1}", size=12, anchor="start", role="quiet")
        _nested(drawing, layer.update, 100, y + 14)
        drawing.arrow((172, y + 14), (bars - 8, y + 14))
        size, cut = norm(change).item(), norm(clipped(change, NOISE.C)).item()
        drawing.rect(bars, y + 4, unit * size, 20, "grid")
        drawing.rect(bars, y + 4, unit * cut, 20, "trainable")
        drawing.arrow((bars + 112, y + 14), (388, top + step * 1.5 + 14 + 5 * (i - 1.5)))
    drawing.line([(limit, top - 10), (limit, top + step * len(of_clients) - 14)], "reference", width=2)
    drawing.text(limit, top + step * len(of_clients) + 2, f"C = {NOISE.C:g}", size=12)
    middle = top + step * 1.5 + 14
    drawing.frame(392, middle - 20, 40, 40, "quiet")
    drawing.text(412, middle + 7, "Σ", size=20)
    drawing.heading(412, middle + 96, "noise, deviation σC", anchor="middle")
    _noise(drawing, 412, middle + 62)
    drawing.arrow((412, middle + 48), (412, middle + 26))
    drawing.arrow((436, middle), (496, middle))
    drawing.text(464, middle - 9, "/ L", size=13)
    drawing.text(612, top - 22, "the server's adapter", size=13, bold=True)
    block(drawing, layer.base.store.shape, 504, middle, 1.8, "frozen", name="W₀", size=15)
    drawing.text(632, middle + 5, "+", size=15)
    _nested(drawing, layer.update, 648, middle)
    server = federation()
    foot(
        drawing,
        "B, A ← B, A + (Σ_{i} clip(Δ_{i}, C) + σC·z)/L, only for the b rows and columns of the round",
        f"{sum(part.numel() for part in of_clients[0])} numbers are sent at b = {layer.update.b}. "
        f"With q = {server.q:g}, σ = {NOISE.sigma:g}, {ROUNDS} rounds: "
        f"ε = {server.epsilon(ROUNDS, DELTA):.1f} at δ = 10^{{−5}}.",
    )
    return drawing


def _nested(drawing: Drawing, update: nn.Module, x: float, middle: float) -> None:
    pair(drawing, update.B.shape, update.A.shape, x, middle, SCALE, "trainable", used=update.b, rest="grid")


def _noise(drawing: Drawing, x: float, y: float) -> None:
    heights = torch.randn(19, generator=torch.Generator().manual_seed(6), dtype=torch.float64).tolist()
    points = [(x + 4 * (i - 9), y + 5 * h) for i, h in enumerate(heights)]
    drawing.line(points, "text", width=1.2)
