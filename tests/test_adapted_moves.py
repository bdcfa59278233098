"""An adapted model can be moved, cast, copied, pickled and stored like any other module."""

import copy
import io
import pickle
from dataclasses import replace

import pytest
import torch
from small import every_kind, gap, logits, shake, suits
from worlds import forms

from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.axes.init.pissa import PiSSA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import disabled, merge, merged

RECIPES = {name: replace(form, rule=None) for name, form in forms().items()} | {
    "PiSSA": PiSSA(), "QLoRA": QLoRA(), "QDoRA": QLoRA() | DoRA(), "QPiSSA": QLoRA() | PiSSA(),
}  # fmt: skip
EXACT = torch.float32


def model_of(name: str, dtype: torch.dtype = EXACT):
    model = every_kind(dtype)
    inject(model, replace(RECIPES[name], r=2, alpha=7.0), suits(name))
    shake(model)
    return model


@pytest.mark.parametrize("name", RECIPES)
def test_deepcopy_is_a_model_of_its_own(name):
    model = model_of(name)
    said = logits(model)
    other = copy.deepcopy(model)
    assert torch.equal(logits(other), said)
    shake(other)
    assert not torch.equal(logits(other), said)
    assert torch.equal(logits(model), said)


@pytest.mark.parametrize("name", RECIPES)
def test_pickle_and_torch_save(name):
    model = model_of(name)
    assert torch.equal(logits(pickle.loads(pickle.dumps(model))), logits(model))
    kept = io.BytesIO()
    torch.save(model, kept)
    kept.seek(0)
    assert torch.equal(logits(torch.load(kept, weights_only=False)), logits(model))


@pytest.mark.parametrize("name", RECIPES)
def test_state_dict_goes_round(name):
    model = model_of(name)
    other = every_kind(EXACT)
    other.up.weight.data += 1  # the state holds the base as well
    inject(other, replace(RECIPES[name], r=2, alpha=7.0), suits(name), torch.Generator().manual_seed(5))
    shake(other, 0.5)
    other.load_state_dict(model.state_dict())
    assert torch.equal(logits(other), logits(model))
    with disabled(other), disabled(model):
        assert torch.equal(logits(other), logits(model))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_casting_casts_base_and_update(name, dtype):
    model = model_of(name)
    said = logits(model)
    model.to(dtype)
    for layer in adapted(model).values():
        assert layer.weight.dtype == layer.base.matrix.dtype == dtype
        assert {p.dtype for p in layer.update.parameters()} == {dtype}
    assert logits(model).dtype == dtype
    # NF4's codes are kept; only what comes out of them, and the update, is in the new dtype.
    assert gap(logits(model).float(), said) <= (0.05 if dtype == torch.bfloat16 else 1e-5)
    with merged(model):
        assert gap(logits(model), said.to(dtype)) <= (0.05 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_moving_moves_every_tensor(name):
    model = model_of(name).to("meta")
    held = [*model.parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in held} == {"meta"}
    assert adapted(model)["up"].weight.device.type == "meta"
    assert adapted(model)["up"].weight.shape == (12, 20)


@pytest.mark.parametrize("name", RECIPES)
def test_an_empty_batch_is_answered_as_the_plain_layers_do(name):
    # As an expert that no token is sent to gets one.
    layers = adapted(model_of(name))
    inputs = {"table": torch.zeros(0, 8, dtype=torch.long), "conv": torch.zeros(0, 6, 4, 4), "up": torch.zeros(0, 20),
              "out": torch.zeros(0, 3, 12)}  # fmt: skip
    for layer_name, layer in layers.items():
        given = inputs[layer_name]
        assert layer(given).shape == layer.plain()(given).shape


def test_an_effective_weight_can_be_copied_and_pickled():
    model = model_of("LowRankForm")
    weight = adapted(model)["up"].weight
    for other in (copy.copy(weight), copy.deepcopy(weight), pickle.loads(pickle.dumps(weight))):
        assert torch.equal(other.tensor(), weight.tensor())
        assert other.dtype == weight.dtype


def test_a_missing_attribute_of_an_effective_weight_is_named():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = adapted(model_of("LowRankForm"))["up"].weight.no_such_thing


def test_a_merged_copy_leaves_the_original_adapted():
    model = every_kind(EXACT)
    inject(model, LoRA(r=2), "up")
    shake(model)
    said = logits(model)
    plain = merge(copy.deepcopy(model))
    assert not adapted(plain)
    assert list(adapted(model)) == ["up"]
    assert gap(logits(plain), said) <= 1e-5
