"""LoRA-FA: A stays where it was drawn, and only B learns."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update


class FrozenA(Update):
    """W = W₀ + s·BA with A frozen at its draw: every row of ΔW stays in the row space of A.

    What this saves is activations: ∂L/∂B needs Ax, r numbers a token, and nothing needs x. A itself, its gradient and
    its optimiser state are small.

    Source: Zhang et al. 2023 (2308.03303), section 3.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.register_buffer("A", factors.A)
        self.B = nn.Parameter(factors.B)
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ self.A)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # A asks for no gradient, so autograd keeps Ax and forgets x.
        return base.two_paths(x, self.drop(x), self.A, self.B, self.s, base.bias)


@dataclass(frozen=True)
class LoRAFAForm:
    """LoRA-FA's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> FrozenA:
        return FrozenA(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("B",)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * d_out


def LoRAFA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """LoRA with a frozen A: ΔW = s·BA, and B alone trains."""
    return Recipe(r, alpha, dropout, form=LoRAFAForm(), names=frozenset({"LoRA-FA"}))
