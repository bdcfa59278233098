"""DyLoRA's form: the first b rows of A and columns of B are an adapter of rank b, for every b."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec
from lorabook.core.update import Update, needs_whole_w0


class Nested(Update):
    """W = W₀ + (α/b)·B[:, :b] A[:b]. What trains of the b rows and columns is what the two forms below differ in.

    `b` is r until somebody sets it: the training rule at each step, `truncate` afterwards. The scale α/b is s·r/b,
    with s = α/r as in LoRA.

    Source: Valipour et al. 2022 (2210.07558), section 3.2; the authors' code and LyCORIS for the scale.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        needs_whole_w0(factors, spec, "DyLoRA")
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s, self.b = spec.scale, spec.r
        self.drop = nn.Dropout(spec.dropout)

    @abstractmethod
    def held(self) -> int:
        """Return how many of the b rows and columns in use get no gradient."""

    def moving(self) -> tuple[Float[Tensor, "k d_in"], Float[Tensor, "d_out k"]]:
        """Return the rows of A and columns of B that train at the rank in use."""
        return self.A[self.held() : self.b], self.B[:, self.held() : self.b]

    def nested(self) -> tuple[Float[Tensor, "b d_in"], Float[Tensor, "d_out b"]]:
        """Return the factors of the rank in use."""
        still, (a, b) = self.held(), self.moving()
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

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out)


class NestedLowRank(Nested):
    """All of the first b rows and columns train: the paper's main form."""

    def held(self) -> int:
        return 0


class LastRowOnly(Nested):
    """Row b of A and column b of B train alone: a rank that was trained is not disturbed by that of a larger one.

    Source: Valipour et al. 2022 (2210.07558), section 3.2, equations 8 and 9 ("frozen").
    """

    def held(self) -> int:
        return self.b - 1


def truncate(model: nn.Module, b: int) -> None:
    """Use every DyLoRA adapter of a model at rank b from now on; nothing is lost, and a larger b brings it back.

    A file of the adapter holds all r rows and columns and no b, like a state_dict: truncate again what was loaded.

    Raises:
        ValueError: the model has no such adapter, or b is not between 1 and its rank.
    """
    found = [module for module in model.modules() if isinstance(module, Nested)]
    if not found:
        raise ValueError("this model has no DyLoRA adapter to truncate: inject a DyLoRA recipe first")
    r = min(len(update.A) for update in found)
    if not isinstance(b, int) or isinstance(b, bool) or not 1 <= b <= r:
        raise ValueError(f"b is {b!r}; it must be a whole number from 1 to r = {r}, the rank that was trained")
    for update in found:
        update.b = b
