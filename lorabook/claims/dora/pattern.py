"""What length and direction do in training: what LoRA ties together, what DoRA sets free, and how far that goes.

Per row, ΔM = |‖W_i‖ − ‖W₀_i‖| and ΔD = 1 − cos(W_i, W₀_i), as in the paper's section 3.2.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lorabook.axes.form.dora import RowScaled
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dora.form import LIU, trained
from lorabook.claims.unchecked import Unchecked
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.update import Update
from lorabook.cost.spectrum import singular_values

ROOMY = (Case(12, 9, 2), Case(9, 16, 3), Case(10, 10, 2))
"""Ranks that leave room: at r = d, B and A alone reach every matrix."""
TOY = (Case(96, 32, 4, alpha=8.0),)
SEEDS, STEPS, RATE = 8, 30, 0.02


def both(case: Case) -> tuple[Tensor, Tensor, Tensor, RowScaled]:
    """Return W of DoRA and of LoRA with the same trained A and B, W₀, and the DoRA update."""
    base, dora = trained(case)
    lora = LowRank(base, case.factors(), case.spec())
    lora.B.data = dora.B.data
    return dora.weight(base.matrix).detach(), lora.weight(base.matrix).detach(), base.matrix, dora


@claim(
    statement=r"With $m$ left alone DoRA turns rows without stretching them: $\lVert W_i\rVert=\lVert W_{0,i}\rVert$ "
    r"whatever $A$ and $B$ are.",
    source=f"{LIU}, section 4.1",
)
def dora_turns_without_stretching(case: Case):
    base, update = trained(case)
    update.m.data = base.matrix.norm(dim=1)
    return update.weight(base.matrix).norm(dim=1), base.matrix.norm(dim=1)


@misconception(
    of=dora_turns_without_stretching,
    statement=r"LoRA too can turn rows by any $B$ without stretching them.",
    source="there, length and direction both follow from BA: “LoRA entangles the two” is right",
)
def false_lora_turns_without_stretching(case: Case):
    _, w, w0, _ = both(case)
    return w.norm(dim=1), w0.norm(dim=1)


@claim(
    statement=r"The directions that DoRA reaches are those that LoRA reaches: with the same $A$ and $B$, row by row.",
    source=r"the rows of m ⊙ V/‖V‖ and of V = W₀ + s·BA have the same direction",
    when=r"$m>0$; a negative $m_i$ turns its row round",
)
def dora_reaches_no_new_direction(case: Case):
    dora, lora, _, update = both(case)
    return F.normalize(dora * update.m.sign()[:, None]), F.normalize(lora)


@claim(
    statement=r"Untying the lengths adds $d_{out}$ dimensions: what DoRA reaches has $r(d_{in}+d_{out}-r)+d_{out}$, "
    r"LoRA's and one a row.",
    source="the rank of the differences of W in A, B and m",
    when="the rank leaves room; the limit of LoRA that is lifted is this one, and not its rank of directions",
    tol=0,
    cases=ROOMY,
)
def dora_adds_a_dimension_for_each_row(case: Case):
    base, update = trained(case)
    columns = []
    for parameter in update.parameters():
        for i in range(parameter.numel()):
            ends = []
            for step in (1e-5, -1e-5):
                parameter.data.view(-1)[i] += step
                ends.append(update.weight(base.matrix).detach().flatten())
                parameter.data.view(-1)[i] -= step
            columns.append((ends[0] - ends[1]) / 2e-5)
    sigma = singular_values(torch.stack(columns))
    return (sigma > 1e-7 * sigma[0]).sum(), torch.tensor(case.r * (case.d_in + case.d_out - case.r) + case.d_out)


@misconception(
    of=dora_adds_a_dimension_for_each_row,
    statement=r"LoRA's entangling limits nothing: DoRA reaches what LoRA does, $r(d_{in}+d_{out}-r)$ dimensions.",
    source="a natural guess, since both have one A and one B",
)
def false_dora_reaches_what_lora_does(case: Case):
    return dora_adds_a_dimension_for_each_row(case)[0], torch.tensor(case.r * (case.d_in + case.d_out - case.r))


@claim(
    statement=r"DoRA's $\Delta W=W-W_0$ has full rank $\min(d_{out},d_{in})$: it scales rows of $W_0$ itself.",
    source=r"ΔW = diag(m/‖V‖ − 1)·W₀ + diag(m/‖V‖)·sBA",
    tol=0,
    cases=ROOMY,
)
def doras_change_has_full_rank(case: Case):
    dora, _, w0, _ = both(case)
    return torch.linalg.matrix_rank(dora - w0), torch.tensor(min(case.d_out, case.d_in))


@misconception(
    of=doras_change_has_full_rank,
    statement=r"DoRA's change of the weight has rank at most $r$, as LoRA's.",
    source="so DoRA cannot be saved as a LoRA adapter of the same rank",
)
def false_doras_change_has_rank_r(case: Case):
    return doras_change_has_full_rank(case)[0], torch.tensor(case.r)


def shorter(case: Case, draws: int = 40) -> Tensor:
    """Return, for draws of W₀, A and a small B, the share of LoRA's rows that are shorter than before."""
    shares = []
    for i in range(draws):
        drawn = Case(case.d_out, case.d_in, case.r, case.alpha, seed=i)
        base, factors = drawn.linear(), drawn.factors()
        update = LowRank(base, type(factors)(factors.A, 1e-3 * factors.B), drawn.spec())
        shares.append((update.weight(base.matrix).norm(dim=1) < base.matrix.norm(dim=1)).double().mean())
    return torch.stack(shares)


@claim(
    statement=r"A small LoRA update makes half of the rows shorter: $\Delta\lVert W_i\rVert\approx\langle W_{0,i},"
    r"\Delta W_i\rangle/\lVert W_{0,i}\rVert$ has no preferred sign.",
    source="first order of the norm; for large updates the share falls, as the second order only lengthens",
    relation="~",
    cases=(Case(24, 32, 2), Case(16, 64, 4), Case(32, 32, 8)),
)
def lora_shortens_half_of_the_rows(case: Case):
    shares = shorter(case)
    return shares.mean(), torch.tensor(0.5), shares.std() / len(shares) ** 0.5


@misconception(
    of=lora_shortens_half_of_the_rows,
    statement=r"Magnitudes that shrink are rare in LoRA (5% of rows); DoRA allows them.",
    source="a teaching text; it misreads the negative slope of ΔM against ΔD as negative ΔM",
)
def false_shrinking_is_rare_in_lora(case: Case):
    shares = shorter(case)
    return shares.mean(), torch.tensor(0.05), shares.std() / len(shares) ** 0.5


def correlation(w: Tensor, w0: Tensor) -> Tensor:
    """Return the correlation of ΔM and ΔD over the rows."""
    stretched = (w.norm(dim=1) - w0.norm(dim=1)).abs()
    return torch.corrcoef(torch.stack([stretched, 1 - F.cosine_similarity(w, w0)]))[0, 1]


def learnt(case: Case, target_rank: int, form: type[Update] | None) -> Tensor:
    """Return the correlation after Adam on a regression to W₀ plus a change of this rank; None trains W itself."""
    w0, x = case.w0(), case.x(128)
    left, right = case.randn(case.d_out, target_rank, stream="left"), case.randn(target_rank, case.d_in, stream="right")
    target = w0 + 0.5 * left @ right / (target_rank * case.d_in) ** 0.5
    if form is None:
        whole = torch.nn.Parameter(w0.clone())
        trainable, weight = [whole], lambda: whole
    else:
        update = form(case.linear(), KaimingStart().build(w0, case.spec()), case.spec())
        trainable, weight = list(update.parameters()), lambda: update.weight(w0)
    optimizer = torch.optim.Adam(trainable, lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (x @ (weight() - target).T).square().mean().backward()
        optimizer.step()
    return correlation(weight().detach(), w0)


def nearer_to_full(case: Case, target_rank: int) -> tuple[Tensor, Tensor]:
    """Return three standard errors, and the mean over seeds, of |c(LoRA) − c(full)| − |c(DoRA) − c(full)|."""
    nearer = []
    for seed in range(SEEDS):
        toy = Case(case.d_out, case.d_in, case.r, case.alpha, seed)
        lora, dora, full = (learnt(toy, target_rank, form) for form in (LowRank, RowScaled, None))
        nearer.append((lora - full).abs() - (dora - full).abs())
    return 3 * torch.stack(nearer).std() / SEEDS**0.5, torch.stack(nearer).mean()


@claim(
    statement=r"DoRA's pattern is nearer to full fine-tuning's: the correlation of $\Delta M$ and $\Delta D$ over the "
    r"rows, by more than three standard errors (8 seeds of a regression).",
    source=f"{LIU}, sections 3.2 and 4.1: −0.62 full, −0.31 DoRA, +0.83 LoRA there",
    relation="<=",
    when="the change that the task asks for is out of LoRA's reach: it has more rank than the adapter",
    cases=TOY,
)
def dora_moves_more_like_full_fine_tuning(case: Case):
    return nearer_to_full(case, min(case.d_out, case.d_in))


@misconception(
    of=dora_moves_more_like_full_fine_tuning,
    statement=r"DoRA's pattern is nearer to full fine-tuning's on every task.",
    source="if LoRA reaches the same weight as full fine-tuning does (a change of rank r), all patterns are one",
)
def false_dora_moves_more_like_full_fine_tuning_always(case: Case):
    return nearer_to_full(case, case.r)


BETTER_BY_POINTS = Unchecked(
    statement="DoRA is better than LoRA by 0.5 to 2 (or 1 to 2, or 2 to 4) points, and the state of the art.",
    source=f"{LIU}, table 1, and teaching texts with other ranges",
    reason="benchmarks of 7B and 8B models on commonsense questions, each with its own budget; no such model runs here",
)
LIU_2024 = Unchecked(
    statement="DoRA is of Liu et al., 2024.",
    source="arXiv 2402.09353; ICML 2024",
    reason="no computation settles a date; the preprint's number begins with its year and month: February 2024",
)
