"""A variant is a value: one field per axis, and None on an axis means "as in LoRA".

LoRA is the origin of the space and every variant a displacement from it, so variants combine by merging fields:
`QLoRA(r=64) | rsLoRA() | LoRAPlus(16)`. Two different values on one axis are a conflict, never a precedence rule, and
the order of `|` never matters.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class AxisConflict(ValueError):
    """Two recipes, or two axes of one recipe, ask for things that cannot both be had."""


@dataclass(frozen=True)
class LayerSpec:
    """What an update may know of the layer it lands on.

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


@dataclass(frozen=True)
class Recipe:
    """A point in the space of variants. Each field is one axis; None is LoRA's own choice.

    Fields (values are the ideas themselves, not names of them):
        r: rank; alpha: numerator of the scale; dropout: probability on the branch's input.
        form: `(base, factors, spec) -> Update`. init: `(w0, spec) -> Factors`. scale: `(alpha, r) -> float`.
        base: `(w0) -> Store`. optim: `(named_parameters, lr) -> Optimizer`. rule: `(model) -> StepRule`.
        attention: `() -> attend`. also_train: regular expression over parameter names that train beside the update.
        names: which recipes were merged; for messages and legends only.
    """

    r: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    form: Callable | None = None
    init: Callable | None = None
    scale: Callable | None = None
    base: Callable | None = None
    optim: Callable | None = None
    rule: Callable | None = None
    attention: Callable | None = None
    also_train: str | None = None
    names: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        if self.r is not None and (not isinstance(self.r, int) or isinstance(self.r, bool) or self.r < 1):
            raise ValueError(f"rank r is {self.r!r}; it must be a whole number ≥ 1 (r = 8 is a good start)")
        if self.alpha is not None and not (_is_finite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha is {self.alpha!r}; it must be a finite number > 0 (alpha = 2r is a common choice)")
        if self.dropout is not None and not (_is_finite(self.dropout) and 0 <= self.dropout < 1):
            raise ValueError(f"dropout is {self.dropout!r}; it must be a probability in [0, 1)")

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
                    f"{self.label} and {other.label} both set the axis '{axis}': {self.label} to {_said(mine)}, "
                    f"{other.label} to {_said(theirs)}. Keep one of the two, or give '{axis}' the same value in both"
                )
            merged[axis] = theirs if mine is None else mine
        return Recipe(**merged, names=self.names | other.names)

    @property
    def label(self) -> str:
        """The name for messages and legends: LoRA, or the variants it combines, in alphabetical order."""
        return " | ".join(sorted(self.names)) or "LoRA"

    def changes(self) -> dict[str, Any]:
        """Return the axes on which this recipe differs from LoRA, with their values."""
        origin = as_in_lora()
        return {
            axis: value
            for axis in IDEAS
            if (value := getattr(self, axis)) is not None and value != getattr(origin, axis)
        }

    def complete(self) -> "Recipe":
        """Return this recipe with LoRA's own choice filled in on every axis that is None."""
        origin = as_in_lora()
        missing = {axis: getattr(origin, axis) for axis in AXES if getattr(self, axis) is None}
        return replace(self, **missing)


AXES = tuple(f.name for f in fields(Recipe) if f.name != "names")

IDEAS = ("form", "init", "scale", "base", "optim", "rule", "attention", "also_train")
"""The axes that hold an idea, as opposed to a number (r, alpha, dropout)."""


def as_in_lora() -> Recipe:
    """Return the origin: what LoRA (2106.09685) does on every axis. r = 8 and alpha = 16 are this book's defaults."""
    from lorabook.core.adamw import adamw
    from lorabook.core.alpha_over_r import alpha_over_r
    from lorabook.core.dense import Dense
    from lorabook.core.kaiming import kaiming
    from lorabook.core.lora import LowRank

    return Recipe(
        r=8, alpha=16.0, dropout=0.0, form=LowRank, init=kaiming, scale=alpha_over_r, base=Dense, optim=adamw
    )


def refuse_other(value: object) -> None:
    """Refuse what is no recipe, most often the function of one that was not called.

    Raises:
        TypeError: saying how a recipe is made.
    """
    if not isinstance(value, Recipe):
        raise TypeError(
            f"{_said(value)} is a {type(value).__name__}, and a Recipe is asked for: call the variant, as LoRA(r=8), "
            "or give a value for one axis by its name, as in Recipe(optim=Paged())"
        )


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _said(value: Any) -> str:
    return getattr(value, "__name__", repr(value))

