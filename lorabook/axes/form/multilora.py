"""MultiLoRA: several LoRAs added up, each with a trained factor for every output."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.lora import uniform_rows
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0
from lorabook.core.whole_number import refuse_unless_whole


class ParallelSum(Update):
    """W = W₀ + s·Σ_i diag(v_i) B_iA_i, with n pairs of rank r and a trained factor v_i for every output.

    A and B both start random (Kaiming's rule on the inputs of each: d_in of A, r of B) and v at zero, so W starts at
    W₀, and the first step moves v alone. The sum has the rank and the reach of one LoRA of rank n·r: v changes how it
    learns, not what it can say.

    Source: Wang et al. 2023 (2311.11501), section 4; the starts as in MTL-LoRA's code (2410.09437).
    """

    def __init__(self, base: Frozen, spec: LayerSpec, n: int) -> None:
        super().__init__()
        (d_out, d_in), like, source = base.store.shape, base.matrix, spec.generator
        self.r = spec.r
        self.A = nn.Parameter(uniform_rows(n * spec.r, d_in, like, source))
        self.B = nn.Parameter(torch.cat([uniform_rows(d_out, spec.r, like, source) for _ in range(n)], dim=1))
        self.v = nn.Parameter(like.new_zeros(d_out, n))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        pairs = zip(self.v.T, self.B.split(self.r, dim=1), self.A.split(self.r), strict=True)
        return w0 + self.s * sum(torch.diag(v) @ b @ a for v, b, a in pairs)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # Not v repeated r times: backward would keep that as well.
        b = (self.B.unflatten(1, (-1, self.r)) * self.v[:, :, None]).flatten(1)
        return base.two_paths(x, self.drop(x), self.A, b, self.s, base.bias)


@dataclass(frozen=True)
class MultiLoRAForm:
    """MultiLoRA's value on the form axis: n pairs."""

    n: int

    def __post_init__(self) -> None:
        refuse_unless_whole("MultiLoRA: n", self.n, 1, ", the number of LoRAs")

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> ParallelSum:
        return ParallelSum(base, spec, self.n)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B", "v")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("MultiLoRA", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return self.n * (r * (d_in + d_out) + d_out)


def MultiLoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None, *, n: int = 3) -> Recipe:
    """Several LoRAs in parallel: ΔW = s·Σ_i diag(v_i) B_iA_i, each output of each with a trained factor.

    Args:
        r: rank of each.
        n: how many.
    """
    return Recipe(r, alpha, dropout, form=MultiLoRAForm(n), names=frozenset({"MultiLoRA"}))
