"""What is true of S-LoRA's early abort, and of waiting in line."""

from itertools import accumulate, combinations

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.many.pages import Pages
from lorabook.many.scheduler import InTime, Request, Scheduler, latest_in_time

SOURCE = "Sheng et al. 2023 (S-LoRA, 2311.03285), the appendix on admission control"
BATCH, QUEUES = 2, 12


def queues(case: Case) -> list[tuple[list[float], float, InTime]]:
    """Return queues of eight arrivals, the time now, and a promise; k others in front cost ⌊k / batch⌋ more steps."""
    g = case.generator("queues")
    drawn = []
    for _ in range(QUEUES):
        arrivals = [float(t) for t in accumulate(torch.randint(0, 2, (8,), generator=g).tolist())]
        promise = InTime(float(torch.randint(3, 7, (), generator=g)), lambda k: 1.0 + k // BATCH)
        drawn.append((arrivals, arrivals[-1] + float(torch.randint(0, 2, (), generator=g)), promise))
    return drawn


def most_in_time(arrivals: list[float], now: float, promise: InTime) -> int:
    """Return the size of the largest choice of requests that are all in time, by trying every choice."""

    def in_time(chosen: tuple[float, ...]) -> bool:
        return all(now + promise.after(k) <= arrival + promise.promised for k, arrival in enumerate(chosen))

    counts = range(len(arrivals) + 1)
    return max(n for n in counts if any(in_time(some) for some in combinations(arrivals, n)))


@claim(
    statement="No choice of waiting requests has more of them in time than the *latest* that can be, served in order "
    "of arrival: the older ones are aborted early.",
    source=f"{SOURCE}; against every choice there is",
    when="one promise holds for all, and a request's wait depends only on how many go before it",
)
def the_latest_are_the_most_that_can_be_in_time(case: Case) -> tuple[Tensor, Tensor]:
    drawn = queues(case)
    return torch.tensor([latest_in_time(*q) for q in drawn]), torch.tensor([most_in_time(*q) for q in drawn])


@misconception(
    of=the_latest_are_the_most_that_can_be_in_time,
    statement="First come, first served: with nobody aborted, as many are in time.",
    source="fairness taken for throughput; under load all wait for requests that are too late already",
)
def false_waiting_in_line_is_as_good(case: Case) -> tuple[Tensor, Tensor]:
    counts = []
    for arrivals, now, promise in queues(case):
        after = enumerate(arrivals)
        counts.append(sum(now + promise.after(k) <= arrival + promise.promised for k, arrival in after))
    return torch.tensor(counts), torch.tensor([most_in_time(*q) for q in queues(case)])


@claim(
    statement="Whoever is admitted holds the pages of its adapter and of its longest answer, and so never waits for "
    "memory again. An adapter's pages count once, however many requests use it.",
    source=f"{SOURCE}; pages that are pinned against a sum over who runs, at 40 moments",
)
def admission_is_a_sum_of_pages(case: Case) -> tuple[Tensor, Tensor]:
    pinned, needed, _ = _day(case)
    return pinned, needed


@misconception(
    of=admission_is_a_sum_of_pages,
    statement="Every request brings its adapter with it: memory is the sum of the ranks of all that run.",
    source="counting requests for adapters",
)
def false_every_request_brings_its_adapter(case: Case) -> tuple[Tensor, Tensor]:
    _, needed, by_request = _day(case)
    return by_request, needed


def _day(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Return at 40 moments: rows that are pinned, rows that those who run need, and the same with ranks per request."""
    ranks, g = {"anna": case.r, "ben": case.r + 2, "carl": 1}, case.generator("asked")
    scheduler = Scheduler(Pages(case.r + 12), ranks, batch=5)
    for name in range(16):
        adapter = list(ranks)[int(torch.randint(3, (), generator=g))]
        scheduler.submit(Request(name, adapter, float(name // 3), int(torch.randint(1, 5, (), generator=g))))
    pinned, needed, by_request = [], [], []
    for now in range(40):
        scheduler.admit(float(now))
        pages, running = scheduler.pages, list(scheduler.running.values())
        caches = sum(request.rows for request in running)
        pinned.append(sum(len(pages.rows(owner)) for owner in pages.owners if pages.is_pinned(owner)))
        needed.append(caches + sum(ranks[adapter] for adapter in {request.adapter for request in running}))
        by_request.append(caches + sum(ranks[request.adapter] for request in running))
        if running and now % 2:
            scheduler.finish(running[0].name)
    return torch.tensor(pinned), torch.tensor(needed), torch.tensor(by_request)
