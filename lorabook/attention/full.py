"""Full causal attention: every position looks at itself and at everything before it."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def full(
    q: Float[Tensor, "batch heads length d_head"],
    k: Float[Tensor, "batch heads length d_head"],
    v: Float[Tensor, "batch heads length d_head"],
) -> Float[Tensor, "batch heads length d_head"]:
    """Attend from every position to all earlier ones and to itself.

    softmax(q kᵀ / √d_head + mask) v, where mask is −∞ above the diagonal.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)
