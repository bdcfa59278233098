"""What chapter 26 stands on: the curves of the four ways, the answers of the explorer's tasks, what folding does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explorers import Counting, baseline_curves

from lorabook.arena import baseline_runs, latency_runs
from lorabook.arena.baseline_curves import PLACES, Curve, curves, recorded
from lorabook.arena.baseline_runs import BaselineRun, asked
from lorabook.arena.job import TUNING_SEEDS, Job
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book.explore.baselines import COSTS, EQUAL, LIMITS, PAPERS, Result, State, compute, four

CURVE = Curve("a way", (0.0, 1.0, 2.0, 4.0), np.array([4.0, 3.0, 2.0, 2.5]), np.array([0.0, 0.2, 0.4, 0.8]), 2,
              10, 20, 30, 1.0, 1.0)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], Curve]:
    return recorded()


def test_the_lowest_loss_within_a_limit_lies_on_the_curve_up_to_its_best() -> None:
    assert CURVE.lowest(0.4) == CURVE.lowest(9.0) == (2.0, 0.4)
    assert CURVE.lowest(0.3) == pytest.approx((2.5, 0.3))
    assert CURVE.lowest(0.0) == (4.0, 0.0)
    forgets = replace(CURVE, forgotten=np.array([0.3, 0.2, 0.4, 0.8]))
    assert forgets.lowest(0.1) is None
    assert forgets.lowest(0.25) == pytest.approx((2.75, 0.25))


def test_what_is_forgotten_at_a_loss_lies_on_the_curve_up_to_its_best() -> None:
    assert CURVE.forgotten_at(2.5) == pytest.approx(0.3)
    assert CURVE.forgotten_at(4.0) == 0
    with pytest.raises(ValueError, match="a way has no rates around a loss of 1.900; its best is 2.000"):
        CURVE.forgotten_at(1.9)


def test_the_records_are_whole() -> None:
    assert sorted(run.key for run in baseline_runs.read()) == sorted(asked())
    assert sorted(latency_runs.read()) == sorted(latency_runs.PLACES)


def test_a_place_that_the_record_lacks_is_refused_by_name() -> None:
    rows = [row for row in Record().rows() if row.method != "prefix"]
    with pytest.raises(ValueError, match="no tuned rate of prefix on kjv, equal budget"):
        curves(rows, baseline_runs.read(), latency_runs.read())


def test_curves_fall_to_their_best_rate_and_begin_at_the_base(found: dict[tuple[str, str], Curve]) -> None:
    assert list(found) == list(PLACES)
    for (method, _), curve in found.items():
        assert curve.rates[0] == 0
        assert curve.losses.argmin() == curve.best, curve.name
        assert (curve.forgotten[0] > 0) == (method == "prefix")
        assert f"{curve.losses[0]:.2f}" == "4.45" or method == "prefix"
        assert (curve.latency > 1) == (method in ("bottleneck", "prefix"))
    sizes = {row.method + row.budget: row.size for row in Record().rows() if row.task == KJV.name}
    for (method, budget), curve in found.items():
        if "=" in curve.name:
            assert curve.name.endswith(f"= {sizes[method + budget]})")


def test_what_is_missing_is_run_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def measure(*key: object) -> BaselineRun:
        ran.append(key)
        return BaselineRun(*key, 4.0, 0.1, "CPU", "torch", "2026-11-27")

    monkeypatch.setattr(baseline_runs, "measure", measure)
    path = tmp_path / "baselines.jsonl"
    baseline_runs.record(path)
    assert ran == asked()
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    ran.clear()
    baseline_runs.record(path)
    assert ran == asked()[:1]


def test_a_run_is_the_arenas_and_at_rate_0_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for = []

    class Ran:
        score, forgotten = 3.5, 0.25

    monkeypatch.setattr(baseline_runs, "run", lambda job: asked_for.append(job) or Ran)
    trained = baseline_runs.measure("bottleneck", "equal", 1e-3, 100)
    assert asked_for == [Job("bottleneck", "kjv", "equal", 1e-3, 100)]
    assert (trained.score, trained.forgotten) == (3.5, 0.25)

    task = Counting()
    monkeypatch.setattr(baseline_runs, "KJV", task)
    monkeypatch.setattr(task, "old", lambda model: 1.0 + (model is not task.base))
    untrained = baseline_runs.measure("prefix", "own", 0.0, 100)
    assert len(asked_for) == 1
    assert untrained.forgotten == 1.0
    assert 0 < abs(untrained.score / task.score(task.base) - 1) < 0.1


def test_a_pass_is_timed_beside_the_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = Counting(), []
    monkeypatch.setattr(latency_runs, "KJV", task)

    def seconds(model: object, tokens: object) -> float:
        seen.append((model is task.base, tuple(tokens.shape)))
        return 0.004 if model is task.base else 0.006

    monkeypatch.setattr(latency_runs, "_seconds", seconds)
    timed = latency_runs.measure("bottleneck", "own", rounds=2)
    assert seen == [(True, (1, 1)), (False, (1, 1))] * 2
    assert (timed.ratio, timed.base_ms) == (1.5, 1.0)


def at(found: dict[tuple[str, str], Curve], **moves: object) -> Result:
    return compute(replace(State(), **moves), found)


def order(result: Result) -> list[str]:
    there = [
        (point[1], name.split(" (")[0])
        for name, point in zip(result.names, result.lowest, strict=True)
        if point is not None
    ]
    return [name for _, name in sorted(there)]


def test_the_prediction_has_the_answer_that_the_chapter_gives(found: dict[tuple[str, str], Curve]) -> None:
    full, lora, thin, *_ = found.values()
    assert lora.losses[lora.best] - thin.losses[thin.best] > 0.01
    assert full.forgotten_at(lora.losses[lora.best]) < 0.45 * lora.forgotten[lora.best]


def test_the_first_task_has_the_answers_that_the_chapter_gives(found: dict[tuple[str, str], Curve]) -> None:
    wide, narrow = at(found, most=0.7), at(found, most=0.2)
    assert order(wide) == ["full fine-tuning", "bottleneck", "LoRA", "prefix"]
    assert [f"{point[1]:.2f}" for point in wide.lowest] == ["3.66", "3.82", "3.79", "4.18"]
    assert order(narrow) == ["full fine-tuning", "LoRA", "bottleneck"]
    assert [f"{point[1]:.2f}" for point in narrow.lowest[:3]] == ["3.81", "3.98", "4.02"]
    assert "Prefix (n = 212) forgets more at every rate." in narrow.sentence
    assert State().most == 0.7


def test_the_second_task_has_the_answers_that_the_chapter_gives(found: dict[tuple[str, str], Curve]) -> None:
    ratio = {cost: (costs := at(found, cost=cost).costs)[0] / costs[1] for cost in COSTS}
    assert {cost for cost in COSTS if 15.5 < ratio[cost] < 17} == {
        "trained numbers", "optimiser's state", "a customer's file"
    }  # fmt: skip
    assert all(0.85 < ratio[cost] < 1.15 for cost in ("kept for backward", "a training step"))
    assert at(found, cost="a token, merged if it can be").told == tuple(
        f"{ratio} of the base's" for ratio in ("1.00", "1.00", "1.35", "1.37")
    )


def test_the_text_has_the_numbers_of_the_records(found: dict[tuple[str, str], Curve]) -> None:
    assert f"{latency_runs.read()['LoRA', 'equal'].ratio:.2f}" == "1.62"
    assert [f"{found['prefix', budget].forgotten[0]:.2f}" for budget in ("equal", "own")] == ["0.55", "0.04"]


def test_states_that_should_differ_do(found: dict[tuple[str, str], Curve]) -> None:
    sentences = {at(found, most=most, size=size).sentence for most in LIMITS for size in (EQUAL, PAPERS)}
    assert len(sentences) == 2 * len(LIMITS)
    costs = [tuple(at(found, cost=cost).told) for cost in COSTS]
    assert len(set(costs)) == len(COSTS)
    assert [curve.name for curve in four(PAPERS, found)][2:] == ["bottleneck (m = 64)", "prefix (n = 10)"]


def test_a_pretended_record_has_the_places_of_the_real_one(found: dict[tuple[str, str], Curve]) -> None:
    assert list(baseline_curves()) == list(found)
    assert TUNING_SEEDS == tuple(sorted({run.seed for run in baseline_runs.read()}))
