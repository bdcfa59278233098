"""How much the loss needs one triplet (a column of P, a λ, a row of Q): AdaLoRA's score."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Importance:
    """The smoothed sensitivity of every entry of one trained tensor, and how unsure it is.

        I = |w·∂L/∂w|,   Ī ← β₁·Ī + (1 − β₁)·I,   Ū ← β₂·Ū + (1 − β₂)·|I − Ī|,   score = Ī·Ū

    I is the first-order change of the loss when the entry w is set to zero. One batch makes it noisy, hence Ī; an entry
    whose I jumps about has not been judged yet, hence the factor Ū, which keeps it in play.

    Source: Zhang et al. 2023 (2303.10512), equations 8–11.
    """

    def __init__(self, w: nn.Parameter, beta1: float, beta2: float) -> None:
        self.w, self.beta1, self.beta2 = w, beta1, beta2
        # A score is a product of four small numbers, too small for 16 bits.
        exact = torch.promote_types(w.dtype, torch.float32)
        self.sensitivity = torch.zeros_like(w, dtype=exact, requires_grad=False)
        self.uncertainty = torch.zeros_like(self.sensitivity)

    @torch.no_grad()
    def observe(self) -> None:
        """Take in the gradient of this step. A tensor that the loss did not reach has a gradient of zero."""
        g = torch.zeros_like(self.w) if self.w.grad is None else self.w.grad
        now = (self.w.to(self.sensitivity) * g).abs()
        self.sensitivity.lerp_(now, 1 - self.beta1)
        self.uncertainty.lerp_((now - self.sensitivity).abs(), 1 - self.beta2)

    def score(self) -> Tensor:
        """Return Ī·Ū, entry by entry."""
        return self.sensitivity * self.uncertainty


def triplet_scores(
    p: Float[Tensor, "d_out r"], lam: Float[Tensor, "r 1"], q: Float[Tensor, "r d_in"]
) -> Float[Tensor, " r"]:
    """Return S_i = s(λ_i) + mean_j s(P_ji) + mean_j s(Q_ij), from the scores s of the entries.

    Means, not sums: a triplet of a wide layer must not win by having more entries.

    Source: Zhang et al. 2023 (2303.10512), equation 7.
    """
    return lam.flatten() + p.mean(0) + q.mean(1)
