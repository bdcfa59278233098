"""QPiSSA stores what bitsandbytes stores of PEFT's residual."""

import bitsandbytes.functional as bnb
import peft
import torch
from torch import nn

from lorabook.axes.base.nf4 import NF4Storage
from lorabook.axes.init.pissa import PiSSA
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe


def test_the_base_is_bitsandbytes_rounding_of_pefts_residual():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(128, 96, bias=False))
    w0 = plain[0].weight.detach().clone()
    layer = inject(plain, PiSSA(r=8, alpha=12) | Recipe(base=NF4Storage()), "0")["0"]
    other = nn.Sequential(nn.Linear(128, 96, bias=False))
    other[0].weight.data.copy_(w0)
    config = peft.LoraConfig(r=8, lora_alpha=12, init_lora_weights="pissa", target_modules=["0"])
    residual = peft.get_peft_model(other, config).base_model.model[0].base_layer.weight.detach()
    codes, state = bnb.quantize_4bit(residual, blocksize=64, quant_type="nf4")
    theirs = bnb.dequantize_4bit(codes, state)
    # The two residuals differ by rounding, and a weight in the middle between two codes may fall to either side.
    differs = (layer.base.matrix - theirs).abs() > 1e-5
    assert differs.float().mean() < 0.01
    assert (residual - theirs).abs().max() > 1e-3, "four bits lose something, so this compared something"
