"""The step that LoRA-FA's B should take: the gradient that imitates full fine-tuning best, within the rows of A."""

import torch
from jaxtyping import Float
from torch import Tensor, linalg


def projected(grad_b: Float[Tensor, "d_out r"], a: Float[Tensor, "r d_in"], s: float) -> Float[Tensor, "d_out r"]:
    """Return H = ∂L/∂B·(AAᵀ)⁻¹/s², the step of B that moves W = W₀ + s·BA most like a step of W itself.

    min_H ‖s·HA − ∂L/∂W‖ has this solution, because ∂L/∂B = s·∂L/∂W·Aᵀ. It does not depend on how A was drawn, only on
    the space of its rows; PEFT's `create_lorafa_optimizer` feeds it to Adam.

    Solved in float32 at least, and returned in the dtype of ∂L/∂B.

    Raises:
        ValueError: the rows of A are linearly dependent as far as their dtype can tell, so that AAᵀ has no inverse.

    Source: Zhang et al. 2023 (2308.03303) for the frozen A; the projection is LoRA-Pro's (2407.18242), theorem 2.1,
    A held still, as PEFT applies it.
    """
    exact = torch.promote_types(a.dtype, torch.float32)
    gram = a.to(exact) @ a.to(exact).T
    factor, failed = linalg.cholesky_ex(gram)
    # The share of each row that no other row has: rounding, of A and of AAᵀ, leaves some where there is none.
    own = factor.diagonal().square() / gram.diagonal()
    rounding = max(torch.finfo(exact).eps, torch.finfo(a.dtype).eps ** 2)
    if failed or not (own > 32 * rounding).all():
        raise ValueError("the rows of A are linearly dependent, so AAᵀ has no inverse: draw A anew, or lower r")
    return (torch.cholesky_solve(grad_b.T.to(exact), factor).T / s**2).to(grad_b.dtype)
