"""One verb for every model of the book: the shipped base, a bigger one that a package carries, or any checkpoint."""

from pathlib import Path

import torch

from lorabook.models.checkpoint import load_checkpoint
from lorabook.models.gguf_file import load_gguf
from lorabook.models.loaded import Loaded
from lorabook.models.smollm2 import load_smollm2
from lorabook.models.tiny import load_base, load_tiny


def load(
    name_or_path: str | Path = "tiny", device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Loaded:
    """Load a causal language model and its tokenizer.

    `name_or_path` is "tiny" (ships with the book), "smollm2" (SmolLM2-135M, an extra), the NAME.safetensors that
    `lorabook pretrain` wrote, the folder of a transformers checkpoint, or its hub id "owner/name".
    Device None is the CPU (`fastest()` names a GPU), dtype None float32.
    `lorabook pretrain` wrote, a LLaMA's NAME.gguf, the folder of a transformers checkpoint, or its hub id "owner/name".
    Device None is the CPU, dtype None float32.

    Raises:
        ValueError: for an unknown name, device or dtype.
        FileNotFoundError: naming a missing file.
        ModuleNotFoundError: naming what to install.
    """
    name = str(name_or_path)
    if name == "tiny":
        return load_tiny(device, dtype)
    if name == "smollm2":
        return load_smollm2(device, dtype)
    if name.endswith(".safetensors"):
        return load_base(Path(name), device, dtype)
    if name.endswith(".gguf"):
        return load_gguf(Path(name), device, dtype)
    if Path(name).is_dir() or name.count("/") == 1 and not name.startswith((".", "/")):
        return load_checkpoint(name, device, dtype)
    raise ValueError(
        f"Unknown model {name!r}; expected 'tiny', 'smollm2', a .safetensors file from `lorabook pretrain`, "
        f"a .gguf file, a folder with a transformers checkpoint (none is there), or a hub id such as 'owner/name'."
    )


def fastest() -> str:
    """Return the device on which a large model runs fastest here: a GPU if torch sees one."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
