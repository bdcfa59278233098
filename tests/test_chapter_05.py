"""What chapter 05 stands on: the recorded trainings over rank, scale and rate, the answers of the explorer's tasks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explorers import rank_runs

import lorabook as lb
from lorabook.arena import answers
from lorabook.arena import rank_runs as recorder
from lorabook.arena.methods import BASELINE
from lorabook.arena.rank_runs import PLAIN, RANKS, RATES, ROOT, STEPS, RankRun, asked, read, record, train
from lorabook.arena.recheck import SCORE_TOLERANCE
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book.explore.ranks import OWN, Losses, State, compute, gathered

SEEDS = (0, 1)
TAUGHT = ("rsLoRA", KJV.name)


@pytest.fixture(scope="module")
def losses() -> Losses:
    return gathered(read())


def test_the_record_is_whole_and_rank_8_under_alpha_over_r_is_the_arenas_lora(losses: Losses) -> None:
    runs = read()
    assert sorted(run.key for run in runs) == sorted(asked(SEEDS))
    assert all(len(run.curve) == len(STEPS) for run in runs)
    arena = {
        (row.lr, row.seed): row.score for row in Record().rows() if row.task == KJV.name and row.method == BASELINE
    }
    for run in runs:
        if (run.scale, run.r) == (PLAIN, 8) and (run.lr, run.seed) in arena:
            assert run.curve[-1] == pytest.approx(arena[run.lr, run.seed], abs=2e-3)
    assert (PLAIN, 8, 8e-3, 0) in {run.key for run in runs}
    assert (8e-3, 0) in arena


def test_a_run_of_the_record_ends_again_where_it_ended(losses: Losses) -> None:
    recorded = next(run for run in read() if run.key == (ROOT, 64, 1e-3, 1))
    again = train(*recorded.key)
    assert again.start == pytest.approx(recorded.start, abs=2e-3)
    np.testing.assert_allclose(again.curve, recorded.curve, rtol=SCORE_TOLERANCE)
    moved = losses.start - np.array(recorded.curve)
    np.testing.assert_allclose(again.start - np.array(again.curve), moved, rtol=0.1, atol=1e-3)


def test_no_adapted_matrix_of_the_base_has_room_for_more_than_the_largest_rank() -> None:
    model = lb.load("tiny").model
    shapes = {name: tuple(m.weight.shape) for name, m in model.named_modules() if name.endswith("_proj")}
    assert min(map(min, shapes.values())) == max(RANKS)
    assert {name.rpartition(".")[2] for name, shape in shapes.items() if min(shape) == 64} == {"k_proj", "v_proj"}


def test_what_is_missing_is_trained_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rank_runs(0)
    asked_for: list[tuple] = []

    def train(*key: object) -> RankRun:
        asked_for.append(key)
        return next(run for run in made if run.key == key)

    monkeypatch.setattr(recorder, "train", train)
    path = tmp_path / "ranks.jsonl"
    record([0], path)
    assert read(path) == made
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    asked_for.clear()
    record([0], path)
    assert asked_for == [made[-1].key]
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["scale"] == PLAIN


def test_a_seed_that_lacks_a_run_is_an_error_and_rank_1_stands_for_both_scales() -> None:
    runs = rank_runs(0, 1)
    whole = gathered(runs)
    assert whole.losses.shape == (2, len(RANKS), len(RATES), 2, len(STEPS))
    np.testing.assert_array_equal(whole.losses[0, 0], whole.losses[1, 0])
    with pytest.raises(KeyError):
        gathered(runs[:-1])


def test_at_its_own_rate_each_rank_is_drawn_at_its_best(losses: Losses) -> None:
    for scale in (PLAIN, ROOT):
        result = compute(State(scale, OWN, 64), losses)
        np.testing.assert_allclose(result.curves[:, -1], result.ends.min(1))
        assert result.rates == result.best


def test_task_1_at_the_smallest_rate_no_rank_leads_under_alpha_over_r_and_the_largest_does_under_the_root(
    losses: Losses,
) -> None:
    start = State()
    plain, root = (compute(replace(start, scale=scale, rate=1e-3), losses).curves for scale in (PLAIN, ROOT))
    assert np.ptp(plain[:, STEPS.index(10)]) < 0.01
    assert np.ptp(plain[RANKS.index(8) :, -1]) < 0.01
    later = root[:, STEPS.index(6) :]
    assert (np.diff(later, axis=0) < 0).all(), "every larger rank is below the next smaller one"
    assert np.ptp(root[:, STEPS.index(10)]) > 0.1


def test_task_2_the_answer_is_0_008_and_at_its_own_rate_rank_64_is_the_best_of_all(losses: Losses) -> None:
    assert State() == State(PLAIN, 4e-3, 64), "the tasks begin here"
    found = []
    for rate in RATES:
        plain, root = (
            compute(replace(State(), scale=scale, rate=rate), losses).curves[:, -1] for scale in (PLAIN, ROOT)
        )
        if plain.argmin() == RANKS.index(64) and root[RANKS.index(64)] > root[RANKS.index(2)]:
            found.append(rate)
    assert min(found) == 8e-3
    own = compute(State(ROOT, OWN, 64), losses)
    assert own.curves[:, -1].argmin() == RANKS.index(64)
    assert own.best[-1] == 4e-3


def test_the_best_rate_rises_under_one_scale_and_falls_under_the_other_as_the_text_says(losses: Losses) -> None:
    plain, root = (compute(State(scale, OWN), losses).best for scale in (PLAIN, ROOT))
    few, many = RANKS.index(2), RANKS.index(64)
    assert plain[many] / plain[few] == pytest.approx(2, rel=0.05)
    assert root[few] / root[many] == pytest.approx(2**0.5, rel=0.05)
    assert 1 / 3 < root[many] / plain[many] < 0.4


def test_the_record_decides_at_rank_8_what_the_text_says() -> None:
    """The text: worse, by a hundredth of a nat, 2.8 times the rate for B."""
    (found,) = (each for each in answers.read(Record().folder).comparisons if (each.method, each.task) == TAUGHT)
    assert (found.budget, found.seeds, found.says) == ("equal", 10, "worse")
    assert found.difference == pytest.approx(0.01, abs=0.005)
    assert f"{lb.rsLoRA(r=8).scale.build(16, 8) / 2:.1f}" == "2.8"
