"""GLoRA's supernet: one set of weights that holds every kind of every term."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.form.glora import SIZES, GeneralisedLoRA, GLoRAForm, bias_of, weight_of
from lorabook.core.frozen import Frozen
from lorabook.core.rebuilt import rebuilt
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update

SMALLEST_FIRST = ("none", "constant", "vector", "lora")


class Supernet(Update):
    """GLoRA's W and b at the kinds in use: a small kind is a part of the large one, so all kinds share their numbers.

    A term X holds the numbers of its largest kind. "lora" is X_d X_u, "vector" is the first column of X_d, "constant"
    its first entry, "none" nothing. `kinds` is the largest of each until somebody sets it: the training rule at each
    step, `use_kinds` afterwards.

    Source: Chavan et al. 2023 (2306.07967), section 3.3; the official code for what the kinds share.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec, choices: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.choices = choices
        self.kinds = self.largest()
        full = GeneralisedLoRA(base, factors, spec, self.kinds)
        for name, parameter in full.named_parameters():
            setattr(self, name, parameter)
        self.s = spec.scale

    def largest(self) -> dict[str, str]:
        """Return the largest kind of every term."""
        return _largest(self.choices)

    def terms(self) -> dict[str, Tensor]:
        """Return the numbers of the kinds in use, as views, named as GLoRA names its own."""
        numbers, used = dict(self.named_parameters()), {}
        for term, kind in self.kinds.items():
            columns = numbers.get(f"{term}_d", numbers.get(term))
            if kind == "lora":
                used |= {f"{term}_d": columns, f"{term}_u": numbers[f"{term}_u"]}
            elif kind != "none":
                used[term] = columns[:, :1] if kind == "vector" else columns[:1, :1]
        return used

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return weight_of(self.terms(), w0, self.s)

    def bias(self, base: Frozen) -> Float[Tensor, " d_out"] | None:
        return bias_of(self.terms(), base, self.s)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        w = rebuilt(lambda: base.rounded(self.weight(base.matrix)), reads=(base, self))
        return base.apply_matrix(x, w, self.bias(base))


def _largest(choices: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {term: max(kinds, key=SMALLEST_FIRST.index) for term, kinds in choices.items()}


@dataclass(frozen=True)
class GLoRASupernetForm:
    """The supernet's value on the form axis: the kinds each term may have, as in "none constant vector lora".

    The defaults are those of the official code, which has no constant C: 432 configurations a layer.
    """

    A: str = SIZES["A"]
    B: str = SIZES["B"]
    C: str = "none vector lora"
    D: str = SIZES["D"]
    E: str = SIZES["E"]

    def __post_init__(self) -> None:
        for term, known in SIZES.items():
            chosen = getattr(self, term).split()
            if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known.split()):
                raise ValueError(
                    f"GLoRA's supernet: the choices of {term} are {getattr(self, term)!r}; they must be one or more "
                    f"different words of {known!r}"
                )

    def on(self, bias: bool) -> dict[str, tuple[str, ...]]:
        """Return the kinds of each term on a layer; C, D and E move a bias, and are absent where there is none."""
        return {term: tuple(getattr(self, term).split()) if bias or term in "AB" else ("none",) for term in SIZES}

    def largest(self, bias: bool = True) -> GLoRAForm:
        """Return the configuration with the largest kind of every term."""
        return GLoRAForm(**_largest(self.on(bias)))

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Supernet:
        return Supernet(base, factors, spec, self.on(base.bias is not None))

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return self.largest(base.bias is not None).trains(base, r)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        self.largest().refuse(name, base, recipe, model)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        """Return the numbers of the largest configuration: the smaller ones are parts of it."""
        return self.largest(bias).count(d_out, d_in, r, patch, bias)
