"""Our adapters through llama.cpp's own converter, and with the scale of its own reader: a command of its own.

    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz
    python tests/foreign/llama_cpp.py llama_cpp_python-0.3.36/vendor/llama.cpp

It converts an adapter of every scale and mix of ranks, reads the GGUF file as llama.cpp does (llama-adapter.h:
s = α / b->ne[0], the rank of the tensor) and prints how far ΔW is from ours. Nothing of llama.cpp ships with the book,
and tests install nothing, so CI makes the same comparison on the file that the converter reads (`test_one_alpha.py`).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import torch
from small import gap, llama, shake
from torch import Tensor, nn

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.models.gguf_file import NAMES, rows_in_halves
from lorabook.saving.adapter_file import read
from lorabook.saving.servers import llama_cpp

HEADS = {"q_proj": 4, "k_proj": 2}
TARGETS = "q_proj|k_proj|o_proj|down_proj"
MIXES: dict[str, tuple[tuple[lb.Recipe, str], ...]] = {
    "LoRA": ((lb.LoRA(3, 7), TARGETS),),
    "rsLoRA": ((lb.rsLoRA(3, 7), TARGETS),),
    "rsLoRA, two ranks": ((lb.rsLoRA(3, 7), "q_proj|k_proj"), (lb.rsLoRA(2, 7), "o_proj|down_proj")),
    "LoRA, two alphas": ((lb.LoRA(3, 7), "q_proj|k_proj"), (lb.LoRA(3, 5), "o_proj|down_proj")),
    "LoRA, two ranks": ((lb.LoRA(3, 7), "q_proj|k_proj"), (lb.LoRA(2, 7), "o_proj|down_proj")),
    "LoRA beside rsLoRA": ((lb.LoRA(3, 7), "q_proj|k_proj"), (lb.rsLoRA(3, 7), "o_proj|down_proj")),
    "PiSSA": ((lb.PiSSA(3, 7), TARGETS),),
    "rsLoRA | PiSSA": ((lb.rsLoRA(3, 7) | lb.PiSSA(), TARGETS),),
    "OLoRA": ((lb.OLoRA(3, 7), TARGETS),),
    "LoRA-FA": ((lb.LoRAFA(3, 7), TARGETS),),
}
"""What a plain pair can say, by name: recipes and where they go."""


def mixed(name: str) -> nn.Module:
    """Return a LLaMA with adapters whose every number has moved."""
    model = llama()
    for recipe, targets in MIXES[name]:
        lb.inject(model, recipe, targets)
    shake(model)
    return model


def changes(model: nn.Module) -> dict[str, Tensor]:
    """Return ΔW beside the whole W₀ of every adapted layer."""
    plain = llama()
    return {
        name: (layer.update.weight(layer.base.matrix) - plain.get_submodule(name).weight).detach()
        for name, layer in adapted(model).items()
    }


def converted(source: Path, adapter: Path, base: Path, path: Path) -> gguf.GGUFReader:
    """Run llama.cpp's converter on an adapter's folder."""
    command = [sys.executable, str(source / "convert_lora_to_gguf.py"), "--base", str(base), "--outtype", "f32"]
    subprocess.run([*command, "--outfile", str(path), str(adapter)], check=True, capture_output=True)
    return gguf.GGUFReader(path)


def as_llama_cpp_reads(reader: gguf.GGUFReader) -> dict[str, Tensor]:
    """Return ΔW of every layer of a converted adapter, by our names."""
    alpha = float(reader.get_field("adapter.lora.alpha").contents())
    tensors = {each.name: torch.tensor(each.data) for each in reader.tensors}
    found = {}
    for name in {each.removesuffix(".lora_a") for each in tensors if each.endswith(".lora_a")}:
        a, b = tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"]
        _, number, part, _ = name.split(".")
        ours = NAMES[part]
        heads = HEADS.get(ours.rpartition(".")[2], 0)
        b = rows_in_halves(b, heads) if heads else b
        found[f"model.layers.{number}.{ours}"] = alpha / b.shape[1] * b @ a
    return found


def main(source: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        llama().save_pretrained(folder / "base")
        for number, name in enumerate(MIXES):
            model, adapter = mixed(name), folder / str(number)
            lb.save_adapter(model, adapter)
            file = read(adapter)
            assert llama_cpp(file.options, file.tensors) is None, "our rules say that llama.cpp cannot serve this"
            theirs = as_llama_cpp_reads(converted(source, adapter, folder / "base", folder / f"{number}.gguf"))
            ours = changes(model)
            assert theirs.keys() == ours.keys(), "layers are missing"
            worst = max(gap(theirs[layer], ours[layer]) for layer in ours)
            print(f"{name:22} {len(ours)} layers, ΔW off by {worst:.1e}")
            assert worst < 1e-5, name


if __name__ == "__main__":
    main(Path(sys.argv[1]))
