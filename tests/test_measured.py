"""The table of measurements says what the record says, and a row runs again from it."""

import time

import pytest
from explorers import pretended_record

from lorabook.arena.methods import METHODS
from lorabook.arena.record import Record
from lorabook.book import style
from lorabook.book.explore import again
from lorabook.book.explore.measured import measured
from lorabook.book.explore.standings import standings


def test_the_lines_are_lora_the_variant_and_full_fine_tuning_with_their_numbers():
    view = measured("DoRA", record=pretended_record())
    names = [line.name for line in view.result.lines]
    assert names == ["LoRA", "DoRA", "full fine-tuning"]
    dora = view.result.lines[1]
    assert dora.lr == 0.008
    assert dora.mean == pytest.approx(2.9 + 4.5e-4)
    assert len(dora.scores) == 10
    assert (dora.trained, dora.backward_bytes, dora.optimizer_bytes) == (1000, 4096, 8192)
    assert [line.step_ratio for line in view.result.lines] == [1, 1, 1], "LoRA is the unit"


def test_the_sentence_is_the_decision_where_there_is_one_and_else_the_numbers():
    view = measured("DoRA", record=pretended_record())
    assert "DoRA is better than LoRA by 0.100 (p = 0.0001)" in view.result.sentence
    view.values = {**view.values, "task": "digits"}
    assert "LoRA 3.000, DoRA 2.900, full fine-tuning 2.800 nats per picture" in view.result.sentence


@pytest.mark.parametrize("make", [lambda record: measured("DoRA", record=record), standings], ids=["measured", "all"])
@pytest.mark.parametrize("differs", [True, False])
def test_a_row_runs_again_and_says_whether_it_ends_where_it_ended(monkeypatch, differs, make):
    monkeypatch.setattr(again, "recheck", lambda row: [f"{row.job.label}: score was 3, is 4"] if differs else [])
    view = make(pretended_record())
    next(iter(action for name, action in view.actions.items() if name in ("DoRA", "again"))).run()
    while "training" in view.status:
        time.sleep(0.01)
    expected = "score was 3, is 4" if differs else "ends at 2.900 here too"
    assert expected in view.status
    assert "DoRA on kjv, equal budget, rate 0.008, seed 0" in view.status


def test_who_is_unknown_or_not_measured_is_named(tmp_path):
    with pytest.raises(ValueError, match="no contender is called 'NoRA'"):
        measured("NoRA", record=pretended_record())
    with pytest.raises(ValueError, match="the record has no tuned row of LoRA, DoRA, full fine-tuning yet"):
        measured("DoRA", record=Record(tmp_path))


def test_every_contender_has_a_stroke_of_its_own():
    assert {method.name for method in METHODS} - {"full fine-tuning"} <= set(style.VARIANTS)
