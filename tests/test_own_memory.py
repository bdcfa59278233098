"""Every tensor of an adapted model is all of its memory, so that safetensors and who uses it can write it."""

from dataclasses import replace

import accelerate
import pytest
import torch
from safetensors.torch import load_model, save_model
from small import every_kind, llama, logits, shake, suits
from torch import nn
from worlds import example

import lorabook as lb
from lorabook.axes.base.double_quant import DoubleQuantStorage
from lorabook.axes.base.nf4 import NF4Storage
from lorabook.claims.catalogue import catalogue
from lorabook.core.lora import ORIGIN

STORES = {"dense": ORIGIN.base, "NF4": NF4Storage(), "double": DoubleQuantStorage()}
RECIPES = {"LoRA": lb.LoRA()}
RECIPES |= {name: example(make) for folder in catalogue().values() for name, make in folder.items()}
CASES = [(name, store) for name in RECIPES for store in STORES]


def adapted_model(name: str, store: str) -> nn.Module:
    """Return a model of every layer type that the recipe's form can be put on."""
    recipe = replace(RECIPES[name], r=2, rule=None, attention=None, also_train=None, base=STORES[store])
    model = every_kind(torch.float32)
    lb.inject(model, recipe, suits(type(recipe.form).__name__))
    shake(model)
    return model


@pytest.mark.parametrize(("name", "store"), CASES)
def test_no_tensor_is_a_part_of_a_larger_one(name, store):
    for key, tensor in adapted_model(name, store).state_dict().items():
        assert tensor.nbytes == tensor.untyped_storage().nbytes(), key
        assert tensor.numel(), key  # all empty tensors share one address, and are taken for one tensor


@pytest.mark.parametrize(("name", "store"), CASES)
def test_safetensors_writes_and_reads_the_whole_model(name, store, tmp_path):
    model, other = adapted_model(name, store), adapted_model(name, store)
    save_model(model, str(tmp_path / "whole.safetensors"))
    for tensor in [*other.parameters(), *(b for b in other.buffers() if b.is_floating_point())]:
        tensor.data.zero_()
    load_model(other, str(tmp_path / "whole.safetensors"))
    assert torch.equal(logits(other), logits(model))
    assert logits(model).abs().max() > 0


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("tied", [False, True])
def test_a_model_of_transformers_is_written_by_accelerate(store, tied, tmp_path):
    model = llama(tied=tied)
    lb.inject(model, replace(lb.LoRA(r=2), base=STORES[store]), "q_proj|v_proj")
    shake(model)
    accelerate.Accelerator(cpu=True).save_model(model, tmp_path)
    other = llama(tied=tied)
    lb.inject(other, replace(lb.LoRA(r=2), base=STORES[store]), "q_proj|v_proj", torch.Generator().manual_seed(3))
    load_model(other, str(tmp_path / "model.safetensors"))
    assert torch.equal(logits(other), logits(model))
