"""What chapter 02 says that its cells do not compute: the answers of its tasks, and the numbers in its text."""

import time

import pytest
from test_training_explorer import choose, press

from lorabook.arena.record import Record
from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.training import Drawn, training_explorer
from lorabook.book.figures import lora as pictures
from lorabook.book.figures.picture import Picture

START = 4.45
"""Nats per token, as the text says it."""


def trained(view: Explorer, **values: object) -> None:
    """Move controls and train to the end; to ask seldom leaves the time to the training."""
    choose(view, **values)
    press(view, "start")
    while view.result.running:
        time.sleep(0.5)


@pytest.fixture(scope="module")
def runs() -> dict[tuple[int, int, float], Drawn]:
    """Do both tasks as a reader does, from the explorer's first state: the lines by (r, α, rate), all of seed 0."""
    view = training_explorer("LoRA")
    trained(view, r=32)
    trained(view, alpha=16)
    choose(view, lr=0.016)
    trained(view, alpha=64)
    trained(view, alpha=16)
    choose(view, r=8)
    trained(view, alpha=64)
    return {(line.curve.knobs.r, line.curve.knobs.alpha, line.curve.knobs.lr): line for line in view.result.lines}


def test_the_first_task_the_run_of_the_same_alpha_begins_like_the_recorded_one_and_ends_lower(runs) -> None:
    recorded, same_s, same_alpha = (runs[knobs] for knobs in ((8, 16, 0.008), (32, 64, 0.008), (32, 16, 0.008)))
    assert recorded.curve.number is None

    def apart(line: Drawn) -> float:
        return max(abs(a - b) for a, b in zip(line.curve.y[:3], recorded.curve.y[:3], strict=True))

    assert apart(same_alpha) < 0.05 < 0.15 < apart(same_s)
    assert same_s.curve.y[1] < recorded.curve.y[1], "ahead at first"
    assert same_alpha.curve.score < recorded.curve.score - 0.02
    assert same_s.curve.score == pytest.approx(recorded.curve.score, abs=0.02), "no better than rank 8"


def test_the_second_task_what_breaks_shares_alpha(runs) -> None:
    broken = {knobs for knobs, line in runs.items() if line.curve.score > START}
    assert broken == {(32, 64, 0.016), (8, 64, 0.016)}
    assert pictures.recorded_rates(["LoRA"])["LoRA"][0.016] < START, "(8, 16), which the answer names, is recorded"


def test_runs_of_one_rank_are_told_apart_by_their_labels(runs) -> None:
    labels = [line.label for line in runs.values()]
    assert len(set(labels)) == len(labels) == 7
    assert all("α 64" in line.label for (_, alpha, _), line in runs.items() if alpha == 64)


def test_four_times_alpha_is_worth_twice_the_rate(runs) -> None:
    """Three runs of rank 32 and one seed, by (α, rate): two trained here, one recorded."""
    of_record = {(row.lr, row.seed): row for row in Record().rows() if (row.method, row.task) == ("LoRA r=32", "kjv")}
    assert round(runs[32, 16, 0.008].curve.score, 2) == round(of_record[0.004, 0].score, 2) == 3.77
    assert round(runs[32, 16, 0.016].curve.score, 2) == 3.83


def test_the_rates_are_the_records_and_the_base_is_where_the_text_says() -> None:
    rates = pictures.recorded_rates(("LoRA r=2", "full fine-tuning"))
    assert all(list(by_rate) == sorted(by_rate) and len(by_rate) >= 3 for by_rate in rates.values())
    assert round(pictures.recorded_base(), 2) == START
    with pytest.raises(ValueError, match="no contender is called 'NoRA'"):
        pictures.recorded_rates(("NoRA",))
    drawn = pictures.over_rates(rates, START, "by rate"), pictures.gradient_norms({"A": [0, 1], "B": [1, 2]}, "norms")
    assert all(isinstance(picture, Picture) and picture._repr_mimebundle_()[0]["image/png"] for picture in drawn)
