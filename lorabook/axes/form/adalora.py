"""PΛQ: AdaLoRA's form, an update written like a singular value decomposition."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import FrozenConv1D, FrozenConv2d, FrozenLinear
from lorabook.core.recipe import Factors, LayerSpec
from lorabook.core.update import Update, needs_whole_w0
from lorabook.saving.peft.form import PeftForm, dense_layers
from lorabook.saving.peft.masked import with_masked_triplets


class PLQ(Update):
    """W = W₀ + s·PΛQ, with P: d_out × r, Λ diagonal (starts at 0), Q: r × d_in.

    One λ can be set to zero and its direction comes back when λ does: that is why the allocator masks λ, not rows of a
    factor. P and Q are only *pulled* towards orthogonality by a penalty; nothing here makes them orthogonal.
    Q is kept under the letter A and P under B, so that every form has its factors in the same place.

    Source: Zhang et al. 2023 (2303.10512), equation 3.
    """

    # PEFT insists on a schedule, on which the numbers do not depend; it divides α by r + 10⁻⁵, not by r.
    in_peft: ClassVar = PeftForm(
        "ADALORA",
        dense_layers({"A": "lora_A", "B": "lora_B", "E": "lora_E"}, FrozenLinear, FrozenConv1D, FrozenConv2d),
        {"A": "r d_in", "B": "d_out r", "E": "r 1"},
        rank="init_r", required={"total_step": 1}, per_layer=False, whole=with_masked_triplets,
    )  # fmt: skip

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        needs_whole_w0(factors, spec, "PΛQ")
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.E = nn.Parameter(factors.A.new_zeros(spec.r, 1))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ (self.E * self.A))

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), self.E * self.A, self.B, self.s, base.bias)

    def orthogonality(self) -> Float[Tensor, ""]:
        """Return ‖PᵀP − I‖² + ‖QQᵀ − I‖², squared Frobenius norms (equation 4)."""
        eye = torch.eye(len(self.A), device=self.A.device, dtype=self.A.dtype)
        return (self.B.T @ self.B - eye).square().sum() + (self.A @ self.A.T - eye).square().sum()

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out + 1)
