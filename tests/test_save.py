"""An adapter comes back as it was saved, a bad file is refused by name, and nothing is ever half done."""

import json
import os
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from small import assert_untouched, contents, every_kind, gap, llama, logits, saved, shake, state, suits
from worlds import forms

from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus, LoRAPlusAdamW
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.saving.adapter_file import BadAdapter, read, write
from lorabook.saving.save import load_adapter, save_adapter

WEIGHTS, OPTIONS = "adapter_model.safetensors", "adapter_config.json"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", sorted(forms()))
def test_every_form_comes_back_bit_for_bit(form, dtype, tmp_path):
    recipe = replace(forms()[form], r=2, alpha=7.0, rule=None)
    targets = suits(form)
    model = saved(tmp_path, recipe, targets, every_kind(dtype))
    fresh = every_kind(dtype)
    load_adapter(fresh, tmp_path)
    same = every_kind(dtype)
    inject(same, recipe, targets, torch.Generator().manual_seed(77))
    load_adapter(same, tmp_path)
    for other in (fresh, same):
        assert torch.equal(logits(other), logits(model))
        trains = {name for name, p in other.named_parameters() if p.requires_grad}
        if form == "LoRAFAForm" and other is fresh:
            continue  # PEFT's file does not say that A was frozen, so in a plain model it is a LoRA
        assert trains == {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("recipe", [rsLoRA() | LoHa(), rsLoRA() | DoRA(), rsLoRA()])
def test_the_scale_is_kept_whatever_form_it_meets(recipe, tmp_path):
    model = saved(tmp_path, recipe | Recipe(r=3, alpha=7.0), "conv|up")
    fresh = every_kind()
    layers = load_adapter(fresh, tmp_path)
    assert [layer.scale for layer in layers.values()] == pytest.approx([7 / 3**0.5] * 2)
    assert gap(logits(fresh), logits(model)) <= 1e-14


@pytest.mark.parametrize("recipe", [PiSSA(), PiSSA() | rsLoRA(), PiSSA() | DoRA()])
def test_pissa_is_rank_2r_against_the_original_and_goes_on_where_it_was(recipe, tmp_path):
    recipe = recipe | Recipe(r=3, alpha=7.0)
    model = saved(tmp_path, recipe)
    plain = every_kind()
    layers = load_adapter(plain, tmp_path)
    assert {layer.r for layer in layers.values()} == {6}
    assert gap(logits(plain), logits(model)) <= 1e-12
    again = every_kind()
    inject(again, recipe, "up|out")
    load_adapter(again, tmp_path)
    assert torch.equal(logits(again), logits(model))


def test_pissa_of_another_base_is_refused(tmp_path):
    saved(tmp_path, PiSSA(r=3, alpha=7.0))
    other = every_kind()
    other.up.weight.data += 1
    inject(other, PiSSA(r=3, alpha=7.0), "up|out")
    before = state(other)
    with pytest.raises(BadAdapter, match="up was started from another W₀"):
        load_adapter(other, tmp_path)
    assert_untouched(other, before)


def test_plain_lora_of_twice_the_rank_is_no_pissa(tmp_path):
    saved(tmp_path, LoRA(r=3, alpha=7.0))
    other = every_kind()
    inject(other, PiSSA(r=3, alpha=7.0), "up|out")
    with pytest.raises(BadAdapter, match="relative to the whole W₀"):
        load_adapter(other, tmp_path)


def test_further_axes_and_their_conflicts(tmp_path):
    model = saved(tmp_path)
    fresh = every_kind()
    layers = load_adapter(fresh, tmp_path, LoRAPlus(8, dropout=0.1))
    assert all(layer.recipe.optim == LoRAPlusAdamW(8) and layer.recipe.dropout == 0.1 for layer in layers.values())
    assert torch.equal(logits(fresh.eval()), logits(model))
    other = every_kind()
    before = state(other)
    for recipe in (DoRA(), PiSSA(), LoRA(r=4)):
        with pytest.raises(AxisConflict):
            load_adapter(other, tmp_path, recipe)
    assert_untouched(other, before)
    with pytest.raises(ValueError, match="comes too late"):
        load_adapter(fresh, tmp_path, LoRAPlus(8))


def test_two_forms_in_one_model_are_our_own_format(tmp_path):
    model = every_kind()
    inject(model, DoRA(r=2), "up")
    inject(model, LoHa(r=3), "conv")
    shake(model)
    save_adapter(model, tmp_path)
    options = json.loads((tmp_path / OPTIONS).read_text())
    assert "DoRAForm, LoHaForm" in options["why_not_peft"]
    fresh = every_kind()
    load_adapter(fresh, tmp_path)
    assert torch.equal(logits(fresh), logits(model))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"groups": 5, "in_channels": 5}, "groups"),
        ({"dilation": 2}, "dilation"),
        ({"padding_mode": "circular"}, "pads"),
    ],
)
def test_a_convolution_that_peft_gets_wrong_is_our_own_format(change, reason, tmp_path):
    def net():
        torch.manual_seed(2)
        shape = {"in_channels": 3, "out_channels": 5, "kernel_size": 3, "padding": 1} | change
        return torch.nn.Sequential(torch.nn.Conv2d(**shape)).double()

    model = saved(tmp_path, model=net(), targets="0")
    assert reason in json.loads((tmp_path / OPTIONS).read_text())["why_not_peft"]
    fresh = net()
    load_adapter(fresh, tmp_path)
    x = torch.randn(2, model[0].in_channels, 6, 6, dtype=torch.float64)
    assert torch.equal(fresh(x), model(x))


def test_parameters_that_train_beside_come_along_even_tied(tmp_path):
    model = llama(tied=True)
    inject(model, Recipe(r=2, also_train="norm|embed"), "q_proj")
    shake(model)
    model.model.embed_tokens.weight.data += 1
    model.model.norm.weight.data += 1
    save_adapter(model, tmp_path)
    assert "untie" in json.loads((tmp_path / OPTIONS).read_text())["why_not_peft"]
    fresh = llama(tied=True)
    load_adapter(fresh, tmp_path)
    assert torch.equal(logits(fresh), logits(model))
    assert fresh.lm_head.weight is fresh.model.embed_tokens.weight
    assert fresh.model.norm.weight.requires_grad


def test_files_say_where_they_come_from(tmp_path):
    model = every_kind()
    inject(model, LoRAPlus(8) | rsLoRA(r=2), "up")
    save_adapter(model, tmp_path, base_name="someone/some-base")
    assert json.loads((tmp_path / OPTIONS).read_text())["base_model_name_or_path"] == "someone/some-base"
    with safetensors.safe_open(tmp_path / WEIGHTS, framework="pt") as file:
        assert json.loads(file.metadata()["lorabook"])["recipe"] == "LoRA+ | rsLoRA"


def test_nothing_to_save_and_nan_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="no adapted layer"):
        save_adapter(every_kind(), tmp_path / "a")
    model = saved(tmp_path / "b")
    before = contents(tmp_path / "b")
    adapted(model)["up"].update.A.data[0, 0] = float("inf")
    with pytest.raises(ValueError, match="up.A has NaN or infinite"):
        save_adapter(model, tmp_path / "b")
    assert contents(tmp_path / "b") == before
    assert not (tmp_path / "a").exists()
    (tmp_path / "c").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        saved(tmp_path / "c")


@pytest.mark.parametrize("after", [0, 1], ids=["before the first name", "between the two names"])
def test_an_interrupted_write_leaves_the_old_adapter(after, tmp_path, monkeypatch):
    old = saved(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before, said = contents(tmp_path), logits(old)
    shake(old)
    calls, replace = [], os.replace

    def interrupted(source, target):
        calls.append(target)
        if len(calls) > after:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_adapter(old, tmp_path)
    assert contents(tmp_path) == before
    monkeypatch.undo()
    fresh = every_kind()
    load_adapter(fresh, tmp_path)
    assert torch.equal(logits(fresh), said)


def test_a_full_disk_leaves_the_old_adapter(tmp_path, monkeypatch):
    model = saved(tmp_path)
    before = contents(tmp_path)

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_adapter(model, tmp_path)
    assert contents(tmp_path) == before


def test_power_cut_between_the_two_names_is_noticed(tmp_path):
    saved(tmp_path / "old")
    saved(tmp_path / "new", LoRA(r=3, alpha=9))
    (tmp_path / "new" / OPTIONS).replace(tmp_path / "old" / OPTIONS)
    with pytest.raises(BadAdapter, match="not from one save"):
        load_adapter(every_kind(), tmp_path / "old")


def test_a_header_as_long_as_a_pickles_first_bytes_is_read(tmp_path):
    model = saved(tmp_path)
    path = tmp_path / WEIGHTS
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    # Headers end in spaces. 0x0480 is the next length whose first two bytes are those of a pickle of protocol 4.
    assert length <= 0x0480
    path.write_bytes((0x0480).to_bytes(8, "little") + whole[8 : 8 + length].ljust(0x0480) + whole[8 + length :])
    again = every_kind()
    inject(again, LoRA(r=3, alpha=7), "up|out", torch.Generator().manual_seed(1))
    load_adapter(again, tmp_path)
    assert torch.equal(logits(again), logits(model))


EARLIER = {
    "LowRank": "LowRankForm", "RowScaled": "DoRAForm", "FrozenA": "LoRAFAForm", "Hadamard": "LoHaForm",
    "ElementwiseScaled": "HiRAForm", "PLQ": "AdaLoRAForm", "NestedLowRank": "DyLoRAForm",
    "LastRowOnly": "FrozenDyLoRAForm", "MiniEnsemble": "MELoRAForm", "Following": "DeltaLoRAForm",
    "Kinds": "GLoRAForm", "Choices": "GLoRASupernetForm", "LeftFactor": "LoKrForm", "Parallel": "MultiLoRAForm",
    "FromOnePair": "VeRAForm",
}  # fmt: skip
EARLIER_SCALES = {"AlphaOverR": "alpha_over_r", "AlphaOverRootR": "alpha_over_root_r", "UnitScale": "one"}


@pytest.mark.parametrize("name", EARLIER)
def test_a_file_with_the_names_of_an_earlier_version_loads(name, tmp_path):
    other = "RowScaled" if name == "ElementwiseScaled" else "ElementwiseScaled"
    model = every_kind()
    # Two forms in one model: PEFT has no file for that, so it is our own.
    for earlier, targets in ((name, "up"), (other, "out")):
        inject(model, replace(forms()[EARLIER[earlier]], r=2, alpha=7.0, rule=None), targets)
    shake(model)
    save_adapter(model, tmp_path)
    file = read(tmp_path)
    for entry in file.options["layers"].values():
        entry["scale"] = EARLIER_SCALES[entry["scale"]]
    file.options["layers"]["up"]["form"], file.options["layers"]["out"]["form"] = name, other
    write(tmp_path, file.options, file.tensors, {k: v for k, v in file.note.items() if k != "options"})
    fresh = every_kind()
    load_adapter(fresh, tmp_path)
    assert torch.equal(logits(fresh), logits(model))
