"""Exercise: how many waiting requests may start, out of one pool of pages for adapters and caches."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake


@dataclass(frozen=True)
class Queue:
    """Who waits (adapter, rows of cache), the ranks, whose adapter is in the pool, the free pages, and their rows."""

    queue: list[tuple[str, int]]
    ranks: dict[str, int]
    loaded: list[str]
    free: int
    size: int

    @property
    def given(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("queue", "ranks", "loaded", "free", "size")}


NAMES, CASES, LONGEST = ("anna", "ben", "carl", "dora"), 14, 8


def draw_cases(stream: random.Random) -> list[Queue]:
    """Return many queues, for an answer is a small number; in one of them everybody may start."""
    return [_case(stream) for _ in range(CASES)]


def _case(stream: random.Random) -> Queue:
    queue = [(stream.choice(NAMES), stream.randint(2, 9)) for _ in range(LONGEST)]
    ranks = {name: stream.randint(2, 15) for name in NAMES}
    return Queue(queue, ranks, stream.sample(NAMES, stream.randint(0, 2)), stream.randint(6, 26), stream.randint(2, 4))


def _pages(rows: int, size: int) -> int:
    return -(-rows // size)


def _own(c: Queue, adapter: str, cache: int, there: set[str], pages: Callable[[int, int], int]) -> int:
    brought = 0 if adapter in there else pages(c.ranks[adapter], c.size)
    return brought + pages(cache, c.size)


Need = Callable[[Queue, str, int, set[str], Callable[[int, int], int]], int]


def answer(
    c: Queue,
    need: Need = _own,
    pages: Callable[[int, int], int] = _pages,
    there: Callable[[Queue], set[str]] = lambda c: set(c.loaded),
    stops: bool = True,
    spare: int = 0,
) -> float:
    """Return how many from the head of the queue fit. Source: Sheng et al. 2023 (2311.03285), sections 4 and 5."""
    left, known, count = c.free - spare, there(c), 0
    for adapter, cache in c.queue:
        needed = need(c, adapter, cache, known, pages)
        if needed > left:
            if stops:
                break
            continue
        left, count = left - needed, count + 1
        known = known | {adapter}
    return float(count)


def _each(c: Queue, adapter: str, cache: int, there: set[str], pages: Callable[[int, int], int]) -> int:
    return _own(c, adapter, cache, set(c.loaded), pages)


def _together(c: Queue, adapter: str, cache: int, there: set[str], pages: Callable[[int, int], int]) -> int:
    return pages(cache + (0 if adapter in there else c.ranks[adapter]), c.size)


EACH = "Every request brings its adapter, though an earlier one has just brought it. An adapter's pages count once."
NOT_LOADED = "You copy adapters that are in the pool already. Those in `loaded` cost no page."
NO_ADAPTER = "You count caches only. An adapter that is not in the pool takes pages as well: one pool serves both."
NO_CACHE = "You count adapters only. Every request takes pages for its own cache as well: one pool serves both."
ROWS = "You compare rows with pages. A page holds `size` rows."
FLOOR = "You round down. Whoever needs a part of a page holds the whole of it: round up."
TOGETHER = "You round adapter and cache up together. They are two owners and share no page: round each."
SKIPS = "You pass over a request that does not fit and start later ones. First come, first served: stop there."
STRICT = "You keep one page back: a request that needs exactly what is free does start."
MISTAKES = (
    Mistake("each", EACH, {"need": _each}),
    Mistake("not-loaded", NOT_LOADED, {"there": lambda c: set()}),
    Mistake("no-adapter", NO_ADAPTER, {"there": lambda c: set(NAMES)}),
    Mistake("no-cache", NO_CACHE, {"need": lambda c, a, cache, there, pages: _own(c, a, 0, there, pages)}),
    Mistake("rows", ROWS, {"pages": lambda rows, size: rows}),
    Mistake("floor", FLOOR, {"pages": lambda rows, size: rows // size}),
    Mistake("together", TOGETHER, {"need": _together}, points=0.5),
    Mistake("skips", SKIPS, {"stops": False}),
    Mistake("strict", STRICT, {"spare": 1}, points=0.5),
)

EXERCISE = Exercise(
    title="Who may start?",
    function="let_in",
    difficulty=3,
    minutes=10,
    prompt=(
        "Write `let_in(queue, ranks, loaded, free, size)`: how many requests from the head of the queue may start "
        "now. `queue` is a list of (adapter, rows of cache) in order of arrival, `ranks` gives each adapter's rank, "
        "`loaded` names the adapters whose pages are in the pool and stay there, `free` is the number of free pages, "
        "and a page has `size` rows. Who does not fit holds up everybody behind."
    ),
    hints=(
        "Walk along the queue with the pages that are left. What does the second request of one customer cost?",
        "A request costs the pages of its cache, and those of its adapter unless it is there. Rows to pages: round up, "
        "each on its own.",
        "`-(-rows // size)` rounds up. Put each adapter that you let in into a set that begins as `set(loaded)`; "
        "`break` at the first that does not fit.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
