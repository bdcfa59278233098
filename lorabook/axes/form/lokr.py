"""LoKr: a Kronecker product, whose rank is the product of the ranks of its factors."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.kaiming import uniform_rows
from lorabook.core.layer_types import FrozenConv2d, FrozenLinear
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Family, Update, built, needs_whole_w0
from lorabook.saving.peft.form import PeftForm, Shape, dense_layers


def split(dimension: int, factor: int = -1) -> tuple[int, int]:
    """Return (m, n) with m·n = dimension and m ≤ n: as near to each other as divisors allow, m at most `factor`.

    A `factor` that divides is taken as it is, even if it is the larger; −1 sets no limit. LyCORIS and PEFT share this.

    Source: LyCORIS 4.1 and PEFT 0.21, `factorization`.
    """
    if factor > 0 and dimension % factor == 0:
        return factor, dimension // factor
    limit = dimension if factor == -1 else factor
    m = max(k for k in range(1, limit + 1) if dimension % k == 0 and k * k <= dimension)
    return m, dimension // m


def factors_whole(k: int, n: int, r: int) -> bool:
    """Say whether the right factor, k × n, is kept whole because rank r would not make it much smaller."""
    return 2 * r >= max(k, n)


class Kronecker(Update):
    """W = W₀ + s·(C ⊗ D), with C: p × m, D: k × n, d_out = p·k, d_in = m·n and rank(ΔW) = rank(C)·rank(D).

    D is a product BA of rank r, or whole where r ≥ max(k, n)/2. C starts at zero. In a convolution n counts whole
    patches: C mixes channels, D holds the kernels.

    Source: Yeh et al. 2023 (LyCORIS, 2309.14859), section 3; Edalati et al. 2022 (KronA, 2212.10650).
    """

    def __init__(self, base: Frozen, spec: LayerSpec, factor: int) -> None:
        super().__init__()
        (p, k), (m, n) = shape_of(base, factor)
        like, source = base.matrix, spec.generator
        self.C = nn.Parameter(like.new_zeros(p, m))
        whole = factors_whole(k, n // base.patch, spec.r)
        self.D = nn.Parameter(uniform_rows(k, n, like, source)) if whole else None
        self.A = None if whole else nn.Parameter(uniform_rows(spec.r, n, like, source))
        self.B = None if whole else nn.Parameter(uniform_rows(k, spec.r, like, source))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def right(self) -> Float[Tensor, "k n"]:
        """Return D."""
        return self.B @ self.A if self.D is None else self.D

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * torch.kron(self.C, self.right())

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        pair = (self.D, None) if self.A is None else (self.A, self.B)
        # What lies between the two products is as wide as the layer: it is computed again backwards, and not kept.
        moved = built(lambda dropped: base.kronecker(dropped, self.s * self.C, *pair), self.drop(x))
        return base.times_w0(x, base.bias) + moved

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return LeftFactor().count(d_out, d_in, r)


def shape_of(base: Frozen, factor: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ((p, k), (m, n)) of a layer: only channels are split, so n holds a patch's numbers as well."""
    d_out, d_in = base.store.shape
    m, n = split(d_in // base.patch, factor)
    return split(d_out, factor), (m, n * base.patch)


def layout(form: "LeftFactor", base: Frozen, r: int) -> dict[str, Shape]:
    """Return the shapes of the parameters that a layer has at rank r."""
    (p, k), (m, n) = shape_of(base, form.factor)
    if factors_whole(k, n // base.patch, r):
        return {"C": (p, m), "D": (k, n)}
    return {"C": (p, m), "B": (k, r), "A": (r, n)}


def _as_kernels(base: FrozenConv2d, letter: str, shape: Shape) -> Shape:
    return (shape[0], shape[1] // base.patch, *base.kernel[1:]) if letter == "D" else shape


_ENDS = {"C": "lokr_w1", "D": "lokr_w2", "B": "lokr_w2_a", "A": "lokr_w2_b"}


@dataclass(frozen=True)
class LeftFactor(Family):
    """LoKr with p and m near `factor`, or near the square root (−1)."""

    factor: int = -1

    makes: ClassVar = Kronecker
    in_peft: ClassVar = PeftForm(
        "LOKR", dense_layers(_ENDS, FrozenLinear, FrozenConv2d, conv=_as_kernels), dict.fromkeys("CDBA", ""),
        alpha="alpha", dropout=None, init="init_weights", transposed=None, numbers={"factor": "decompose_factor"},
        layout=layout,
    )  # fmt: skip

    def __post_init__(self) -> None:
        whole = isinstance(self.factor, int) and not isinstance(self.factor, bool)
        if not whole or (self.factor < 1 and self.factor != -1):
            raise ValueError(f"LoKr: factor is {self.factor!r}; it must be a whole number ≥ 1, or −1 for near the root")

    def __call__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Kronecker:
        needs_whole_w0(factors, spec, "LoKr")
        return Kronecker(base, spec, self.factor)

    def refuse(self, name: str, base: Frozen) -> None:
        """Every layer suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        """Return p·m + r(k + n), or p·m + k·n where D is whole; n counts whole patches."""
        (p, k), (m, n) = split(d_out, self.factor), split(d_in // patch, self.factor)
        return p * m + patch * k * n if factors_whole(k, n, r) else p * m + r * (k + patch * n)


def LoKr(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *, factor: int = -1
) -> Recipe:
    """Low-rank Kronecker product: ΔW = s·(C ⊗ BA).

    Args:
        factor: size of C's sides; −1 takes the divisors nearest to the square root.
    """
    return Recipe(r, alpha, dropout, form=LeftFactor(factor), names=frozenset({"LoKr"}))
