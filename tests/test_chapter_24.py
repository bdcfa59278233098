"""What chapter 24 stands on: the answers of the explorer's tasks, its pool, the table and the picture."""

import numpy as np
import pytest

from lorabook.arena.serving_costs import Cost, ratio, read
from lorabook.book.explore.serving import (
    CACHE,
    EACH,
    IDLE,
    MIXED,
    MODEL,
    POSITIONS,
    RANK,
    TURNS,
    Result,
    State,
    compute,
    days,
    longest_run,
    owners,
)
from lorabook.book.figures import serving as drawn
from lorabook.many.pages import Pages

DAY = days(read())


def at(**moved: object) -> Result:
    return compute(State(**moved), DAY)


def test_a_page_and_a_model_are_those_of_the_books_decoder() -> None:
    assert RANK == 13_568
    assert (MODEL, POSITIONS) == (116, 26)
    assert 8 * RANK / (28 * 1_572_864 / 28) == pytest.approx(0.069, abs=1e-3), "the text's 7%"


def test_it_opens_where_s_lora_does_not_wait_and_the_others_do() -> None:
    start = at()
    assert start.names == (MIXED, TURNS, EACH)
    assert start.waits[0] < 0.02 < 2 < min(start.waits[1:])
    assert (start.free, start.gap) == (5, 2), "the text's free pages"


def test_the_first_task_more_pages_let_more_requests_into_a_step() -> None:
    slow = [rate for rate in (2, 4, 8, 16, 32) if at(rate=rate).waits[0] > 1]
    assert slow == [32]
    before, after = at(rate=32), at(rate=32, pool=384)
    assert f"{after.waits[0]:.2f}" == "0.01"
    assert [f"{one.rows[0]:.1f}" for one in (before, after)] == ["11.5", "14.5"]
    others = [at(rate=32, ranks=ranks).waits[0] for ranks in ("8 to 64", "all 64")]
    assert min(others) > 1, "no other control brings it back"


def test_the_second_task_at_rank_64_s_lora_is_the_worst_for_two_share_a_step() -> None:
    wide = at(ranks="all 64")
    assert max(wide.waits) == wide.waits[0]
    assert 2.0 < wide.rows[0] < 2.2
    cost = next(cost for cost in read() if cost.key == (2, 2, (64,)))
    assert ratio(cost.mixed, cost.base)[0] > 2


def test_what_a_page_holds() -> None:
    pool = Pages(8)
    pool.hold({"3": 2, ("cache", 7): 1})
    pool.hold({"12": 2})
    pool.let_go(["12"])
    assert owners(pool).tolist() == [3, 3, CACHE + 7, IDLE + 12, IDLE + 12, 0, 0, 0]
    assert longest_run(np.array([1, 1, 0, 1, 1, 1, 0], bool)) == 3
    assert longest_run(np.zeros(4, bool)) == 0


def test_every_moment_shows_a_pool_of_the_right_size() -> None:
    for way, count in ((MIXED, 192), (TURNS, 192), (EACH, 192 + MODEL)):
        for t in range(1, 13):
            shown = at(way=way, t=t)
            assert len(shown.owners) == count
            assert shown.free == (shown.owners == 0).sum() >= shown.gap
    assert (at(way=TURNS).owners >= CACHE).any()
    assert not ((at(way=TURNS).owners > 0) & (at(way=TURNS).owners < CACHE)).any()


def test_dearer_mixed_steps_make_s_lora_wait_longer() -> None:
    def dearer(cost: Cost) -> Cost:
        return Cost(**{**vars(cost), "mixed": tuple(3 * t for t in cost.mixed)})

    normal, slow = at(), compute(State(), days([dearer(cost) for cost in read()]))
    assert slow.waits[0] > normal.waits[0]
    assert slow.waits[1:] == normal.waits[1:]


def test_the_table_has_both_ranks_and_every_number_of_customers() -> None:
    costs = read()
    head, _, *lines = drawn.costs_table(costs).text.splitlines()
    assert head.startswith("| rank | customers | mixed / base |")
    assert [line.split(" | ")[1] for line in lines] == ["1", "2", "4", "8", "16", "32", "64"] * 2
    strangers = next(cost for cost in costs if cost.key == (64, 64, (8,)))
    assert f"| {ratio(strangers.mixed, strangers.base)[1]:.2f} (" in lines[6]
    assert drawn.costs_table([strangers]).text.splitlines()[2] == lines[6]


def test_the_picture_has_both_ways_at_both_ranks() -> None:
    left, right = drawn.by_customers(read()).figure.axes
    for axes in (left, right):
        assert [line.get_label() for line in axes.lines] == [*drawn.WAYS.values(), "bare base"]


def test_the_factors_that_are_fetched_make_a_mixed_step_slow_not_the_products() -> None:
    """64 rows that share an adapter of rank 64 have as many products as 64 strangers of that rank."""
    shared, *_, strangers = drawn.large(read(), 64)
    factor = {cost.adapters: ratio(cost.mixed, cost.base)[1] for cost in (shared, strangers)}
    assert factor[1] == pytest.approx(1.7, abs=0.05)
    assert factor[64] == pytest.approx(12, abs=0.5)
    assert ratio(drawn.large(read(), 8)[-1].mixed, drawn.large(read(), 8)[-1].base)[1] == pytest.approx(2.7, abs=0.05)
    one = next(cost for cost in read() if cost.key == (1, 1, (8,)))
    assert ratio(one.swap, one.base)[1] == pytest.approx(0.5, abs=0.05), "merging takes half a step"
