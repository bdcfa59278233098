"""An update is a definition and a path.

`weight(w0)` is the paper's equation, word for word; `forward(base, x)` is the cheapest known way to apply it. One
battery of tests proves the two equal, in value and in gradient, for every form on every layer.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.rebuilt import rebuilt
from lorabook.core.recipe import AxisConflict, Recipe


class Update(nn.Module, ABC):
    """What is trained beside one frozen layer."""

    derived: ClassVar[frozenset[str]] = frozenset()
    """Buffers that follow from W₀: they travel with the model, and are no part of an adapter's file."""

    def kept(self) -> dict[str, Tensor]:
        """Return what an adapter's file holds: parameters and buffers by name, without what follows from W₀."""
        state = self.state_dict(keep_vars=True)
        return {name: tensor for name, tensor in state.items() if name not in self.derived}

    @abstractmethod
    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        """Return the effective W. This is the definition."""

    @abstractmethod
    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        """Return the layer's output with the effective W, bias included. This is the path."""

    def bias(self, base: Frozen) -> Float[Tensor, " d_out"] | None:
        """Return the effective bias: the layer's own, but for forms that move it (GLoRA)."""
        return base.bias


def in_float32_at_least(update: Update) -> Update:
    """Turn what an update keeps in 16 bits into float32, as PEFT does: Adam's small steps would be rounded away."""
    return update._apply(lambda kept: kept.float() if kept.dtype in (torch.bfloat16, torch.float16) else kept)


def materialised(base: Frozen, update: Update, x: Tensor) -> Tensor:
    """Apply a dense effective W, for forms with no cheaper path: d_out·d_in numbers are built, and kept."""
    w = rebuilt(lambda: base.rounded(update.weight(base.matrix)), reads=(base, update))
    return base.apply_matrix(x, w, base.bias)


def refuse_without_whole_w0(form: str, name: str, recipe: Recipe) -> None:
    """Refuse an init that moves part of W₀ into BA, for forms in which BA alone is not the update.

    Raises:
        AxisConflict: naming the form, the layer and what to do.
    """
    if recipe.init.takes_from_w0:
        raise AxisConflict(
            f"{form} cannot start from an init that takes s·BA out of W₀ (as PiSSA does), because its update is not "
            f"s·BA (layer {name}): use LoRA's own init with {form}, or this init with the low-rank form"
        )
