"""O-LoRA: a sequence of tasks, each with an adapter of its own that reads no input direction of the earlier ones.

Not OLoRA (one letter less), which is a start from a QR decomposition.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Recipe
from lorabook.many.apart import Apart, Projected, Pulled, Rows, squares
from lorabook.many.pair import State
from lorabook.many.row_space import row_basis


class Keep(ABC):
    """How A_t is kept apart from the rows of earlier adapters."""

    @abstractmethod
    def __call__(self, rows: Rows) -> Apart:
        """Return the step rule."""


@dataclass(frozen=True)
class Pull(Keep):
    """Softly: a penalty of this weight λ on the measure of A_iA_tᵀ (`squares`, or `absolutes` as the authors' code).

    λ = 0.5 is the authors', chosen for `absolutes` on weights of their size; a penalty that is much larger than the
    loss trains nothing else.
    """

    weight: float = 0.5
    measure: Callable[[Tensor], Tensor] = squares

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"O-LoRA: the weight λ of the penalty is {self.weight!r}; it must be a finite number > 0")

    def __call__(self, rows: Rows) -> Pulled:
        return Pulled(rows, self.weight, self.measure)


@dataclass(frozen=True)
class Project(Keep):
    """Hard: what A_t reads of the earlier rows is cut out after every step. Exact, up to rounding."""

    def __call__(self, rows: Rows) -> Projected:
        return Projected(rows)


@dataclass(frozen=True, eq=False)
class KeepApart:
    """O-LoRA's value on the rule axis: builds the rule that keeps a model's adapters apart from those in `earlier`."""

    how: Keep
    earlier: tuple[State, ...] = ()

    def __eq__(self, other: object) -> bool:
        # Tensors have no single ==: the same adapters are the same objects.
        return isinstance(other, KeepApart) and self.how == other.how and _ids(self.earlier) == _ids(other.earlier)

    def __hash__(self) -> int:
        return hash((self.how, _ids(self.earlier)))

    def build(self, model: nn.Module) -> Apart:
        """Return the rule, for layers that an earlier adapter touches; the others need none.

        Raises:
            ValueError: such a layer's update is not s·BA with W₀ whole, has another d_in, or has no room for r more.
        """
        rows = {}
        for name, layer in adapted(model).items():
            factors = [state[name].A for state in self.earlier if name in state]
            if factors:
                rows[name] = layer.update, _fitting(name, layer, factors)
        return self.how(rows)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def _ids(states: Sequence[State]) -> tuple[int, ...]:
    return tuple(id(state) for state in states)


def _fitting(name: str, layer: Adapted, factors: list[Tensor]) -> Tensor:
    """Return the earlier A of one layer, one below the other, if a further A_t can be kept apart from them."""
    if not isinstance(layer.update, LowRank) or layer.start is not None:
        raise ValueError(
            f"O-LoRA: {name} is a {layer.recipe.label}: only LoRA's own update s·BA that starts at zero leaves alone "
            "what its A does not read"
        )
    d_in = layer.base.store.shape[1]
    odd = [a.shape[1] for a in factors if a.shape[1] != d_in]
    if odd:
        raise ValueError(f"O-LoRA: an earlier A of {name} has {odd[0]} columns, and the layer d_in = {d_in} inputs")
    rows = torch.cat([a.to(factors[0]) for a in factors])
    taken, r = len(row_basis(rows)), len(layer.update.A)
    if taken + r > d_in:
        raise ValueError(
            f"O-LoRA: {name} has d_in = {d_in} input directions, {len(factors)} earlier tasks take {taken} of them and "
            f"this one needs r = {r} more: lower r, or stop adding tasks"
        )
    return rows


def OrthogonalLoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *,
    earlier: Sequence[State] = (), keep: Keep = Pull(),
) -> Recipe:  # fmt: skip
    """O-LoRA: LoRA for one more task, with A_t kept orthogonal to the A of the earlier ones (a first task is LoRA).

        L = L_task + λ·Σ_{i<t} Σ_jk (A_iA_tᵀ)_jk²

    `learn_in_turn` runs a whole sequence. The paper writes ΔW = AB, with the penalty on the columns of its A; the
    authors' code puts it on `lora_A`, the factor that reads the input, which is A here.

    Args:
        earlier: the adapters of the tasks before, as `pairs_of` gives them; they are merged into W₀ meanwhile.
        keep: `Pull(weight)`, the paper's penalty, or `Project()`.

    Source: Wang et al. 2023 (2310.14152), equations 6 to 8.
    """
    return Recipe(r, alpha, dropout, rule=KeepApart(keep, tuple(earlier)), names=frozenset({"O-LoRA"}))
