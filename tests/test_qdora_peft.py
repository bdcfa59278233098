"""QDoRA against PEFT's DoRA on bitsandbytes' Linear4bit, on the CPU: start, outputs, gradients, one step, merging."""

import logging
import warnings

import peft
import pytest
import torch
from small import gap
from torch import nn

from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.axes.base.nf4 import NF4, NF4Storage
from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe

logging.disable(logging.WARNING)  # bitsandbytes logs that an optional kernel package is absent
from bitsandbytes.nn import Linear4bit  # noqa: E402

logging.disable(logging.NOTSET)

D_OUT, D_IN, R, ALPHA = 64, 128, 4, 6.0
ROUNDING = 1e-5  # float32, products in another order
RECIPES = {"NF4": DoRA(R, ALPHA) | Recipe(base=NF4Storage()), "double quantisation": QLoRA(R, ALPHA) | DoRA()}


class Pair:
    """One layer in four bits, adapted by us and by PEFT, with the same numbers in both."""

    def __init__(self, storage: str, moved: bool = True) -> None:
        torch.manual_seed(0)
        plain = nn.Linear(D_IN, D_OUT)
        stored = Linear4bit(
            D_IN, D_OUT, compute_dtype=torch.float32, quant_type="nf4", compress_statistics=storage != "NF4",
            quant_storage=torch.uint8,
        )  # fmt: skip
        stored.load_state_dict(plain.state_dict())
        model = nn.Sequential(stored.to("cpu"))
        model.is_loaded_in_4bit = True  # PEFT asks the model, not the layer
        self.theirs = peft.get_peft_model(
            model, peft.LoraConfig(r=R, lora_alpha=int(ALPHA), target_modules=["0"], use_dora=True)
        )
        self.ours = nn.Sequential(plain)
        self.layer: Adapted = inject(self.ours, RECIPES[storage], "0")["0"]
        store, state = self.layer.base.store, stored.weight.quant_state
        assert torch.equal(store.packed, stored.weight.data.view(-1))
        self.m_at_start = self.layer.update.m.detach().clone()
        if isinstance(store, DoubleQuant):
            # The two round constants by other rules (tests/test_base.py): with the same ones all else must agree.
            store.absmax_codes.copy_(state.absmax)
            update = self.layer.update
            update.w0_lengths.copy_(store.dense().norm(dim=1))
            self.m_at_start = store.dense().norm(dim=1)
        held = dict(self.theirs.base_model.model[0].named_parameters())
        self.pairs = {
            "A": (self.layer.update.A, held["lora_A.default.weight"]),
            "B": (self.layer.update.B, held["lora_B.default.weight"]),
            "m": (self.layer.update.m, held["lora_magnitude_vector.default.weight"]),
        }
        self.their_m_at_start = self.pairs["m"][1].detach().clone()
        if moved:
            for mine, other in self.pairs.values():
                mine.data += 0.1 * torch.randn_like(mine)
                other.data.copy_(mine.data)
        self.x = torch.randn(5, D_IN)

    def backward(self) -> None:
        for model in (self.ours, self.theirs):
            torch.sin(model(self.x)).sum().backward()


@pytest.mark.parametrize("storage", RECIPES)
def test_magnitudes_start_at_the_dequantised_weight(storage):
    pair = Pair(storage, moved=False)
    assert gap(pair.m_at_start, pair.their_m_at_start) <= 1e-6


@pytest.mark.parametrize("storage", RECIPES)
def test_outputs_gradients_and_a_step(storage):
    pair = Pair(storage)
    assert gap(pair.ours(pair.x), pair.theirs(pair.x)) <= ROUNDING
    pair.backward()
    for letter, (mine, other) in pair.pairs.items():
        assert gap(mine.grad, other.grad) <= ROUNDING, letter
    for side in (0, 1):
        torch.optim.SGD([both[side] for both in pair.pairs.values()], lr=0.05).step()
    for letter, (mine, other) in pair.pairs.items():
        assert gap(mine, other) <= ROUNDING, letter


def test_merging_stays_dense_here_and_is_quantised_again_there():
    pair = Pair("NF4")
    said = pair.ours(pair.x)
    assert gap(merge(pair.ours)(pair.x), said) <= ROUNDING
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # PEFT says that rounding may change outputs
        again = pair.theirs.merge_and_unload()
    assert isinstance(again[0], Linear4bit)
    assert 0.01 <= gap(again(pair.x), said) <= 0.5
    quantised = NF4(pair.ours[0].weight).dense()
    assert gap(again(pair.x), nn.functional.linear(pair.x, quantised, pair.ours[0].bias)) <= 1e-3
