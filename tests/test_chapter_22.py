"""What chapter 22 stands on: the answers of the explorer's tasks, its tables and its picture."""

import numpy as np
import pytest
from explorers import pretended_turns

import lorabook as lb
from lorabook.arena import turns_record
from lorabook.arena.turns import BASE, FROZEN, NEW, ON, PENALISED, PENALISED_MORE, PROJECTED, TASKS, WAYS, Run
from lorabook.arena.turns_record import RATES, SEEDS, TUNING_SEED, WAYS_AT, Row, read
from lorabook.book.explore.forgetting import Result, State, by_state, compute, explore_rows
from lorabook.book.figures import turns as drawn

CAPITALS, BIBLE, NO_SPACES = 1, 2, 3


@pytest.fixture(scope="module")
def found() -> dict[State, list[Row]]:
    return by_state(read())


def test_it_opens_on_the_run_that_the_chapter_makes_first(found: dict[State, list[Row]]) -> None:
    start = explore_rows(read()).start
    assert start == State(ON, 64, 2.5e-3)
    assert sorted(row.seed for row in found[start]) == list(SEEDS)


def test_the_first_task_two_ways_lose_more_than_one_lora_and_one_of_them_is_exact(
    found: dict[State, list[Row]],
) -> None:
    shown: dict[str, Result] = {way: compute(State(way), found) for way in WAYS_AT[8]}
    after_the_bible = {way: result.loss[CAPITALS, 2] for way, result in shown.items()}
    assert sorted(after_the_bible, key=after_the_bible.get)[-2:] == [PROJECTED, NEW]
    before = shown[ON].loss[CAPITALS, 0]
    assert 4.05 < before < 4.15
    assert min(after_the_bible[PROJECTED], after_the_bible[NEW]) > max(after_the_bible[ON], before) + 0.3
    assert shown[PROJECTED].angles.min() > 89.99
    assert 56 < shown[FROZEN].angles.min() <= shown[FROZEN].angles.max() < 58
    assert max(compute(state, found).reached for state in found if state.r == 64) < 0.53
    assert max(shown[way].angles.max() for way in shown if way != PROJECTED) < 89


def test_the_second_task_what_is_not_learned_is_not_lost(found: dict[State, list[Row]]) -> None:
    kept = [lr for lr in RATES if compute(State(NEW, 64, lr), found).damage[CAPITALS, -1] < 0.05]
    assert kept == [0.0003125]
    slow, fast = (compute(State(NEW, 64, lr), found) for lr in (kept[0], RATES[-1]))
    assert slow.loss[NO_SPACES, -1] > 5.3 > 4 > fast.loss[NO_SPACES, -1]
    narrow = compute(State(NEW, 8, kept[0]), found)
    assert 76 < narrow.angles.min() <= narrow.angles.max() < 80
    assert abs(narrow.by_chance - narrow.angles.mean()) < 2


def test_a_state_has_the_reported_seeds_or_else_the_one_of_the_search() -> None:
    rows = pretended_turns()
    for state, some in by_state(rows[::-1]).items():
        assert [row.seed for row in some] == (list(SEEDS) if state.lr == RATES[1] else [TUNING_SEED])


def test_means_and_what_is_lost() -> None:
    matrices = [((1, 1, 1, 1), (4, 2 + i, 3 + i, 5), (4, 4, 1, 2), (6, 6, 6, 3)) for i in (0, 1)]
    runs = [Run(matrix, (0.25, 0.5, 0.75), 0.5) for matrix in matrices]
    rows = [Row(NEW, 8, RATES[0], seed, run, 1.0, "", "", "", "") for seed, run in enumerate(runs)]
    result = compute(State(NEW, 8, RATES[0]), by_state(rows))
    assert result.texts == (BASE, *TASKS)
    np.testing.assert_allclose(result.loss[CAPITALS], (4, 2.5, 3.5, 5))
    np.testing.assert_allclose(result.spread[CAPITALS], (0, 0.5, 0.5, 0))
    np.testing.assert_allclose(result.damage[CAPITALS], (0, 0, 1, 2.5))
    np.testing.assert_allclose(result.angles, (60, 45, 30))
    assert result.by_chance == pytest.approx(np.degrees(np.arccos(np.sqrt((6 * 8 / 192 + 8 / 512) / 7))))
    assert (result.taken, result.reached, result.seeds) == ((8, 8, 8), 0.5, 2)
    assert "CAPITALS is learned to 2.50 nats and ends at 5.00" in result.sentence
    assert "The mean of the three at the end is 3.33 (3.33 to 3.33 over 2 seeds)." in result.sentence


def test_the_table_has_means_and_what_the_seeds_span() -> None:
    head, _, *lines = drawn.best_rates(read()).text.splitlines()
    assert head == "| rank | the next task gets | rate | learned | forgotten | at the end |"
    assert [line.split(" | ")[1] for line in lines] == [*WAYS_AT[64], *WAYS_AT[8]]
    ends = [turns_record.at_the_end(row.run) for row in turns_record.reported(read())[ON, 64]]
    assert "| 0.0025 | " in lines[0]
    assert f"{sum(ends) / 3:.2f} ±{(max(ends) - min(ends)) / 2:.2f} |" in lines[0]


def test_the_picture_has_a_line_for_each_way_and_a_point_for_each_rate_tried() -> None:
    rows = read()
    (axes,) = drawn.at_every_rate(rows, 64).figure.axes
    assert [line.get_label() for line in axes.lines] == list(WAYS)
    for line, way in zip(axes.lines, WAYS, strict=True):
        tried = [row for row in rows if (row.way, row.r, row.seed) == (way, 64, TUNING_SEED)]
        assert sorted(line.get_ydata()) == pytest.approx(sorted(drawn.lost(row.run) for row in tried))


def test_a_moment_is_what_a_model_knows_and_writes() -> None:
    seen = drawn.moment("before", lb.load("tiny"))
    assert seen.losses == pytest.approx([row[0] for row in read()[0].run.matrix], abs=0.02)
    assert seen.writes
    assert drawn.PROMPT not in seen.writes
    assert f"| before | {seen.losses[0]:.2f} |" in drawn.moments([seen]).text


def test_at_rank_64_the_frozen_a_ends_where_o_lora_ends() -> None:
    ends = {
        way: [turns_record.at_the_end(row.run) for row in turns_record.reported(read())[way, 64]]
        for way in (FROZEN, PENALISED, PENALISED_MORE, PROJECTED)
    }
    means = {way: sum(some) / len(some) for way, some in ends.items()}
    assert max(means.values()) - min(means.values()) < 0.05
