"""DyLoRA's form: the first b rows of A and columns of B are an adapter of rank b, for every b."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.frozen import Frozen
from lorabook.recipe import Factors, Site
from lorabook.update.update import Update, needs_whole_w0


class NestedLowRank(Update):
    """W = W₀ + s·(r/b)·B[:, :b] A[:b], where s = α/r, so that the scale is α/b at every rank b.

    `b` is r until somebody sets it: the training rule at each step, `truncate` afterwards.

    Source: Valipour et al. 2022 (2210.07558), section 3.2; LyCORIS for the scale α/b.
    """

    def __init__(self, base: Frozen, factors: Factors, site: Site) -> None:
        super().__init__()
        needs_whole_w0(factors, site, "DyLoRA")
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s, self.b = site.scale, site.r
        self.drop = nn.Dropout(site.dropout)

    def nested(self) -> tuple[Float[Tensor, "b d_in"], Float[Tensor, "d_out b"]]:
        """Return the factors of the rank in use, the scale's share r/b in B."""
        return self.A[: self.b], self.B[:, : self.b] * (len(self.A) / self.b)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        a, b = self.nested()
        return w0 + self.s * (b @ a)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), *self.nested(), self.s, base.bias)

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out)


class LastRowOnly(Update):
    """The same W, and only row b of A and column b of B get a gradient: the paper's "frozen" form of training.

    A rank that was trained is not disturbed by the training of a larger one.

    Source: Valipour et al. 2022 (2210.07558), section 3.2, equations 8 and 9.
    """

    def __init__(self, base: Frozen, factors: Factors, site: Site) -> None:
        super().__init__()
        needs_whole_w0(factors, site, "DyLoRA")
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s, self.b = site.scale, site.r
        self.drop = nn.Dropout(site.dropout)

    def nested(self) -> tuple[Float[Tensor, "b d_in"], Float[Tensor, "d_out b"]]:
        """Return the factors of the rank in use, all but the last row and column held still."""
        last, share = self.b - 1, len(self.A) / self.b
        a = torch.cat([self.A[:last].detach(), self.A[last : self.b]])
        return a, torch.cat([self.B[:, :last].detach(), self.B[:, last : self.b]], dim=1) * share

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        a, b = self.nested()
        return w0 + self.s * (b @ a)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), *self.nested(), self.s, base.bias)

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out)


def truncate(model: nn.Module, b: int) -> None:
    """Use every DyLoRA adapter of a model at rank b from now on; nothing is lost, and a larger b brings it back.

    Raises:
        ValueError: the model has no such adapter, or b is not between 1 and its rank.
    """
    found = [module for module in model.modules() if isinstance(module, NestedLowRank | LastRowOnly)]
    if not found:
        raise ValueError("this model has no DyLoRA adapter to truncate: inject a DyLoRA recipe first")
    r = min(len(update.A) for update in found)
    if not isinstance(b, int) or isinstance(b, bool) or not 1 <= b <= r:
        raise ValueError(f"b is {b!r}; it must be a whole number from 1 to r = {r}, the rank that was trained")
    for update in found:
        update.b = b
