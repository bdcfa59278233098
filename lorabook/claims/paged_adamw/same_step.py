"""What paging does to AdamW (nothing), to its state (it moves), and what it costs (page traffic)."""

from collections.abc import Callable

import torch
from torch import Tensor

from lorabook.axes.optim.paged import PagedAdamW
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked

QLORA = "Dettmers et al. 2023 (2305.14314), section 3"
PAGE, LR, DECAY, STEPS = 32, 0.05, 0.1, 6


def factors(case: Case) -> list[Tensor]:
    """Return A and B as parameters, the same numbers at every call."""
    start = case.factors()
    return [torch.nn.Parameter(start.A.clone()), torch.nn.Parameter(start.B.clone())]


def give_gradients(case: Case, parameters: list[Tensor], t: int) -> None:
    """Set the gradients of step t."""
    for i, p in enumerate(parameters):
        p.grad = case.randn(*p.shape, stream=f"gradient {t} {i}")


def paged(case: Case, share: float = 0.5) -> tuple[list[Tensor], PagedAdamW]:
    """Return factors and a paged AdamW on them with room for a share of its pages."""
    parameters = factors(case)
    count = PagedAdamW(parameters, LR, page=PAGE, budget=PAGE).pages.count
    budget = max(1, int(share * count)) * PAGE
    return parameters, PagedAdamW(parameters, LR, page=PAGE, budget=budget, weight_decay=DECAY)


def flat(tensors: list[Tensor]) -> Tensor:
    """Return every number in one row."""
    return torch.cat([t.detach().flatten() for t in tensors])


def plain_after_training(case: Case, on_moment: Callable[[Tensor], object] = lambda moment: None) -> Tensor:
    """Return the factors after torch's own AdamW; `on_moment` is called on each moment after each step."""
    parameters = factors(case)
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=DECAY, foreach=False)
    for t in range(STEPS):
        give_gradients(case, parameters, t)
        optimizer.step()
        for state in optimizer.state.values():
            on_moment(state["exp_avg"])
            on_moment(state["exp_avg_sq"])
    return flat(parameters)


@claim(
    statement=r"Paged AdamW is AdamW: the same numbers after every step, though the state has room for half of its "
    r"pages, and in the middle of the run a spike leaves room for one.",
    source=f"{QLORA}; the update is made entry by entry, and pages only say where an entry's moments lie",
    tol=1e-13,
)
def paged_adamw_is_adamw(case: Case):
    parameters, optimizer = paged(case)
    for t in range(STEPS):
        if t == STEPS // 2:
            optimizer.pages.resize(PAGE)
        give_gradients(case, parameters, t)
        optimizer.step()
    return flat(parameters), plain_after_training(case)


@misconception(
    of=paged_adamw_is_adamw,
    statement=r"A paged optimiser saves memory by keeping its moments in 8 bits.",
    source="paged and 8-bit optimisers carry one name in bitsandbytes (PagedAdamW8bit) and are two ideas",
)
def false_paging_keeps_moments_in_eight_bits(case: Case):
    def round_to_eight_bits(moment: Tensor) -> None:
        step = moment.abs().max() / 127
        moment.div_(step).round_().mul_(step)

    parameters, optimizer = paged(case)
    for t in range(STEPS):
        give_gradients(case, parameters, t)
        optimizer.step()
    return flat(parameters), plain_after_training(case, round_to_eight_bits)


@claim(
    statement=r"Fast memory never holds more state than the budget, in the step as between steps.",
    source="a page is brought in only after room was made for it",
    relation="<=",
    tol=0.0,
)
def resident_state_stays_within_the_budget(case: Case):
    parameters, optimizer = paged(case)
    give_gradients(case, parameters, 0)
    optimizer.step()
    peak, budget = optimizer.pages.traffic.peak, optimizer.pages.budget
    return torch.tensor([float(peak), float(optimizer.pages.resident)]), torch.tensor([float(budget)] * 2)


@misconception(
    of=resident_state_stays_within_the_budget,
    statement=r"Paging makes AdamW's state smaller.",
    source="it moves the state, two numbers for each trained one, and shrinks nothing",
)
def false_paging_makes_the_state_smaller(case: Case):
    parameters, optimizer = paged(case)
    give_gradients(case, parameters, 0)
    optimizer.step()
    moments = sum(m.nbytes + v.nbytes for m, v in map(optimizer.moments, parameters))
    return torch.tensor([float(moments)]), torch.tensor([float(optimizer.pages.budget)])


@claim(
    statement=r"With room for $k$ of $n$ pages, each step after the first brings in $n-k$: sweeps run forwards and "
    r"backwards in turn, so a sweep begins with the pages that the last one left.",
    source="least recently used, on a sequence that turns round",
)
def a_sweep_that_turns_round_misses_n_minus_k_pages(case: Case):
    parameters, optimizer = paged(case)
    ins = []
    for t in range(4):
        before = optimizer.pages.traffic.ins
        give_gradients(case, parameters, t)
        optimizer.step()
        ins.append(optimizer.pages.traffic.ins - before)
    n, k = optimizer.pages.count, optimizer.pages.budget // PAGE
    return torch.tensor(ins[1:]), torch.full((3,), n - k)


@misconception(
    of=a_sweep_that_turns_round_misses_n_minus_k_pages,
    statement=r"With room for half of the pages, half of the accesses are hits, whichever way the state is swept.",
    source="swept in one direction, least recently used throws out each page just before its turn: no hit at all",
)
def false_a_sweep_in_one_direction_misses_n_minus_k_pages(case: Case):
    _, optimizer = paged(case)
    pages, ins = optimizer.pages, []
    for _ in range(4):
        before = pages.traffic.ins
        for _ in pages.sweep(range(pages.count)):
            pass
        ins.append(pages.traffic.ins - before)
    return torch.tensor(ins[1:]), torch.full((3,), pages.count - pages.budget // PAGE)


UNIFIED_MEMORY_PAGES_BY_ITSELF = Unchecked(
    statement="With CUDA's unified memory the driver moves the optimiser's pages when the device runs short; no line "
    "of the training code asks for it.",
    source=QLORA,
    reason="it needs a CUDA device and its driver's page faults; here the same is done with an explicit budget",
)
