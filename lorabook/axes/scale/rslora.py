"""rsLoRA: s = α/√r, so that the update neither fades nor explodes as the rank grows."""

from dataclasses import dataclass

from torch import nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe


@dataclass(frozen=True)
class AlphaOverRootR:
    """rsLoRA's value on the scale axis.

    Source: Kalajdzievski 2023 (2312.03732), definition 3.1 and theorem 3.2.
    """

    def build(self, alpha: float, r: int) -> float:
        """Return s = α/√r."""
        return alpha / r**0.5

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def rsLoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Rank-stabilised LoRA: ΔW = (α/√r)·BA."""
    return Recipe(r, alpha, dropout, scale=AlphaOverRootR(), names=frozenset({"rsLoRA"}))
