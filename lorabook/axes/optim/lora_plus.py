"""LoRA+: B learns faster than A."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.core.recipe import AxisConflict, Recipe


@dataclass(frozen=True)
class FasterB:
    """AdamW with η_B = ratio·η_A; parameters that are neither A nor B keep η_A."""

    ratio: float

    def __post_init__(self) -> None:
        if not 1 <= self.ratio < float("inf"):
            raise ValueError(f"LoRA+ ratio η_B/η_A is {self.ratio!r}; it must be ≥ 1 (the paper recommends about 16)")

    def __call__(self, named: dict[str, Tensor], lr: float) -> torch.optim.AdamW:
        # B, and the B₂ of forms with two pairs; GLoRA's B_d and B_u are factors of a term that is called B.
        fast = {name: p for name, p in named.items() if re.fullmatch(r"B\d*", name.rpartition(".")[2])}
        if not fast:
            raise AxisConflict(
                f"LoRA+ speeds up the factor B of a product BA, and this recipe trains {', '.join(list(named)[:6])} "
                "without one: use a form s·BA with LoRA+, or leave LoRA+ out"
            )
        slow = [p for name, p in named.items() if name not in fast]
        groups = [{"params": slow, "lr": lr}, {"params": list(fast.values()), "lr": self.ratio * lr}]
        return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=0.0)


def LoRAPlus(
    ratio: float = 16.0, r: int | None = None, alpha: float | None = None, dropout: float | None = None
) -> Recipe:
    """LoRA+: η_B = ratio·η_A, with ratio > 1 because A's features must change as fast as B can use them.

    Source: Hayou, Ghosh, Yu 2024 (2402.12354), section 5.
    """
    return Recipe(r, alpha, dropout, optim=FasterB(ratio), names=frozenset({"LoRA+"}))
