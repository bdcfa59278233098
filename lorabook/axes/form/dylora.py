"""DyLoRA's form: the first b rows of A and columns of B are an adapter of rank b, for every b."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0
from lorabook.core.whole_number import refuse_unless_whole


class Nested(Update):
    """W = W₀ + (α/b)·B[:, :b] A[:b]. What trains of the b rows and columns is what the two forms below differ in.

    `b` is r until somebody sets it: the training rule at each step, `truncate` afterwards. The scale α/b is s·r/b,
    with s = α/r as in LoRA.

    Source: Valipour et al. 2022 (2210.07558), section 3.2; the authors' code and LyCORIS for the scale.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s, self.b = spec.scale, spec.r
        self.drop = nn.Dropout(spec.dropout)

    @abstractmethod
    def frozen_rows(self) -> int:
        """Return how many of the b rows and columns in use get no gradient."""

    def moving(self) -> tuple[Float[Tensor, "k d_in"], Float[Tensor, "d_out k"]]:
        """Return the rows of A and columns of B that train at the rank in use."""
        return self.A[self.frozen_rows() : self.b], self.B[:, self.frozen_rows() : self.b]

    def nested(self) -> tuple[Float[Tensor, "b d_in"], Float[Tensor, "d_out b"]]:
        """Return the factors of the rank in use."""
        still, (a, b) = self.frozen_rows(), self.moving()
        if still == 0:
            return a, b
        return torch.cat([self.A[:still].detach(), a]), torch.cat([self.B[:, :still].detach(), b], dim=1)

    def scale(self) -> float:
        """Return s·r/b."""
        return self.s * len(self.A) / self.b

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        a, b = self.nested()
        return w0 + self.scale() * (b @ a)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), *self.nested(), self.scale(), base.bias)


class NestedLowRank(Nested):
    """All of the first b rows and columns train: the paper's main form."""

    def frozen_rows(self) -> int:
        return 0


class LastRowOnly(Nested):
    """Row b of A and column b of B train alone: a rank that was trained is not disturbed by that of a larger one.

    Source: Valipour et al. 2022 (2210.07558), section 3.2, equations 8 and 9 ("frozen").
    """

    def frozen_rows(self) -> int:
        return self.b - 1


@dataclass(frozen=True)
class DyLoRAForm:
    """DyLoRA's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> NestedLowRank:
        return NestedLowRank(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("DyLoRA", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out)


@dataclass(frozen=True)
class FrozenDyLoRAForm:
    """The value on the form axis of DyLoRA's "frozen" form."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> LastRowOnly:
        return LastRowOnly(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("DyLoRA", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out)


def truncate(model: nn.Module, b: int) -> None:
    """Use every DyLoRA adapter of a model at rank b from now on; nothing is lost, and a larger b brings it back.

    A file of the adapter holds all r rows and columns and no b, like a state_dict: truncate again what was loaded.

    Raises:
        ValueError: the model has no such adapter, or b is not between 1 and its rank.
    """
    updates = [module for module in model.modules() if isinstance(module, Nested)]
    if not updates:
        raise ValueError("this model has no DyLoRA adapter to truncate: inject a DyLoRA recipe first")
    r = min(len(update.A) for update in updates)
    refuse_unless_whole("b", b, 1, f"; r = {r} is the rank that was trained", most=r)
    for update in updates:
        update.b = b
