"""Recorded runs: written by one call, shown with where they come from, compared only with what they fit."""

import json
import threading
from pathlib import Path

import pytest
from explorers import bench, room, run

from lorabook.book.explore.record import record
from lorabook.book.explore.recorded import Recording, read_recording, write_recording
from lorabook.book.explore.training import NO_CUDA, State, compute
from lorabook.book.explore.workbench import FULL, train


def recorded(tmp_path: Path, **changes: object) -> Recording:
    """A recording of full fine-tuning, made by the code that makes the book's."""
    done = run(FULL)
    train(bench(), None, "", done, threading.Event(), lambda: None)
    path = write_recording("tiny", bench(), [done], tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return read_recording("tiny", tmp_path)


def test_a_recorded_run_is_shown_with_where_and_when_it_was_made(tmp_path: Path) -> None:
    made = recorded(tmp_path, device="a device", date="2026-01-02", versions="torch x")
    assert made.note == "recorded on a device, 2026-01-02, torch x, seed 0"
    with_it = compute(State(model="gpu"), room(made))
    assert [line.recorded for line in with_it.lines] == [True]
    assert with_it.note == f"{NO_CUDA} Shown: {made.note}."
    assert read_recording("gpu", tmp_path) is None


def test_a_recorded_run_is_a_reference_only_for_the_base_and_length_it_was_made_with(tmp_path: Path) -> None:
    made = recorded(tmp_path)
    assert compute(State(), room(made)).reference.final == made.runs[0].final
    assert "recorded on CPU" in compute(State(), room(made)).note
    other = recorded(tmp_path, base="0" * 12)
    assert compute(State(), room(other)).reference is None
    ended = json.loads((tmp_path / "training-tiny.json").read_text())["runs"][0]
    longer = recorded(tmp_path, runs=[ended | {"steps": 9}])
    assert compute(State(), room(longer)).reference is None


def test_a_damaged_recording_is_named(tmp_path: Path) -> None:
    for damage in ("{", "{}", '{"runs": [{"x": 1}]}'):
        (tmp_path / "training-tiny.json").write_text(damage)
        with pytest.raises(ValueError, match=r"training-tiny\.json is no recording"):
            read_recording("tiny", tmp_path)
    with pytest.raises(ValueError, match="run 1 .* is running; only finished runs"):
        write_recording("tiny", bench(), [run()], tmp_path)
    with pytest.raises(ValueError, match=r"record\('huge'\)"):
        record("huge", folder=tmp_path)


def test_the_books_recording_is_made_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorabook.book.explore.record.tiny_bench", bench)
    record("tiny", steps=3, folder=tmp_path)
    made = read_recording("tiny", tmp_path)
    assert [each.label for each in made.runs] == [FULL, "LoRA, r = 8", "LoRA, r = 8"]
    assert made.base == bench().fingerprint
    assert made.start == pytest.approx(bench().start)
    with_it = compute(State(model="gpu"), room(made))
    assert [line.gap is not None for line in with_it.lines] == [True, True, True]
