"""Several axes at once: train a step, save, load here and in PEFT, merge. The base itself is never in the file."""

import copy
import json

import peft
import pytest
import safetensors
import torch
from small import every_kind, gap, logits, shake
from torch import nn

from lorabook.axes.attention.longlora import LongLoRA
from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import disabled, merge
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import Recipe
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.saving.save import load_adapter, save_adapter

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")

TARGETS = "table|conv|up|out"
NUMBERS = Recipe(r=3, alpha=7.0)


def trained(recipe: Recipe, targets: str = TARGETS, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A model after one step of the optimiser that its recipe asks for."""
    model = every_kind(dtype)
    inject(model, recipe | NUMBERS, targets)
    shake(model, 0.05)
    step = optimizer(model, lr=0.02)
    model(torch.arange(24).reshape(3, 8) % 11).square().mean().backward()
    step.step()
    return model


def base_of(model: nn.Module) -> nn.Module:
    """The plain model that the adapters really sit on: a quantised base, dequantised."""
    plain = every_kind(torch.float32)
    for name, layer in adapted(model).items():
        plain.get_submodule(name).weight.data = layer.base.native(layer.base.matrix).clone()
    return plain


@pytest.mark.parametrize(
    "recipe", [QLoRA() | rsLoRA() | LoRAPlus(16), QLoRA() | DoRA(), QLoRA() | DoRA() | rsLoRA() | LoRAPlus(16)]
)
def test_on_a_quantised_base(recipe, tmp_path):
    model = trained(recipe)
    save_adapter(model, tmp_path)
    fresh = every_kind(torch.float32)
    load_adapter(fresh, tmp_path, QLoRA())
    assert torch.equal(logits(fresh), logits(model))
    said = logits(model)
    assert gap(logits(peft.PeftModel.from_pretrained(base_of(model), tmp_path)), said) <= 5e-6
    assert gap(logits(merge(fresh)), said) <= 5e-6
    with safetensors.safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        assert "DoubleQuant" in json.loads(file.metadata()["lorabook"])["trained_on"]
        assert not [key for key in file.keys() if "base" in key.removeprefix("base_model.model.")]


@pytest.mark.parametrize("recipe", [QLoRA() | PiSSA(), QLoRA() | PiSSA() | DoRA() | rsLoRA()])
def test_qpissa_goes_on_exactly_and_loses_the_quantisation_error_on_the_original(recipe, tmp_path):
    model = trained(recipe)
    said = logits(model)
    save_adapter(model, tmp_path)
    same = every_kind(torch.float32)
    inject(same, recipe | NUMBERS, TARGETS)
    load_adapter(same, tmp_path)
    assert torch.equal(logits(same), said)
    assert gap(logits(merge(same)), said) <= 5e-6
    # On the original W₀ the layer is W₀ + s(BA − B₀A₀): it differs by W_res − Q(W_res), and by nothing else.
    plain = every_kind(torch.float32)
    layers = load_adapter(plain, tmp_path)
    name, here, there = "up", layers["up"], adapted(model)["up"]
    v_here = here.base.matrix + here.scale * (here.update.B @ here.update.A)
    v_there = there.base.matrix + there.scale * (there.update.B @ there.update.A)
    rest = every_kind(torch.float32).get_submodule(name).weight - there.scale * (there.start.B @ there.start.A)
    assert gap(v_here - v_there, rest - there.base.matrix) <= 1e-4
    assert gap(logits(plain), said) > 1e-3
    with safetensors.safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        assert "quantisation error" in json.loads(file.metadata()["lorabook"])["lost"]


def test_a_dense_pissa_trained_travels_to_peft(tmp_path):
    model = trained(PiSSA() | LoRAPlus(4))
    save_adapter(model, tmp_path)
    assert gap(logits(peft.PeftModel.from_pretrained(every_kind(torch.float32), tmp_path)), logits(model)) <= 5e-6
    with disabled(model):
        assert gap(logits(model), logits(every_kind(torch.float32))) <= 5e-6


def test_adalora_with_masked_triplets_travels_to_peft_and_back(tmp_path):
    model = every_kind(torch.float32)
    recipe = AdaLoRA(4, 7.0, total_steps=12, target_r=1, warm_up=1, final=3)
    inject(model, recipe, "conv|up|out")
    rule, step = recipe.rule.build(model), optimizer(model, lr=0.05)
    for t in range(12):
        loss = model(torch.arange(24).reshape(3, 8) % 11).square().mean() + rule.penalty()
        loss.backward()
        rule.before_step(t)
        step.step()
        rule.after_step(t)
        step.zero_grad()
    assert sum(int((layer.update.E != 0).sum()) for layer in adapted(model).values()) == 3
    save_adapter(model, tmp_path)
    fresh = every_kind(torch.float32)
    load_adapter(fresh, tmp_path)
    assert torch.equal(logits(fresh), logits(model))
    assert gap(logits(peft.PeftModel.from_pretrained(every_kind(torch.float32), tmp_path)), logits(model)) <= 1e-5


def test_ranks_that_differ_between_layers_travel_to_peft(tmp_path):
    model = every_kind()
    inject(model, rsLoRA(r=2, alpha=5), "conv")
    inject(model, rsLoRA(r=4, alpha=9), "table|out")
    inject(model, LoRA(r=3, alpha=7), "up")
    shake(model)
    save_adapter(model, tmp_path)
    assert gap(logits(peft.PeftModel.from_pretrained(every_kind(), tmp_path)), logits(model)) <= 1e-12
    fresh = every_kind()
    layers = load_adapter(fresh, tmp_path)
    assert {name: layer.r for name, layer in layers.items()} == {"table": 4, "conv": 2, "up": 3, "out": 4}
    assert gap(logits(fresh), logits(model)) <= 1e-12


def test_longlora_comes_back_with_its_norms_and_embeddings(tmp_path):
    def net():
        torch.manual_seed(1)
        return Decoder(DecoderConfig(vocab=11, hidden=8, layers=2, heads=2, kv_heads=2, d_head=4, ffn=8, context=8))

    model = net()
    recipe = LongLoRA(4, r=2, alpha=7)
    inject(model, recipe, "[qkvo]_proj")
    shake(model)
    for name, parameter in model.named_parameters():
        parameter.data += 0.1 * ("norm" in name or "embed" in name)
    save_adapter(model, tmp_path)
    fresh = net()
    load_adapter(fresh, tmp_path, Recipe(attention=recipe.attention))
    assert torch.equal(logits(fresh), logits(model))
    trains = {name for name, p in fresh.named_parameters() if p.requires_grad}
    assert trains == {name for name, p in model.named_parameters() if p.requires_grad}


def test_pissa_of_a_large_rank_and_a_rank_beyond_the_matrix_load(tmp_path):
    model = every_kind()
    inject(model, PiSSA(r=5, alpha=7), "table|conv|up|out")  # 2r = 10 is more than the sides 5, 6 and 7
    shake(model)
    save_adapter(model, tmp_path / "ours")
    fresh = every_kind()
    load_adapter(fresh, tmp_path / "ours")
    assert gap(logits(fresh), logits(model)) <= 1e-12
    config = peft.LoraConfig(r=9, lora_alpha=7, target_modules=["conv", "out"], init_lora_weights=False)
    other = peft.get_peft_model(every_kind(), config)
    other.save_pretrained(tmp_path / "theirs")
    fresh = every_kind()
    load_adapter(fresh, tmp_path / "theirs")
    assert gap(logits(fresh), logits(other)) <= 1e-12


def test_loha_ranks_that_differ_between_layers_travel_to_peft(tmp_path):
    model = every_kind()
    inject(model, LoHa(r=2, alpha=5), "conv")
    inject(model, LoHa(r=4, alpha=6), "up")
    shake(model)
    save_adapter(model, tmp_path)
    assert gap(logits(peft.PeftModel.from_pretrained(every_kind(), tmp_path)), logits(model)) <= 1e-12


def test_saving_changes_nothing(tmp_path):
    model = trained(QLoRA() | PiSSA())
    before = copy.deepcopy(model.state_dict())
    save_adapter(model, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
