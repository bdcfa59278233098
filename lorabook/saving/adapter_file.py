"""The two files of an adapter, read with suspicion and written whole: tensors (safetensors) and options (JSON).

What only we need is in the header of the safetensors file, where PEFT does not look. It holds a copy of the options
too, so that two files which do not belong to one save are noticed.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

WEIGHTS, OPTIONS, PICKLE = "adapter_model.safetensors", "adapter_config.json", "adapter_model.bin"

MAY_BE_EDITED = frozenset(
    "base_model_name_or_path revision task_type auto_mapping inference_mode peft_version why_not_peft".split()
)
"""Options that no number depends on. People edit them: a base is moved, or bears another name on a hub."""


class BadAdapter(ValueError):
    """An adapter file that cannot be used; the message names file and key. Nothing was loaded."""


@dataclass(frozen=True)
class AdapterFile:
    """The contents of a folder: options as in the JSON, tensors by key, and our own note (empty in files of others)."""

    folder: Path
    options: dict
    tensors: dict[str, Tensor]
    note: dict

    @property
    def weights_path(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def options_path(self) -> Path:
        return self.folder / OPTIONS


def read(folder: Path) -> AdapterFile:
    """Read an adapter's folder, never unpickling anything.

    Raises:
        FileNotFoundError: the folder or one of its two files is missing.
        BadAdapter: a file is truncated, of another format, holds NaN or infinity, or the two are not from one save.
    """
    options = _read_options(folder)
    tensors, header = _read_weights(folder)
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise BadAdapter(
                f"{folder / WEIGHTS}: {key} has NaN or infinite entries; its training diverged, or the file is damaged"
            )
    try:
        note = json.loads(header.get("lorabook", "{}"))
        ours = note.get("options", {})
    except (json.JSONDecodeError, AttributeError) as error:
        raise BadAdapter(f"{folder / WEIGHTS}: 'lorabook' in its header is no JSON object: {error}") from error
    for option, value in ours.items():
        if option not in MAY_BE_EDITED and options.get(option) != value:
            raise BadAdapter(
                f"{folder / OPTIONS}: {option} is {options.get(option)!r}, but {WEIGHTS} was saved with {value!r}. The "
                "two files are not from one save, or the JSON was edited: save the adapter again"
            )
    return AdapterFile(folder, options, tensors, note)


def _read_options(folder: Path) -> dict:
    path = folder / OPTIONS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: an adapter is a folder with {OPTIONS} and {WEIGHTS}")
    try:
        options = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadAdapter(f"{path} is no valid JSON: {error}") from error
    if not isinstance(options, dict):
        raise BadAdapter(f"{path} holds a {type(options).__name__}; expected an object with adapter options")
    return options


def _read_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    path = folder / WEIGHTS
    if not path.is_file():
        if (folder / PICKLE).exists():
            raise BadAdapter(
                f"{folder / PICKLE} is a pickle, which can run any code when it is opened, so it is never read. Where "
                "it was made, save again as safetensors: save_pretrained(folder, safe_serialization=True)"
            )
        raise FileNotFoundError(f"{path} is missing: an adapter is a folder with {OPTIONS} and {WEIGHTS}")
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file begins with the length of its header in eight bytes, and that may look like a pickle's first
    # two (640 does); the header itself begins with a brace.
    if start[:2] in (b"PK", b"\x80\x02", b"\x80\x04") and start[8:] != b"{":
        raise BadAdapter(f"{path} is a pickle under another name; it is never read. Save the adapter as safetensors")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise BadAdapter(f"{path} is truncated or no safetensors file ({error}); copy or save it again") from error


def write(folder: Path, options: dict, tensors: dict[str, Tensor], note: dict) -> None:
    """Write both files so that a failure at any point leaves the folder with the adapter it had.

    Raises:
        NotADirectoryError: the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the path of a folder for the adapter")
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": "pt", "lorabook": json.dumps(note | {"options": options}, sort_keys=True, allow_nan=False)}
    text = json.dumps(options, indent=2, sort_keys=True, allow_nan=False) + "\n"
    parts = {name: folder / f".{name}.{os.getpid()}.part" for name in (OPTIONS, WEIGHTS)}
    try:
        parts[OPTIONS].write_text(text, encoding="utf-8")
        safetensors.torch.save_file(tensors, parts[WEIGHTS], metadata=header)
        _to_disk(parts)
        _put_both(folder, parts)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _to_disk(parts: dict[str, Path]) -> None:
    """Wait until the contents are on the disk: a name must never point at contents that a power cut could lose."""
    for part in parts.values():
        with part.open("rb+") as file:
            os.fsync(file.fileno())


def _put_both(folder: Path, parts: dict[str, Path]) -> None:
    """Give both files their names, the large one last; if that fails, the small one's predecessor comes back."""
    options = folder / OPTIONS
    before = options.read_bytes() if options.exists() else None
    try:
        os.replace(parts[OPTIONS], options)
        os.replace(parts[WEIGHTS], folder / WEIGHTS)
    except BaseException:
        if before is None:
            options.unlink(missing_ok=True)
        else:
            options.write_bytes(before)
        raise
