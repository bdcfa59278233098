"""An update is a definition and a path.

`weight(w0)` is the paper's equation, word for word; `forward(base, x)` is the cheapest known way to apply it. One
battery of tests proves the two equal, in value and in gradient, for every form on every layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import AxisConflict, Factors, LayerSpec
from lorabook.saving.peft.form import PeftForm


class Update(nn.Module, ABC):
    """What is trained beside one frozen layer."""

    in_peft: ClassVar[PeftForm | None] = None
    """How PEFT writes this form; None where PEFT has no such form."""

    derived: ClassVar[frozenset[str]] = frozenset()
    """Buffers that follow from W₀: they travel with the model, and are no part of an adapter's file."""

    def kept(self) -> dict[str, Tensor]:
        """Return what an adapter's file holds: parameters and buffers by name, without what follows from W₀."""
        return {name: held for name, held in self.state_dict(keep_vars=True).items() if name not in self.derived}

    @abstractmethod
    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        """Return the effective W. This is the definition."""

    @abstractmethod
    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        """Return the layer's output with the effective W, bias included. This is the path."""

    def bias(self, base: Frozen) -> Float[Tensor, " d_out"] | None:
        """Return the effective bias: the layer's own, but for forms that move it (GLoRA)."""
        return base.bias

    @staticmethod
    @abstractmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        """Return the number of trained parameters of one d_out × d_in layer, as the paper counts them."""


@dataclass(frozen=True)
class Family(ABC):
    """A form with numbers of its own (MELoRA's n): the value on the form axis, which builds the updates.

    Its fields are plain numbers and words, so that a file can say them.
    """

    makes: ClassVar[type[Update]]
    in_peft: ClassVar[PeftForm | None] = None

    @abstractmethod
    def __call__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Update:
        """Build the update of one layer."""

    @abstractmethod
    def refuse(self, name: str, base: Frozen) -> None:
        """Refuse a layer that does not suit the numbers. All targets are asked before the first is changed.

        Raises:
            ValueError: naming the layer, the number and what to do.
        """

    @abstractmethod
    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        """Return the number of trained parameters of one d_out × d_in layer, as the paper counts them.

        `patch` is how many of the d_in columns belong to one input channel: 1, or a convolution's kernel. `bias` says
        whether the layer has one, for forms that move it.
        """


def materialised(base: Frozen, update: Update, x: Tensor) -> Tensor:
    """Apply a dense effective W, for forms with no cheaper path: d_out·d_in numbers are built, and kept."""
    return base.apply_matrix(x, built(lambda: update.weight(base.matrix)), base.bias)


def built(made: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """Return made(*given), of which backward keeps what was given and the result: what lies between is made again.

    Give what is as large as the activations: what `made` only closes over is held as well, and no count sees it.
    """
    return checkpoint(made, *given, use_reentrant=False, preserve_rng_state=False)


def needs_whole_w0(factors: Factors, spec: LayerSpec, form: str) -> None:
    """Refuse an init that moves part of W₀ into BA, for forms in which BA alone is not the update.

    Raises:
        AxisConflict: naming the form, the layer and what to do.
    """
    if factors.residual is not None:
        raise AxisConflict(
            f"{form} cannot start from an init that takes s·BA out of W₀ (as PiSSA does), because its update is not "
            f"s·BA (layer {spec.name}): use LoRA's own init with {form}, or this init with the low-rank form"
        )
