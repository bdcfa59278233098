"""What DyLoRA's cuts are, and what their scale α/b costs."""

import torch
from torch import Tensor, linalg

from lorabook.axes.form.dylora import Nested, NestedLowRank, truncate
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Factors, LayerSpec
from lorabook.cost.count import measured_flops

VALIPOUR = "Valipour et al. 2022 (2210.07558)"
DEEP = (Case(7, 16, 3), Case(6, 6, 6), Case(12, 9, 4))
"""Ranks above 1: with r = 1 there is nothing to cut."""


def nested(case: Case, form: type[Nested] = NestedLowRank, b: int | None = None) -> tuple[Frozen, Nested]:
    """Return a layer and a DyLoRA adapter on it, trained at some time, in use at rank b (r if None)."""
    base = case.linear()
    update = form(base, case.factors(), case.spec())
    truncate(update, case.r if b is None else b)
    return base, update


def small(case: Case, b: int) -> LowRank:
    """Return the LoRA of rank b and scale α/b whose factors are the first b rows and columns."""
    whole = case.factors()
    spec = LayerSpec("layer", b, case.alpha / b, 0.0, case.generator("site"))
    return LowRank(case.linear(), Factors(whole.A[:b].clone(), whole.B[:, :b].clone()), spec)


def delta(update: Nested | LowRank, base: Frozen) -> Tensor:
    """Return ΔW."""
    return (update.weight(base.matrix) - base.matrix).detach()


@claim(
    statement=r"The first $b$ rows of $A$ and columns of $B$ are an adapter of rank $b$ with LoRA's own scale: "
    r"$\Delta W_b=\frac{\alpha}{b}B_{:,1:b}A_{1:b}$, for every $b$.",
    source=f"{VALIPOUR}, section 3.2; √(r/b) on A and on B in the authors' code, times α/r; LyCORIS with block size 1",
)
def a_cut_is_a_lora_of_rank_b(case: Case):
    base, whole = nested(case)
    return cuts(base, whole), torch.stack([delta(small(case, b), base) for b in range(1, case.r + 1)])


@misconception(
    of=a_cut_is_a_lora_of_rank_b,
    statement=r"The scale of a cut is $\frac{\alpha}{r}\sqrt{r/b}$.",
    source="the authors' code read with one √(r/b); it is on A and on B, as an author says (kohya #394)",
)
def false_a_cut_has_a_root_in_its_scale(case: Case):
    return _with_scale(case, lambda b: case.s * (case.r / b) ** 0.5)


@misconception(
    of=a_cut_is_a_lora_of_rank_b,
    statement=r"A cut keeps the scale $\alpha/r$ that training began with.",
    source="what plain LoRA does when rows are left out",
)
def false_a_cut_keeps_its_scale(case: Case):
    return _with_scale(case, lambda b: case.s)


def _with_scale(case: Case, scale) -> tuple[Tensor, Tensor]:
    whole = case.factors()
    products = [scale(b) * whole.B[:, :b] @ whole.A[:b] for b in range(1, case.r + 1)]
    return a_cut_is_a_lora_of_rank_b(case)[0], torch.stack(products)


@claim(
    statement=r"Cuts are nested: a cut at $c$, kept as an adapter of its own and cut again at $b<c$, is the cut "
    r"at $b$.",
    source="(α/c)·(c/b) = α/b",
    cases=DEEP,
)
def a_cut_of_a_cut_is_a_smaller_cut(case: Case):
    c, b = case.r - 1, max(1, case.r - 2)
    base, whole = nested(case, b=c)
    kept = tuple(factor.detach().clone() for factor in whole.nested())
    again = NestedLowRank(base, Factors(*kept), LayerSpec("layer", c, whole.scale(), 0.0, case.generator("site")))
    for update in (again, whole):
        truncate(update, b)
    return delta(again, base), delta(whole, base)


@claim(
    statement=r"$BA=(BG)(G^{-1}A)$ for every invertible $G$: one $\Delta W$ of LoRA has many factors.",
    source="G G⁻¹ = I",
    cases=DEEP,
)
def lora_does_not_know_its_factors(case: Case):
    return delta(_mixed(case), case.linear()), delta(small(case, case.r), case.linear())


@misconception(
    of=lora_does_not_know_its_factors,
    statement=r"So a trained LoRA has its cut at $b$ too, as DyLoRA has: the first $b$ rows of $A$ and columns of $B$.",
    source="nothing in LoRA's loss orders the rows: the same ΔW has another cut in every G",
)
def false_a_lora_may_be_cut(case: Case):
    mixed, plain, b = _mixed(case), small(case, case.r), case.r - 1
    return mixed.B[:, :b] @ mixed.A[:b], plain.B[:, :b] @ plain.A[:b]


def _mixed(case: Case) -> LowRank:
    update, g = small(case, case.r), case.randn(case.r, case.r, stream="G")
    with torch.no_grad():
        update.A.copy_(linalg.solve(g, update.A))
        update.B.copy_(update.B @ g)
    return update


def cuts(base: Frozen, update: Nested) -> Tensor:
    """Return ΔW at every rank from 1 to r."""
    measured = []
    for b in range(1, len(update.A) + 1):
        truncate(update, b)
        measured.append(delta(update, base))
    return torch.stack(measured)


@claim(
    statement=r"Rows that are still zero are not harmless: with the scale $\frac\alpha b$ an update of rank 1 counts "
    r"$\frac1b$ at rank $b$.",
    source="B_{:,2:b}A_{2:b} = 0 leaves (α/b)·B_{:,1}A_1",
    cases=DEEP,
)
def empty_rows_shrink_an_update(case: Case):
    base, update = nested(case)
    with torch.no_grad():
        update.B[:, 1:] = 0.0
    measured = cuts(base, update)
    return measured, measured[0] / torch.arange(1, case.r + 1)[:, None, None]


@misconception(
    of=empty_rows_shrink_an_update,
    statement=r"A larger rank is never worse: rows that learnt nothing change nothing.",
    source="true of LoRA's own α/r; in DyLoRA α/b falls with every row",
)
def false_empty_rows_change_nothing(case: Case):
    measured, _ = empty_rows_shrink_an_update(case)
    return measured, measured[:1].expand_as(measured)


@claim(
    statement=r"With the scale $\frac\alpha b$ no adapter is best at every rank. If its cut at 1 is the best of rank "
    r"1, its cut at 2 leaves at least $\min(\sigma_1/2,\sigma_2)^2$ more of $M$ than the best of rank 2.",
    source="our argument: the cut at 2 has half of σ₁u₁v₁ᵀ, and one row for the rest, of values σ₁/2, σ₂, σ₃ …",
    cases=DEEP,
)
def the_scale_has_a_price(case: Case):
    left, best, values = _best_at_one_then_at_two(case)
    return left, best + torch.minimum(values[0] / 2, values[1]) ** 2


@misconception(
    of=the_scale_has_a_price,
    statement=r"DyLoRA's cuts can be the best of every rank at once, as those of the SVD are (Eckart–Young).",
    source="true with one scale for all cuts; with α/b the rows of rank 1 count half in rank 2",
)
def false_cuts_may_be_best_at_every_rank(case: Case):
    left, best, _ = _best_at_one_then_at_two(case)
    return left, best


def _best_at_one_then_at_two(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the best first row and then the best second leave of M, what the SVD does, and M's values."""
    base, update = nested(case)
    m = case.randn(case.d_out, case.d_in, stream="M")
    for b in (1, 2):
        # The row that helps most is the first singular pair of what the cut at b leaves without it.
        with torch.no_grad():
            update.B[:, b - 1] = 0.0
        truncate(update, b)
        u, s, vt = linalg.svd(m - delta(update, base))
        with torch.no_grad():
            update.B[:, b - 1] = s[0] * u[:, 0] * b / case.alpha
            update.A[b - 1] = vt[0]
    values = linalg.svdvals(m)
    return (m - delta(update, base)).square().sum(), values[2:].square().sum(), values


@claim(
    statement=r"A step at rank $b$ computes what a LoRA of rank $b$ does.",
    source="the rows beyond b are in no product",
    tol=0,
)
def a_step_at_rank_b_costs_rank_b(case: Case):
    x, b = case.x(), max(1, case.r - 1)
    base, update = nested(case, b=b)
    lora = small(case, b)
    return tuple(torch.tensor(measured_flops(lambda u=u: u(base, x))) for u in (update, lora))
