"""How PEFT writes a form of update. Each form declares it in its own file, as data.

PEFT's file has one key per parameter, `base_model.model.<layer>.<end>`, and a JSON of options. A form differs from
another in `peft_type`, in the names of a few options, and in the ends and shapes of its keys beside each kind of layer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lorabook.axes.scale.rslora import alpha_over_root_r
from lorabook.axes.scale.unit import one
from lorabook.core.alpha_over_r import alpha_over_r
from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import FrozenConv1D, FrozenConv2d, FrozenEmbedding, FrozenLinear
from lorabook.core.recipe import Recipe

Shape = tuple[int, ...]


def as_here(base: Frozen, letter: str, shape: Shape) -> Shape:
    """PEFT keeps the parameter in the shape it has here."""
    return shape


def as_kernels(base: FrozenConv2d, letter: str, shape: Shape) -> Shape:
    """PEFT keeps A as r filters, B as a 1×1 convolution, m as one number per channel of a picture."""
    return {"A": (shape[0], *base.kernel), "B": (*shape, 1, 1), "m": (1, *shape, 1, 1)}[letter]


def same(base: Frozen) -> str | None:
    """PEFT computes the same beside every layer of this kind."""
    return None


def same_unless_bypassed(base: FrozenLinear) -> str | None:
    """nn.MultiheadAttention reads its out_proj's weight and never calls the layer, so PEFT's branch is never run."""
    if base.layer_type is nn.Linear:
        return None
    return "PEFT's adapter on nn.MultiheadAttention.out_proj is silently ignored"


def same_if_zero_padded(base: FrozenConv2d) -> str | None:
    """PEFT convolves ΔW with zero padding, whatever the layer's padding_mode."""
    if base.padding_mode == "zeros":
        return None
    return f"PEFT pads its branch of a Conv2d with zeros, and this one has padding_mode={base.padding_mode!r}"


def same_if_plain(base: FrozenConv2d) -> str | None:
    """PEFT builds LoRA's convolutions without dilation, and with A across the groups."""
    if base.groups > 1:
        return f"PEFT's A runs across the {base.groups} groups of this Conv2d: another ΔW"
    if any(step != 1 for step in base.dilation):
        return f"PEFT's LoRA leaves out this Conv2d's dilation={tuple(base.dilation)} and cannot run"
    return same_if_zero_padded(base)


@dataclass(frozen=True)
class Beside:
    """Where PEFT keeps the parameters of a form beside one kind of layer.

    ends: our letter -> the end of PEFT's key. shape: (base, letter, our shape) -> PEFT's shape.
    differs: base -> why PEFT computes something else on this very layer, or None.
    """

    ends: dict[str, str]
    shape: Callable[[Any, str, Shape], Shape] = as_here
    differs: Callable[[Any], str | None] = same


def kept_whole(options: dict, layer: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file holds each parameter whole."""
    return tensors


def none_at_all(form: Any, base: Frozen) -> dict[str, Shape]:
    """PEFT writes nothing that is always zero."""
    return {}


@dataclass(frozen=True)
class PeftForm:
    """One form of update in PEFT's format.

    rank, alpha, dropout, root, init: PEFT's names of these options; None where PEFT has no such option. `root` is the
        flag that makes the scale α/√r.
    sizes: our letter -> the sizes of that parameter here, in words: {"A": "r d_in"}.
    marks: options that tell this form from others of one peft_type. required: options that PEFT insists on, and that
        say nothing about the numbers. per_layer: PEFT allows another rank and α for single layers.
    whole: (options, layer, tensors) -> tensors, for files that leave parts of a parameter out.
    read_as: the form that PEFT's file of this one is read as, where the file does not tell the two apart.
    shared: our letter -> PEFT's whole key, for what all layers hold together; the first layer keeps it.
    numbers: field of the family of forms -> PEFT's option. layout: (form, base, r) -> the shape of every parameter that
        the layer has, for forms whose parameters differ from layer to layer; `sizes` then only names the letters.
    zeros: (form, base) -> ends and shapes of tensors that PEFT writes although they are always zero.
    """

    peft_type: str
    beside: dict[type[Frozen], Beside]
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
    whole: Callable[[dict, str, dict[str, Tensor]], dict[str, Tensor]] = kept_whole
    read_as: str = ""
    shared: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    layout: Callable[[Any, Frozen, int], dict[str, Shape]] | None = None
    zeros: Callable[[Any, Frozen], dict[str, Shape]] = none_at_all

    def reads(self, options: dict) -> bool:
        """Say whether a file with these options holds this form."""
        return options.get("peft_type") == self.peft_type and all(
            (options.get(mark) or False) == value for mark, value in self.marks.items()
        )

    def shape(self, letter: str, base: Frozen, r: int) -> Shape:
        """Return the shape of one of our parameters for a layer and a rank."""
        d_out, d_in = base.store.shape
        words = {"d_out": d_out, "d_in": d_in, "r": r, "1": 1}
        return tuple(words[word] for word in self.sizes[letter].split())

    def shapes(self, form: Any, base: Frozen, r: int) -> dict[str, Shape]:
        """Return our letter -> shape of every parameter that a layer has at rank r."""
        if self.layout is not None:
            return self.layout(form, base, r)
        return {letter: self.shape(letter, base, r) for letter in self.sizes}

    def options(self, recipe: Recipe) -> dict[str, Any]:
        """Return PEFT's options for a recipe of this form. A scale that PEFT lacks here is folded into α."""
        rooted = self.root is not None and recipe.scale is alpha_over_root_r
        alpha = recipe.alpha if rooted else recipe.scale(recipe.alpha, recipe.r) * recipe.r
        options = {"peft_type": self.peft_type, self.rank: recipe.r}
        if self.alpha is not None:
            options[self.alpha] = _whole_if_whole(alpha)
        if self.root is not None:
            options[self.root] = rooted
        if self.dropout is not None:
            options[self.dropout] = recipe.dropout
        numbers = {option: getattr(recipe.form, own) for own, option in self.numbers.items()}
        return options | {self.init: True} | self.marks | self.required | numbers

    def recipe(self, options: dict, r: int, alpha: float) -> Recipe:
        """Return the recipe that PEFT's options describe, without form and init. Where PEFT has no α, s = 1."""
        if self.alpha is None:
            return Recipe(r, 1.0, float(options.get(self.dropout, 0.0)), scale=one)
        rooted = self.root is not None and options.get(self.root, False)
        dropout = 0.0 if self.dropout is None else float(options.get(self.dropout, 0.0))
        return Recipe(r, float(alpha), dropout, scale=alpha_over_root_r if rooted else alpha_over_r)


def _whole_if_whole(alpha: float) -> float | int:
    nearest = round(alpha)
    return nearest if abs(alpha - nearest) < 1e-9 * nearest else alpha


_ROWS = {"A": "lora_A.weight", "B": "lora_B.weight", "m": "lora_magnitude_vector"}
_TABLE = {"A": "lora_embedding_A", "B": "lora_embedding_B", "m": "lora_magnitude_vector"}
LORA_LAYERS: dict[type[Frozen], Beside] = {
    FrozenLinear: Beside(_ROWS, differs=same_unless_bypassed),
    FrozenConv1D: Beside(_ROWS),
    FrozenConv2d: Beside(_ROWS, as_kernels, same_if_plain),
    FrozenEmbedding: Beside(_TABLE),
}
"""What every form of peft_type LORA has in common."""


_DIFFERS = {FrozenLinear: same_unless_bypassed, FrozenConv2d: same_if_zero_padded}


def dense_layers(
    ends: dict[str, str], *kinds: type[Frozen], conv: Callable[[Any, str, Shape], Shape] = as_here
) -> dict[type[Frozen], Beside]:
    """Return the layers of a form that PEFT applies as a dense ΔW, with the same keys beside each kind."""
    shape = {FrozenConv2d: conv}
    return {kind: Beside(ends, shape.get(kind, as_here), _DIFFERS.get(kind, same)) for kind in kinds}
