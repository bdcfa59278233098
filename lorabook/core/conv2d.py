"""Conv2d: the kernel matrix, c_out × (c_in/groups)·k², applied to every patch."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen


class FrozenConv2d(Frozen):
    """A convolution with any stride, padding, dilation and groups; W₀ = weight, flattened from its second axis on."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer, layer.weight.flatten(1), patch=layer.weight[0, 0].numel())
        self.kernel = layer.weight.shape[1:]
        self.stride, self.padding, self.dilation = layer.stride, layer.padding, layer.dilation
        self.groups, self.padding_mode = layer.groups, layer.padding_mode
        self.border = list(layer._reversed_padding_repeated_twice)

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.padding_mode == "zeros":
            return F.conv2d(x, kernel, bias, self.stride, self.padding, self.dilation, self.groups)
        x = F.pad(x, self.border, mode=self.padding_mode)
        return F.conv2d(x, kernel, bias, self.stride, 0, self.dilation, self.groups)

    def apply_matrix(self, x: Tensor, m: Float[Tensor, "d_out d_in"], bias: Tensor | None = None) -> Tensor:
        return self._convolve(x, m.unflatten(1, self.kernel), bias)

    def down_project(self, x: Tensor, a: Float[Tensor, "r d_in"]) -> Tensor:
        # The rows of W₀ in one group see that group's channels only, so A is applied once in every group.
        return self._convolve(x, self.rounded(a).repeat(self.groups, 1).unflatten(1, self.kernel))

    def up_project(self, h: Tensor, b: Float[Tensor, "d_out r"], onto: Tensor) -> Tensor:
        return onto + F.conv2d(h, self.rounded(b)[:, :, None, None], groups=self.groups)

    def two_paths(
        self, x: Tensor, branch: Tensor, a: Float[Tensor, "r d_in"], b: Float[Tensor, "d_out r"], s: float,
        bias: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        return self.up_project(self.down_project(branch, a), s * b, onto=self.times_w0(x, bias))

    def per_row(self, v: Float[Tensor, " d_out"]) -> Tensor:
        return v[:, None, None]

    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        return w.unflatten(1, self.kernel)
