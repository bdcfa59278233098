"""Requests through three ways to serve, in simulated time: who runs, who waits, and what it costs."""

import pytest
import torch

from lorabook.many.pages import Pages
from lorabook.many.scheduler import Request
from lorabook.many.simulated import LONGEST, SHORTEST, Asked, Served, Span, serve, stream
from lorabook.many.ways import InTurn, Mixed, OneModelEach, Prices, Way

PAID = Prices(plain=lambda n: 1.0, mixed=lambda n: 2.0, copy=lambda r: 0.25 * r, merge=lambda r: 0.5 * r)
RANKS = {"anna": 2, "ben": 4}


def asked(*those: tuple[str, float, int], cache: int = 1) -> list[Asked]:
    return [Asked(Request(n, adapter, at, cache), tokens) for n, (adapter, at, tokens) in enumerate(those)]


def played(way: Way, requests: list[Asked], until: float = 100.0) -> tuple[Served, list[Span]]:
    seen: list[Span] = []
    return serve(way, requests, until, seen.append), seen


def test_mixed_two_customers_share_steps_and_an_adapter_is_copied_once() -> None:
    way = Mixed(Pages(8), RANKS, 4, PAID)
    served, _ = played(way, asked(("anna", 0, 2), ("ben", 0, 3), ("anna", 20, 1)))
    first, second, third = served.spans[:3]
    assert (first.rows, first.steps, first.loading, first.step) == (2, 2, 0.5 + 1.0, 2.0)
    assert (second.rows, second.steps, second.loading) == (1, 1, 0.0)
    assert (third.rows, third.end) == (0, 20)
    assert served.spans[3].loading == 0, "anna's adapter is still there"
    assert served.first == {0: 3.5, 1: 3.5, 2: 22.0}
    assert served.tokens == 6


def test_a_full_pool_makes_the_second_wait() -> None:
    served, seen = played(Mixed(Pages(6), RANKS, 4, PAID), asked(("anna", 0, 2), ("ben", 0, 1)))
    assert [(span.rows, span.waiting) for span in seen[:2]] == [(1, 1), (1, 0)]
    assert served.first[1] == pytest.approx(0.5 + 2 * 2.0 + 1.0 + 2.0), "anna is evicted, ben is copied"


def test_in_turn_the_longest_waiting_has_the_turn_and_others_of_its_adapter_join() -> None:
    requests = asked(("anna", 0, 3), ("ben", 0.5, 1), ("anna", 1.5, 4), ("anna", 4.5, 1))
    way = InTurn(Pages(8), RANKS, 4, PAID)
    served, seen = played(way, requests)
    assert way.scheduler.pages.owners == (), "no adapter lies in the pool"
    # anna is merged in 1 s; the second anna joins while the first runs, the third comes after that and waits.
    assert served.first[0] == 2.0
    assert served.first[2] == 3.0
    assert served.first[1] == pytest.approx(6 + 2.0 + 1.0), "ben's turn comes when both have their answers"
    assert served.first[3] == pytest.approx(9 + 1.0 + 1.0)
    assert all(span.step == 1.0 for span in seen if span.rows)


def test_in_turn_the_same_adapter_twice_is_merged_once() -> None:
    served, seen = played(InTurn(Pages(8), RANKS, 4, PAID), asked(("ben", 0, 1), ("ben", 10, 1)))
    assert [span.loading for span in seen if span.rows] == [2.0, 0.0]
    assert served.first[1] == 11.0


def test_one_model_each_pays_a_step_for_every_model_and_has_room_for_few() -> None:
    requests = asked(("anna", 0, 2), ("ben", 0, 2), ("anna", 0, 2))
    roomy, seen = played(OneModelEach(Pages(23), RANKS, 4, PAID, 10), requests)
    assert (seen[0].rows, seen[0].step, seen[0].loading) == (3, 2.0, 1.0 + 2.0)
    assert roomy.tokens == 6
    _, narrow = played(OneModelEach(Pages(13), RANKS, 4, PAID, 10), requests)
    assert [(span.rows, span.loading) for span in narrow[:3]] == [(1, 1.0), (1, 2.0), (1, 1.0)], "one has room"


def test_time_goes_on_until_the_end_and_arrivals_cut_a_span() -> None:
    served, _ = played(Mixed(Pages(8), RANKS, 4, PAID), asked(("anna", 0, 50), ("anna", 5, 50)), until=12.0)
    assert [span.rows for span in served.spans] == [1, 2]
    assert served.spans[0].end == pytest.approx(0.5 + 3 * 2.0), "the first step that ends after the arrival"
    assert served.spans[-1].end >= 12
    for one, other in zip(served.spans, served.spans[1:], strict=False):
        assert one.end == other.start


def test_a_stream_follows_its_law_and_a_higher_rate_brings_the_same_requests_sooner() -> None:
    def drawn(rate: float) -> list[Asked]:
        return stream(rate, 100, 50, lambda tokens: tokens, torch.Generator().manual_seed(0))

    slow, fast = drawn(4), drawn(8)
    assert [one.request.adapter for one in slow] == [one.request.adapter for one in fast[: len(slow)]]
    for one, other in zip(slow, fast, strict=False):
        assert one.request.arrival == pytest.approx(2 * other.request.arrival)
        assert one.request.rows == one.tokens == other.tokens
    # Poisson: the number in 100 s has standard deviation √800; Zipf: customer 1 is asked for with 1/H₅₀ = 0.222.
    assert abs(len(fast) - 800) < 4 * 800**0.5
    share = sum(one.request.adapter == "1" for one in fast) / len(fast)
    assert abs(share - 0.2223) < 4 * (0.2223 * 0.7777 / len(fast)) ** 0.5
    lengths = [one.tokens for one in fast]
    assert (min(lengths), max(lengths)) == (SHORTEST, LONGEST)
