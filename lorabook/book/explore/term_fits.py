"""What GLoRA's five terms, each in a size of its own, make of a wanted 10 × 12 layer, at the best that was found.

The weight W₀ ⊙ A + B and the bias W₀C + D ⊙ b₀ + E have no number in common, so each is fitted alone. The bias is
linear in its numbers. The weight is linear in each row's numbers while X_u stands still, and in each column's while X_d
does: the two are solved in turn. A vector is an X_d of one column before an X_u of ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.axes.form.glora import bias_of, term_of, weight_of
from lorabook.axes.form.glora_supernet import GLoRASupernetForm
from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import freeze

D_OUT, D_IN, R = 10, 12, 2
KINDS = GLoRASupernetForm().on(bias=True)
"""The kinds that each term may have, as in the official code."""
HALF, LOUD, SHIFT, FEW, GATED = WISHES = (
    "everything at half strength", "each output louder or softer", "another bias", "two new directions",
    "every weight by a factor",
)  # fmt: skip
STARTS, TURNS, STILL = 4, 200, 1e-4
RIDGE = 1e-12

Weight = Float[Tensor, "10 12"]
Bias = Float[Tensor, " 10"]


@dataclass(frozen=True)
class Fit:
    """The terms of a weight or of a bias by name, as the layer adds them, and their sum with what was there.

    left: what of the wish is not reached, in squares.
    """

    parts: Mapping[str, Tensor]
    merged: Tensor
    left: float


@dataclass(frozen=True)
class Fits:
    """The frozen layer, the wanted (ΔW, Δb) by wish, and the fits by (wish, kinds of A, B) and (wish, of C, D, E)."""

    base: Frozen
    wanted: Mapping[str, tuple[Weight, Bias]]
    weights: Mapping[tuple[str, ...], Fit]
    biases: Mapping[tuple[str, ...], Fit]


def measure(generator: torch.Generator) -> Fits:
    """Give every choice of kinds its best for every wish."""
    base = layer(generator)
    wanted, weights, biases = wishes(base, generator), {}, {}
    for wish, (w, b) in wanted.items():
        for kinds in product(KINDS["A"], KINDS["B"]):
            weights[wish, *kinds] = _weight(nearest_weight(kinds, base.matrix, w), base, w)
        for kinds in product(*(KINDS[term] for term in "CDE")):
            biases[wish, *kinds] = _bias(nearest_bias(kinds, base, b), base, b)
    return Fits(base, wanted, weights, biases)


def layer(generator: torch.Generator) -> Frozen:
    """Return a frozen layer: rows of length 1 or so, a bias of entries none of which is near zero."""
    plain = nn.Linear(D_IN, D_OUT, dtype=torch.float64)
    signs = torch.randn(D_OUT, generator=generator, dtype=torch.float64).sign()
    plain.weight.data = torch.randn(D_OUT, D_IN, generator=generator, dtype=torch.float64) / D_IN**0.5
    plain.bias.data = signs * (0.4 + 0.8 * torch.rand(D_OUT, generator=generator, dtype=torch.float64))
    return freeze(plain)


def wishes(base: Frozen, generator: torch.Generator) -> dict[str, tuple[Weight, Bias]]:
    """Return the change of weight and of bias that each wish asks for."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    w0, b0, none = base.matrix, base.bias, torch.zeros(D_OUT, dtype=torch.float64)
    louder = draw(D_OUT).sign() * (0.3 + 0.5 * torch.rand(D_OUT, generator=generator, dtype=torch.float64))
    return {
        HALF: (-w0 / 2, -b0 / 2),
        LOUD: (louder[:, None] * w0, louder * b0),
        SHIFT: (torch.zeros_like(w0), draw(D_OUT)),
        FEW: (draw(D_OUT, R) @ draw(R, D_IN) / D_IN**0.5, none),
        GATED: (w0 * (draw(D_OUT, R) @ draw(R, D_IN)), none),
    }


def nearest_weight(kinds: tuple[str, str], w0: Weight, m: Weight) -> dict[str, Tensor]:
    """Return the numbers of A and B that bring W₀ ⊙ A + B near to m, as the library names them."""
    start = torch.Generator().manual_seed(0)
    tried = [_in_turn(kinds, w0, m, start) for _ in range(STARTS if "lora" in kinds else 1)]
    return min(tried, key=lambda terms: float((weight_of(terms, w0, 1.0) - w0 - m).square().sum()))


def _in_turn(kinds: tuple[str, str], w0: Weight, m: Weight, start: torch.Generator) -> dict[str, Tensor]:
    """Solve for rows and columns in turn, from a random X_u."""
    before = (w0, torch.ones_like(w0))  # what stands entry by entry before A, and before B
    ups = [_first_up(kind, start) for kind in kinds]
    downs, error = [up.new_zeros(D_OUT, len(up)) for up in ups], float("inf")
    for _ in range(TURNS if any(map(len, ups)) else 0):
        rows = torch.cat([k[:, None] * up for k, up in zip(before, ups, strict=True)], dim=1)
        downs = list(_solved(rows, m, kinds).split([len(up) for up in ups], dim=1))
        if "lora" in kinds:
            ups = _columns(before, downs, ups, m, kinds)
        left = sum(k * (d @ u) for k, d, u in zip(before, downs, ups, strict=True)) - m
        error, last = float(left.square().sum()), error
        if last - error < STILL * last or error < STILL**3:
            break
    return _named("AB", kinds, downs, ups)


def _first_up(kind: str, start: torch.Generator) -> Tensor:
    if kind == "lora":
        return torch.randn(R, D_IN, generator=start, dtype=torch.float64)
    return torch.ones(int(kind != "none"), D_IN, dtype=torch.float64)


def _solved(rows: Float[Tensor, "10 k 12"], m: Weight, kinds: tuple[str, str]) -> Float[Tensor, "10 k"]:
    """Return the X_d of both terms, least squares row by row; a constant has one number for all rows."""
    gram, right = rows @ rows.mT, (rows @ m[..., None])[..., 0]
    one = torch.tensor([k == "constant" for kind in kinds for k in [kind] * _width(kind)])
    n, width = len(m), rows.shape[1]
    # Every number of X_d is an unknown; those of a constant are one and the same.
    place = torch.arange(n * width).view(n, width)
    place[:, one] = place[:1, one]
    used, index = place.unique(return_inverse=True)
    whole, sums = gram.new_zeros(len(used), len(used)), gram.new_zeros(len(used))
    whole.index_put_((index[:, :, None].expand(n, width, width), index[:, None].expand(n, width, width)), gram, True)
    sums.index_put_((index,), right, True)
    return linalg.solve(whole + RIDGE * torch.eye(len(used), dtype=whole.dtype), sums)[index]


def _width(kind: str) -> int:
    return {"none": 0, "lora": R}.get(kind, 1)


def _columns(
    before: tuple[Tensor, Tensor], downs: list[Tensor], ups: list[Tensor], m: Weight, kinds: tuple[str, str]
) -> list[Tensor]:
    """Return the X_u of both terms: least squares column by column for low rank, the others as they are."""
    for k, down, up, kind in zip(before, downs, ups, kinds, strict=True):
        if kind != "lora":
            m = m - k * (down @ up)
    free = [(k, down) for k, down, kind in zip(before, downs, kinds, strict=True) if kind == "lora"]
    columns = torch.cat([k.T[:, None] * down.T for k, down in free], dim=1)
    gram = columns @ columns.mT + RIDGE * torch.eye(columns.shape[1], dtype=m.dtype)
    found = iter(linalg.solve(gram, (columns @ m.T[..., None])[..., 0]).T.split(R))
    return [next(found) if kind == "lora" else up for up, kind in zip(ups, kinds, strict=True)]


def _named(terms: str, kinds: tuple[str, ...], downs: list[Tensor], ups: list[Tensor]) -> dict[str, Tensor]:
    named = {}
    for term, kind, down, up in zip(terms, kinds, downs, ups, strict=True):
        if kind == "lora":
            named |= {f"{term}_d": down, f"{term}_u": up}
        elif kind != "none":
            named[term] = down if kind == "vector" else down[:1]
    return named


def nearest_bias(kinds: tuple[str, ...], base: Frozen, wanted: Bias) -> dict[str, Tensor]:
    """Return the numbers of C, D and E that bring W₀C + D ⊙ b₀ + E to the wanted change, the smallest of all."""
    whole = {"C": base.matrix, "D": torch.diag(base.bias), "E": torch.eye(D_OUT, dtype=torch.float64)}
    used = {term: kind for term, kind in zip("CDE", kinds, strict=True) if kind != "none"}
    if not used:
        return {}
    columns = [whole[term].sum(1, keepdim=True) if kind == "constant" else whole[term] for term, kind in used.items()]
    numbers = linalg.pinv(torch.cat(columns, dim=1)) @ wanted
    parts = numbers[:, None].split([each.shape[1] for each in columns])
    named: dict[str, Tensor] = {}
    for (term, kind), part in zip(used.items(), parts, strict=True):
        if kind == "lora":
            named |= {f"{term}_d": part.repeat(1, R), f"{term}_u": part.new_full((R, 1), 1 / R)}
        else:
            named[term] = part
    return named


def _weight(terms: dict[str, Tensor], base: Frozen, wanted: Weight) -> Fit:
    w0 = base.matrix
    a, b = (term_of(terms, name) for name in "AB")
    zero, merged = torch.zeros_like(w0), weight_of(terms, w0, 1.0)
    parts = {"A": zero if a is None else w0 * a, "B": zero if b is None else zero + b}
    return Fit(parts, merged, float((merged - w0 - wanted).square().sum()))


def _bias(terms: dict[str, Tensor], base: Frozen, wanted: Bias) -> Fit:
    def only(term: str) -> Bias:
        return bias_of({name: part for name, part in terms.items() if name[0] == term}, base, 1.0) - base.bias

    merged = bias_of(terms, base, 1.0)
    return Fit({term: only(term) for term in "CDE"}, merged, float((merged - base.bias - wanted).square().sum()))
