"""LoRA: ΔW = s·BA."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update
from lorabook.saving.peft.form import LORA_LAYERS, PeftForm


class LowRank(Update):
    """W = W₀ + s·BA, with A: r × d_in, B: d_out × r and ΔW of rank at most r.

    Source: Hu et al. 2021 (2106.09685), equation 3.
    """

    in_peft: ClassVar = PeftForm(
        "LORA", LORA_LAYERS, {"A": "r d_in", "B": "d_out r"}, root="use_rslora", marks={"use_dora": False}
    )

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s = spec.scale
        # The default generator, as every torch dropout: gradient checkpointing replays only that one.
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ self.A)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), self.A, self.B, self.s, base.bias)

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out)


def LoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Low-rank adaptation: the origin of the space. Every axis is LoRA's own."""
    return Recipe(r, alpha, dropout)
