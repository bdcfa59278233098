"""What chapter 05 stands on: the recorded trainings over rank, scale and rate, the answers of the explorer's tasks."""

import json
from pathlib import Path

import numpy as np
import pytest
from explorers import rank_runs

import lorabook as lb
from lorabook.arena import rank_runs as recorder
from lorabook.arena.methods import BASELINE
from lorabook.arena.rank_runs import PLAIN, RANKS, RATES, ROOT, STEPS, RankRun, asked, read, record
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book.explore.ranks import OWN, Losses, State, compute, gathered

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def losses() -> Losses:
    return gathered(read())


def test_the_record_is_whole_and_rank_8_under_alpha_over_r_is_the_arenas_lora(losses: Losses) -> None:
    runs = read()
    assert sorted(run.key for run in runs) == sorted(asked(SEEDS))
    assert all(len(run.curve) == len(STEPS) for run in runs)
    arena = {(row.lr, row.seed): row.score for row in Record().rows() if row.task == KJV.name and row.method == BASELINE}
    for run in runs:
        if (run.scale, run.r) == (PLAIN, 8) and (run.lr, run.seed) in arena:
            assert run.curve[-1] == pytest.approx(arena[run.lr, run.seed], abs=2e-3)
    assert (PLAIN, 8, 8e-3, 0) in {run.key for run in runs}
    assert (8e-3, 0) in arena


def test_no_adapted_matrix_of_the_base_has_room_for_more_than_the_largest_rank() -> None:
    model = lb.load("tiny").model
    shapes = {name: tuple(m.weight.shape) for name, m in model.named_modules() if name.endswith("_proj")}
    assert min(map(min, shapes.values())) == max(RANKS)
    assert {name.rpartition(".")[2] for name, shape in shapes.items() if min(shape) == 64} == {"k_proj", "v_proj"}


def test_what_is_missing_is_trained_and_what_is_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
