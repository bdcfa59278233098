"""LoHa: the Hadamard product of two rank-r matrices reaches rank r²."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.lora import uniform_rows
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, materialised, refuse_without_whole_w0


class Hadamard(Update):
    """W = W₀ + s·(B₁A₁) ⊙ (B₂A₂), rank at most r², with twice LoRA's parameters at equal r.

    The first pair comes from the init (B₁A₁ = 0 at the start), the second is random. PEFT zeroes the other half of its
    second pair; the start and the reach are the same.

    Source: Hyeon-Woo, Ye-Bin, Oh 2021 (FedPara, 2108.06098), proposition 1; LyCORIS (2309.14859).
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        d_out, d_in = base.store.shape
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.A2 = nn.Parameter(uniform_rows(spec.r, d_in, factors.A, spec.generator))
        self.B2 = nn.Parameter(uniform_rows(d_out, spec.r, factors.A, spec.generator))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ self.A) * (self.B2 @ self.A2)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # Dropout acts on the branch's input, and a materialised W has no branch: then the two paths are the only way.
        if not self.drop.p and not two_paths_pay_off(*base.store.shape, len(self.A)):
            return materialised(base, self, x)
        a, b = row_products(self.A, self.A2), row_products(self.B.T, self.B2.T).T
        return base.two_paths(x, self.drop(x), a, b, self.s, base.bias)


@dataclass(frozen=True)
class LoHaForm:
    """LoHa's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Hadamard:
        return Hadamard(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B", "A2", "B2")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("LoHa", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 2 * r * (d_in + d_out)


def row_products(p: Float[Tensor, "r n"], q: Float[Tensor, "r n"]) -> Float[Tensor, "r2 n"]:
    """Return every row of `p` times every row of `q`, elementwise: (B₁A₁) ⊙ (B₂A₂) is the product of two of these.

    (B₁A₁)_ij (B₂A₂)_ij = Σ_k Σ_l (B₁_ik B₂_il)(A₁_kj A₂_lj): a product of rank r² with Khatri–Rao factors.
    """
    return (p[:, None] * q[None]).flatten(0, 1)


def two_paths_pay_off(d_out: int, d_in: int, r: int) -> bool:
    """Say whether the rank-r² two-path form moves less than building ΔW: 3r²(d_in + d_out) < d_in·d_out."""
    return 3 * r**2 * (d_in + d_out) < d_in * d_out


def LoHa(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Low-rank Hadamard product: ΔW = s·(B₁A₁) ⊙ (B₂A₂)."""
    return Recipe(r, alpha, dropout, form=LoHaForm(), names=frozenset({"LoHa"}))
