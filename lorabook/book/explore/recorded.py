"""Runs that were recorded on a machine the reader may not have: read from data/recorded, and written there.

A file is a JSON object: model, base (fingerprint of its weights), device, date, versions, start (the base's own loss),
and runs. Each run has its number, the knobs of `training_state.State`, steps, seed, and the fields of a `Run`, of which
`backward_bytes` is written as "kept".
"""

import datetime
import json
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from lorabook.book.explore.training_state import Line, State
from lorabook.models.fingerprint import fingerprint
from lorabook.models.paths import data_dir
from lorabook.tasks.train import Run, Setting


@dataclass(frozen=True)
class Recording:
    """What one machine recorded, and enough about the machine to know what the numbers mean."""

    model: str
    base: str
    device: str
    date: str
    versions: str
    start: float
    lines: list[Line]

    @property
    def note(self) -> str:
        """Where the runs come from, for the reader."""
        seeds = ", ".join(sorted({str(line.seed) for line in self.lines}))
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
        entries = json.loads(path.read_text(encoding="utf-8"))
        lines = [_line(entry) for entry in entries.pop("runs")]
        return Recording(**entries, lines=lines)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no recording of training runs ({error}): restore it, or record again.") from error


def write_recording(model: str, setting: Setting, lines: list[Line], folder: Path | None = None) -> Path:
    """Write finished runs of this machine, and return the file.

    Raises:
        ValueError: a run did not finish.
    """
    for line in lines:
        if line.run.state != "finished":
            raise ValueError(f"run {line.number} ({line.label}) is {line.run.state}; only finished runs are recorded.")
    device = setting.base.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    entries = {
        "model": model,
        "base": fingerprint(setting.base.model),
        "device": name,
        "date": datetime.date.today().isoformat(),
        "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
        "start": setting.start,
        "runs": [_entry(line) for line in lines],
    }
    path = _path(model, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _entry(line: Line) -> dict[str, Any]:
    """Return a run as it stands in a file, everything on one level."""
    run = asdict(line.run)
    run |= {"kept": run.pop("backward_bytes"), "losses": [round(loss, 4) for loss in line.run.losses]}
    return {"number": line.number, **asdict(line.knobs), "steps": line.steps, "seed": line.seed, **run}


def _line(entry: dict[str, Any]) -> Line:
    knobs = State(**{knob.name: entry.pop(knob.name) for knob in fields(State)})
    number, steps, seed = (entry.pop(name) for name in ("number", "steps", "seed"))
    return Line(number, knobs, steps, seed, Run(backward_bytes=entry.pop("kept"), **entry))


def _path(model: str, folder: Path | None) -> Path:
    return (folder or data_dir() / "recorded") / f"training-{model}.json"
