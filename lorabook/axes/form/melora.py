"""MELoRA: n small LoRAs side by side, each on its own slice of the input and of the output."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.kaiming import uniform_rows
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Family, Update, needs_whole_w0


class BlockDiagonal(Update):
    """W = W₀ + s·blockdiag(B₁A₁, …, B_nA_n), with A_i: r × d_in/n and B_i: d_out/n × r, rank at most n·r.

    The parameters are those of one LoRA of rank r, r(d_in + d_out); at equal rank they are n times fewer. What it
    cannot do is move an output by an input of another slice.

    Source: Ren et al. 2024 (2402.17263), equation 3.
    """

    def __init__(self, base: Frozen, spec: LayerSpec, n: int) -> None:
        super().__init__()
        d_out, d_in = base.store.shape
        like = base.matrix
        # Each mini LoRA starts as a LoRA on its slice would: fan_in is d_in/n.
        self.A = nn.Parameter(uniform_rows(n * spec.r, d_in // n, like, spec.generator).view(n, spec.r, -1))
        self.B = nn.Parameter(like.new_zeros(n, d_out // n, spec.r))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * torch.block_diag(*(b @ a for b, a in zip(self.B, self.A, strict=True)))

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.blocks(self.drop(x), self.A, self.B, self.s, onto=base.times_w0(x, base.bias))

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out)


@dataclass(frozen=True)
class MiniEnsemble(Family):
    """MELoRA with n mini LoRAs."""

    n: int

    makes: ClassVar = BlockDiagonal

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            raise ValueError(f"MELoRA: n is {self.n!r}; it must be a whole number ≥ 1, the number of mini LoRAs")

    def __call__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> BlockDiagonal:
        needs_whole_w0(factors, spec, "MELoRA")
        return BlockDiagonal(base, spec, self.n)

    def refuse(self, name: str, base: Frozen) -> None:
        d_out, d_in = base.store.shape
        if d_out % self.n or d_in % self.n:
            raise ValueError(
                f"MELoRA: n = {self.n} does not divide both sides of {name}, which is {d_out} × {d_in}: choose an n "
                "that divides them, or other targets"
            )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return BlockDiagonal.count(d_out, d_in, r)


def MELoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *, n: int = 2
) -> Recipe:
    """Mini-ensemble of low-rank adapters: ΔW = s·blockdiag(B₁A₁, …, B_nA_n), of rank n·r.

    Args:
        r: rank of each mini LoRA.
        n: number of mini LoRAs; it must divide both sides of every target.
    """
    return Recipe(r, alpha, dropout, form=MiniEnsemble(n), names=frozenset({"MELoRA"}))
