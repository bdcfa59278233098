"""The step that LoRA-FA's B should take: the gradient that imitates full fine-tuning best, within the rows of A."""

import torch
from jaxtyping import Float
from torch import Tensor, linalg


def projected(
    grad_b: Float[Tensor, "d_out r"], a: Float[Tensor, "r d_in"], s: float
) -> Float[Tensor, "d_out r"]:
    """Return H = ∂L/∂B·(AAᵀ)⁻¹/s², the step of B that moves W = W₀ + s·BA most like a step of W itself.

    min_H ‖s·HA − ∂L/∂W‖ has this solution, because ∂L/∂B = s·∂L/∂W·Aᵀ. It does not depend on how A was drawn, only on
    the space of its rows; PEFT's `create_lorafa_optimizer` feeds it to Adam.

    Raises:
        ValueError: the rows of A are linearly dependent, so that AAᵀ has no inverse.

    Source: Zhang et al. 2023 (2308.03303) for the frozen A; the projection is LoRA-Pro's (2407.18242), theorem 2.1,
    A held still, as PEFT applies it.
    """
    gram = a @ a.T
    factor, failed = linalg.cholesky_ex(gram)
    if failed:
        raise ValueError("the rows of A are linearly dependent, so AAᵀ has no inverse: draw A anew, or lower r")
    return torch.cholesky_solve(grad_b.T, factor).T / s**2
