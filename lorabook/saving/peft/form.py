"""How PEFT writes one form of update, as data.

PEFT's file has one key per parameter, `base_model.model.<layer>.<end>`, and a JSON of options. A form differs from
another in `peft_type`, in the names of a few options, and in the ends and shapes of its keys for each layer type. The
table of all forms is in `forms.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lorabook.axes.scale.rslora import AlphaOverRootR
from lorabook.axes.scale.unit import UnitScale
from lorabook.core.frozen import Frozen
from lorabook.core.lora import AlphaOverR
from lorabook.core.recipe import Form, Init, Recipe

Shape = tuple[int, ...]


def as_here(base: Frozen, letter: str, shape: Shape) -> Shape:
    """PEFT keeps the parameter in the shape it has here."""
    return shape


def same(base: Frozen) -> str | None:
    """PEFT computes the same on every layer of this type."""
    return None


@dataclass(frozen=True)
class LayerKeys:
    """Where PEFT keeps the parameters of a form for one layer type.

    ends: our letter -> the end of PEFT's key. shape: (base, letter, our shape) -> PEFT's shape.
    differs: base -> why PEFT computes something else on this very layer, or None.
    """

    ends: dict[str, str]
    shape: Callable[[Any, str, Shape], Shape] = as_here
    differs: Callable[[Any], str | None] = same


def as_in_the_file(options: dict, layer: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file holds all of each parameter."""
    return tensors


def none_at_all(form: Form, base: Frozen) -> dict[str, Shape]:
    """PEFT writes nothing that is always zero."""
    return {}


@dataclass(frozen=True)
class PeftForm:
    """One form of update in PEFT's format.

    layers: for each layer type that PEFT's form knows, its keys.
    sizes: our letter -> the sizes of that parameter here, in words: {"A": "r d_in"}.
    rank, alpha, dropout, root, init, transposed: PEFT's names of these options; None where PEFT has no such option.
        `root` is the flag that makes the scale α/√r.
    marks: options that tell this form from others of one peft_type. required: options that PEFT insists on, and that
        say nothing about the numbers. per_layer: PEFT allows another rank and α for single layers.
    folds: the letter that carries what is special about the scale of single layers, for forms that other programs read
        too, and those know one α and α/r alone.
    starts: the values of `init` that take part of W₀. whole: those that leave it whole.
    ignores: options that PEFT takes for this form and never looks at. passed_over: ends of keys that are of use in
        PEFT's training alone.
    also_read: another end of a key -> the end in `layers` that it stands for.
    rank_letter: the parameter whose rows are the rank, where PEFT itself does not go by its `rank_pattern`.
    restore: (options, layer, tensors) -> tensors, for files that leave parts of a parameter out.
    read_as: the form that PEFT's file of this one is read as, where the file does not tell the two apart.
    shared: our letter -> PEFT's whole key, for what all layers hold together; the first layer keeps it.
    numbers: field of the form -> PEFT's option. layout: (form, base, r) -> the shape of every parameter that the layer
        has, for forms whose parameters differ from layer to layer; `sizes` then only names the letters.
    zeros: (form, base) -> ends and shapes of tensors that PEFT writes although they are always zero.
    """

    peft_type: str
    layers: dict[type[Frozen], LayerKeys]
    sizes: dict[str, str]
    rank: str = "r"
    alpha: str | None = "lora_alpha"
    dropout: str | None = "lora_dropout"
    root: str | None = None
    init: str = "init_lora_weights"
    transposed: str | None = "fan_in_fan_out"
    marks: dict[str, Any] = field(default_factory=dict)
    required: dict[str, Any] = field(default_factory=dict)
    per_layer: bool = True
    folds: str | None = None
    starts: dict[str, Init] = field(default_factory=dict)
    whole: tuple[bool | str | None, ...] = (True, False, None)
    ignores: frozenset[str] = frozenset()
    passed_over: tuple[str, ...] = ()
    also_read: dict[str, str] = field(default_factory=dict)
    rank_letter: str | None = None
    restore: Callable[[dict, str, dict[str, Tensor]], dict[str, Tensor]] = as_in_the_file
    read_as: type[Form] | None = None
    shared: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    layout: Callable[[Any, Frozen, int], dict[str, Shape]] | None = None
    zeros: Callable[[Any, Frozen], dict[str, Shape]] = none_at_all

    def reads(self, options: dict) -> bool:
        """Say whether a file with these options holds this form."""
        return options.get("peft_type") == self.peft_type and all(
            (options.get(mark) or False) == value for mark, value in self.marks.items()
        )

    def shapes(self, form: Form, base: Frozen, r: int) -> dict[str, Shape]:
        """Return our letter -> shape of every parameter that a layer has at rank r."""
        if self.layout is not None:
            return self.layout(form, base, r)
        d_out, d_in = base.store.shape
        words = {"d_out": d_out, "d_in": d_in, "r": r, "1": 1}
        return {letter: tuple(words[word] for word in sizes.split()) for letter, sizes in self.sizes.items()}

    def options(self, recipe: Recipe) -> dict[str, Any]:
        """Return PEFT's options for a recipe of this form. Every scale becomes the α of α/r, which all readers know."""
        options = {"peft_type": self.peft_type, self.rank: recipe.r}
        if self.alpha is not None:
            options[self.alpha] = plain_alpha(recipe)
        if self.root is not None:
            options[self.root] = False
        if self.dropout is not None:
            options[self.dropout] = recipe.dropout
        numbers = {option: getattr(recipe.form, own) for own, option in self.numbers.items()}
        return options | {self.init: True} | self.marks | self.required | numbers

    def recipe(self, options: dict, r: int, alpha: float) -> Recipe:
        """Return the recipe that PEFT's options describe, without form and init. Where PEFT has no α, s = 1."""
        dropout = 0.0 if self.dropout is None else float(options.get(self.dropout, 0.0))
        if self.alpha is None:
            return Recipe(r, 1.0, dropout, scale=UnitScale())
        rooted = self.root is not None and options.get(self.root, False)
        return Recipe(r, float(alpha), dropout, scale=AlphaOverRootR() if rooted else AlphaOverR())


def plain_alpha(recipe: Recipe) -> float | int:
    """Return α = s·r: the α with which α/r is this recipe's scale."""
    alpha = recipe.scale.build(recipe.alpha, recipe.r) * recipe.r
    nearest = round(alpha)
    return nearest if abs(alpha - nearest) < 1e-9 * nearest else alpha
