"""GLoRA: scale W₀, add to it, and move the bias as well; each of five terms in a size of its own."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.scale.unit import UnitScale
from lorabook.core.frozen import Frozen
from lorabook.core.lora import uniform_rows
from lorabook.core.rebuilt import rebuilt
from lorabook.core.recipe import AxisConflict, Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0

Shape = tuple[int, ...]

SIZES = {"A": "none constant vector lora", "B": "none constant vector lora", "C": "none constant vector lora",
         "D": "none constant vector", "E": "none constant vector"}  # fmt: skip


def term_shapes(kinds: dict[str, str], d_out: int, d_in: int, r: int) -> dict[str, Shape]:
    """Return the shape of every parameter: a low-rank term X has two, X_d and X_u, whose product it is."""
    whole = {"A": (d_out, d_in), "B": (d_out, d_in), "C": (d_in, 1), "D": (d_out, 1), "E": (d_out, 1)}
    shapes: dict[str, Shape] = {}
    for term, kind in kinds.items():
        rows, columns = whole[term]
        if kind == "lora":
            shapes |= {f"{term}_d": (rows, r), f"{term}_u": (r, columns)}
        elif kind != "none":
            shapes[term] = (rows, 1) if kind == "vector" else (1, 1)
    return shapes


def term_of(terms: dict[str, Tensor], name: str) -> Tensor | None:
    """Return one of A…E, or None if it is not there. A vector is one column, a constant 1 × 1: both broadcast."""
    return terms[f"{name}_d"] @ terms[f"{name}_u"] if f"{name}_d" in terms else terms.get(name)


def weight_of(terms: dict[str, Tensor], w0: Float[Tensor, "d_out d_in"], s: float) -> Float[Tensor, "d_out d_in"]:
    """Return W₀ + s·(W₀ ⊙ A + B)."""
    a, b = term_of(terms, "A"), term_of(terms, "B")
    w = w0 if a is None else w0 + s * w0 * a
    return w if b is None else w + s * b


def bias_of(terms: dict[str, Tensor], base: Frozen, s: float) -> Float[Tensor, " d_out"] | None:
    """Return b₀ + s·(D ⊙ b₀ + E + W₀C), or None for a layer without a bias."""
    if base.bias is None:
        return None
    c, d, e = term_of(terms, "C"), term_of(terms, "D"), term_of(terms, "E")
    moved = base.bias
    if d is not None:
        moved = moved + s * d[:, 0] * base.bias
    if e is not None:
        moved = moved + s * e[:, 0]
    if c is not None:
        moved = moved + s * (base.matrix @ base.rounded(c).expand(base.store.shape[1], 1))[:, 0]
    return base.rounded(moved)


class GeneralisedLoRA(Update):
    """W = W₀ + W₀ ⊙ A + B and b = b₀ + D ⊙ b₀ + E + W₀C: affine, so it merges into weight and bias.

    A vector stands for a column of rows' factors, a constant for a single factor. All start at zero. A layer without a
    bias has A and B alone. The paper has no α: `GLoRA` sets s = 1.

    Source: Chavan et al. 2023 (2306.07967), equation 10; the official code for ⊙ in W₀ ⊙ A.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec, kinds: dict[str, str]) -> None:
        super().__init__()
        d_out, d_in = base.store.shape
        for name, shape in term_shapes(kinds, d_out, d_in, spec.r).items():
            start = factors.A.new_zeros(shape)
            if name.endswith("_u"):
                start = uniform_rows(*shape, factors.A, spec.generator)
            setattr(self, name, nn.Parameter(start))
        self.s = spec.scale

    def terms(self) -> dict[str, Tensor]:
        """Return the numbers of every term, named as in `term_shapes`."""
        return dict(self.named_parameters())

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return weight_of(self.terms(), w0, self.s)

    def bias(self, base: Frozen) -> Float[Tensor, " d_out"] | None:
        return bias_of(self.terms(), base, self.s)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # A weighs every entry of W₀, so W is dense; each of its parts is computed again backwards, and one copy kept.
        w = rebuilt(lambda: base.rounded(self.weight(base.matrix)), reads=(base, self))
        return base.apply_matrix(x, w, self.bias(base))


def refuse_what_has_no_branch(name: str, recipe: Recipe) -> None:
    """Refuse what another axis asks of a branch beside W₀.

    Raises:
        AxisConflict: the init takes s·BA out of W₀, or there is dropout.
    """
    refuse_without_whole_w0("GLoRA", name, recipe)
    if recipe.dropout:
        raise AxisConflict(
            f"GLoRA scales W₀ itself, so there is no branch whose input dropout = {recipe.dropout} could drop "
            f"(layer {name}): use dropout 0"
        )


@dataclass(frozen=True)
class GLoRAForm:
    """GLoRA's value on the form axis: which kind each term is.

    "none", "constant", "vector", or for A, B and C a product of rank r, "lora".
    """

    A: str = "lora"
    B: str = "lora"
    C: str = "vector"
    D: str = "vector"
    E: str = "vector"

    def __post_init__(self) -> None:
        for term, sizes in SIZES.items():
            if getattr(self, term) not in sizes.split():
                raise ValueError(f"GLoRA: {term} is {getattr(self, term)!r}; choose one of {', '.join(sizes.split())}")

    def on(self, bias: bool) -> dict[str, str]:
        """Return the kind of each term on a layer; C, D and E move a bias, and are absent where there is none."""
        return {term: getattr(self, term) if bias or term in "AB" else "none" for term in SIZES}

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> GeneralisedLoRA:
        return GeneralisedLoRA(base, factors, spec, self.on(base.bias is not None))

    def shapes(self, base: Frozen, r: int) -> dict[str, Shape]:
        """Return the shapes of the parameters that a layer has at rank r."""
        return term_shapes(self.on(base.bias is not None), *base.store.shape, r)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return tuple(self.shapes(base, r))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_what_has_no_branch(name, recipe)
        if set(self.on(base.bias is not None).values()) == {"none"}:
            raise ValueError(
                f"GLoRA: every term is none on {name} (C, D and E move a bias, where there is one), so nothing of it "
                "would train: choose another kind for A or B"
            )

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        """Return the entries of all terms; at the defaults 2r(d_in + d_out) + d_in + 2d_out."""
        return sum(rows * columns for rows, columns in term_shapes(self.on(bias), d_out, d_in, r).values())


def GLoRA(
    r: int | None = None, *, A: str = "lora", B: str = "lora", C: str = "vector", D: str = "vector", E: str = "vector"
) -> Recipe:
    """Generalised LoRA: f(x) = (W₀ + W₀ ⊙ A + B)x + W₀C + D ⊙ b₀ + E + b₀.

    Args:
        A, B, C: "none", "constant", "vector" or "lora" (a product of rank r). D, E: "none", "constant" or "vector".
    """
    return Recipe(r, None, None, form=GLoRAForm(A, B, C, D, E), scale=UnitScale(), names=frozenset({"GLoRA"}))
