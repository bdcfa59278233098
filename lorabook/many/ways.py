"""Three ways to serve many adapters from the memory beside one base, as bookkeeping: who runs, and what a step costs.

Nothing is computed here. Pages and admission are the library's own (`pages`, `scheduler`); seconds come from `Prices`,
which somebody measured. `simulated.serve` sends a stream of requests through a way.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lorabook.many.pages import Pages
from lorabook.many.scheduler import Request, Scheduler


@dataclass(frozen=True)
class Prices:
    """Seconds: of a step with n requests on one plain model, of a mixed step; and, by rank, to copy or to merge."""

    plain: Callable[[int], float]
    mixed: Callable[[int], float]
    copy: Callable[[int], float]
    merge: Callable[[int], float]


class Way(ABC):
    """One way to serve: requests in, steps out. `scheduler` holds the pool, and who runs."""

    scheduler: Scheduler

    @abstractmethod
    def submit(self, request: Request) -> None:
        """Put a request at the end of the queue."""

    @abstractmethod
    def admit(self, now: float) -> float:
        """Let in who fits now, and return the seconds that loading takes before the next step."""

    @abstractmethod
    def step(self) -> float:
        """Return the seconds in which every running request gets one token."""

    @abstractmethod
    def finish(self, name: object) -> None:
        """Take out a request that has its answer."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many requests have arrived and do not run."""


class Mixed(Way):
    """S-LoRA: adapters of `ranks` beside the caches in one pool, and one step for everybody."""

    def __init__(self, pages: Pages, ranks: Mapping[str, int], batch: int, prices: Prices) -> None:
        self.scheduler, self.prices, self._copied = Scheduler(pages, ranks, batch), prices, dict[str, int]()

    def submit(self, request: Request) -> None:
        self.scheduler.submit(request)

    def admit(self, now: float) -> float:
        new = _fetched(self.scheduler.admit(now), self.scheduler.pages, self._copied)
        return sum(self.prices.copy(self.scheduler.ranks[adapter]) for adapter in new)

    def step(self) -> float:
        return self.prices.mixed(len(self.scheduler.running))

    def finish(self, name: object) -> None:
        self.scheduler.finish(name)

    @property
    def waiting(self) -> int:
        return len(self.scheduler.waiting)


class OneModelEach(Way):
    """A whole merged model for each adapter in use, of `model` rows of the pool; each serves its own requests only."""

    def __init__(self, pages: Pages, ranks: Mapping[str, int], batch: int, prices: Prices, model: int) -> None:
        self.scheduler = Scheduler(pages, dict.fromkeys(ranks, model), batch)
        self.ranks, self.prices, self._made = dict(ranks), prices, dict[str, int]()

    def submit(self, request: Request) -> None:
        self.scheduler.submit(request)

    def admit(self, now: float) -> float:
        new = _fetched(self.scheduler.admit(now), self.scheduler.pages, self._made)
        return sum(self.prices.merge(self.ranks[adapter]) for adapter in new)

    def step(self) -> float:
        served = [request.adapter for request in self.scheduler.running.values()]
        return sum(self.prices.plain(served.count(adapter)) for adapter in set(served))

    def finish(self, name: object) -> None:
        self.scheduler.finish(name)

    @property
    def waiting(self) -> int:
        return len(self.scheduler.waiting)


class InTurn(Way):
    """One model into which the adapter whose turn it is has been merged. The pool has caches alone.

    The turn is that of the request that waits longest. Others of its adapter join while one of those runs with which
    the turn began; then it ends, so that nobody waits for ever.
    """

    def __init__(self, pages: Pages, ranks: Mapping[str, int], batch: int, prices: Prices) -> None:
        self.scheduler, self.ranks, self.prices = Scheduler(pages, {}, batch), dict(ranks), prices
        self.merged: str | None = None
        self._queue: list[Request] = []
        self._first: set[object] = set()

    def submit(self, request: Request) -> None:
        self._queue.append(request)

    def admit(self, now: float) -> float:
        loading, begins = 0.0, not self.scheduler.running and not self.scheduler.waiting and bool(self._queue)
        if begins and self._queue[0].adapter != self.merged:
            self.merged = self._queue[0].adapter
            loading = self.prices.merge(self.ranks[self.merged])
        if begins or self._first:
            for request in [request for request in self._queue if request.adapter == self.merged]:
                self._queue.remove(request)
                self.scheduler.submit(replace(request, adapter=None))
        admitted = self.scheduler.admit(now)
        if begins:
            self._first = {request.name for request in admitted}
        return loading

    def step(self) -> float:
        return self.prices.plain(len(self.scheduler.running))

    def finish(self, name: object) -> None:
        self.scheduler.finish(name)
        self._first.discard(name)

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self.scheduler.waiting)


def _fetched(admitted: Sequence[Request], pages: Pages, known: dict[str, int]) -> list[str]:
    """Return whose adapter came into the pool with these requests, and note its lease."""
    new = [adapter for adapter in {r.adapter: None for r in admitted} if known.get(adapter) != pages.lease(adapter)]
    known.update({adapter: pages.lease(adapter) for adapter in new})
    return new
