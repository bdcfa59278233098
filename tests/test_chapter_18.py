"""What chapter 18 stands on: the recorded trainings and their cuts, the answers of the explorer's tasks."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import cut_runs
from torch import nn

import lorabook as lb
from lorabook.arena import cut_runs as recorder
from lorabook.arena.cut_runs import DYLORA, FROZEN, PLAIN, SIDES, CutRun, R, asked, read, record, tuned
from lorabook.arena.cuts import CUTS, NESTED, ROWS, SVD, cut
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book.explore.cuts import Losses, State, compute, gathered
from lorabook.cost.spectrum import nearest_of_rank


@pytest.fixture(scope="module")
def losses() -> Losses:
    return gathered(read())


def adapter(recipe: object) -> tuple[nn.Module, object]:
    """A layer with an adapter of rank 4 that has been trained at some time."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 6, bias=False))
    layer = lb.inject(model, recipe, "0", torch.Generator().manual_seed(0))["0"]
    nn.init.normal_(layer.update.B)
    return model, layer


def test_the_cuts_are_what_they_are_called_and_leave_the_adapter_as_it_was() -> None:
    model, layer = adapter(lb.DyLoRA(r=4, alpha=12))
    before, w0 = copy.deepcopy(model.state_dict()), layer.base.matrix
    whole = layer.plain().weight - w0
    for b in range(1, 5):
        served = {}
        for kind in CUTS:
            with cut(model, kind, b):
                served[kind] = layer.plain().weight - w0
        lb.truncate(model, b)
        torch.testing.assert_close(served[NESTED], layer.plain().weight - w0)
        lb.truncate(model, 4)
        torch.testing.assert_close(served[ROWS], served[NESTED] * b / 4)
        torch.testing.assert_close(served[SVD], nearest_of_rank(whole, b))
    with pytest.raises(ZeroDivisionError), cut(model, SVD, 1):
        1 / 0  # noqa: B018
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_record_is_whole_and_no_best_rate_lies_at_an_edge() -> None:
    runs = read()
    assert sorted(run.key for run in runs) == sorted(asked(runs))
    for name, side in SIDES.items():
        assert side.rates[0] < tuned(runs, name) < side.rates[-1], name
    for run in runs:
        assert all(len(scores) == (R if SIDES[run.side].r == R else 1) for scores in run.scores.values())


def test_lora_uncut_is_the_arenas_lora() -> None:
    arena = {(row.method, row.lr, row.seed): row.score for row in Record().rows() if row.task == KJV.name}
    both = 0
    for run in read():
        if run.side in (PLAIN, "LoRA r=2") and run.key in arena:
            both += 1
            assert run.scores[SVD][-1] == pytest.approx(arena[run.key], abs=2e-3), run.key
    assert both >= 6


def test_what_is_missing_is_trained_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked_for = {run.key: run for run in cut_runs()}, []

    def train(*key: object) -> CutRun:
        asked_for.append(key)
        return made[key]

    monkeypatch.setattr(recorder, "train", train)
    path = tmp_path / "cuts.jsonl"
    record(path)
    assert {run.key for run in read(path)} == set(made)
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    last = asked_for[-1]
    asked_for.clear()
    record(path)
    assert asked_for == [last]


def test_a_record_that_lacks_a_seed_or_a_rate_is_refused() -> None:
    runs = cut_runs()
    for dropped in (runs[0], runs[-1]):
        with pytest.raises(ValueError, match=rf"{dropped.side}: the record has the seeds"):
            gathered([run for run in runs if run is not dropped])


def served(losses: Losses, **moves: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """DyLoRA's curve, that of LoRA, and LoRA trained at each rank, after some moves from where the explorer opens."""
    result = compute(replace(State(), **moves), losses)
    return result.dylora[0], result.lora[0], result.own[0]


def test_the_first_task_has_the_answers_that_the_chapter_gives(losses: Losses) -> None:
    dylora, rows, own = served(losses)
    ahead = [b for b in range(1, R + 1) if dylora[b - 1] < rows[b - 1]]
    assert ahead == [1, 2, 3, 4]
    assert State().b not in ahead, "the answer is not seen where the explorer opens"
    assert rows[1] - dylora[1] == pytest.approx(0.15, abs=0.005)
    dylora, svd, own = served(losses, lora=SVD)
    assert (svd < dylora).all()
    assert max(abs(svd[[0, 1, 3, 7]] - own)) < 0.02


def test_the_second_task_has_the_answers_that_the_chapter_gives(losses: Losses) -> None:
    nested, kept, svd = (served(losses, b=1, dylora=kind)[0] for kind in (NESTED, ROWS, SVD))
    assert [f"{curve[0]:.2f}" for curve in (nested, kept, svd)] == ["4.17", "4.30", "4.04"]
    assert 0.4 < (kept[0] - nested[0]) / (losses.start - nested[0]) < 0.5
    assert nested[1] < svd[1]


def test_states_that_should_differ_do(losses: Losses) -> None:
    curves = [served(losses, **{side: kind})[k] for k, side in enumerate(("dylora", "lora")) for kind in CUTS]
    curves += [served(losses, form=FROZEN)[0]]
    for i, one in enumerate(curves):
        for other in curves[:i]:
            assert abs(one - other)[:-1].max() > 0.03
    np.testing.assert_allclose([curve[-1] for curve in curves[:3]], losses.scores[DYLORA][NESTED].mean(0)[-1])


def test_the_table_of_rates_shows_what_the_text_says() -> None:
    runs, best = read(), {}
    for b in (1, 8):
        mean = {
            lr: sum(run.scores[NESTED][b - 1] for run in runs if run.key in {(DYLORA, lr, 100), (DYLORA, lr, 101)})
            for lr in SIDES[DYLORA].rates
        }
        best[b] = min(mean, key=mean.__getitem__)
    assert best[1] * 2 < best[8]
