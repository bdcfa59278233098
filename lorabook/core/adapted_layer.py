"""An adapted layer: a frozen base and an update beside it, with the looks of the plain layer that it replaces."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.before import Before
from lorabook.core.dense import Dense
from lorabook.core.effective_weight import EffectiveWeight
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank
from lorabook.core.names import named_modules
from lorabook.core.original_layer import Original
from lorabook.core.plain_layer import hand_over_hooks
from lorabook.core.recipe import Factors, Recipe
from lorabook.core.update import Update


class Adapted(nn.Module):
    """One layer: `base` never trains, `update` does. Made by `inject`.

    It has the attributes of the plain layer (in_features, stride, padding_idx, …) as they were at injection, its hooks,
    and a `weight` and a `bias` that are the effective ones. It is no instance of the plain layer's class.
    """

    def __init__(self, base: Frozen, update: Update, recipe: Recipe, scale: float, start: LowRank | None) -> None:
        super().__init__()
        vars(self).update(base.shell.attributes)
        self.base, self.update = base, update
        self.recipe, self.scale = recipe, scale
        # What an init took out of W₀ (PiSSA): without it neither the original layer nor a plain LoRA can be given back.
        self.start = None if start is None else start.requires_grad_(False)
        # Of the tensors beside the adapters, one list for all layers of a model: see `beside`.
        self.beside: list[Before] = []

    def forward(self, x: Tensor) -> Tensor:
        self._accept(x)
        return self.update(self.base, x)

    def matrix(self) -> Float[Tensor, "d_out d_in"]:
        """Return the effective W in the dtype of the base; gradients flow to the update.

        Raises:
            RuntimeError: in a training step of an adapter with dropout, which no W can have in it.
        """
        if self.recipe.dropout and self.training and torch.is_grad_enabled():
            raise RuntimeError(
                f"the model reads this adapted layer's weight ({self.base.extra_repr()}) in place of calling it, so "
                f"dropout={self.recipe.dropout} would never be applied: inject with dropout=0, or leave this layer "
                "out of the targets. To look at W only, read it under torch.no_grad()"
            )
        return self.base.rounded(self.update.weight(self.base.matrix))

    @property
    def weight(self) -> EffectiveWeight:
        """The effective W, laid out like the plain layer's weight; built when used, not when asked for its dtype."""
        return EffectiveWeight(self)

    @property
    def bias(self) -> Tensor | None:
        """The effective bias: the plain layer's, but for a form that moves it."""
        return self.update.bias(self.base)

    @property
    def r(self) -> int:
        """The rank this layer was given."""
        return self.recipe.r

    def plain(self) -> nn.Module:
        """Return the plain layer with the effective W: the merged layer."""
        with torch.no_grad():
            return self._instead(self.base.to_layer(self.matrix(), self.bias))

    def against_whole_w0(self) -> Factors:
        """Return A and B of s·BA beside the whole W₀, for a layer whose update has the product s·BA in it.

            W_res + s·BA = W₀ + s·(BA − B₀A₀)

        Where an init took s·B₀A₀ out of W₀ (PiSSA), that has rank 2r: A over A₀, and B beside −B₀.
        """
        a, b = self.update.A.detach(), self.update.B.detach()
        if self.start is None:
            return Factors(a, b)
        return Factors(torch.cat([a, self.start.A]), torch.cat([b, -self.start.B], dim=1))

    def original(self) -> nn.Module:
        """Return the layer as it was before injection, but frozen.

        A plain layer over the very memory of W₀ where there is one; else what computes as it did: the base as it is
        stored, and what an init had taken out of it.
        """
        base = self.base
        if self.start is None and isinstance(base.store, Dense):
            return self._instead(base.shell.holding(base.native(base.matrix), base.bias))
        return self._instead(Original(base, self.start))

    def _instead(self, layer: nn.Module) -> nn.Module:
        hand_over_hooks(self, layer)
        return layer.train(self.training)

    def _accept(self, x: Tensor) -> None:
        """Refuse an input that the base cannot take, with a message that says what to do."""
        store = self.base.store
        if x.device != store.device:
            raise RuntimeError(
                f"the input is on {x.device} and this adapted layer on {store.device}: move one of the two, "
                "e.g. model.to(x.device)"
            )
        if x.is_floating_point() and x.dtype != store.dtype and not torch.is_autocast_enabled(x.device.type):
            raise TypeError(
                f"the input is {x.dtype} and this adapted layer {store.dtype}: convert one, e.g. x.to({store.dtype}), "
                "or run under torch.autocast"
            )


TAKEN = frozenset({*vars(Adapted), "base", "update", "recipe", "scale", "start"} - {*vars(nn.Module), "__doc__"})
"""Names of an adapted layer that a plain one must not have for something else."""


def adapted(model: nn.Module) -> dict[str, Adapted]:
    """Return the adapted layers of a model by plain name, in the model's order; each once, under its first name."""
    layers: dict[Adapted, str] = {}
    for name, module in named_modules(model):
        if isinstance(module, Adapted):
            layers.setdefault(module, name)
    return {name: layer for layer, name in layers.items()}
