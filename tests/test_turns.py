"""Three texts in turn: what a run measures, and how its record is made, gone on with and read."""

import dataclasses
from pathlib import Path

import pytest
import torch

from lorabook.arena import turns, turns_record
from lorabook.arena.turns import NEW, PROJECTED, TASKS, WAYS, Run
from lorabook.arena.turns_record import SEEDS, TUNING_SEED, Row, at_the_end, forgotten, learned, read, record, reported


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two steps, looked at on two pieces."""
    monkeypatch.setattr(turns, "STEPS", 2)
    monkeypatch.setattr(turns, "PIECES", 2)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", [turns.TrainedOn.name, NEW, PROJECTED])
def test_a_run_is_a_matrix_of_texts_and_moments(name: str) -> None:
    run = turns.learn(WAYS[name], 4, 5e-3, 0)
    assert [len(run.matrix), *map(len, run.matrix)] == [4] * 5
    before = [row[0] for row in run.matrix]
    assert before == pytest.approx(turns.scores(turns.load("tiny").model))
    assert all(run.matrix[t][t] < before[t] for t in range(1, 4)), "every task is learned a little"
    assert 0.02 < run.reached < 0.6
    kept = {turns.TrainedOn.name: (0.9, 1.0), NEW: (0.005, 0.1), PROJECTED: (0.0, 1e-9)}[name]
    assert all(kept[0] <= share <= kept[1] for share in run.inside)


def test_the_share_inside_a_row_space_does_not_depend_on_the_rows_length() -> None:
    earlier = torch.tensor([[3.0, 0, 0, 0], [5.0, 2.0, 0, 0]])
    assert turns._inside(torch.tensor([[0.0, 3.0, 4.0, 0]]), earlier) == pytest.approx(9 / 25)


RUN = Run(((1, 1, 1, 1), (4, 2, 3, 5), (4, 4, 1, 2), (6, 6, 6, 3)), (0.5, 0.5, 0.5), 0.5)


def test_what_is_forgotten_and_what_was_learned() -> None:
    assert forgotten(RUN) == [3, 1]
    assert learned(RUN) == 2
    assert at_the_end(RUN) == pytest.approx(10 / 3)


def test_a_record_tunes_each_rate_and_goes_on_where_it_was_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    best, made = 1e-2, []

    def measured(way: str, r: int, lr: float, seed: int) -> Row:
        made.append((way, r, lr, seed))
        end = 2.0 + abs(torch.tensor(lr / best).log2().item())
        matrix = tuple((*row[:3], end) for row in RUN.matrix)
        return Row(way, r, lr, seed, dataclasses.replace(RUN, matrix=matrix), 1.0, "abc", "CPU", "torch", "2026-01-01")

    monkeypatch.setattr(turns_record, "_measure", measured)
    path = tmp_path / "turns.jsonl"
    record(path)
    found = reported(read(path))
    assert set(found) == {(way, r) for r, ways in turns_record.WAYS_AT.items() for way in ways}
    assert {(row.lr, row.seed) for rows in found.values() for row in rows} == {(best, seed) for seed in SEEDS}
    everything, count = path.read_text(encoding="utf-8"), len(made)
    path.write_text("".join(everything.splitlines(keepends=True)[:-2]), encoding="utf-8")
    record(path)
    assert path.read_text(encoding="utf-8") == everything
    assert len(made) == count + 2


def test_the_record_that_ships_is_whole_and_of_one_base() -> None:
    rows = read()
    found = reported(rows)
    assert set(found) == {(way, r) for r, ways in turns_record.WAYS_AT.items() for way in ways}
    for (way, r), some in found.items():
        assert sorted(row.seed for row in some) == list(SEEDS)
        tried = {row.lr: at_the_end(row.run) for row in rows if (row.way, row.r, row.seed) == (way, r, TUNING_SEED)}
        (rate,) = {row.lr for row in some}
        assert min(tried, key=tried.get) == rate
        assert {rate / 2, rate * 2} <= set(tried), "both neighbours were tried, and are worse"
    assert {row.base for row in rows} == {turns_record.fingerprint(turns.load("tiny").model)}
    assert all(row.device and row.versions and row.date for row in rows)
    assert len(TASKS) == 3
