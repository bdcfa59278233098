"""What is true of AdaLoRA's form, and what is often said instead."""

import torch
from torch import Tensor, linalg

from lorabook.axes.form.adalora import PLQ
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.recipe import Factors

PAPER = "Zhang et al. 2023 (2303.10512)"


def trained(case: Case, factors: Factors | None = None) -> PLQ:
    """Return a PΛQ whose λ have moved: both signs, in no order."""
    update = PLQ(case.linear(), factors or case.factors(), case.spec())
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
    statement=r"Setting $\lambda_i=0$ takes $s\,\lambda_iP_{\cdot i}Q_{i\cdot}$ out of $W$, and nothing else.",
    source=f"{PAPER}, equation 3: ΔW is a sum over triplets",
)
def a_masked_lambda_takes_out_its_triplet(case: Case) -> tuple[Tensor, Tensor]:
    update, kept = masked(case)
    triplets = [update.E[i] * torch.outer(update.B[:, i], update.A[i]) for i in kept.nonzero().flatten()]
    return update.weight(case.w0()), case.w0() + case.s * torch.stack(triplets).sum(0)


@misconception(
    of=a_masked_lambda_takes_out_its_triplet,
    statement=r"The scale follows the rank that is left: $s=\alpha/\#\{\lambda_i\ne0\}$.",
    source="the rule s = α/r, read with the current rank; the authors tried it and report that it hurts",
)
def false_the_scale_follows_the_rank(case: Case) -> tuple[Tensor, Tensor]:
    update, kept = masked(case)
    delta = update.B @ (update.E * update.A)
    return update.weight(case.w0()), case.w0() + case.alpha / kept.sum() * delta


@claim(
    statement=r"$\operatorname{rank}(\Delta W)\le\#\{i:\lambda_i\ne0\}$.",
    source="a sum of k outer products has rank at most k",
    relation="<=",
    tol=0.0,
)
def rank_is_at_most_the_lambdas_left(case: Case) -> tuple[Tensor, Tensor]:
    update, kept = masked(case)
    return linalg.matrix_rank(update.weight(case.w0()) - case.w0(), rtol=1e-9), kept.sum()


@misconception(
    of=rank_is_at_most_the_lambdas_left,
    statement=r"The matrices keep their shapes, so the rank stays $r$.",
    source="a reading of unchanged tensor shapes that users report as a bug (peft issues 432, 1327, 1801)",
)
def false_the_rank_never_changes(case: Case) -> tuple[Tensor, Tensor]:
    update, _ = masked(case)
    return torch.tensor(case.r), linalg.matrix_rank(update.weight(case.w0()) - case.w0(), rtol=1e-9)


@claim(
    statement=r"If $P^\top P=I$ and $QQ^\top=I$, the $s\,|\lambda_i|$ are the singular values of $\Delta W$.",
    source="uniqueness of singular values",
)
def orthonormal_factors_make_lambda_singular(case: Case) -> tuple[Tensor, Tensor]:
    return _spectrum_and_lambdas(case, orthonormal(case))


@misconception(
    of=orthonormal_factors_make_lambda_singular,
    statement=r"$P$ and $Q$ are orthogonal, so the $s\,|\lambda_i|$ are the singular values of $\Delta W$.",
    source="common summaries of AdaLoRA; the paper has a penalty that pulls towards orthogonality, no constraint",
)
def false_p_and_q_are_orthogonal(case: Case) -> tuple[Tensor, Tensor]:
    return _spectrum_and_lambdas(case, case.factors())


def _spectrum_and_lambdas(case: Case, factors: Factors) -> tuple[Tensor, Tensor]:
    update = trained(case, factors)
    spectrum = linalg.svdvals(update.weight(case.w0()) - case.w0())[: case.r]
    return spectrum, case.s * update.E.flatten().abs().sort(descending=True).values
