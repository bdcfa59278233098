"""VeRA: one frozen random pair for the whole model; each layer trains two vectors."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.scale.unit import UnitScale
from lorabook.core.frozen import Frozen
from lorabook.core.lora import uniform
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0


class Projections(nn.Module):
    """A and B, frozen, as large as the largest layer needs; one object for all layers, wherever the model moves."""

    def __init__(self, a: Float[Tensor, "r widest"], b: Float[Tensor, "tallest r"]) -> None:
        super().__init__()
        self.register_buffer("A", a)
        self.register_buffer("B", b)


def kaiming_normalised(rows: int, columns: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows × columns numbers, uniform on ±√(6/columns): Kaiming's rule for ReLU, as the paper and PEFT draw."""
    return uniform(rows, columns, math.sqrt(6 / columns), like, generator)


class SharedPair(Update):
    """W = W₀ + s·diag(b) B diag(d) A, with A and B frozen, random and shared by all layers, each taking a slice.

    b starts at 0 and d at `d_initial`. The paper has no α: `VeRA` sets s = 1.

    Source: Kopiczko, Blankevoort, Asano 2023 (2310.11454), equation 2.
    """

    def __init__(self, base: Frozen, spec: LayerSpec, pair: Projections, d_initial: float, first: bool) -> None:
        super().__init__()
        d_out, _ = base.store.shape
        self.pair, self.first = pair, first
        self.b = nn.Parameter(base.matrix.new_zeros(d_out))
        self.d = nn.Parameter(base.matrix.new_full((spec.r,), d_initial))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def sliced(self, d_in: int) -> tuple[Float[Tensor, "r d_in"], Float[Tensor, "d_out r"]]:
        """Return this layer's part of A and of B, in the layer's own dtype and on its device."""
        return self.pair.A[:, :d_in].to(self.b), self.pair.B[: len(self.b)].to(self.b)

    def kept(self) -> dict[str, Tensor]:
        """Return b and d; of the pair that all share, only the first layer's file has a copy."""
        mine = super().kept()
        return mine if self.first else {name: mine[name] for name in ("b", "d")}

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        a, b = self.sliced(w0.shape[1])
        return w0 + self.s * (torch.diag(self.b) @ b @ torch.diag(self.d) @ a)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # With both vectors in B, backward needs Ax and nothing else: x is not kept.
        a, b = self.sliced(base.store.shape[1])
        return base.two_paths(x, self.drop(x), a, self.b[:, None] * b * self.d, self.s, base.bias)


@dataclass(frozen=True)
class VeRAForm:
    """VeRA's value on the form axis: makes the shared pair once for each injection, and every layer's two vectors."""

    d_initial: float = 0.1

    def __post_init__(self) -> None:
        if not math.isfinite(self.d_initial):
            raise ValueError(f"VeRA: d_initial is {self.d_initial!r}; it must be a finite number (0.1 in the paper)")

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> SharedPair:
        tallest, widest = spec.largest or base.store.shape
        first = "VeRA" not in spec.shared
        if first:
            like, source = base.matrix, spec.generator
            a = kaiming_normalised(spec.r, widest, like, source)
            spec.shared["VeRA"] = Projections(a, kaiming_normalised(tallest, spec.r, like, source))
        return SharedPair(base, spec, spec.shared["VeRA"], self.d_initial, first)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("b", "d")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("VeRA", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return None

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return d_out + r


def VeRA(r: int | None = None, dropout: float | None = None, *, d_initial: float = 0.1) -> Recipe:
    """Vector-based random matrix adaptation: ΔW = diag(b) B diag(d) A with A and B random, frozen and shared.

    Args:
        d_initial: where every entry of d starts.
    """
    return Recipe(r, None, dropout, form=VeRAForm(d_initial), scale=UnitScale(), names=frozenset({"VeRA"}))
