"""MELoRA: n small LoRAs side by side, each on its own slice of the input and of the output."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen, add_product
from lorabook.core.lora import uniform_rows
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0
from lorabook.core.whole_number import refuse_unless_whole


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
        if not base.reads_vectors:
            h = base.down_project(self.drop(x), torch.block_diag(*self.A))
            return base.up_project(h, self.s * torch.block_diag(*self.B), onto=base.times_w0(x, base.bias))
        # Every slice of x goes to its own slice of y.
        rows = x.reshape(-1, x.shape[-1])
        y = _in_slices(base.times_w0(rows, base.bias), len(self.A))
        h = torch.bmm(_in_slices(self.drop(x).reshape(rows.shape), len(self.A)), base.rounded(self.A).mT)
        y = add_product(y, h, self.B.mT, self.s)
        return y.transpose(0, 1).reshape(*x.shape[:-1], len(self.A) * self.B.shape[1])


def _in_slices(rows: Float[Tensor, "rows d"], n: int) -> Float[Tensor, "n rows d_n"]:
    return rows.unflatten(-1, (n, -1)).transpose(0, 1)


@dataclass(frozen=True)
class MELoRAForm:
    """MELoRA's value on the form axis: n mini LoRAs."""

    n: int

    def __post_init__(self) -> None:
        refuse_unless_whole("MELoRA: n", self.n, 1, ", the number of mini LoRAs")

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> BlockDiagonal:
        return BlockDiagonal(base, spec, self.n)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("MELoRA", name, recipe)
        d_out, d_in = base.store.shape
        if d_out % self.n or d_in % self.n:
            raise ValueError(
                f"MELoRA: n = {self.n} does not divide both sides of {name}, which is {d_out} × {d_in}: choose an n "
                "that divides them, or other targets"
            )

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out)


def MELoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None, *, n: int = 2) -> Recipe:
    """Mini-ensemble of low-rank adapters: ΔW = s·blockdiag(B₁A₁, …, B_nA_n), of rank n·r.

    Args:
        r: rank of each mini LoRA.
        n: number of mini LoRAs; it must divide both sides of every target.
    """
    return Recipe(r, alpha, dropout, form=MELoRAForm(n), names=frozenset({"MELoRA"}))
