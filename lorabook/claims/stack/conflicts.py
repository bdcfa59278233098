"""When adapters on one model get in each other's way, and what shows it."""

import torch
from torch import Tensor, linalg, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.many.conflicts import cancelled, cosine, overlap, principal_cosines
from lorabook.many.pair import Pair
from lorabook.many.row_space import outside, row_basis
from lorabook.many.stacking import stack

ADVICE = "a teaching text's advice on stacking: avoid overlapping target modules"
SHAPES = (Case(12, 5, 1), Case(7, 16, 3), Case(9, 13, 4))
"""Two row spaces fit beside each other: 2r ≤ d_in."""


def pair(case: Case, stream: str) -> Pair:
    """Return one adapter on the case's layer; another stream is another adapter."""
    a = case.randn(case.r, case.d_in, stream=f"A {stream}") / case.d_in**0.5
    return Pair(a, case.randn(case.d_out, case.r, stream=f"B {stream}"), case.s)


def beside(case: Case, one: Pair) -> Pair:
    """Return an adapter that reads nothing of what `one` reads: A₂A₁ᵀ = 0."""
    other = pair(case, "two")
    return other._replace(A=outside(other.A, row_basis(one.A)))


def delta(factors: Pair) -> Tensor:
    """Return ΔW."""
    return factors.scale * factors.B @ factors.A


def one_layer(case: Case) -> nn.Sequential:
    """Return a model of one linear layer, W₀ and bias the case's."""
    base = case.linear()
    return nn.Sequential(base.to_layer(base.matrix, base.bias))


def two_layers(case: Case) -> nn.Sequential:
    """Return a model of two linear layers, the second from d_out back to d_in."""
    turned = Case(case.d_in, case.d_out, case.r, case.alpha).linear()
    return nn.Sequential(*one_layer(case), turned.to_layer(turned.matrix, turned.bias))


def changes(case: Case, model: nn.Module, adapters: dict) -> Tensor:
    """Return what these adapters together change in the model's output."""
    x = case.x()
    with torch.no_grad():
        before = model(x)
        stack(model, adapters, dict.fromkeys(adapters, 1.0))
        return model(x) - before


@claim(
    statement=r"On one layer adapters add up: both change its output by $\Delta W_1x+\Delta W_2x$, the sum of what "
    r"each does alone.",
    source="(W₀ + ΔW₁ + ΔW₂)x − W₀x",
)
def changes_on_one_layer_add_up(case: Case) -> tuple[Tensor, Tensor]:
    adapters = {name: {"0": pair(case, name)} for name in ("one", "two")}
    alone = sum(changes(case, one_layer(case), {name: state}) for name, state in adapters.items())
    return changes(case, one_layer(case), adapters), alone


@misconception(
    of=changes_on_one_layer_add_up,
    statement="Adapters with different target modules do not meet: both change the output by the sum of what each does "
    "alone.",
    source=f"{ADVICE}; the second layer reads what the first writes, and ΔW₂ΔW₁x is neither's own",
)
def false_changes_on_two_layers_add_up(case: Case) -> tuple[Tensor, Tensor]:
    turned = Case(case.d_in, case.d_out, case.r, case.alpha)
    adapters = {"one": {"0": pair(case, "one")}, "two": {"1": pair(turned, "two")}}
    alone = sum(changes(case, two_layers(case), {name: state}) for name, state in adapters.items())
    return changes(case, two_layers(case), adapters), alone


def on_what_one_reads(case: Case, one: Pair, other: Pair) -> tuple[Tensor, Tensor]:
    """Return the outputs for inputs in the row space of `one`: with both adapters, and with `one` alone."""
    x = case.randn(8, case.r, stream="z") @ one.A
    both, alone = one_layer(case), one_layer(case)
    stack(both, {"one": {"0": one}, "other": {"0": other}}, {"one": 1.0, "other": 1.0})
    stack(alone, {"one": {"0": one}}, {"one": 1.0})
    return both(x), alone(x)


@claim(
    statement=r"Two adapters may share a module: on inputs that the first reads, $x=A_1^\top z$, the second changes "
    r"nothing.",
    source="A₂A₁ᵀ = 0, so that ΔW₂x = 0; columns do not matter",
    when=r"their row spaces are orthogonal, $A_2A_1^\top=0$",
    cases=SHAPES,
)
def adapters_that_read_apart_share_a_module(case: Case) -> tuple[Tensor, Tensor]:
    one = pair(case, "one")
    return on_what_one_reads(case, one, beside(case, one))


@misconception(
    of=adapters_that_read_apart_share_a_module,
    statement="Any two adapters may share a module: stacking is only a sum.",
    source="an exact sum of ΔW is not a sum of skills; the second answers what the first has learned to answer",
)
def false_any_adapters_share_a_module(case: Case) -> tuple[Tensor, Tensor]:
    return on_what_one_reads(case, pair(case, "one"), pair(case, "two"))


@claim(
    statement=r"$\lVert\Delta W_2x\rVert\le\lVert\Delta W_2\rVert_2\cos\theta_1\lVert x\rVert$ for "
    r"$x=A_1^\top z$: the smallest angle between what two adapters read bounds how far the second disturbs the first.",
    source="ΔW₂ = ΔW₂P₂, and ‖P₂P₁‖₂ = cos θ₁ (Björck, Golub 1973)",
    relation="<=",
    cases=SHAPES,
)
def the_smallest_angle_bounds_the_disturbance(case: Case) -> tuple[Tensor, Tensor]:
    one, other = pair(case, "one"), pair(case, "two")
    x = case.randn(8, case.r, stream="z") @ one.A
    bound = linalg.matrix_norm(delta(other), 2) * principal_cosines(one.A, other.A)[0]
    return (x @ delta(other).T).norm(dim=1), bound * x.norm(dim=1)


@claim(
    statement=r"$\langle\Delta W_1,\Delta W_2\rangle=s_1s_2\sum(B_1^\top B_2)\odot(A_1A_2^\top)$: the cosine of two "
    r"adapters takes products of size $r\times r$ only.",
    source="trace(A₁ᵀB₁ᵀB₂A₂); against the cosine of all entries",
)
def cosine_without_the_matrices(case: Case) -> tuple[Tensor, Tensor]:
    one, other = pair(case, "one"), pair(case, "two")
    dense = torch.cosine_similarity(delta(one).flatten(), delta(other).flatten(), dim=0)
    return cosine(one, other), dense


@misconception(
    of=cosine_without_the_matrices,
    statement="Whether two adapters work with or against each other shows in how much their row spaces overlap.",
    source="an overlap has no sign: ΔW and −ΔW read the same",
)
def false_overlap_tells_with_from_against(case: Case) -> tuple[Tensor, Tensor]:
    one, other = pair(case, "one"), pair(case, "two")
    return overlap(one.A, other.A), cosine_without_the_matrices(case)[1]


@claim(
    statement=r"Of $\sum|a|+|b|$, all changes to all entries, $\sum2\min(|a|,|b|)$ over entries of opposite sign is "
    r"taken back in the sum.",
    source="|a + b| = |a| + |b| − 2 min(|a|, |b|) where the signs differ; Yadav et al. 2023 (2306.01708) for the signs",
)
def opposite_signs_cancel(case: Case) -> tuple[Tensor, Tensor]:
    one, other = pair(case, "one"), pair(case, "two")
    a, b = delta(one), delta(other)
    lost = torch.where(a.sign() * b.sign() < 0, 2 * torch.minimum(a.abs(), b.abs()), 0 * a)
    return cancelled(one, other), lost.sum() / (a.abs() + b.abs()).sum()


@misconception(
    of=opposite_signs_cancel,
    statement="Adapters that are orthogonal, or point the same way on the whole, take nothing back: what cancels is "
    r"$\max(0,-\cos)$.",
    source="entries of opposite sign cancel one by one, whatever the rest do",
)
def false_only_opposed_adapters_cancel(case: Case) -> tuple[Tensor, Tensor]:
    one, other = pair(case, "one"), pair(case, "two")
    return cancelled(one, other), (-cosine(one, other)).clamp_min(0)


@claim(
    statement=r"Random row spaces of ranks $n$ and $m$ overlap by $\max(n,m)/d_{in}$ on the mean: that much is chance.",
    source="E‖Q₁Q₂ᵀ‖²_F = nm/d_in over min(n, m) angles",
    relation="~",
    cases=SHAPES,
)
def overlap_by_chance(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    draws = case.randn(400, 2 * case.r + 1, case.d_in, stream="rows")
    measured = torch.stack([overlap(rows[: case.r], rows[case.r :]) for rows in draws])
    law = torch.tensor((case.r + 1) / case.d_in, dtype=torch.float64)
    return measured.mean(), law, measured.std() / len(measured) ** 0.5


@misconception(
    of=overlap_by_chance,
    statement="Adapters of different tasks have row spaces that are orthogonal, so any overlap is a conflict.",
    source="true in the limit of a wide layer only",
)
def false_random_row_spaces_are_orthogonal(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    measured, law, error = overlap_by_chance(case)
    return measured, torch.zeros_like(law), error
