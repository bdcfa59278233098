"""A variant is a value: one field per axis, and None on an axis means "as in LoRA".

LoRA is the origin of the space and every variant a displacement from it, so variants combine by merging fields:
`QLoRA(r=64) | rsLoRA() | LoRAPlus(16)`. Two different values on one axis are a conflict, never a precedence rule, and
the order of `|` never matters. What LoRA itself does on every axis is `lorabook.core.lora.ORIGIN`.
"""

import inspect
import math
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.whole_number import refuse_unless_whole


class AxisConflict(ValueError):
    """Two recipes, or two axes of one recipe, ask for things that cannot both be had."""


@dataclass(frozen=True)
class LayerSpec:
    """What an init and a form may know of the layer they are for.

    `shared` is one dict for the whole injection: forms that share tensors between layers (VeRA) keep them there.
    `largest` is (d_out, d_in), each the largest over all layers of the injection; None if the layer is alone.
    """

    name: str
    r: int
    scale: float
    dropout: float
    generator: torch.Generator
    shared: dict = field(default_factory=dict)
    largest: tuple[int, int] | None = None


@dataclass(frozen=True)
class Factors:
    """Where training starts: A (r × d_in), B (d_out × r), and what is left of W₀ once s·BA has been taken out of it.

    `residual` is None when s·BA = 0 at the start, so that W₀ stays whole.
    """

    A: Float[Tensor, "r d_in"]
    B: Float[Tensor, "d_out r"]
    residual: Float[Tensor, "d_out d_in"] | None = None


@runtime_checkable
class AxisValue(Protocol):
    """A value on an axis: frozen, compared by its numbers. Its `build` is what differs from axis to axis."""

    def refuse(self, name: str, base: nn.Module, recipe: "Recipe", model: nn.Module) -> None:
        """Refuse a layer, another axis or a model that this value cannot work with.

        Every value of a recipe is asked for every target (its name and its `Frozen`) before the first one changes.

        Raises:
            ValueError: naming the layer, the value and what to do; AxisConflict where another axis is in the way.
        """

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        """Return how many trained numbers this value gives one d_out × d_in layer, as its paper counts them.

        `patch` is how many of the d_in columns belong to one input channel: 1, or a convolution's kernel. `bias` says
        whether the layer has one, for forms that move it.
        """


@runtime_checkable
class Form(AxisValue, Protocol):
    """What is trained beside W₀. `build` returns an `Update`; `trains` names its trained parameters on a layer."""

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        """Return the largest r that `inject` takes on a d_out × d_in layer: more would add nothing. None is any.

        Where r is the rank of ΔW, or of a factor as large as the layer, it is min(d_out, d_in). In VeRA r is the length
        of d, and in LoKr it belongs to a smaller factor: there it is None.
        """

    def build(self, base: nn.Module, factors: Factors, spec: LayerSpec) -> nn.Module: ...

    def trains(self, base: nn.Module, r: int) -> tuple[str, ...]: ...


@runtime_checkable
class Init(AxisValue, Protocol):
    """Where A and B start. `takes_from_w0`: s·BA ≠ 0 at the start and is taken out of W₀ (PiSSA)."""

    takes_from_w0: ClassVar[bool]

    def build(self, w0: Tensor, spec: LayerSpec) -> Factors: ...


@runtime_checkable
class Scale(AxisValue, Protocol):
    """The factor s in front of the update."""

    def build(self, alpha: float, r: int) -> float: ...


@runtime_checkable
class Storage(AxisValue, Protocol):
    """How W₀ is kept. `build` returns a `Store`."""

    def build(self, w0: Tensor) -> nn.Module: ...


@runtime_checkable
class Optim(AxisValue, Protocol):
    """How the trained numbers move, from their names in the model and the step size η."""

    def build(self, named: dict[str, Tensor], lr: float) -> torch.optim.Optimizer: ...


@runtime_checkable
class Rule(AxisValue, Protocol):
    """What happens around an optimiser step. `build` returns a `StepRule` for a model that has its adapters."""

    def build(self, model: nn.Module) -> object: ...


@runtime_checkable
class Attention(AxisValue, Protocol):
    """Who looks at whom. `build` sets it in a model; `refuse` has said before whether it can."""

    def build(self, model: nn.Module) -> None: ...


@dataclass(frozen=True)
class Recipe:
    """A point in the space of variants. Each field is one axis; None is LoRA's own choice.

    Fields (values are the ideas themselves, not names of them):
        r: rank; alpha: numerator of the scale; dropout: probability on the branch's input.
        form, init, scale, base, optim, rule, attention: a value of the axis, see the protocols above.
        also_train: regular expression over names of parameters that train beside the update; a tied one has several.
        names: which recipes were merged; for messages and legends only.
    """

    r: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    form: Form | None = None
    init: Init | None = None
    scale: Scale | None = None
    base: Storage | None = None
    optim: Optim | None = None
    rule: Rule | None = None
    attention: Attention | None = None
    also_train: str | None = None
    names: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        if self.r is not None:
            refuse_unless_whole("rank r", self.r, 1, " (r = 8 is a good start)")
        if self.alpha is not None and not (_is_finite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha is {self.alpha!r}; it must be a finite number > 0 (alpha = 2r is a common choice)")
        if self.dropout is not None and not (_is_finite(self.dropout) and 0 <= self.dropout < 1):
            raise ValueError(f"dropout is {self.dropout!r}; it must be a probability in [0, 1)")
        for axis, value in self.values().items():
            asked = VALUE_AXES[axis]
            if isinstance(value, type) or not isinstance(value, asked) or _arguments(value) != _arguments(asked):
                raise TypeError(
                    f"{axis} is {getattr(value, '__name__', repr(value))}; it must be a value of this axis, with "
                    f"refuse, count and build({', '.join(_arguments(asked))}): an instance, not a class, of what the "
                    f"files in lorabook/axes/{axis} define"
                )

    def __or__(self, other: "Recipe") -> "Recipe":
        """Merge two recipes.

        Raises:
            AxisConflict: naming both, if they set one axis to different values.
            TypeError: `other` is no recipe.
        """
        refuse_other(other)
        merged = {}
        for axis in AXES:
            mine, theirs = getattr(self, axis), getattr(other, axis)
            if mine is not None and theirs is not None and mine != theirs:
                raise AxisConflict(
                    f"{self.label} and {other.label} both set the axis '{axis}': {self.label} to {mine!r}, "
                    f"{other.label} to {theirs!r}. Keep one of the two, or give '{axis}' the same value in both"
                )
            merged[axis] = theirs if mine is None else mine
        return Recipe(**merged, names=self.names | other.names)

    @property
    def label(self) -> str:
        """The name for messages and legends: LoRA, or the variants it combines, in alphabetical order."""
        return " | ".join(sorted(self.names)) or "LoRA"

    def count(self, d_out: int, d_in: int, patch: int = 1, bias: bool = True) -> int:
        """Return how many numbers train on one d_out × d_in layer; `r` must be set. See `AxisValue.count`."""
        return sum(value.count(d_out, d_in, self.r, patch, bias) for value in self.values().values())

    def values(self) -> dict[str, AxisValue]:
        """Return the values that this recipe has on the axes that take one, by axis."""
        return {axis: value for axis in VALUE_AXES if (value := getattr(self, axis)) is not None}

    def changes(self, origin: "Recipe") -> dict[str, Any]:
        """Return the ideas, not the numbers, in which this recipe differs from `origin`, by axis."""
        ideas = {axis: getattr(self, axis) for axis in IDEAS}
        return {axis: idea for axis, idea in ideas.items() if idea is not None and idea != getattr(origin, axis)}

    def complete(self, origin: "Recipe") -> "Recipe":
        """Return this recipe with the choice of `origin` on every axis that is None."""
        return replace(self, **{axis: getattr(origin, axis) for axis in AXES if getattr(self, axis) is None})


AXES = tuple(f.name for f in fields(Recipe) if f.name != "names")
VALUE_AXES: dict[str, type] = {
    "form": Form, "init": Init, "scale": Scale, "base": Storage, "optim": Optim, "rule": Rule, "attention": Attention,
}  # fmt: skip
"""The axes that take a value with `build`, `refuse` and `count`, and what each is asked for."""
IDEAS = (*VALUE_AXES, "also_train")
"""The axes that hold an idea, as opposed to a number (r, alpha, dropout)."""


def refuse_other(value: object) -> None:
    """Refuse what is no recipe, most often the function of one that was not called.

    Raises:
        TypeError: saying how a recipe is made.
    """
    if not isinstance(value, Recipe):
        raise TypeError(
            f"{getattr(value, '__name__', repr(value))} is a {type(value).__name__}, and a Recipe is asked for: call "
            "the variant, as LoRA(r=8), or give a value for one axis by its name, as in Recipe(optim=Paged())"
        )


def _arguments(value: Any) -> list[str]:
    """Return what `build` takes, by name: that is how a value of one axis is told from one of another."""
    return [name for name in inspect.signature(value.build).parameters if name != "self"]


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
