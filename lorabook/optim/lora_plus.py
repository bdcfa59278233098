"""LoRA+: B learns faster than A."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.recipe import Recipe


@dataclass(frozen=True)
class FasterB:
    """AdamW with η_B = ratio·η_A; parameters that are neither A nor B keep η_A."""

    ratio: float

    def __post_init__(self) -> None:
        if not 1 <= self.ratio < float("inf"):
            raise ValueError(f"LoRA+ ratio η_B/η_A is {self.ratio!r}; it must be ≥ 1 (the paper recommends about 16)")

    def __call__(self, named: dict[str, Tensor], lr: float) -> torch.optim.AdamW:
        fast = [p for name, p in named.items() if name.rsplit(".", 1)[-1].startswith("B")]
        slow = [p for name, p in named.items() if not name.rsplit(".", 1)[-1].startswith("B")]
        groups = [{"params": slow, "lr": lr}, {"params": fast, "lr": self.ratio * lr}]
        return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=0.0)


def LoRAPlus(
    ratio: float = 16.0, r: int | None = None, alpha: float | None = None, dropout: float | None = None
) -> Recipe:
    """LoRA+: η_B = ratio·η_A, with ratio > 1 because A's features must change as fast as B can use them.

    Source: Hayou, Ghosh, Yu 2024 (2402.12354), section 5.
    """
    return Recipe(r, alpha, dropout, optim=FasterB(ratio), names=frozenset({"LoRA+"}))
