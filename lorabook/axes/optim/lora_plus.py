"""LoRA+: B learns faster than A."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import AxisConflict, Recipe


@dataclass(frozen=True)
class LoRAPlusAdamW:
    """LoRA+'s value on the optimiser axis: AdamW with η_B = ratio·η_A; parameters that are neither A nor B keep η_A."""

    ratio: float

    def __post_init__(self) -> None:
        if not 1 <= self.ratio < float("inf"):
            raise ValueError(f"LoRA+ ratio η_B/η_A is {self.ratio!r}; it must be ≥ 1 (the paper recommends about 16)")

    def build(self, named: dict[str, Tensor], lr: float) -> torch.optim.AdamW:
        fast = {name: p for name, p in named.items() if _is_factor_b(name)}
        if not fast:
            raise _without_b(", ".join(list(named)[:6]))
        slow = [p for name, p in named.items() if name not in fast]
        groups = [{"params": slow, "lr": lr}, {"params": list(fast.values()), "lr": self.ratio * lr}]
        return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=0.0)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        trained = recipe.form.trains(base, recipe.r)
        if not any(map(_is_factor_b, trained)):
            raise _without_b(f"{', '.join(trained)} on {name}")

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def _without_b(trained: str) -> AxisConflict:
    return AxisConflict(
        f"LoRA+ speeds up the factor B of a product BA, and this recipe trains {trained} without one: use a form s·BA "
        "with LoRA+, or leave LoRA+ out"
    )


def _is_factor_b(name: str) -> bool:
    """B, and the B₂ of forms with two pairs; GLoRA's B_d and B_u are factors of a term that is called B."""
    return re.fullmatch(r"B\d*", name.rpartition(".")[2]) is not None


def LoRAPlus(
    ratio: float = 16.0, r: int | None = None, alpha: float | None = None, dropout: float | None = None
) -> Recipe:
    """LoRA+: η_B = ratio·η_A, with ratio > 1 because A's features must change as fast as B can use them.

    Source: Hayou, Ghosh, Yu 2024 (2402.12354), section 5.
    """
    return Recipe(r, alpha, dropout, optim=LoRAPlusAdamW(ratio), names=frozenset({"LoRA+"}))
