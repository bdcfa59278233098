"""transformers' Conv1D (GPT-2): a Linear that stores its weight as d_in × d_out."""

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.rows import FrozenRows


class FrozenConv1D(FrozenRows):
    """y = W₀x + b with W₀ = weightᵀ. transformers is never imported for it: the layer brings its own class."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer, layer.weight.T)

    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        return w.T
