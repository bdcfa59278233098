"""S-LoRA's scheduler: who is served next, out of one pool of pages, and who is told early that it will be too late."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from lorabook.core.whole_number import refuse_unless_whole
from lorabook.many.pages import Pages, PoolFull


@dataclass(frozen=True)
class Request:
    """A prompt for one adapter (None: the bare base). `rows` is its prompt and answer together, in KV-cache rows."""

    name: Hashable
    adapter: str | None
    arrival: float
    rows: int


@dataclass(frozen=True)
class InTime:
    """A promise about the first token: at most `promised` seconds after arrival.

    `after(k)` is how many seconds from now a request gets its first token if k others go before it. It must not shrink
    as k grows. Measure it, e.g. step·(1 + k // batch).
    """

    promised: float
    after: Callable[[int], float]

    def __post_init__(self) -> None:
        if not self.promised > 0:
            raise ValueError(
                f"the promise is {self.promised!r} seconds; it must be above 0, or no request can be served"
            )


def latest_in_time(arrivals: Sequence[float], now: float, promise: InTime) -> int:
    """Return how many of the *latest* requests can all be in time if they are served in order of arrival.

    arrivals[-l:] can, if now + after(k) ≤ arrivals[-l + k] + promised for every k < l. No other choice of requests has
    more of them in time: put the latest l in the places of any l, and each deadline is as late or later.

    Source: Sheng et al. 2023 (S-LoRA, 2311.03285), the appendix on admission control; the argument in a line is above.
    """
    most = 0
    for count in range(1, len(arrivals) + 1):
        kept = arrivals[len(arrivals) - count :]
        if any(now + promise.after(k) > arrival + promise.promised for k, arrival in enumerate(kept)):
            break  # with one more in front, none of these waits is shorter
        most = count
    return most


class Scheduler:
    """Requests in, batches out, with nothing random and no clock of its own: the same calls give the same answers.

    A request is admitted when its adapter's pages and the pages of its whole KV cache fit into the pool beside what is
    pinned, and the batch has fewer than `batch` rows. Pages for the longest answer are set aside at once, so a request
    that was admitted never waits for memory again. Who came first is admitted first: a large request at the head holds
    up the others and can never be starved by them.

    Source: Sheng et al. 2023 (S-LoRA, 2311.03285), sections 4 and 5, and the appendix on admission control.
    """

    def __init__(self, pages: Pages, ranks: Mapping[str, int], batch: int, promise: InTime | None = None) -> None:
        refuse_unless_whole("batch", batch)
        self.pages, self.ranks, self.batch, self.promise = pages, dict(ranks), batch, promise
        self.waiting: list[Request] = []
        self.running: dict[Hashable, Request] = {}

    def submit(self, request: Request) -> None:
        """Put a request at the end of the queue.

        Raises:
            ValueError: an unknown adapter (the message lists the known), rows < 1, a name that is in use, or an arrival
                before that of the last request.
            PoolFull: the request would not fit into an empty pool.
        """
        if request.adapter is not None and request.adapter not in self.ranks:
            known = ", ".join(map(repr, list(self.ranks)[:20])) + (" …" if len(self.ranks) > 20 else "")
            raise ValueError(
                f"request {request.name!r} is for adapter {request.adapter!r}, which is not one of {known}; None means "
                "the bare base"
            )
        if request.rows < 1:
            raise ValueError(f"request {request.name!r} has rows = {request.rows}; prompt and answer are 1 or more")
        if request.name in self.running or any(request.name == other.name for other in self.waiting):
            raise ValueError(f"a request named {request.name!r} is waiting or running: give each its own name")
        if self.waiting and request.arrival < self.waiting[-1].arrival:
            raise ValueError(
                f"request {request.name!r} arrives at {request.arrival}, before the last one "
                f"({self.waiting[-1].arrival}): submit in order of arrival"
            )
        needed = sum(self.pages.needed(rows) for rows in self._wanted(request).values())
        if needed > self.pages.count:
            raise PoolFull(
                f"request {request.name!r} needs {needed} pages for its adapter and its cache, and the whole pool has "
                f"{self.pages.count}: shorten it, or build a larger pool"
            )
        self.waiting.append(request)

    def admit(self, now: float) -> list[Request]:
        """Move to `running`, first come first, the requests that fit now, and return them. Call between two steps."""
        admitted = []
        while self.waiting and len(self.running) < self.batch:
            wanted = self._wanted(self.waiting[0])
            if self.waiting[0].arrival > now or not self.pages.fits(wanted):
                break
            request = self.waiting.pop(0)
            self.pages.hold(wanted)
            self.running[request.name] = request
            admitted.append(request)
        return admitted

    def abort(self, now: float) -> list[Request]:
        """Take out of the queue, and return, the requests that cannot be in time: all but the latest that can.

        Call before `admit`. Without a promise nobody is aborted, however long the queue.
        """
        here = [request for request in self.waiting if request.arrival <= now]
        if self.promise is None or not here:
            return []
        kept = latest_in_time([request.arrival for request in here], now, self.promise)
        aborted, self.waiting = self.waiting[: len(here) - kept], self.waiting[len(here) - kept :]
        return aborted

    def finish(self, name: Hashable) -> None:
        """Give back what a running request held. Its adapter stays in the pool until its pages are needed.

        Raises:
            ValueError: no such request is running.
        """
        if name not in self.running:
            raise ValueError(f"request {name!r} is not running; running are {', '.join(map(repr, self.running))}")
        owners = list(self._wanted(self.running.pop(name)))
        self.pages.let_go(owners)
        self.pages.drop(owners[-1])

    def _wanted(self, request: Request) -> dict[Hashable, int]:
        """Return owner → rows: the adapter, if any, and last the request's own cache."""
        adapter = {} if request.adapter is None else {request.adapter: self.ranks[request.adapter]}
        return {**adapter, ("cache", request.name): request.rows}
