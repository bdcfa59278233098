"""What the variance argument for α/√r says, what it leaves out, and how the first steps of training differ from it."""

import torch
from torch import Tensor, nn

from lorabook.axes.scale.rslora import AlphaOverRootR, rsLoRA
from lorabook.axes.scale.unit import UnitScale
from lorabook.claims.case import SHAPES, Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.rslora.scale import KALAJDZIEVSKI
from lorabook.claims.unchecked import Unchecked
from lorabook.core.frozen import Frozen
from lorabook.core.inject import inject
from lorabook.core.layer_types import freeze
from lorabook.core.lora import AlphaOverR, KaimingStart, LowRank, uniform_rows
from lorabook.core.recipe import Factors, LayerSpec, Scale

RANKS, DRAWS = (4, 16, 64), 24
WORLD = (Case(32, 256, 64),)
STD_B, STD_X = 0.5, 2.0


def zero_base(case: Case) -> Frozen:
    """Return a frozen layer of zeros, so that the output is s·BAx alone."""
    layer = nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    return freeze(layer)


def variance(case: Case, scale: Scale) -> tuple[Tensor, Tensor]:
    """Return Var(s·BAx) for a random B, at each rank, and its standard error."""
    base, means, errors = zero_base(case), [], []
    for r in RANKS:
        squares = []
        for i in range(DRAWS):
            stream = f"{r} {i}"
            a = uniform_rows(r, case.d_in, base.matrix, case.generator("A" + stream))
            factors = Factors(a, STD_B * case.randn(case.d_out, r, stream="B" + stream))
            update = LowRank(base, factors, case.spec(scale.build(case.alpha, r)))
            x = STD_X * case.randn(32, case.d_in, stream="x" + stream)
            with torch.no_grad():
                squares.append(update(base, x).square().mean())
        squares = torch.stack(squares)
        means.append(squares.mean())
        errors.append(squares.std() / DRAWS**0.5)
    return torch.stack(means), torch.stack(errors)


def ranks() -> Tensor:
    """Return the ranks as numbers."""
    return torch.tensor(RANKS, dtype=torch.float64)


def of_x() -> float:
    """Return d_in·σ_A²·σ_B²·E[x²]: what is left of the variance beside r and s."""
    return STD_B**2 * STD_X**2 / 3


@claim(
    statement=r"$\mathrm{Var}(BAx)=r\,d_{in}\,\sigma_B^2\,\sigma_A^2\,E[x^2]$ ($r=4$, 16, 64).",
    source="a sum of r·d_in products of independent numbers with mean zero",
    relation="~",
    cases=WORLD,
    when="$B$ is random, and $A$, $B$, $x$ are independent with mean zero",
)
def the_variance_of_a_random_product(case: Case):
    estimate, error = variance(case, UnitScale())
    return estimate, ranks() * of_x(), error


@misconception(
    of=the_variance_of_a_random_product,
    statement=r"$\mathrm{Var}(BAx)=r\,\sigma_B^2\,\sigma_A^2\,E[x^2]$.",
    source="a teaching text, whose product leaves the sum over the inputs out",
)
def false_the_variance_without_its_inputs(case: Case):
    estimate, error = variance(case, UnitScale())
    return estimate, ranks() * of_x() / case.d_in, error


@claim(
    statement=r"At LoRA's start the variance of $BAx$ is exactly 0 at every rank: the outputs are those of $W_0$ "
    r"(stacked over ranks).",
    source="B = 0: the variance of a random B describes no start of LoRA",
    tol=0,
)
def at_the_start_no_rank_shows(case: Case):
    base, x = case.linear(), case.x()
    starts = [LayerSpec("layer", r, AlphaOverR().build(case.alpha, r), 0.0, case.generator(f"{r}")) for r in (1, 2, 4)]
    outputs = [LowRank(base, KaimingStart().build(base.matrix, spec), spec)(base, x) for spec in starts]
    return torch.stack(outputs), base(x).expand(3, -1, -1)


@misconception(
    of=at_the_start_no_rank_shows,
    statement=r"At the start the update adds an output whose variance grows as $r$.",
    source="the law for a random B, read as one of LoRA's start",
)
def false_at_the_start_variance_grows(case: Case):
    outputs, base = at_the_start_no_rank_shows.sides(case)
    size = torch.tensor([1.0, 2.0, 4.0])[:, None, None] / 3
    return outputs, base + size.sqrt() * case.randn(*base.shape, stream="update")


@claim(
    statement=r"$\mathrm{Var}(\frac{\alpha}{r}BAx)\propto\frac{\alpha^2}{r}$, and with $\frac{\alpha}{\sqrt r}$ it is "
    r"$\propto\alpha^2$ at every rank (stacked).",
    source=f"{KALAJDZIEVSKI}, section 3, with the variance of a random product",
    relation="~",
    cases=WORLD,
    when="$B$ is random with a variance that does not depend on $r$; training from $B=0$ has other exponents",
)
def the_variance_under_both_scales(case: Case):
    (plain, one_error), (root, other_error) = variance(case, AlphaOverR()), variance(case, AlphaOverRootR())
    law = torch.cat([case.alpha**2 * of_x() / ranks(), case.alpha**2 * of_x() * torch.ones(3)])
    return torch.cat([plain, root]), law, torch.cat([one_error, other_error])


@claim(
    statement=r"$h=W_0x+b+\frac{\alpha}{\sqrt r}BAx$.",
    source=f"{KALAJDZIEVSKI}, definition 3.1; PEFT's use_rslora",
)
def root_r_divides_alpha(case: Case):
    layer = rs_layer(case)
    by_hand = case.alpha / case.r**0.5 * case.x() @ layer.update.A.T @ layer.update.B.T
    return layer(case.x()), layer.base(case.x()) + by_hand


@misconception(
    of=root_r_divides_alpha,
    statement=r"The root is over $\alpha$ as well: $s=\sqrt{\frac{\alpha}{r}}$.",
    source="a slip of the pen",
)
def false_the_root_is_over_both(case: Case):
    layer = rs_layer(case)
    by_hand = (case.alpha / case.r) ** 0.5 * case.x() @ layer.update.A.T @ layer.update.B.T
    return layer(case.x()), layer.base(case.x()) + by_hand


def rs_layer(case: Case):
    """Return a layer with a trained rsLoRA adapter."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data, model[0].bias.data = case.w0(), case.randn(case.d_out, stream="bias")
    layer = inject(model, rsLoRA(case.r, case.alpha), "0", case.generator("A"))["0"]
    layer.update.B.data = case.factors().B
    return layer


@claim(
    statement=r"$\alpha=2r$ makes $s=2$ at every rank: the rank drops out of $\frac{\alpha}{r}$.",
    source="a convention of tutorials; Hu et al. 2021 (2106.09685), section 4.1, keep α at the first rank they tried",
    cases=SHAPES,
    when=r"the scale is $\frac{\alpha}{r}$",
    tol=0,
)
def alpha_of_two_r_removes_the_rank(case: Case):
    return torch.tensor([AlphaOverR().build(2 * r, r) for r in RANKS]), torch.full((3,), 2.0)


@misconception(
    of=alpha_of_two_r_removes_the_rank,
    statement=r"$\alpha=2r$ suits rsLoRA as well.",
    source="the convention, carried over: s = 2√r then, 4 at r = 4 and 16 at r = 64",
)
def false_alpha_of_two_r_suits_root_r(case: Case):
    return torch.tensor([AlphaOverRootR().build(2 * r, r) for r in RANKS]), torch.full((3,), 2.0)


BETTER_ABOVE_64 = Unchecked(
    statement="rsLoRA pays off above all for r > 64.",
    source=f"{KALAJDZIEVSKI}, section 4",
    reason="perplexity of a 7B model over ranks up to 2048; the small bases here have matrices narrower than such "
    "ranks",
)
RSLORA_2024 = Unchecked(
    statement="rsLoRA is of 2024.",
    source="a teaching text; arXiv 2312.03732",
    reason="no computation settles a date; the preprint's number begins with its year and month: December 2023",
)
