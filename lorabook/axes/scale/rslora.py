"""rsLoRA: s = α/√r, so that the update neither fades nor explodes as the rank grows."""

from lorabook.core.recipe import Recipe


def alpha_over_root_r(alpha: float, r: int) -> float:
    """Return s = α/√r.

    Source: Kalajdzievski 2023 (2312.03732), definition 3.1 and theorem 3.2.
    """
    return alpha / r**0.5


def rsLoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Rank-stabilised LoRA: ΔW = (α/√r)·BA."""
    return Recipe(r, alpha, dropout, scale=alpha_over_root_r, names=frozenset({"rsLoRA"}))
