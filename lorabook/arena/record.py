"""The record: one file of rows for each task, a line of JSON a row, written when its run ends.

A line is added whole or not at all: one that was cut short, by a full disk or a killed machine, is dropped when the
file is read, and its run is asked for again.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lorabook.arena.job import FIELDS, VERSION, Job, Row
from lorabook.models.paths import data_dir

DIGITS = 6
"""Significant digits of a recorded number: a run does not repeat to more on another machine."""


class RecordError(ValueError):
    """The record cannot be read or written; the message names the file and says what to do."""


class Record:
    """The rows in a folder: `data/recorded/arena` if none is named."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_dir() / "recorded" / "arena"

    def rows(self) -> list[Row]:
        """Return every row; of two with the same job, the later.

        Raises:
            RecordError: a line is no row, or of another version.
        """
        latest: dict[Job, Row] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for number, line in _whole_lines(path):
                row = _row(line, path, number)
                latest[row.job] = row
        return list(latest.values())

    def add(self, row: Row) -> None:
        """Write a row behind the others of its task; the file is as before where that fails.

        Raises:
            RecordError: the disk is full, or the folder cannot be written.
        """
        path = self.folder / f"{row.task}.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                whole = _length_of_whole_lines(path)
                file.truncate(whole)
                try:
                    file.write(_line(row))
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(path, whole)
                    raise
        except OSError as error:
            raise RecordError(
                f"{path} cannot be written ({error.strerror}): the rows before stay as they are"
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other sweep away from this record meanwhile.

        Raises:
            RecordError: another sweep writes it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RecordError(
                f"another sweep is writing {self.folder}: wait until it ends, or name another folder with --record"
            ) from error
        try:
            yield
        finally:
            lock.release()


def _line(row: Row) -> bytes:
    entries = {name: _short(value) for name in FIELDS if (value := getattr(row, name)) not in (None, (), {})}
    entries |= row.job._asdict()  # in full: by these a row is found again
    return (json.dumps(entries, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _short(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return [_short(each) for each in value] if isinstance(value, tuple) else value


def _length_of_whole_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_bytes()[: _length_of_whole_lines(path)].decode("utf-8", errors="replace")
    return enumerate(text.splitlines(), 1)


def _row(line: str, path: Path, number: int) -> Row:
    try:
        entries = json.loads(line)
        version = entries.get("version")
    except (ValueError, AttributeError) as error:
        raise RecordError(
            f"line {number} of {path} is no row of the arena: restore the file, or delete the line"
        ) from error
    if version != VERSION:
        raise RecordError(
            f"line {number} of {path} is of version {version} of the record, and this lorabook reads {VERSION}: "
            "run the sweep again into another folder"
        )
    unknown = entries.keys() - set(FIELDS)
    missing = {*Job._fields, "state"} - entries.keys()
    if unknown or missing:
        what = f"has {', '.join(sorted(unknown))}" if unknown else f"lacks {', '.join(sorted(missing))}"
        raise RecordError(f"line {number} of {path} {what}: restore the file, or delete the line")
    return Row(**{**entries, "curve": tuple(entries.get("curve", ()))})
