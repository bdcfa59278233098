"""QLoRA: LoRA on a base that is kept in four bits."""

from lorabook.axes.base.double_quant import DoubleQuantStorage
from lorabook.core.recipe import Recipe


def QLoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Quantised low-rank adaptation: y = Ŵx + s·BAx with Ŵ = W₀ in NF4, its constants quantised once more.

    W₀ is stored in 4.127 bits a weight and dequantised to the model's dtype for every product, forward and backward. A
    and B are rounded to that dtype for theirs; beside a 16-bit model they are kept in float32. Trained parameters and
    products are as many as LoRA's: what shrinks is storage.

    Source: Dettmers et al. 2023 (2305.14314), equation 5.
    """
    return Recipe(r, alpha, dropout, base=DoubleQuantStorage(), names=frozenset({"QLoRA"}))
