"""Recorded runs: written by one call, shown with where they come from, compared only with what they fit."""

import json
from pathlib import Path

import pytest
from explorers import line, runs, setting
from lorabook.book.explore.record import record
from lorabook.book.explore.recorded import Recording, read_recording, write_recording

from lorabook.book.explore.training import NO_CUDA, compute
from lorabook.book.explore.training_state import FULL, State, contender
from lorabook.models.fingerprint import fingerprint
from lorabook.models.paths import data_dir
from lorabook.tasks.train import train


def recorded(tmp_path: Path, **changes: object) -> Recording:
    """A recording of full fine-tuning, made by the code that makes the book's."""
    full = line(FULL)
    train(setting(), contender(full.knobs, full.steps), full.seed, run=full.run)
    path = write_recording("tiny", setting(), [full], tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return read_recording("tiny", tmp_path)


def test_a_recorded_run_is_shown_with_where_and_when_it_was_made(tmp_path: Path) -> None:
    recording = recorded(tmp_path, device="a device", date="2026-01-02", versions="torch x")
    assert recording.note == "recorded on a device, 2026-01-02, torch x, seed 0"
    shown = compute(State(model="gpu"), runs(recording))
    assert shown.recorded
    assert shown.lines == recording.lines
    assert shown.note == f"{NO_CUDA} Shown: {recording.note}."
    assert read_recording("gpu", tmp_path) is None


def test_a_recorded_run_is_a_reference_only_for_the_base_and_length_it_was_made_with(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    with_it = compute(State(), runs(recording))
    assert with_it.reference.run.final == recording.lines[0].run.final
    assert not with_it.recorded, "the lines are those of this machine"
    assert "recorded on CPU" in with_it.note
    other = recorded(tmp_path, base="0" * 12)
    assert compute(State(), runs(other)).reference is None
    ended = json.loads((tmp_path / "training-tiny.json").read_text())["runs"][0]
    longer = recorded(tmp_path, runs=[ended | {"steps": 9}])
    assert compute(State(), runs(longer)).reference is None


def test_the_books_recording_reads_as_it_was_written() -> None:
    recording = read_recording("tiny")
    entries = json.loads((data_dir() / "recorded" / "training-tiny.json").read_text())
    assert (recording.base, recording.start) == (entries["base"], entries["start"])
    for each, entry in zip(recording.lines, entries["runs"], strict=True):
        assert each.run.backward_bytes == entry["kept"]
        assert (each.run.losses, each.run.final) == (entry["losses"], entry["final"])
        assert vars(each.knobs) == {name: entry[name] for name in vars(each.knobs)}
    assert [each.label for each in recording.lines] == [FULL, "LoRA, r = 8", "LoRA, r = 8"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    again = write_recording("tiny", setting(), recording.lines, tmp_path / "again")
    first, second = (json.loads(path.read_text()) for path in (tmp_path / "training-tiny.json", again))
    assert first == second


def test_a_damaged_recording_is_named(tmp_path: Path) -> None:
    for damage in ("{", "{}", '{"runs": [{"x": 1}]}'):
        (tmp_path / "training-tiny.json").write_text(damage)
        with pytest.raises(ValueError, match=r"training-tiny\.json is no recording"):
            read_recording("tiny", tmp_path)
    with pytest.raises(ValueError, match="run 1 .* is running; only finished runs"):
        write_recording("tiny", setting(), [line()], tmp_path)
    with pytest.raises(ValueError, match=r"record\('huge'\)"):
        record("huge", folder=tmp_path)


def test_the_books_recording_is_made_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorabook.book.explore.record.tiny_setting", setting)
    record("tiny", steps=3, folder=tmp_path)
    recording = read_recording("tiny", tmp_path)
    assert [each.label for each in recording.lines] == [FULL, "LoRA, r = 8", "LoRA, r = 8"]
    assert [len(each.run.losses) for each in recording.lines] == [3, 3, 3]
    assert recording.base == fingerprint(setting().base.model)
    assert recording.start == pytest.approx(setting().start)
    shown = compute(State(model="gpu"), runs(recording))
    assert [gap is not None for gap in shown.gaps] == [True, True, True]
