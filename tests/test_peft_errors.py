"""What PEFT 0.21.2 gets wrong, shown: when one of these tests fails, PEFT has mended it, and our notes must follow."""

import copy

import peft
import pytest
import torch
from peft.optimizers import create_loraplus_optimizer
from small import gap
from torch import nn

from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge, merged
from lorabook.core.optimizer import optimizer


def both(layer: nn.Module, config: peft.PeftConfig, recipe) -> tuple[nn.Module, nn.Module]:
    plain = nn.Sequential(layer).double()
    ours = copy.deepcopy(plain)
    inject(ours, recipe, "0")
    return ours, peft.get_peft_model(plain, config)


def lora(**options) -> peft.LoraConfig:
    return peft.LoraConfig(r=2, lora_alpha=6, target_modules=["0"], init_lora_weights=False, **options)


PICTURE = torch.randn(1, 4, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def shaken(model: nn.Module) -> nn.Module:
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name)), dtype=p.dtype)
    return model


def test_its_convolution_forgets_dilation_and_cannot_run():
    ours, theirs = both(nn.Conv2d(4, 6, 3, padding=2, dilation=2), lora(), LoRA(2, 6.0))
    with pytest.raises(RuntimeError, match="size of tensor"):
        theirs(PICTURE)
    shaken(ours)
    with merged(ours):
        said = ours(PICTURE)
    assert gap(ours(PICTURE), said) <= 1e-13


def test_its_convolution_pads_with_zeros_whatever_the_layer_does():
    ours, theirs = both(nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), lora(), LoRA(2, 6.0))
    shaken(theirs), shaken(ours)
    assert gap(theirs(PICTURE), theirs.merge_and_unload()(PICTURE)) > 0.1
    said = ours(PICTURE)
    assert gap(merge(ours)(PICTURE), said) <= 1e-13


def test_its_grouped_convolution_cannot_be_merged():
    with pytest.warns(UserWarning, match="Merging is not supported"):
        ours, theirs = both(nn.Conv2d(4, 6, 3, groups=2), lora(), LoRA(2, 6.0))
    with pytest.raises(NotImplementedError, match="groups"):
        theirs.merge_and_unload()
    shaken(ours)
    said = ours(PICTURE)
    assert gap(merge(ours)(PICTURE), said) <= 1e-13


def test_its_loha_keeps_the_scale_in_float32():
    ours, theirs = both(nn.Linear(5, 4), peft.LoHaConfig(r=3, alpha=7, target_modules=["0"]), LoHa(3, 7.0))
    layer = shaken(theirs).base_model.model[0]
    exact = 7 / 3 * (layer.hada_w1_a["default"] @ layer.hada_w1_b["default"])
    exact = exact * (layer.hada_w2_a["default"] @ layer.hada_w2_b["default"])
    assert 1e-9 < gap(layer.get_delta_weight("default"), exact) < 1e-7
    assert ours[0].scale == 7 / 3


def test_its_adalora_trains_the_constant_it_divides_by():
    config = peft.AdaLoraConfig(init_r=3, target_r=2, lora_alpha=7, target_modules=["0"], total_step=9)
    theirs = peft.get_peft_model(nn.Sequential(nn.Linear(5, 4)).double(), config)
    assert theirs.base_model.model[0].ranknum["default"].requires_grad


def test_its_adapter_on_attention_output_is_ignored():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(1, 4, 8)
    before = attention(x, x, x)[0]
    ours = copy.deepcopy(attention)
    inject(ours, LoRA(2, 6.0), "out_proj")
    shaken(ours)
    config = peft.LoraConfig(r=2, target_modules=["out_proj"], init_lora_weights=False)
    theirs = peft.get_peft_model(attention, config)
    assert torch.equal(theirs(x, x, x)[0], before)
    assert gap(ours(x, x, x)[0], before) > 0.1


def test_its_lora_plus_gives_the_magnitude_of_dora_the_fast_rate():
    ours, theirs = both(nn.Linear(5, 4), lora(use_dora=True), LoRAPlus(16) | DoRA(2, 6.0))
    step = create_loraplus_optimizer(theirs, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16)
    m = theirs.base_model.model[0].lora_magnitude_vector["default"].weight
    assert [group["lr"] for group in step.param_groups if any(p is m for p in group["params"])] == [16e-3]
    m = ours[0].update.m
    assert [g["lr"] for g in optimizer(ours, 1e-3).param_groups if any(p is m for p in g["params"])] == [1e-3]


def test_its_lora_plus_gives_embeddings_a_rate_of_their_own():
    _, theirs = both(nn.Embedding(7, 4), lora(), LoRAPlus(16, r=2))
    step = create_loraplus_optimizer(theirs, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16)
    assert [group["lr"] for group in step.param_groups if group["params"]] == [1e-6]
