"""HiRA: multiply W₀ entry by entry, and a thin product becomes an update of high rank."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.scale.unit import UnitScale
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, materialised, refuse_without_whole_w0


class ElementwiseScaled(Update):
    """W = W₀ ⊙ (1 + s·BA), so ΔW = s·W₀ ⊙ (BA) has rank at most r·rank(W₀), and a zero of W₀ stays zero.

    The paper has no α: `HiRA` sets s = 1.

    Source: Huang et al. 2025 (HiRA, ICLR 2025), equation 3.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 * (1 + self.s * (self.B @ self.A))

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # (W₀ ⊙ BA)x is r products with W₀, one for each column of B: building W is the cheaper way from r = 2 on.
        if not self.drop.p or not self.training:
            return materialised(base, self, x)
        # Backward needs W₀, which is there, and the result: making it again would save nothing.
        delta = base.matrix * (self.s * (self.B @ self.A))
        return base.times_w0(x, base.bias) + base.apply_matrix(self.drop(x), base.rounded(delta))


@dataclass(frozen=True)
class HiRAForm:
    """HiRA's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> ElementwiseScaled:
        return ElementwiseScaled(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("HiRA", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out)


def HiRA(r: int | None = None, dropout: float | None = None) -> Recipe:
    """Hadamard high-rank adaptation: W = W₀ ⊙ (1 + BA)."""
    return Recipe(r, None, dropout, form=HiRAForm(), scale=UnitScale(), names=frozenset({"HiRA"}))
