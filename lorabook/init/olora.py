"""OLoRA: start from an orthonormal basis that a QR decomposition of W₀ gives, and leave the rest frozen."""

from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.recipe import Factors, Recipe, Site


def orthonormal(w0: Float[Tensor, "d_out d_in"], site: Site) -> Factors:
    """Return W₀ = W_res + s·BA with B = Q[:, :r], A = R[:r] of W₀ = QR, and W_res = W₀ − s·BA.

    Unlike PiSSA's, the factors do not absorb s, so that α decides how much is taken out of W₀. B depends on the first r
    columns of W₀ alone: these are what Gram and Schmidt turn into Q[:, :r].

    Source: Büyükakyüz 2024 (2406.01775), section 3; PEFT's `olora_init` for the place of s.
    """
    q, r = linalg.qr(w0.double())
    b, a = q[:, : site.r].to(w0.dtype), r[: site.r].to(w0.dtype)
    residual = w0.double() - site.scale * (b.double() @ a.double())
    return Factors(A=a.contiguous(), B=b.contiguous(), residual=residual.to(w0.dtype))


def OLoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Orthonormal low-rank adaptation: LoRA that starts on the Q and R of W₀ = QR."""
    return Recipe(r, alpha, dropout, init=orthonormal, names=frozenset({"OLoRA"}))


PEFT_INIT = {"olora": orthonormal}
"""The value of PEFT's `init_lora_weights` that means this start."""
