"""Linear: y = W₀x + b with W₀ = weight."""

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import filled
from lorabook.core.rows import FrozenRows


class FrozenLinear(FrozenRows):
    """A Linear, or the NonDynamicallyQuantizableLinear of nn.MultiheadAttention, which `to_layer` gives back."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.weight, layer.bias)
        self.layer_type = type(layer)

    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        return w

    def to_layer(self, w: Float[Tensor, "d_out d_in"], bias: Float[Tensor, " d_out"] | None) -> nn.Module:
        d_out, d_in = w.shape
        layer = nn.utils.skip_init(self.layer_type, d_in, d_out, self.bias is not None, device=w.device, dtype=w.dtype)
        return filled(layer, w, bias)
