"""Linear: y = W₀x + b with W₀ = weight."""

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.rows import FrozenRows


class FrozenLinear(FrozenRows):
    """A Linear, or the NonDynamicallyQuantizableLinear of nn.MultiheadAttention, which `to_layer` gives back."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer, layer.weight)

    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        return w
