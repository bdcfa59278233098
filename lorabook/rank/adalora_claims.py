"""What is true of AdaLoRA's form, score and budget, and what is often said instead."""

import torch
from torch import Tensor, linalg, nn

from lorabook.cases import Case
from lorabook.claims import claim, foil
from lorabook.rank.importance import Importance, triplet_scores
from lorabook.rank.schedule import CubicBudget
from lorabook.recipe import Factors
from lorabook.update.plq import PLQ

PAPER = "Zhang et al. 2023 (2303.10512)"


def trained(case: Case, factors: Factors | None = None) -> PLQ:
    """Return a PΛQ whose λ have moved: both signs, in no order."""
    update = PLQ(case.linear(), factors or case.factors(), case.site())
    with torch.no_grad():
        update.E.copy_(case.randn(case.r, 1, stream="lambda"))
    return update


def masked(case: Case) -> tuple[PLQ, Tensor]:
    """Return a PΛQ with every second λ set to zero, and which are left."""
    update, kept = trained(case), torch.arange(case.r) % 2 == 0
    with torch.no_grad():
        update.E.masked_fill_(~kept[:, None], 0.0)
    return update, kept


def orthonormal(case: Case) -> Factors:
    """Return Q with orthonormal rows and P with orthonormal columns."""
    drawn = case.factors()
    return Factors(A=linalg.qr(drawn.A.T).Q.T.contiguous(), B=linalg.qr(drawn.B).Q)


@claim(
    statement=r"\lambda_i = 0 \text{ takes out } s\,\lambda_i P_{\cdot i} Q_{i\cdot} \text{ and nothing else}",
    source=f"{PAPER}, equation 3: ΔW is a sum over triplets",
)
def a_masked_lambda_takes_out_its_triplet(case: Case) -> tuple[Tensor, Tensor]:
    update, kept = masked(case)
    triplets = [update.E[i] * torch.outer(update.B[:, i], update.A[i]) for i in kept.nonzero().flatten()]
    return update.weight(case.w0()), case.w0() + case.s * torch.stack(triplets).sum(0)


@foil(
    of=a_masked_lambda_takes_out_its_triplet,
    statement=r"\text{the scale follows the rank that is left: } s = \alpha / \#\{\lambda_i \neq 0\}",
    source="the rule s = α/r, read with the current rank; the authors tried it and report that it hurts",
)
def the_scale_follows_the_rank(case: Case) -> tuple[Tensor, Tensor]:
    update, kept = masked(case)
    delta = update.B @ (update.E * update.A)
    return update.weight(case.w0()), case.w0() + case.alpha / kept.sum() * delta


@claim(
    statement=r"\operatorname{rank}(\Delta W) \le \#\{i : \lambda_i \neq 0\}",
    source="a sum of k outer products has rank at most k",
    relation="<=",
    tol=0.0,
)
def rank_is_at_most_the_lambdas_left(case: Case) -> tuple[Tensor, Tensor]:
    update, kept = masked(case)
    return linalg.matrix_rank(update.weight(case.w0()) - case.w0(), rtol=1e-9), kept.sum()


@foil(
    of=rank_is_at_most_the_lambdas_left,
    statement=r"\text{the matrices keep their shapes, so the rank stays } r",
    source="a reading of unchanged tensor shapes that users report as a bug (peft issues 432, 1327, 1801)",
)
def the_rank_never_changes(case: Case) -> tuple[Tensor, Tensor]:
    update, _ = masked(case)
    return torch.tensor(case.r), linalg.matrix_rank(update.weight(case.w0()) - case.w0(), rtol=1e-9)


@claim(
    statement=r"P^\top P = I,\; Q Q^\top = I \;\Rightarrow\; \sigma_i(\Delta W) = s\,|\lambda|_{(i)}",
    source="uniqueness of singular values",
)
def orthonormal_factors_make_lambda_singular(case: Case) -> tuple[Tensor, Tensor]:
    return _spectrum_and_lambdas(case, orthonormal(case))


@foil(
    of=orthonormal_factors_make_lambda_singular,
    statement=r"P \text{ and } Q \text{ are orthogonal, so the } |\lambda_i| \text{ are the singular values}",
    source="common summaries of AdaLoRA; the paper has a penalty that pulls towards orthogonality, no constraint",
)
def p_and_q_are_orthogonal(case: Case) -> tuple[Tensor, Tensor]:
    return _spectrum_and_lambdas(case, case.factors())


def _spectrum_and_lambdas(case: Case, factors: Factors) -> tuple[Tensor, Tensor]:
    update = trained(case, factors)
    spectrum = linalg.svdvals(update.weight(case.w0()) - case.w0())[: case.r]
    return spectrum, case.s * update.E.flatten().abs().sort(descending=True).values


@claim(
    statement=r"|L(\lambda) - L(\lambda_i \to 0)| = |\lambda_i\, \partial L / \partial \lambda_i|"
    r" \text{ for a loss linear in } W",
    source=f"{PAPER}, equation 8; W is linear in Λ, so the first-order term is all there is",
)
def sensitivity_is_the_change_of_the_loss(case: Case) -> tuple[Tensor, Tensor]:
    update, slope = trained(case), case.randn(case.d_out, case.d_in, stream="slope")
    loss = (slope * update.weight(case.w0())).sum()
    (g,) = torch.autograd.grad(loss, update.E)
    return _changes(case, update, slope), (update.E * g).abs().flatten()


@foil(
    of=sensitivity_is_the_change_of_the_loss,
    statement=r"\text{the importance of a triplet is its singular value } |\lambda_i|",
    source="common summaries of AdaLoRA ('uses singular values as importance scores')",
)
def lambda_is_the_importance(case: Case) -> tuple[Tensor, Tensor]:
    update, slope = trained(case), case.randn(case.d_out, case.d_in, stream="slope")
    return _changes(case, update, slope), update.E.abs().flatten()


def _changes(case: Case, update: PLQ, slope: Tensor) -> Tensor:
    """Return by how much Σ slope ⊙ W changes when one λ after the other is set to zero."""
    changes = []
    for i in range(case.r):
        without = trained(case)
        with torch.no_grad():
            without.E[i] = 0.0
        changes.append((slope * (update.weight(case.w0()) - without.weight(case.w0()))).sum().abs())
    return torch.stack(changes)


def _observed(case: Case, sign: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return score, λ and ∂L/∂λ after three batches, with P and Λ both multiplied by ±1: the same ΔW either way."""
    update = trained(case)
    with torch.no_grad():
        update.E.mul_(sign)
        update.B.mul_(sign)
    seen = {letter: Importance(getattr(update, letter), 0.85, 0.85) for letter in "BEA"}
    for batch in range(3):
        update.zero_grad()
        (case.randn(4, case.d_in, stream=f"x{batch}") @ update.weight(case.w0()).T).square().mean().backward()
        for entries in seen.values():
            entries.observe()
    score = triplet_scores(seen["B"].score(), seen["E"].score(), seen["A"].score())
    return score, update.E.detach().flatten(), nn.utils.parameters_to_vector([update.E.grad])


@claim(
    statement=r"S_i(P, \Lambda, Q) = S_i(-P, -\Lambda, Q): \text{ equal } \Delta W, \text{ equal score}",
    source=f"{PAPER}, equations 7–11: S depends on w·∂L/∂w only, which keeps its size when both change sign",
)
def the_score_does_not_see_signs(case: Case) -> tuple[Tensor, Tensor]:
    return _observed(case, 1.0)[0], _observed(case, -1.0)[0]


@foil(
    of=the_score_does_not_see_signs,
    statement=r"S_i = \lambda_i + \beta_1 \|\nabla\| + \beta_2 \lambda_i \|\nabla\|",
    source="a formula in circulation; β₁ and β₂ are the decay rates of two moving averages, and λ has a sign",
)
def the_score_is_lambda_plus_gradient(case: Case) -> tuple[Tensor, Tensor]:
    def score(sign: float) -> Tensor:
        _, lam, g = _observed(case, sign)
        return lam + 0.85 * g.abs() + 0.85 * lam * g.abs()

    return score(1.0), score(-1.0)


def _budgets(case: Case, midway: int) -> tuple[Tensor, Tensor]:
    start, target = 80 * case.r, 16 * case.r
    schedule = CubicBudget(total_steps=130, warm_up=20, final=30, every=1)
    at = [schedule.budget(t, start, target) for t in (0, 20, 60, 100, 129)]
    return torch.tensor(at), torch.tensor([start, start, midway, target, target])


@claim(
    statement=r"b(t) = b_0 \text{ to the end of warm-up},\; b_T + \tfrac{1}{8}(b_0 - b_T) \text{ half-way},"
    r"\; b_T \text{ in the final phase}",
    source=f"{PAPER}, equation 12: (1 − 1/2)³ = 1/8",
)
def the_budget_falls_as_a_cubic(case: Case) -> tuple[Tensor, Tensor]:
    return _budgets(case, midway=24 * case.r)


@foil(
    of=the_budget_falls_as_a_cubic,
    statement=r"r(t) = r_0 - \tfrac{t}{T}\,\Delta r: \text{ the rank falls in equal steps}",
    source="a formula in circulation; it is linear, knows no phases, and gives every layer the same rank",
)
def the_budget_falls_in_equal_steps(case: Case) -> tuple[Tensor, Tensor]:
    return _budgets(case, midway=48 * case.r)
