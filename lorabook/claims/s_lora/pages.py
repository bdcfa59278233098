"""What is true of adapters in pages, and what is often said instead."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.many.bank import bank, serving
from lorabook.many.pages import Pages, PoolFull
from lorabook.many.pair import Pair

SOURCE = "Sheng et al. 2023 (S-LoRA, 2311.03285), section 5 (Unified Paging)"
ROWS, STEPS = 48, 120


def day(case: Case) -> list[tuple[bool, int, int]]:
    """Return a random history: does somebody come or go, who of those present goes, how many rows who comes wants."""
    draws = torch.rand(STEPS, 3, generator=case.generator(f"day{case.r}"), dtype=torch.float64)
    return [(bool(come < 0.6), int(who * 1000), 1 + int(rows * 12)) for come, who, rows in draws]


def granted_in_pages(case: Case) -> tuple[list[int], list[int]]:
    """Play the day on pages of one row; return whether each arrival got its rows, and whether as many were free."""
    pages = Pages(ROWS)
    granted, enough = [], []
    for name, (comes, who, rows) in enumerate(day(case)):
        if comes:
            enough.append(int(rows <= pages.free))
            try:
                pages.hold({name: rows})
                granted.append(1)
            except PoolFull:
                granted.append(0)
        elif pages.owners:
            gone = pages.owners[who % len(pages.owners)]
            pages.let_go([gone])
            pages.drop(gone)
    return granted, enough


def granted_in_one_piece(case: Case) -> tuple[list[int], list[int]]:
    """Play the same day on memory that gives each owner the first run of adjoining rows that is long enough."""
    runs: dict[int, range] = {}
    granted, enough = [], []
    for name, (comes, who, rows) in enumerate(day(case)):
        if comes:
            used = {row for run in runs.values() for row in run}
            enough.append(int(rows <= ROWS - len(used)))
            starts = [s for s in range(ROWS - rows + 1) if used.isdisjoint(range(s, s + rows))]
            granted.append(int(bool(starts)))
            if starts:
                runs[name] = range(starts[0], starts[0] + rows)
        elif runs:
            del runs[list(runs)[who % len(runs)]]
    return granted, enough


@claim(
    statement="With pages, whoever asks for no more than what is free gets it: free pages need not adjoin.",
    source=f"{SOURCE}; a random day of adapters that come and go, page size 1",
)
def free_pages_are_all_usable(case: Case) -> tuple[Tensor, Tensor]:
    granted, enough = granted_in_pages(case)
    return torch.tensor(granted), torch.tensor(enough)


@misconception(
    of=free_pages_are_all_usable,
    statement="One run of adjoining rows for each adapter does as well: what is free in total is what counts.",
    source="allocation as if adapters of different rank never left gaps (first fit, the same day)",
)
def false_adjoining_rows_do_as_well(case: Case) -> tuple[Tensor, Tensor]:
    granted, enough = granted_in_one_piece(case)
    return torch.tensor(granted), torch.tensor(enough)


@claim(
    statement=r"Pages of $p$ rows lose at most $p-1$ rows to each adapter, and with $p=1$ none.",
    source=f"{SOURCE}; the last page of each owner is the only one that may be partly empty",
    relation="<=",
)
def a_page_loses_less_than_itself(case: Case) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([1, 2, 3, 4, 6])
    lost = [_lost_per_owner(case, size) for size in sizes.tolist()]
    return torch.stack(lost), sizes - 1.0


@misconception(
    of=a_page_loses_less_than_itself,
    statement="Paging does away with fragmentation, whatever the page size.",
    source="what paging does to gaps between owners, said of the rest of an owner's last page",
)
def false_no_page_loses_anything(case: Case) -> tuple[Tensor, Tensor]:
    lost = [_lost_per_owner(case, size) for size in (1, 2, 3, 4, 6)]
    return torch.stack(lost), torch.zeros(5)


def _lost_per_owner(case: Case, size: int) -> Tensor:
    pages = Pages(ROWS, size)
    ranks = torch.randint(1, 13, (6,), generator=case.generator("ranks")).tolist()
    pages.hold(dict(enumerate([*ranks, size + 1])))
    return torch.tensor(pages.lost_rows / len(pages.owners))


@claim(
    statement="One pool for adapters and KV caches takes in whatever fits in all; with half of it for each, large "
    "adapters with short answers, or the other way round, are refused while memory is free.",
    source=SOURCE,
    when="adapters and caches share one pool: pages for adapters alone are only half of Unified Paging",
)
def one_pool_serves_both(case: Case) -> tuple[Tensor, Tensor]:
    batches = _batches(case)
    together = [Pages(ROWS).fits({"adapter": rank, "cache": rows}) for rank, rows in batches]
    return torch.tensor(together).double(), torch.tensor([rank + rows <= ROWS for rank, rows in batches]).double()


@misconception(
    of=one_pool_serves_both,
    statement="A pool for adapters beside a pool for caches, each half as large, takes in the same batches.",
    source="Unified Paging described as paged storage of adapters, without the KV cache",
)
def false_two_pools_serve_the_same(case: Case) -> tuple[Tensor, Tensor]:
    batches, half = _batches(case), ROWS // 2
    apart = [Pages(half).fits({"a": rank}) and Pages(half).fits({"c": rows}) for rank, rows in batches]
    return torch.tensor(apart).double(), torch.tensor([rank + rows <= ROWS for rank, rows in batches]).double()


def _batches(case: Case) -> list[tuple[int, int]]:
    sizes = torch.randint(1, ROWS, (40, 2), generator=case.generator("batches")).tolist()
    return [(rank, rows) for rank, rows in sizes]


@claim(
    statement="All adapters stay in main memory, and one is copied into the pool when a batch needs it and it is not "
    r"there: with room for $c$ adapters of one rank, at every request whose adapter was last requests for $c$ or more "
    "*other* adapters ago.",
    source=f"{SOURCE}; least recently used: Mattson et al. 1970, stack distances counted in the list of requests alone",
)
def an_adapter_is_copied_when_it_is_not_there(case: Case) -> tuple[Tensor, Tensor]:
    requests = torch.randint(5, (60,), generator=case.generator("asked")).tolist()
    return torch.tensor([_loads(case, requests, room) for room in (1, 2, 3, 4)]), _misses(requests)


@misconception(
    of=an_adapter_is_copied_when_it_is_not_there,
    statement="Every request copies its adapter in: that is what loading on demand costs.",
    source="serving without a pool that keeps what it has",
)
def false_every_request_copies_its_adapter(case: Case) -> tuple[Tensor, Tensor]:
    requests = torch.randint(5, (60,), generator=case.generator("asked")).tolist()
    return torch.full((4,), len(requests)), _misses(requests)


def _loads(case: Case, requests: list[int], room: int) -> int:
    """Serve one request after another from a pool with room for `room` adapters, and return the copies made."""
    pairs = {str(i): {"0": Pair(torch.ones(2, case.d_in), torch.ones(case.d_out, 2), 1.0)} for i in range(5)}
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out))
    shared_bank = bank(model, pairs, pages=2 * room)
    for i in requests:
        with serving(model, [str(i)]):
            pass
    return shared_bank.loads


def _misses(requests: list[int]) -> Tensor:
    """Return, for room 1 to 4, the requests whose adapter is new or was last asked for too many others ago."""
    distances = []
    for n, adapter in enumerate(requests):
        others: set[int] = set()
        for earlier in reversed(requests[:n]):
            if earlier == adapter:
                distances.append(len(others))
                break
            others.add(earlier)
        else:
            distances.append(ROWS)  # never requests for before
    return torch.tensor([sum(distance >= room for distance in distances) for room in (1, 2, 3, 4)])
