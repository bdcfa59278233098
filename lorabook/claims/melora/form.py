"""MELoRA is block-diagonal: what that gives, what it costs, and what a plain sum of small LoRAs is instead."""

from collections.abc import Sequence

import torch
from torch import Tensor, linalg

from lorabook.axes.form.melora import BlockDiagonal, MELoRAForm
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.frozen import Frozen
from lorabook.core.lora import AdamW, KaimingStart, LowRank, LowRankForm
from lorabook.core.recipe import Factors
from lorabook.core.update import Update

REN = "Ren et al. 2024 (2402.17263)"
TEXT = "a teaching text's section on MELoRA"
SHAPES = (Case(12, 6, 1), Case(8, 16, 3), Case(18, 18, 4))
N = 2
STEPS = 12


def trained(case: Case) -> tuple[Frozen, BlockDiagonal]:
    """Return a frozen layer, and MELoRA with two minis of rank r that have moved."""
    base = case.linear()
    update = MELoRAForm(N).build(base, case.factors(), case.spec())
    update.B.data = case.randn(*update.B.shape, stream="B")
    return base, update


def delta(base: Frozen, update: Update) -> Tensor:
    """Return ΔW."""
    return update.weight(base.matrix) - base.matrix


def minis(case: Case, base: Frozen) -> list[LowRank]:
    """Return two small LoRAs of rank r on the whole layer, each at LoRA's start."""
    spec = case.spec()
    return [LowRank(base, KaimingStart().build(base.matrix, spec), spec) for _ in range(N)]


def joined(case: Case, base: Frozen, parts: Sequence[LowRank]) -> LowRank:
    """Return one LoRA with the rows of every A and the columns of every B, at the scale of the parts."""
    a, b = torch.cat([part.A for part in parts]), torch.cat([part.B for part in parts], dim=1)
    return LowRank(base, Factors(a.detach().clone(), b.detach().clone()), case.spec())


def loss(case: Case, base: Frozen, parts: Sequence[Update]) -> Tensor:
    """Return the squared error of W₀ and the sum of all ΔW against another matrix, on a few inputs."""
    x, wanted = case.x(), case.randn(case.d_out, case.d_in, stream="wanted")
    y = base(x) + sum(part(base, x) - base(x) for part in parts)
    return (y - x @ wanted.T).square().sum()


def train(case: Case, base: Frozen, parts: Sequence[Update]) -> None:
    """Take some steps of AdamW on all parts together."""
    adam = AdamW().build({str(i): p for i, p in enumerate(p for part in parts for p in part.parameters())}, lr=0.05)
    for _ in range(STEPS):
        adam.zero_grad()
        loss(case, base, parts).backward()
        adam.step()


@claim(
    statement=r"$\Delta W=s\,\mathrm{blockdiag}(B_1A_1,\dots,B_nA_n)$: an output moves with the inputs of its own "
    r"slice, and with no others.",
    source=f"{REN}, equation 3, and its code, which cuts x into n slices",
    cases=SHAPES,
)
def an_output_hears_its_own_slice(case: Case):
    base, update = trained(case)
    return _told_of_the_other_slice(case, base, update), _told_of_the_other_slice(case, base, base_alone)


@misconception(
    of=an_output_hears_its_own_slice,
    statement=r"MELoRA is $\Delta W=\sum_i B_iA_i$ with small $r_i$.",
    source=f"{TEXT}; that is one LoRA of rank Σr_i",
)
def false_melora_is_a_sum(case: Case):
    base = case.linear()
    update = joined(case, base, minis(case, base))
    update.B.data = case.randn(*update.B.shape, stream="B")
    return _told_of_the_other_slice(case, base, update), _told_of_the_other_slice(case, base, base_alone)


def base_alone(base: Frozen, x: Tensor) -> Tensor:
    """Return what the frozen layer says."""
    return base(x)


def _told_of_the_other_slice(case: Case, base: Frozen, said) -> Tensor:
    """Return how the first slice of the outputs changes when the last slice of the inputs does."""
    x = case.x()
    other = x.clone()
    other[:, case.d_in // N :] = case.randn(len(x), case.d_in - case.d_in // N, stream="other")
    return (said(base, other) - said(base, x))[:, : case.d_out // N].detach()


@claim(
    statement=r"$\sum_i B_iA_i$ is one LoRA of rank $\sum_i r_i$: under AdamW it ends at the same $W$.",
    source=r"[B_1 … B_n][A_1; …; A_n] = Σ B_iA_i, and AdamW works entry by entry",
    when=r"the scale is the same: $\alpha/r$ of a mini is $n\alpha/(nr)$ of the one",
    cases=SHAPES,
)
def a_sum_of_minis_is_one_lora(case: Case):
    base = case.linear()
    parts = minis(case, base)
    one = joined(case, base, parts)
    train(case, base, parts)
    train(case, base, [one])
    return sum(delta(base, part) for part in parts), delta(base, one)


@misconception(
    of=a_sum_of_minis_is_one_lora,
    statement=r"So is MELoRA: its blocks end at the $W$ of one LoRA of rank $nr$.",
    source="a natural guess; the blocks have 1/n of its numbers",
)
def false_blocks_are_one_lora(case: Case):
    base = case.linear()
    blocks = MELoRAForm(N).build(base, case.factors(), case.spec())
    a, b = torch.block_diag(*blocks.A.detach()), torch.block_diag(*blocks.B.detach())
    one = LowRank(base, Factors(a, b), case.spec())
    train(case, base, [blocks])
    train(case, base, [one])
    return delta(base, blocks), delta(base, one)


@claim(
    statement=r"In the sum, a mini's gradient is its slice of the one LoRA's gradient: all minis are told of one joint "
    r"error (stacked).",
    source="∂L/∂A_i = sB_iᵀG and ∂L/∂B_i = sGA_iᵀ with one G = ∂L/∂W",
    cases=SHAPES,
)
def minis_share_one_error(case: Case):
    base = case.linear()
    parts = minis(case, base)
    train(case, base, parts)
    one = joined(case, base, parts)
    return _gradients(case, base, parts, together=True), _gradients(case, base, [one], together=True)


@misconception(
    of=minis_share_one_error,
    statement=r"They are an ensemble: each mini learns as it would alone.",
    source=f"{TEXT} (“ensemble effect”, “regularisation”); members of an ensemble do not see each other's error",
)
def false_each_mini_learns_on_its_own(case: Case):
    base = case.linear()
    parts = minis(case, base)
    train(case, base, parts)
    one = joined(case, base, parts)
    return _gradients(case, base, parts, together=False), _gradients(case, base, [one], together=True)


def _gradients(case: Case, base: Frozen, parts: Sequence[LowRank], together: bool) -> Tensor:
    for group in [parts] if together else [[part] for part in parts]:
        for part in group:
            part.zero_grad()
        loss(case, base, group).backward()
    a, b = torch.cat([part.A.grad for part in parts]), torch.cat([part.B.grad for part in parts], dim=1)
    return torch.cat([a.flatten(), b.flatten()])


@claim(
    statement=r"$n$ minis of rank $r$ train $r(d_{in}+d_{out})$ numbers: as many as one LoRA of rank $r$, and $n$ "
    r"times fewer than one of the same rank $nr$ (stacked).",
    source=f"{REN}, section 3.3",
    tol=0,
    cases=SHAPES,
)
def melora_trains_n_times_fewer(case: Case):
    numbers = _numbers(trained(case)[1])
    of_rank = [LowRankForm().count(case.d_out, case.d_in, r) for r in (case.r, N * case.r)]
    return torch.tensor([numbers, N * numbers]), torch.tensor(of_rank)


@misconception(
    of=melora_trains_n_times_fewer,
    statement=r"MELoRA trains as many numbers as a LoRA of the same rank.",
    source=f"{TEXT} (“same total parameter count”)",
)
def false_melora_trains_as_many(case: Case):
    numbers = _numbers(trained(case)[1])
    return torch.tensor([numbers]), torch.tensor([LowRankForm().count(case.d_out, case.d_in, N * case.r)])


@misconception(
    of=melora_trains_n_times_fewer,
    statement=r"The rank $r$ is split: each mini has rank $r/n$.",
    source="a third-party implementation; the authors' code gives every mini a rank of its own, and the ranks add up",
)
def false_the_rank_is_split_among_minis(case: Case):
    numbers = _numbers(trained(case)[1])
    return torch.tensor([numbers]), torch.tensor([LowRankForm().count(case.d_out, case.d_in, case.r) / N])


def _numbers(update: Update) -> int:
    return sum(p.numel() for p in update.parameters())


@claim(
    statement=r"$\mathrm{rank}(\Delta W)=\sum_i r_i=nr$: ranks of diagonal blocks add up.",
    source=f"{REN}, section 3.3",
    when=r"$r\le\min(d_{in},d_{out})/n$, and each block has its full rank, as almost all do",
    tol=0,
    cases=SHAPES,
)
def ranks_of_blocks_add_up(case: Case):
    return linalg.matrix_rank(delta(*trained(case)), rtol=1e-10), torch.tensor(N * case.r)


@misconception(
    of=ranks_of_blocks_add_up,
    statement=r"$\mathrm{rank}(\sum_i B_iA_i)=\sum_i r_i$ always.",
    source=f"{TEXT}; an upper bound: here the B_i span the same columns",
)
def false_ranks_of_a_sum_add_up(case: Case):
    base = case.linear()
    one = joined(case, base, minis(case, base))
    one.B.data = case.factors().B.repeat(1, N)
    return linalg.matrix_rank(delta(base, one), rtol=1e-10), torch.tensor(N * case.r)


BETTER_WITH_LESS = Unchecked(
    statement="MELoRA is better than LoRA with 8 to 36 times fewer trained numbers, because its minis differ.",
    source=f"{REN}, section 4",
    reason="GLUE and INSTRUCTEVAL with RoBERTa and LLaMA 2; what a toy layer shows is which updates blocks can fit",
)
