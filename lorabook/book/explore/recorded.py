"""Runs that were recorded on a machine the reader may not have: read from data/recorded, and written there.

A file is a JSON object: model, base (fingerprint of its weights), device, date, versions, start (the base's own loss),
and runs, each with the fields of `workbench.Run`.
"""

import datetime
import json
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from lorabook.book.explore.workbench import Run, Workbench
from lorabook.models.paths import data_dir


@dataclass(frozen=True)
class Recording:
    """What one machine recorded, and enough about the machine to know what the numbers mean."""

    model: str
    base: str
    device: str
    date: str
    versions: str
    start: float
    runs: list[Run]

    @property
    def note(self) -> str:
        """Where the runs come from, for the reader."""
        seeds = ", ".join(sorted({str(run.seed) for run in self.runs}))
        return f"recorded on {self.device}, {self.date}, {self.versions}, seed {seeds}"


def read_recording(model: str, folder: Path | None = None) -> Recording | None:
    """Return the recorded runs of a model, or None if the book has none.

    Raises:
        ValueError: the file is there and is not a recording; the message names it.
    """
    path = _path(model, folder)
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["runs"] = [Run(**run) for run in found["runs"]]
        return Recording(**found)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no recording of training runs ({error}): restore it, or record again.") from error


def write_recording(model: str, bench: Workbench, runs: list[Run], folder: Path | None = None) -> Path:
    """Write finished runs of this machine, and return the file.

    Raises:
        ValueError: a run did not finish.
    """
    for run in runs:
        if run.state != "finished":
            raise ValueError(f"run {run.number} ({run.label}) is {run.state}; only finished runs are recorded.")
    device = bench.base.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    today = datetime.date.today().isoformat()
    recording = Recording(model, bench.fingerprint, name, today, versions, bench.start, runs)
    path = _path(model, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {field.name: getattr(recording, field.name) for field in fields(recording)}
    values["runs"] = [_rounded(asdict(run)) for run in runs]
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _rounded(run: dict) -> dict:
    return run | {"losses": [round(loss, 4) for loss in run["losses"]]}


def _path(model: str, folder: Path | None) -> Path:
    return (folder or data_dir() / "recorded") / f"training-{model}.json"
