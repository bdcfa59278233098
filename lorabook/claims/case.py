"""The small worlds in which claims are tried: a layer shape, a rank, an α that is not r, and a seed."""

from dataclasses import dataclass
from zlib import crc32

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import freeze
from lorabook.core.recipe import Factors, LayerSpec


@dataclass(frozen=True)
class Case:
    """A d_out × d_in layer with rank r. Everything drawn from a case is float64 and the same on every call."""

    d_out: int
    d_in: int
    r: int
    alpha: float = 5.0
    seed: int = 0

    @property
    def s(self) -> float:
        """LoRA's scale α/r."""
        return self.alpha / self.r

    def generator(self, stream: str) -> torch.Generator:
        """Return a generator for one named quantity, so that what is drawn does not depend on the order of drawing."""
        return torch.Generator().manual_seed(hash_of(stream) + self.seed)

    def randn(self, *shape: int, stream: str = "randn") -> Tensor:
        """Return standard normal numbers; another `stream` gives other numbers."""
        return torch.randn(*shape, generator=self.generator(stream), dtype=torch.float64)

    def w0(self) -> Float[Tensor, "d_out d_in"]:
        """Return a pretrained-looking W₀: entries of size 1/√d_in."""
        return self.randn(self.d_out, self.d_in, stream="w0") / self.d_in**0.5

    def x(self, rows: int = 11) -> Float[Tensor, "rows d_in"]:
        """Return inputs."""
        return self.randn(rows, self.d_in, stream="x")

    def factors(self) -> Factors:
        """Return A and B after training has moved both: neither is zero."""
        a = self.randn(self.r, self.d_in, stream="A") / self.d_in**0.5
        return Factors(A=a, B=self.randn(self.d_out, self.r, stream="B"))

    def spec(self, s: float | None = None) -> LayerSpec:
        """Return what an update may know of this layer; its scale is α/r unless one is given."""
        return LayerSpec("layer", self.r, self.s if s is None else s, 0.0, self.generator("site"))

    def linear(self) -> Frozen:
        """Return a frozen Linear with W₀ and a bias."""
        layer = nn.Linear(self.d_in, self.d_out, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(self.w0())
            layer.bias.copy_(self.randn(self.d_out, stream="bias"))
        return freeze(layer)


def ratio_of_means(top: Float[Tensor, " draws"], bottom: Float[Tensor, " draws"]) -> tuple[Tensor, Tensor]:
    """Return mean(top)/mean(bottom) of independent draws, and its standard error (delta method)."""
    ratio = top.mean() / bottom.mean()
    spread = (top.var() / top.mean() ** 2 + bottom.var() / bottom.mean() ** 2) / len(top)
    return ratio, ratio.abs() * spread.sqrt()


def hash_of(text: str) -> int:
    """Return a number for a word, the same in every process (unlike `hash`), spread over 32 bits: all a seed uses."""
    return crc32(text.encode())


SHAPES = (
    Case(d_out=12, d_in=5, r=1),
    Case(d_out=7, d_in=16, r=3),
    Case(d_out=6, d_in=6, r=6),
)
"""Thin with r = 1, wide, and square with r = d. α differs from r in all three."""
