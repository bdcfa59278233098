"""The scale of a LoRA's file is right for a reader that knows one α and α/r alone, and comes back here as it was."""

import json
from pathlib import Path

import peft
import pytest
import torch
from llama_cpp import MIXES, changes, mixed
from safetensors.torch import save_file
from small import gap, llama, logits

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.saving.adapter_file import BadAdapter, read
from lorabook.saving.peft.scales import NOTE
from lorabook.saving.peft.writing import PREFIX
from lorabook.saving.servers import llama_cpp

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def as_one_alpha_reads(folder: Path) -> dict[str, torch.Tensor]:
    """ΔW of a reader that takes `lora_alpha`, the rank of the tensor, and nothing else."""
    file = read(folder)
    layers = {key.removesuffix(".lora_A.weight") for key in file.tensors if key.endswith(".lora_A.weight")}
    found = {}
    for layer in layers:
        a, b = file.tensors[f"{layer}.lora_A.weight"], file.tensors[f"{layer}.lora_B.weight"]
        found[layer.removeprefix(PREFIX)] = file.options["lora_alpha"] / len(a) * b @ a
    return found


@pytest.mark.parametrize("name", MIXES)
def test_one_alpha_and_the_rank_of_the_tensor_are_the_whole_scale(name: str, tmp_path: Path) -> None:
    model = mixed(name)
    lb.save_adapter(model, tmp_path)
    file = read(tmp_path)
    assert llama_cpp(file.options, file.tensors) is None
    assert not file.options["use_rslora"]
    assert not file.options["alpha_pattern"]
    ours, theirs = changes(model), as_one_alpha_reads(tmp_path)
    assert ours.keys() == theirs.keys()
    assert max(gap(theirs[layer], ours[layer]) for layer in ours) < 1e-5
    assert gap(logits(peft.PeftModel.from_pretrained(llama(), tmp_path)), logits(model)) < 2e-6


@pytest.mark.parametrize("name", MIXES)
def test_rule_and_alpha_of_every_layer_come_back(name: str, tmp_path: Path) -> None:
    model = mixed(name)
    lb.save_adapter(model, tmp_path)
    plain = llama()
    back = lb.load_adapter(plain, tmp_path)
    assert gap(logits(plain), logits(model)) < 2e-6
    for layer, was in adapted(model).items():
        if was.start is None:
            assert (back[layer].recipe.scale, back[layer].recipe.alpha) == (was.recipe.scale, was.recipe.alpha)
            torch.testing.assert_close(back[layer].update.B, was.update.B, rtol=2e-7, atol=0)
    again = mixed(name)
    lb.load_adapter(again, tmp_path)
    assert gap(logits(again), logits(model)) < 2e-6


def test_rslora_goes_on_with_its_own_recipe(tmp_path: Path) -> None:
    """The file says α/r, and `recipe` may still say rsLoRA: its header knows."""
    lb.save_adapter(mixed("rsLoRA"), tmp_path)
    model = llama()
    lb.load_adapter(model, tmp_path, lb.rsLoRA(3, 7))
    assert gap(logits(model), logits(mixed("rsLoRA"))) < 2e-6


@pytest.mark.parametrize("own", [{"scale": "AlphaOverR"}, {"scale": "Nothing", "alpha": 3}, {"alpha": -1}, 7])
def test_a_scale_that_is_none_is_refused(own: object, tmp_path: Path) -> None:
    lb.save_adapter(mixed("rsLoRA"), tmp_path)
    file = read(tmp_path)
    layer = next(iter(file.note[NOTE]))
    note = file.note | {NOTE: {layer: own}}
    save_file(file.tensors, file.weights_path, metadata={"lorabook": json.dumps(note)})
    with pytest.raises(BadAdapter, match="describes no scale"):
        lb.load_adapter(llama(), tmp_path)
