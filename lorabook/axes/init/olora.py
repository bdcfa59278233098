"""OLoRA: start from an orthonormal basis that a QR decomposition of W₀ gives, and leave the rest frozen."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.core.finite import refuse_not_finite
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe


@dataclass(frozen=True)
class OrthonormalStart:
    """OLoRA's value on the init axis."""

    takes_from_w0: ClassVar = True

    def build(self, w0: Float[Tensor, "d_out d_in"], spec: LayerSpec) -> Factors:
        """Return W₀ = W_res + s·BA with B = Q[:, :r], A = R[:r] of W₀ = QR, and W_res = W₀ − s·BA.

        Unlike PiSSA's, the factors do not absorb s, so that α decides how much is taken out of W₀. B depends on the
        first r columns of W₀ alone: these are what Gram and Schmidt turn into Q[:, :r]. So only they are decomposed,
        and the rest of A is BᵀW₀: d_out·d_in·r operations, where the whole QR takes d_out·d_in·min(d_out, d_in).

        Source: Büyükakyüz 2024 (2406.01775), section 3; PEFT's `olora_init` for the place of s.
        """
        # A QR in half precision is not orthonormal; it is done once, so it may be exact.
        w = w0.double()
        first, rest = w[:, : spec.r], w[:, spec.r :]
        b, corner = linalg.qr(first)
        a = torch.cat([corner, b.T @ rest], dim=1).to(w0.dtype)
        b = b.to(w0.dtype)
        residual = w - spec.scale * (b.double() @ a.double())
        return Factors(A=a, B=b.contiguous(), residual=residual.to(w0.dtype))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_not_finite(
            f"{name}.weight", base.matrix, "they have no QR decomposition. Repair it, or start from LoRA's own init"
        )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def OLoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Orthonormal low-rank adaptation: LoRA that starts on the Q and R of W₀ = QR."""
    return Recipe(r, alpha, dropout, init=OrthonormalStart(), names=frozenset({"OLoRA"}))
