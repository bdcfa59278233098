"""What the training explorer trains: the arena's contenders, each with the one number of its own that it may have."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lorabook.arena.budget import method_named
from lorabook.arena.method import Adapter, LoRADrop, Method
from lorabook.axes.attention.longlora import ShiftedGroups
from lorabook.axes.form.delta_lora import DeltaLoRAForm
from lorabook.axes.form.lokr import LoKrForm
from lorabook.axes.form.melora import MELoRAForm
from lorabook.axes.form.multilora import MultiLoRAForm
from lorabook.axes.form.vera import VeRAForm
from lorabook.axes.optim.lora_plus import LoRAPlusAdamW
from lorabook.baselines.bottleneck import Bottleneck
from lorabook.baselines.prefix import Prefix
from lorabook.core.lora import ORIGIN, AlphaOverR, LoRA
from lorabook.core.recipe import Recipe
from lorabook.cost.count import decoder_parameters, linear_parameters, matched
from lorabook.models.decoder import DecoderConfig

LORA = "LoRA"
FULL = "full fine-tuning"


@dataclass(frozen=True)
class Knob:
    """A number that a variant has and LoRA has not.

    name: for the control; letter: for a label; start: what the arena's contender has; change: makes the contender that
    has another value.
    """

    name: str
    letter: str
    values: tuple[float, ...]
    start: float
    change: Callable[[Method, Any], Method]


def _of_recipe(method: Method, shape: DecoderConfig, targets: str, size: int) -> int:
    """Count by the recipe's own formula; LoRA-drop, which has no recipe, trains as many as LoRA at the start."""
    recipe = (method.recipe(size) if isinstance(method, Adapter) else LoRA(size)).complete(ORIGIN)
    beside = 0 if recipe.also_train is None else decoder_parameters(shape) - linear_parameters(shape)
    return beside + shape.layers * sum(recipe.count(*sides, bias=False) for sides in matched(shape, targets).values())


def _bottlenecks(_method: Method, shape: DecoderConfig, _targets: str, m: int) -> int:
    return 2 * shape.layers * Bottleneck.count(shape.hidden, m)


def _prefixes(_method: Method, shape: DecoderConfig, _targets: str, n: int) -> int:
    return Prefix.count(n, shape.layers, shape.kv_heads, shape.d_head)


def _everything(_method: Method, shape: DecoderConfig, _targets: str, _size: int) -> int:
    return decoder_parameters(shape)


@dataclass(frozen=True)
class Variant:
    """A contender of the arena by its name, its own knob, and what its size is called.

    sizes: that the control offers; places: whether targets can be chosen; count: trained numbers of a decoder, from the
    method, its shape, the targets and the size.
    """

    contender: str
    knob: Knob | None = None
    size: str = "rank r"
    letter: str = "r"
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    places: bool = True
    count: Callable[[Method, DecoderConfig, str, int], int] = _of_recipe

    def method(self, alpha: float | None, own: float | None) -> Method:
        """Return the contender with another α or another number of its own; None leaves the arena's."""
        chosen = method_named(self.contender)
        if self.knob is not None and own is not None:
            chosen = self.knob.change(chosen, own)
        return chosen if alpha is None else chosen.changed(lambda recipe: replace(recipe, alpha=alpha))

    def alpha(self, size: int) -> float | None:
        """Return the arena's α at a size; None where there is none to choose."""
        method = method_named(self.contender)
        return method.recipe(size).alpha if isinstance(method, Adapter) else None

    @property
    def divides_by_r(self) -> bool:
        """Whether s is α/r. Under another scale, as α/√r, α means the same at every rank."""
        method = method_named(self.contender)
        return isinstance(method, Adapter) and method.recipe(self.sizes[0]).scale in (None, AlphaOverR())


def _recipes(axis: str, value: Callable[[Any], Any]) -> Callable[[Method, Any], Method]:
    """Change one axis of a contender's recipes to the value that the knob says."""
    return lambda method, own: method.changed(lambda recipe: replace(recipe, **{axis: value(own)}))


def _from_rank(method: Method, share: float) -> Method:
    """Let AdaLoRA start with `share` times the rank that it ends with."""

    def change(recipe: Recipe) -> Recipe:
        return replace(recipe, r=max(recipe.rule.target_r + 1, int(share * recipe.rule.target_r)))

    return method.changed(change)


RATIO = Knob("λ = η_B/η_A", "λ", (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0), 16.0, _recipes("optim", LoRAPlusAdamW))
DELTA = Knob("λ of W₀'s step", "λ", (0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 2.0, _recipes("form", DeltaLoRAForm))
FACTOR = Knob("factor, sides of C", "factor", (2, 4, 8, 16), 4, _recipes("form", LoKrForm))
SMALL = Knob("n small LoRAs", "n", (1, 2, 4, 8), 4, _recipes("form", MELoRAForm))
PARALLEL = Knob("n in parallel", "n", (1, 2, 3, 4, 8), 3, _recipes("form", MultiLoRAForm))
INITIAL = Knob("d at the start", "d₀", (0.001, 0.01, 0.1, 1.0), 0.1, _recipes("form", VeRAForm))
BUDGET = Knob("first / last rank", "first/last", (1.25, 1.5, 2.0, 3.0), 1.5, _from_rank)
GROUP = Knob("group (tokens)", "group", (4, 8, 16, 32), 32, _recipes("attention", ShiftedGroups))
THRESHOLD = Knob("threshold T", "T", (0.5, 0.7, 0.9, 1.0), 0.9, lambda _, own: LoRADrop(own))

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
VARIANTS: dict[str, Variant] = {
    variant.contender: variant
    for variant in (
        Variant(LORA),
        Variant("rsLoRA"),
        Variant("LoRA+", RATIO),
        Variant("LoRA-FA"),
        Variant("PiSSA"),
        Variant("OLoRA"),
        Variant("QLoRA"),
        Variant("QDoRA"),
        Variant("QPiSSA"),
        Variant("QLoRA | rsLoRA | LoRA+", RATIO),
        Variant("DoRA"),
        Variant("LoHa"),
        Variant("HiRA"),
        Variant("LoKr", FACTOR),
        Variant("VeRA", INITIAL),
        Variant("GLoRA"),
        Variant("MELoRA", SMALL),
        Variant("MultiLoRA", PARALLEL),
        Variant("AdaLoRA", BUDGET, size="last rank r"),
        Variant("DyLoRA"),
        Variant("Delta-LoRA", DELTA),
        Variant("LoRA-drop", THRESHOLD),
        Variant("LongLoRA", GROUP),
        Variant("bottleneck", size="width m", letter="m", sizes=WIDTHS, places=False, count=_bottlenecks),
        Variant("prefix", size="keys and values n", letter="n", sizes=WIDTHS, places=False, count=_prefixes),
        Variant(FULL, sizes=(), places=False, count=_everything),
    )
}
"""By the name that the control shows."""
