"""LoKr: a Kronecker product, whose rank is the product of the ranks of its factors."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.lora import uniform_rows
from lorabook.core.rebuilt import rebuilt
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0
from lorabook.core.whole_number import refuse_unless_whole


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
        moved = rebuilt(lambda *inputs: kronecker(base, *inputs), self.drop(x), self.s * self.C, *pair)
        return base.times_w0(x, base.bias) + moved


def kronecker(
    base: Frozen, x: Tensor, c: Float[Tensor, "p m"], d: Float[Tensor, "n_or_r n"], b: Float[Tensor, "k r"] | None
) -> Tensor:
    """Return (C ⊗ D)x, or (C ⊗ BD)x if there is a B, without the d_out × d_in product where the input allows."""
    c, d, b = base.rounded(c), base.rounded(d), None if b is None else base.rounded(b)
    if base.reads_vectors:
        # (C ⊗ BD) vec(X) = vec(C X Dᵀ Bᵀ), rows first.
        h = c @ F.linear(x.unflatten(-1, (c.shape[1], -1)), d)
        return (h if b is None else F.linear(h, b)).flatten(-2)
    if not base.reads_indices:  # pictures, read in patches
        return base.apply_matrix(x, torch.kron(c, d if b is None else b @ d))
    # Indices: column j of C ⊗ D is column j // n of C ⊗ column j % n of D.
    right = base.down_project(x % d.shape[1], d)
    right = right if b is None else F.linear(right, b)
    return (base.down_project(x // d.shape[1], c)[..., None] * right[..., None, :]).flatten(-2)


def shape_of(base: Frozen, factor: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ((p, k), (m, n)) of a layer: only channels are split, so n holds a patch's numbers as well."""
    d_out, d_in = base.store.shape
    m, n = split(d_in // base.patch, factor)
    return split(d_out, factor), (m, n * base.patch)


@dataclass(frozen=True)
class LoKrForm:
    """LoKr's value on the form axis: p and m near `factor`, or near the square root (−1)."""

    factor: int = -1

    def __post_init__(self) -> None:
        if self.factor != -1:
            refuse_unless_whole("LoKr: factor", self.factor, 1, ", or −1 for near the root")

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Kronecker:
        return Kronecker(base, spec, self.factor)

    def shapes(self, base: Frozen, r: int) -> dict[str, tuple[int, int]]:
        """Return the shapes of the parameters that a layer has at rank r."""
        (p, k), (m, n) = shape_of(base, self.factor)
        if factors_whole(k, n // base.patch, r):
            return {"C": (p, m), "D": (k, n)}
        return {"C": (p, m), "B": (k, r), "A": (r, n)}

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return tuple(self.shapes(base, r))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("LoKr", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return None

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        """Return p·m + r(k + n), or p·m + k·n where D is whole; n counts whole patches."""
        (p, k), (m, n) = split(d_out, self.factor), split(d_in // patch, self.factor)
        return p * m + patch * k * n if factors_whole(k, n, r) else p * m + r * (k + patch * n)


def LoKr(r: int | None = None, alpha: float | None = None, dropout: float | None = None, *, factor: int = -1) -> Recipe:
    """Low-rank Kronecker product: ΔW = s·(C ⊗ BA).

    Args:
        factor: size of C's sides; −1 takes the divisors nearest to the square root.
    """
    return Recipe(r, alpha, dropout, form=LoKrForm(factor), names=frozenset({"LoKr"}))
