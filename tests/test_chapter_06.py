"""What chapter 06 stands on: the recorded planes of two rates, the ratios on the Bible, the answers of the tasks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from explorers import rate_runs as pretended_rates

from lorabook.arena import answers, rate_runs, ratio_runs
from lorabook.arena.rate_runs import RATES_A, RATES_B, WIDTHS
from lorabook.arena.ratio_runs import MEANS, RATIOS, SEEDS, RatioRun
from lorabook.arena.recheck import SCORE_TOLERANCE
from lorabook.arena.record import Record
from lorabook.arena.summary import summaries
from lorabook.arena.tasks import KJV
from lorabook.book.explore.rates import EVERYWHERE, Planes, State, compute, gathered, line
from lorabook.book.explore.rates import RATIOS as SLIDER


@pytest.fixture(scope="module")
def planes() -> Planes:
    return gathered(rate_runs.recorded())


@pytest.fixture(scope="module")
def ratios() -> np.ndarray:
    """Losses by ratio, mean rate and seed."""
    scores = {run.key: run.score for run in ratio_runs.recorded()}
    return np.array([[[scores[ratio, mean, seed] for seed in SEEDS] for mean in MEANS] for ratio in RATIOS])


def pretended_ratios() -> list[RatioRun]:
    return [RatioRun(*key, 3.9, "CPU", "torch", "2026-11-27") for key in ratio_runs.asked()]


def test_the_records_are_whole() -> None:
    assert sorted(run.key for run in rate_runs.recorded()) == sorted(rate_runs.asked())
    assert all(len(run.losses) == len(RATES_A) for run in rate_runs.recorded())
    assert sorted(run.key for run in ratio_runs.recorded()) == sorted(ratio_runs.asked())


def test_a_row_of_the_plane_ends_again_where_it_ended() -> None:
    recorded = next(run for run in rate_runs.recorded() if run.key == (32, RATES_B[4], 1))
    again = rate_runs.train(*recorded.key)
    assert again.start == pytest.approx(recorded.start, abs=2e-3)
    np.testing.assert_allclose(again.losses, recorded.losses, rtol=SCORE_TOLERANCE)


@pytest.mark.parametrize(("method", "ratio"), [("LoRA", 1.0), ("LoRA+", 16.0)])
def test_a_ratio_of_the_record_is_the_arenas_contender(method: str, ratio: float) -> None:
    arena = {(row.lr, row.seed): row.score for row in Record().rows() if (row.method, row.task) == (method, KJV.name)}
    mine = {(run.mean / ratio**0.5, run.seed): run.score for run in ratio_runs.recorded() if run.ratio == ratio}
    both = [(score, arena[lr, seed]) for (lr, seed), score in mine.items() if (lr, seed) in arena]
    assert len(both) >= len(SEEDS)
    np.testing.assert_allclose(*zip(*both, strict=True), atol=2e-3)


@pytest.mark.parametrize(
    ("recorder", "made"), [(rate_runs, pretended_rates), (ratio_runs, pretended_ratios)], ids=["plane", "ratios"]
)
def test_what_is_missing_is_trained_and_what_is_there_is_not(
    recorder: ModuleType, made: Callable[[], list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_key, asked = {run.key: run for run in made()}, []

    def train(*key: object) -> object:
        asked.append(key)
        return by_key[key]

    monkeypatch.setattr(recorder, "train", train)
    path = tmp_path / "runs.jsonl"
    recorder.record(path)
    assert recorder.recorded(path) == list(by_key.values())
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    asked.clear()
    recorder.record(path)
    assert asked == [list(by_key)[-1]]
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["seed"] == 0


def test_every_line_goes_through_cells_of_its_ratio() -> None:
    for ratio in SLIDER:
        points = line(ratio)
        assert points
        assert all(RATES_B[row] / RATES_A[column] == pytest.approx(ratio) for row, column in points)
    assert len(line(1.0)) == 6


def test_task_1_at_width_512_every_ratio_from_2_on_gains_and_none_below_1_and_none_at_width_32(planes: Planes) -> None:
    state = State()
    assert (state.width, state.ratio) == (512, 1.0), "the tasks begin here"

    def gain(width: int, ratio: float) -> float:
        result = compute(replace(state, width=width, ratio=ratio), planes)
        return result.plane[result.best_lora] - result.plane[result.best]

    assert all((gain(512, ratio) > 0.05) == (ratio >= 2) for ratio in SLIDER)
    assert all(gain(32, ratio) < 0.05 for ratio in SLIDER)


def test_task_2_the_row_is_flat_to_the_left_and_its_right_edge_falls_with_the_width(planes: Planes) -> None:
    state = State()
    for n, column in zip(WIDTHS, (8, 6, 3), strict=True):
        result = compute(replace(state, width=n), planes)
        row, best = result.optima[WIDTHS.index(n)]
        losses = result.plane[row]
        assert losses[best] == losses.min() == result.plane.min()
        assert (losses[: best + 1] < losses.min() + 0.03).all()
        assert (losses[: column + 1] <= losses.min() + 0.05).all()
        assert (losses[column + 1 :] > losses.min() + 0.05).all()
        assert planes.edge(n) == RATES_A[column]
    assert [f"{planes.edge(n):.2g}" for n in WIDTHS] == ["0.026", "0.0064", "0.0008"]


def test_the_least_ratio_at_the_edge_is_2_then_8_then_64(planes: Planes) -> None:
    rows = [planes.lowest(n, EVERYWHERE)[0] for n in WIDTHS]
    assert [round(RATES_B[row] / planes.edge(n)) for row, n in zip(rows, WIDTHS, strict=True)] == [2, 8, 64]


def test_held_out_is_read_off_on_the_seed_that_did_not_choose() -> None:
    losses = np.full((len(WIDTHS), 3, len(RATES_B), len(RATES_A)), 5.0)
    one, other = line(1.0)[:2]
    losses[0, :2, *one] = 1.0
    losses[0, 2, *other] = 2.0
    planes = Planes(losses, np.full(len(WIDTHS), 7.0))
    np.testing.assert_array_equal(planes.held_out(32, (one, other)), [1.0, 1.0, 5.0])


def test_on_the_bible_the_faster_b_loses_and_the_reversed_ratio_costs_nothing(ratios: np.ndarray) -> None:
    means = ratios.mean(2)
    best = dict(zip(RATIOS, means.min(1), strict=True))
    assert best[16.0] - best[1.0] > 0.03
    assert all(abs(best[ratio] - best[1.0]) < 0.02 for ratio in RATIOS if ratio < 1)
    assert all(0 < column < len(MEANS) - 1 for column in means.argmin(1)), "no best rate is at an end"


def test_the_record_decides_what_the_text_says_of_lora_plus_and_of_lora_fa() -> None:
    """The text: LoRA-FA 0.045 above LoRA and LoRA+ as much; kept at LoRA's rate it ends near 5.6; tuned, 5.7 lower."""
    found = {each.method: each for each in answers.read(Record().folder).comparisons if each.task == KJV.name}
    for method in ("LoRA+", "LoRA-FA"):
        assert (found[method].seeds, found[method].says) == (10, "worse")
        assert found[method].difference == pytest.approx(0.045, abs=0.003)
    rows = [row for row in Record().rows() if row.task == KJV.name]
    kept = [row.score for row in rows if (row.method, row.lr) == ("LoRA+", 8e-3)]
    assert np.mean(kept) == pytest.approx(5.6, abs=0.06)
    tuned = {each.place.method: each.lr for each in summaries(rows) if each.place.budget == "equal"}
    assert tuned["LoRA"] == 8e-3
    assert tuned["LoRA"] / tuned["LoRA+"] == pytest.approx(5.7, abs=0.05)
