"""A stream of requests through one way to serve, in simulated time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lorabook.many.scheduler import Request
from lorabook.many.ways import Way

SHORTEST, LONGEST = 16, 112
"""Tokens of an answer."""


@dataclass(frozen=True)
class Asked:
    """A request, and how many tokens its answer has."""

    request: Request
    tokens: int


@dataclass(frozen=True)
class Span:
    """Steps in which the same requests ran: when they began, seconds of loading before them and of each, their count.

    Nobody ran where `rows` is 0; then `step` is how long.
    """

    start: float
    loading: float
    step: float
    steps: int
    rows: int
    waiting: int

    @property
    def end(self) -> float:
        return self.start + self.loading + self.steps * self.step


@dataclass(frozen=True)
class Served:
    """What became of a stream: its spans, and when each request that was served got its first token."""

    spans: tuple[Span, ...]
    first: dict[object, float]

    @property
    def tokens(self) -> int:
        """How many tokens were given."""
        return sum(span.steps * span.rows for span in self.spans)


def stream(
    rate: float, seconds: float, adapters: int, cache: Callable[[int], int], generator: torch.Generator
) -> list[Asked]:
    """Return requests that arrive at random, `rate` a second, each for one of the adapters "1", "2", …

    Adapter k is asked for in proportion to 1/k (Zipf's law), an answer's length is drawn evenly, and cache(tokens) is
    the pages that prompt and answer take. With one seed a higher rate brings the same requests sooner.
    """
    popular = (1 / torch.arange(1, adapters + 1, dtype=torch.float64)).cumsum(0)
    drawn: list[Asked] = []
    arrival = 0.0
    while True:
        wait, who, length = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        arrival -= math.log1p(-wait) / rate
        if arrival >= seconds:
            return drawn
        adapter = 1 + int(torch.searchsorted(popular, who * popular[-1]))
        tokens = SHORTEST + int(length * (LONGEST + 1 - SHORTEST))
        drawn.append(Asked(Request(len(drawn), str(adapter), arrival, cache(tokens)), tokens))


def serve(way: Way, stream: Sequence[Asked], until: float, look: Callable[[Span], None]) -> Served:
    """Send a stream through a way until `until` seconds have passed, and `look` at it in every span."""
    now, coming, spans, first = 0.0, list(stream), [], dict[object, float]()
    left: dict[object, int] = {}
    while now < until:
        while coming and coming[0].request.arrival <= now:
            asked = coming.pop(0)
            way.submit(asked.request)
            left[asked.request.name] = asked.tokens
        loading = way.admit(now)
        running, later = list(way.scheduler.running), coming[0].request.arrival if coming else until
        if not running:
            span = Span(now, 0.0, later - now, 1, 0, way.waiting)
        else:
            step = way.step()
            steps = min(min(left[name] for name in running), max(1, math.ceil((later - now - loading) / step)))
            span = Span(now, loading, step, steps, len(running), way.waiting)
        spans.append(span)
        look(span)
        for name in running:
            first.setdefault(name, now + loading + span.step)
            left[name] -= span.steps
            if not left[name]:
                way.finish(name)
        now = span.end
    return Served(tuple(spans), first)
