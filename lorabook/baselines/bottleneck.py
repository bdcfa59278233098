"""Bottleneck adapters: a small network after a sublayer, h ← h + W_up·φ(W_down·h + b_down) + b_up."""

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.layer_types import freeze
from lorabook.core.lora import ORIGIN, uniform_rows
from lorabook.core.targets import find_targets
from lorabook.core.unmergeable import Unmergeable
from lorabook.core.whole_number import refuse_unless_whole


class Bottleneck(Unmergeable):
    """h + W_up·φ(W_down·h + b_down) + b_up, where h is what the frozen layer gives: d → m → d numbers, m below d.

    W_up and b_up start at zero, so that the model starts where it was. (The paper starts near zero.)

    Source: Houlsby et al. 2019 (1902.00751), section 2.1.
    """

    def __init__(
        self, layer: nn.Module, m: int, nonlinearity: Callable[[Tensor], Tensor], generator: torch.Generator
    ) -> None:
        super().__init__()
        frozen = freeze(layer)
        d, like = frozen.store.shape[0], frozen.matrix
        self.layer, self.nonlinearity = layer.requires_grad_(False), nonlinearity
        self.W_down = nn.Parameter(uniform_rows(m, d, like, generator))
        self.b_down = nn.Parameter(like.new_zeros(m))
        self.W_up = nn.Parameter(like.new_zeros(d, m))
        self.b_up = nn.Parameter(like.new_zeros(d))

    def forward(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows d"]:
        h = self.layer(x)
        reduced = self.nonlinearity(F.linear(h, self.W_down, self.b_down))
        return h + F.linear(reduced, self.W_up, self.b_up)

    @property
    def why(self) -> str:
        return "between its two matrices stands a nonlinearity, so that no one matrix does the same"

    @staticmethod
    def count(d: int, m: int) -> int:
        """Return the number of trained parameters after a sublayer of width d: 2dm + d + m.

        Source: Houlsby et al. 2019 (1902.00751), section 2.1.
        """
        return 2 * d * m + d + m


def insert_bottlenecks(
    model: nn.Module, targets: str, *, m: int, generator: torch.Generator | None = None,
    nonlinearity: Callable[[Tensor], Tensor] = F.gelu,
) -> dict[str, Bottleneck]:  # fmt: skip
    """Put a bottleneck adapter after every target, freeze the rest, and return the adapters by name.

    In a transformer the places of the paper are the last layers of the two sublayers: r"o_proj|down_proj". It trains
    the norms too: set `requires_grad_` on them after this call to do the same.

    Args:
        targets: regular expression, searched in names of Linear layers (and transformers' Conv1D).
        m: width of the bottleneck.
        generator: source of randomness for W_down; seed 0 on the CPU if None.

    Raises:
        ValueError: m is below 1, or no target matches, or one has a bottleneck or an adapter already.
        UnsupportedLayer: a target is no Linear.
    """
    refuse_unless_whole("bottleneck: m", m, 1, " (the paper tries 2 to 256)")
    there = [name for name, part in model.named_modules() if isinstance(part, Bottleneck) and re.search(targets, name)]
    if there:
        raise ValueError(f"{there[0]} has a bottleneck adapter already: choose targets other than {targets!r}")
    chosen = find_targets(model, targets, ORIGIN)
    for target in chosen:
        if not target.base.reads_vectors:
            raise UnsupportedLayer(
                f"{target.name} is a {type(target.layer).__name__}; a bottleneck adapter stands after a Linear layer: "
                "choose targets of that type"
            )
    generator = generator or torch.Generator().manual_seed(0)
    adapters = {target.name: Bottleneck(target.layer, m, nonlinearity, generator) for target in chosen}
    model.requires_grad_(False)
    for target in chosen:
        adapters[target.name].train(target.layer.training)
        for parameter in adapters[target.name].parameters(recurse=False):
            parameter.requires_grad_(True)
        target.put(adapters[target.name])
    return adapters
