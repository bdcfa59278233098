"""What programs that serve adapters make of PEFT's two files: why one refuses a file, or would compute something else.

Read off their sources: vLLM's `lora/peft_helper.py`, 2025, and llama.cpp's `convert_lora_to_gguf.py`, 2026, which
`tests/foreign/llama_cpp.py` runs.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Reader = Callable[[Mapping[str, Any], Iterable[str]], str | None]
"""From PEFT's options and the tensors' names: why this program cannot serve the file; None if it can."""


def vllm(options: Mapping[str, Any], tensors: Iterable[str]) -> str | None:
    """vLLM serves W₀x + s·BAx with one s for all layers, α/r or α/√r; a rank above 16 needs `max_lora_rank`."""
    if options["peft_type"] != "LORA":
        return f"vLLM reads LoRA, not {options['peft_type']}"
    if options.get("use_dora"):
        return "vLLM has no DoRA"
    if options.get("modules_to_save"):
        return "vLLM takes no module that trained beside the adapters"
    if options.get("rank_pattern") or options.get("alpha_pattern"):
        return "vLLM has one r and one α for all layers"
    return None


def llama_cpp(options: Mapping[str, Any], tensors: Iterable[str]) -> str | None:
    """llama.cpp serves W₀x + (α/r)·BAx with one α for all layers; its converter knows no other tensors than A and B."""
    known = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")
    if not all(name.endswith(known) for name in tensors):
        return "llama.cpp takes a LoRA's A and B alone"
    if options.get("use_rslora"):
        return "llama.cpp takes α/r: write α√r for α"
    if options.get("alpha_pattern"):
        return "llama.cpp has one α for all layers"
    return None
