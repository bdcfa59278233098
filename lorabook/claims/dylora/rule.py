"""Which rows a step of DyLoRA trains, and who chooses the rank: nobody but the reader."""

import random
from itertools import repeat

import torch
from torch import Tensor, nn

from lorabook.axes.form.dylora import LastRowOnly, Nested, NestedLowRank, truncate
from lorabook.axes.rule.dylora import DyLoRA, SampledRank
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dylora.cut import DEEP, VALIPOUR, cuts, nested, small
from lorabook.core.adapted_layer import adapted
from lorabook.core.fit import fit
from lorabook.core.frozen import Frozen
from lorabook.core.inject import inject
from lorabook.core.lora import LowRank

TEXT = "a teaching text"


def gradients(case: Case, base: Frozen, update: Nested | LowRank) -> Tensor:
    """Return the gradient of a loss, a row for each of the r ranks: row i of A, and column i of B beside it."""
    loss = (update(base, case.x()) - case.randn(11, case.d_out, stream="target")).square().mean()
    a, b = torch.autograd.grad(loss, [update.A, update.B])
    rows = torch.cat([a, b.T], dim=1)
    return torch.cat([rows, rows.new_zeros(case.r - len(rows), rows.shape[1])])


@claim(
    statement=r"A step at rank $b$ is the step of a LoRA of rank $b$: the same gradient, and none beyond row $b$.",
    source=f"{VALIPOUR}, algorithm 1",
    cases=DEEP,
)
def a_step_trains_one_rank(case: Case):
    ranks = range(1, case.r + 1)
    ours = [gradients(case, *nested(case, b=b)) for b in ranks]
    return torch.stack(ours), torch.stack([gradients(case, case.linear(), small(case, b)) for b in ranks])


@misconception(
    of=a_step_trains_one_rank,
    statement=r"DyLoRA trains all ranks simultaneously: each step is the mean of the steps of ranks $1\dots r$.",
    source=f"{TEXT}; it is so on average over the draws: one step has one rank",
)
def false_a_step_trains_all_ranks(case: Case):
    ours, loras = a_step_trains_one_rank(case)
    return ours, loras.mean(0).expand_as(loras)


def drawn(case: Case, steps: int) -> Tensor:
    """Return the rank of each step, as the library's rule draws them."""
    _, update = nested(case)
    rule, ranks = SampledRank(update, 1, case.r, seed=case.seed), []
    rule.begin(steps + 1)
    for t in range(steps):
        ranks.append(update.b)
        rule.after_step(t)
    return torch.tensor(ranks)


def shares(case: Case) -> tuple[Tensor, Tensor]:
    """Return in which share of the steps each row but the first is trained, and the standard error of that."""
    ranks = drawn(case, 3000)
    measured = torch.stack([(ranks > i).double().mean() for i in range(1, case.r)])
    return measured, (measured * (1 - measured) / len(ranks)).sqrt()


@claim(
    statement=r"Over many steps row $i$ is trained in the share $\frac{r-i+1}{r}$ of them: all ranks in turn, the "
    r"early rows most.",
    source=f"{VALIPOUR}, algorithm 1 with evenly drawn ranks: row i trains when b ≥ i",
    relation="~",
    when=r"$b$ is drawn evenly from $1\dots r$; in one step one rank trains",
    cases=DEEP,
)
def early_rows_train_most(case: Case):
    measured, error = shares(case)
    return measured, torch.tensor([(case.r - i) / case.r for i in range(1, case.r)]), error


@misconception(
    of=early_rows_train_most,
    statement=r"All rows are trained equally often.",
    source="true of the ranks that are drawn, and of the rows in the frozen form only",
)
def false_rows_train_equally(case: Case):
    measured, error = shares(case)
    return measured, torch.full_like(measured, (case.r + 1) / (2 * case.r)), error


@claim(
    statement=r"In the frozen form row $b$ alone gets a gradient, the one that it gets in the main form.",
    source=f"{VALIPOUR}, equations 8 and 9",
    cases=DEEP,
)
def the_frozen_form_moves_one_row(case: Case):
    ranks = range(1, case.r + 1)
    ours = torch.stack([gradients(case, *nested(case, LastRowOnly, b)) for b in ranks])
    main = torch.stack([gradients(case, *nested(case, NestedLowRank, b)) for b in ranks])
    return ours, main * torch.eye(case.r, dtype=main.dtype)[:, :, None]


@claim(
    statement=r"So the training of a larger rank in the frozen form leaves the smaller cuts as they were.",
    source=f"{VALIPOUR}, section 3.2",
    cases=DEEP,
)
def the_frozen_form_leaves_smaller_cuts_alone(case: Case):
    return _smaller_cuts_around_a_step(case, LastRowOnly)


@misconception(
    of=the_frozen_form_leaves_smaller_cuts_alone,
    statement=r"In the main form too: nested cuts do not disturb each other.",
    source="a step at rank b moves all b rows, and every smaller cut is made of them",
)
def false_the_main_form_leaves_smaller_cuts_alone(case: Case):
    return _smaller_cuts_around_a_step(case, NestedLowRank)


def _smaller_cuts_around_a_step(case: Case, form: type[Nested]) -> tuple[Tensor, Tensor]:
    base, update = nested(case, form)
    before = cuts(base, update)
    truncate(update, case.r)
    g = gradients(case, base, update)
    with torch.no_grad():
        update.A -= g[:, : case.d_in]
        update.B -= g[:, case.d_in :].T
    return before[:-1], cuts(base, update)[:-1]


def trained(case: Case) -> tuple[nn.Module, Tensor]:
    """Train DyLoRA on a task that needs rank 1; return the model, the rank of each step and the one after the last."""
    layer = nn.Linear(case.d_in, case.d_out, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(case.w0())
    model = nn.Sequential(layer)
    update = inject(model, DyLoRA(case.r, case.alpha), "0", case.generator("inject"))["0"].update
    wanted = case.w0() + torch.outer(case.randn(case.d_out, stream="u"), case.randn(case.d_in, stream="v"))
    batch, ranks = (case.x(), case.x() @ wanted.T), []

    def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        ranks.append(update.b)
        return (model(batch[0]) - batch[1]).square().mean()

    fit(model, repeat(batch), steps=8, lr=0.02, loss=squared, progress=False)
    return model, torch.tensor([*ranks, update.b])


@claim(
    statement=r"The ranks are drawn by a seed before any data is seen, and a run ends at $r_{max}$, whatever the "
    r"task is.",
    source=f"{VALIPOUR}, algorithm 1: there is no score of a rank in it (AdaLoRA has one)",
)
def the_ranks_do_not_depend_on_the_data(case: Case):
    draw = random.Random(0)
    return trained(case)[1], torch.tensor([draw.randint(1, case.r) for _ in range(8)] + [case.r])


@misconception(
    of=the_ranks_do_not_depend_on_the_data,
    statement=r"DyLoRA selects the most efficient rank by itself: on a task that needs rank 1 it settles there.",
    source=f"{TEXT}; the reader selects, say on held-out data, after one run for all ranks",
)
def false_dylora_selects_the_rank(case: Case):
    ranks = trained(case)[1]
    return ranks[-1:], torch.tensor([1])


@claim(
    statement=r"After one run every rank can be used: at $b$ the model is the one with a plain LoRA of rank $b$, and "
    r"going back to $r$ loses nothing.",
    source=f"{VALIPOUR}, section 3; whether rank b is good enough is measured in the tests, on tasks",
    when=r"somebody chooses $b$; nothing is trained again",
)
def every_rank_is_there_after_one_run(case: Case):
    model, _ = trained(case)
    layer, x, outputs, expected = adapted(model)["0"], case.x(), [], []
    a, b = layer.update.A, layer.update.B
    for rank in (*range(1, case.r + 1), case.r):
        truncate(model, rank)
        outputs.append(model(x))
        expected.append(layer.base(x) + case.alpha / rank * x @ a[:rank].T @ b[:, :rank].T)
    return torch.stack(outputs), torch.stack(expected)
