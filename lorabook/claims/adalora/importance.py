"""What AdaLoRA's importance scores are, and what they are often said to be."""

import torch
from torch import Tensor, nn

from lorabook.axes.form.adalora import PLQ
from lorabook.axes.rule.importance import Importance, triplet_scores
from lorabook.claims.adalora.adalora import PAPER, trained
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception


@claim(
    statement=r"For a loss linear in $W$, setting $\lambda_i$ to zero changes it by exactly "
    r"$|\lambda_i\,\partial L/\partial\lambda_i|$.",
    source=f"{PAPER}, equation 8; W is linear in Λ, so the first-order term is all there is",
)
def sensitivity_is_the_change_of_the_loss(case: Case) -> tuple[Tensor, Tensor]:
    update, slope = trained(case), case.randn(case.d_out, case.d_in, stream="slope")
    loss = (slope * update.weight(case.w0())).sum()
    (g,) = torch.autograd.grad(loss, update.E)
    return _changes(case, update, slope), (update.E * g).abs().flatten()


@misconception(
    of=sensitivity_is_the_change_of_the_loss,
    statement=r"What a triplet matters to the loss is its singular value $|\lambda_i|$.",
    source="common summaries of AdaLoRA ('uses singular values as importance scores')",
)
def false_lambda_is_the_importance(case: Case) -> tuple[Tensor, Tensor]:
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
    statement=r"$S_i(P,\Lambda,Q)=S_i(-P,-\Lambda,Q)$: one $\Delta W$, one score.",
    source=f"{PAPER}, equations 7–11: S depends on w·∂L/∂w only, which keeps its size when both change sign",
)
def the_score_does_not_see_signs(case: Case) -> tuple[Tensor, Tensor]:
    return _observed(case, 1.0)[0], _observed(case, -1.0)[0]


@misconception(
    of=the_score_does_not_see_signs,
    statement=r"$S_i=\lambda_i+\beta_1\lVert\nabla\rVert+\beta_2\,\lambda_i\lVert\nabla\rVert$.",
    source="a formula in circulation; β₁ and β₂ are the decay rates of two moving averages, and λ has a sign",
)
def false_the_score_is_lambda_plus_gradient(case: Case) -> tuple[Tensor, Tensor]:
    def score(sign: float) -> Tensor:
        _, lam, g = _observed(case, sign)
        return lam + 0.85 * g.abs() + 0.85 * lam * g.abs()

    return score(1.0), score(-1.0)
