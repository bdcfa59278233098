"""No scale at all: the choice of variants whose paper has no α."""

from dataclasses import dataclass

from torch import nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe


@dataclass(frozen=True)
class UnitScale:
    """The value on the scale axis of HiRA, VeRA and GLoRA, which have no α to set."""

    def build(self, alpha: float, r: int) -> float:
        """Return s = 1, whatever α and r are."""
        return 1.0

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0
