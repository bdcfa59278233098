"""PiSSA: train the largest singular directions of W₀ and freeze what is left."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.core.finite import refuse_not_finite
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe


@dataclass(frozen=True)
class PrincipalStart:
    """PiSSA's value on the init axis."""

    takes_from_w0: ClassVar = True

    def build(self, w0: Float[Tensor, "d_out d_in"], spec: LayerSpec) -> Factors:
        """Return W₀ = W_res + s·BA with B = U_r √(Σ_r/s), A = √(Σ_r/s) V_rᵀ, and W_res = W₀ − s·BA.

        The scale is folded into the factors, so that the start is the same for every α.

        Source: Meng, Wang, Zhang 2024 (2404.02948), equations 2–4.
        """
        # An SVD in half precision loses the small directions; it is done once, so it may be exact.
        u, sigma, vt = linalg.svd(w0.double(), full_matrices=False)
        root = (sigma[: spec.r] / spec.scale).sqrt()
        a, b = root[:, None] * vt[: spec.r], u[:, : spec.r] * root
        a, b = a.to(w0.dtype), b.to(w0.dtype)
        residual = w0.double() - spec.scale * (b.double() @ a.double())
        return Factors(A=a.contiguous(), B=b.contiguous(), residual=residual.to(w0.dtype))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_not_finite(
            f"{name}.weight", base.matrix, "they have no singular values. Repair it, or start from LoRA's own init"
        )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def PiSSA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Principal singular values and vectors adaptation: LoRA that starts on W₀'s own top r directions."""
    return Recipe(r, alpha, dropout, init=PrincipalStart(), names=frozenset({"PiSSA"}))
