"""Adapters travel between lorabook and PEFT 0.21.2 with the same logits, in both directions."""

import json

import peft
import pytest
import torch
from small import TOKENS, every_kind, gap, gpt2, llama, logits, shake
from torch import nn

from lorabook.axes.form.adalora import AdaLoRAForm
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.glora import GLoRA
from lorabook.axes.form.hira import HiRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.lokr import LoKr
from lorabook.axes.form.vera import VeRA
from lorabook.axes.init.olora import OLoRA
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.saving.save import load_adapter, save_adapter

# What PEFT and transformers say to each other, and that PEFT notices Conv1D's transposed weight by itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning"),
]

PLQ_FORM = Recipe(form=AdaLoRAForm(), names=frozenset({"AdaLoRA's form"}))
VARIANTS = {
    "LoRA": LoRA(), "rsLoRA": rsLoRA(), "DoRA": DoRA(), "PiSSA": PiSSA(), "DoRA_PiSSA": DoRA() | PiSSA(),
    "rsLoRA_PiSSA": rsLoRA() | PiSSA(), "LoHa": LoHa(), "PLQ": PLQ_FORM, "HiRA": HiRA(), "LoKr": LoKr(factor=4),
    "VeRA": VeRA(), "GLoRA": GLoRA(), "OLoRA": OLoRA(),
}  # fmt: skip
NO_TABLE = {"LoHa", "PLQ", "LoKr", "VeRA", "GLoRA"}
KINDS = {
    "LoHa": "conv|up", "LoKr": "conv|up", "PLQ": "conv|up|out", "VeRA": "up|out", "GLoRA": "up"
}  # fmt: skip
"""The layers of `every_kind` beside which PEFT has a form, where that is not all of them."""
# PEFT keeps LoHa's scale in float32 and divides AdaLoRA's α by r + 10⁻⁵.
LOOSE = {"LoHa": 2e-7, "PLQ": 1e-5}
BF16 = 0.03


def in_peft(model: nn.Module, folder) -> nn.Module:
    return peft.PeftModel.from_pretrained(model, folder).eval()


def variant(name: str) -> Recipe:
    # At rank 3 each right factor of the small models would be kept whole, and B and A never written.
    return VARIANTS[name] | Recipe(r=1 if name == "LoKr" else 3, alpha=7.0)


@pytest.mark.parametrize("name", VARIANTS)
def test_ours_in_peft_on_every_layer_kind(name, tmp_path):
    targets = KINDS.get(name, "table|conv|up|out")
    model = every_kind()
    inject(model, variant(name), targets)
    shake(model)
    save_adapter(model, tmp_path)
    assert gap(logits(in_peft(every_kind(), tmp_path)), logits(model)) <= LOOSE.get(name, 1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", VARIANTS)
def test_ours_in_peft_on_a_llama(name, dtype, tmp_path):
    model = llama(dtype)
    inject(model, variant(name), "q_proj|v_proj|down_proj")
    shake(model)
    save_adapter(model, tmp_path)
    other = in_peft(llama(dtype), tmp_path)
    assert gap(logits(other).float(), logits(model).float()) <= (BF16 if dtype == torch.bfloat16 else 2e-6)


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - {"LoHa", "LoKr", "GLoRA"}))
def test_ours_in_peft_on_a_gpt2(name, tmp_path):
    model = gpt2()
    inject(model, variant(name), r"attn\.c_attn|mlp\.c_proj")
    shake(model)
    save_adapter(model, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["fan_in_fan_out"] is True
    assert gap(logits(in_peft(gpt2(), tmp_path)), logits(model)) <= 2e-6


def peft_config(name: str, targets: list[str]) -> peft.PeftConfig:
    """PEFT's own way to ask for a variant, at r = 3 and α = 7."""
    if name == "LoHa":
        return peft.LoHaConfig(r=3, alpha=7, target_modules=targets)
    if name == "HiRA":
        return peft.HiraConfig(r=3, target_modules=targets)
    if name == "LoKr":
        return peft.LoKrConfig(r=1, alpha=7, decompose_factor=4, target_modules=targets)
    if name == "GLoRA":
        return peft.GloraConfig(r=3, target_modules=targets)
    if name == "VeRA":
        return peft.VeraConfig(r=3, target_modules=targets)
    if name == "PLQ":
        return peft.AdaLoraConfig(init_r=3, target_r=2, lora_alpha=7, target_modules=targets, total_step=10)
    return peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=targets, use_rslora="rsLoRA" in name, use_dora="DoRA" in name,
        init_lora_weights={"PiSSA": "pissa", "OLoRA": "olora"}.get(name.rpartition("_")[2], True),
    )  # fmt: skip


def trained_in_peft(model: nn.Module, config: peft.PeftConfig, steps: int = 3) -> nn.Module:
    torch.manual_seed(6)
    model = peft.get_peft_model(model, config).eval()
    for name, parameter in model.named_parameters():
        if "ranknum" in name:  # a constant, which PEFT makes trainable on a base that is not float32
            parameter.requires_grad_(False)
    train(model, steps)
    return model


def train(model: nn.Module, steps: int) -> None:
    adam = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(steps):
        said = model(TOKENS)
        said = said if isinstance(said, torch.Tensor) else said.logits
        said.float().square().mean().backward()
        adam.step()
        adam.zero_grad()


@pytest.mark.parametrize("name", ["LoRA", "rsLoRA", "DoRA", "LoHa", "PLQ", "HiRA", "LoKr", "VeRA", "GLoRA"])
def test_peft_here_on_every_layer_kind(name, tmp_path):
    targets = KINDS.get(name, "conv|up" if name in NO_TABLE else "table|conv|up|out").split("|")
    other = trained_in_peft(every_kind(), peft_config(name, targets))
    other.save_pretrained(tmp_path)
    model = every_kind()
    load_adapter(model, tmp_path)
    assert gap(logits(model), logits(other)) <= LOOSE.get(name, 1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", VARIANTS)
def test_peft_here_on_a_llama(name, dtype, tmp_path):
    other = trained_in_peft(llama(dtype), peft_config(name, ["q_proj", "v_proj", "down_proj"]))
    other.save_pretrained(tmp_path)
    model = llama(dtype)
    assert len(load_adapter(model, tmp_path)) == 6
    assert gap(logits(model).float(), logits(other).float()) <= (BF16 if dtype == torch.bfloat16 else 5e-6)


@pytest.mark.parametrize("name", ["LoRA", "rsLoRA", "DoRA", "PiSSA", "PLQ", "HiRA", "VeRA"])
def test_peft_here_on_a_gpt2(name, tmp_path):
    other = trained_in_peft(gpt2(), peft_config(name, ["c_attn", "c_proj"]))
    other.save_pretrained(tmp_path)
    model = gpt2()
    load_adapter(model, tmp_path)
    assert gap(logits(model), logits(other)) <= 5e-6


def test_pissa_that_peft_converted_loads_as_lora_of_twice_the_rank(tmp_path):
    other = trained_in_peft(llama(), peft_config("PiSSA", ["q_proj"]), steps=0)
    other.peft_config["default"].init_lora_weights = True
    other.save_pretrained(tmp_path / "start")
    train(other, 3)
    other.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    model = llama()
    layers = load_adapter(model, tmp_path / "plain")
    assert {layer.r for layer in layers.values()} == {6}
    assert gap(logits(model), logits(other)) <= 5e-6


def test_adalora_with_masked_triplets_comes_back_whole(tmp_path):
    other = trained_in_peft(llama(), peft_config("PLQ", ["q_proj", "v_proj"]))
    # One triplet of the first layer is masked, all of the second, none of the rest: as PEFT's allocator would.
    masks = [[True, False, True], [False, False, False], [True, True, True], [True, True, True]]
    layers = {n: m for n, m in other.base_model.model.named_modules() if n.endswith(("q_proj", "v_proj"))}
    for mask, layer in zip(masks, layers.values(), strict=True):
        layer.lora_E["default"].data *= torch.tensor(mask)[:, None]
    pattern = {f"{name}.lora_E.default": mask for name, mask in zip(layers, masks, strict=True)}
    other.peft_config["default"].rank_pattern = pattern
    with pytest.warns(peft.utils.warning.PeftWarning, match="invalid shape"):
        other.save_pretrained(tmp_path)
    model = llama()
    load_adapter(model, tmp_path)
    assert gap(logits(model), logits(other)) <= 5e-6
    assert [int((layer.update.E != 0).sum()) for layer in adapted(model).values()] == [2, 0, 3, 3]


def test_ranks_and_alphas_per_layer_travel_both_ways(tmp_path):
    config = peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 2}, alpha_pattern={"v_proj": 9}
    )
    other = trained_in_peft(llama(), config)
    other.save_pretrained(tmp_path / "theirs")
    model = llama()
    layers = load_adapter(model, tmp_path / "theirs")
    assert {name.rpartition(".")[2]: layer.r for name, layer in layers.items()} == {"q_proj": 3, "v_proj": 2}
    assert gap(logits(model), logits(other)) <= 5e-6
    save_adapter(model, tmp_path / "ours")
    assert gap(logits(in_peft(llama(), tmp_path / "ours")), logits(other)) <= 5e-6


def test_a_name_that_ends_another_hits_only_its_own_layer(tmp_path):
    def net():
        torch.manual_seed(8)
        return nn.ModuleDict({"up": nn.Linear(4, 4), "inner": nn.ModuleDict({"up": nn.Linear(4, 4)})})

    model = net()
    inject(model, LoRA(r=2), "^up$")
    save_adapter(model, tmp_path)
    other = in_peft(net(), tmp_path)
    hit = [name for name, module in other.named_modules() if isinstance(module, peft.tuners.lora.LoraLayer)]
    assert hit == ["base_model.model.up"]
    assert list(load_adapter(net(), tmp_path)) == ["up"]


def test_modules_that_train_beside_the_adapters_travel_both_ways(tmp_path):
    config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=["q_proj"], modules_to_save=["norm", "lm_head"])
    other = trained_in_peft(llama(), config)
    other.save_pretrained(tmp_path / "theirs")
    model = llama()
    load_adapter(model, tmp_path / "theirs")
    assert gap(logits(model), logits(other)) <= 5e-6
    assert model.lm_head.weight.requires_grad
    assert not model.model.embed_tokens.weight.requires_grad
    save_adapter(model, tmp_path / "ours")
    assert gap(logits(in_peft(llama(), tmp_path / "ours")), logits(other)) <= 5e-6


def test_an_embedding_peft_saved_with_its_frozen_table(tmp_path):
    other = trained_in_peft(llama(), peft_config("LoRA", ["embed_tokens", "q_proj"]))
    with pytest.warns(UserWarning, match="save_embedding_layers"):
        other.save_pretrained(tmp_path)
    model = llama()
    load_adapter(model, tmp_path)
    assert gap(logits(model), logits(other)) <= 5e-6


def test_what_peft_lacks_is_refused_by_peft(tmp_path):
    model = every_kind()
    inject(model, LoHa(r=2), "table|up")
    save_adapter(model, tmp_path)
    assert "Embedding" in json.loads((tmp_path / "adapter_config.json").read_text())["why_not_peft"]
    with pytest.raises(KeyError, match="lorabook"):
        peft.PeftModel.from_pretrained(every_kind(), tmp_path)
