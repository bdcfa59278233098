"""A bad adapter file is refused by file and key, and the model is left bit for bit as it was."""

import json
import pickle

import pytest
import safetensors.torch
import torch
from small import assert_untouched, every_kind, saved, shake, state

from lorabook.axes.attention.longlora import ShiftedGroups
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.loha import LoHa
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.saving.adapter_file import BadAdapter
from lorabook.saving.save import load_adapter

WEIGHTS, OPTIONS = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."


def edit(folder, **changes):
    """Change options on both sides, so that the files still agree with each other."""
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    options = json.loads((folder / OPTIONS).read_text()) | changes
    (folder / OPTIONS).write_text(json.dumps(options))
    safetensors.torch.save_file(tensors, folder / WEIGHTS)


def change(folder, edit_tensors):
    """Change the tensors, keeping the options as they are."""
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    edit_tensors(tensors)
    safetensors.torch.save_file(tensors, folder / WEIGHTS)


def sed(path, old, new):
    path.write_text(path.read_text().replace(old, new))


UP_A = PREFIX + "up.lora_A.weight"


def to_pickle(folder):
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Trap()))


class Trap:
    """Unpickling this would fail the test."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def swap(key, tensor):
    return lambda folder: change(folder, lambda tensors: tensors.__setitem__(key, tensor))


BAD = {
    "truncated": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]), WEIGHTS, "truncated"),
    "cut to nothing": (lambda f: (f / WEIGHTS).write_bytes(b""), WEIGHTS, "truncated"),
    "pickle": (to_pickle, "adapter_model.bin", "pickle"),
    "pickle in disguise": (lambda f: (f / WEIGHTS).write_bytes(pickle.dumps(Trap())), WEIGHTS, "pickle"),
    "zip in disguise": (lambda f: torch.save({}, f / WEIGHTS), WEIGHTS, "pickle"),
    "bad JSON": (lambda f: (f / OPTIONS).write_text("{'r': 3}"), OPTIONS, "no valid JSON"),
    "JSON list": (lambda f: (f / OPTIONS).write_text("[1]"), OPTIONS, "expected an object"),
    "other save": (lambda f: sed(f / OPTIONS, "7", "8"), OPTIONS, "lora_alpha"),
    "shape": (swap(UP_A, torch.ones(3, 21)), UP_A, r"\(3, 21\)"),
    "rank": (lambda f: edit(f, r=4), WEIGHTS, "for rank 4"),
    "missing key": (lambda f: change(f, lambda t: t.pop(UP_A)), UP_A, "missing"),
    "missing layer": (lambda f: change(f, lambda t: [t.pop(k) for k in list(t) if ".up." in k]), WEIGHTS, "layer up"),
    "unexpected key": (swap(PREFIX + "up.lora_C.weight", torch.ones(1)), "up.lora_C.weight", "unexpected"),
    "key without prefix": (swap("up.lora_A.weight", torch.ones(3, 20)), "'up.lora_A.weight'", "unexpected"),
    "part of another form": (swap(PREFIX + "up.lora_magnitude_vector", torch.ones(12)), "magnitude", "unexpected"),
    "unknown layer": (swap(PREFIX + "down.lora_A.weight", torch.ones(3, 20)), "down.lora_A", "lacks.*up, out"),
    "NaN": (swap(UP_A, torch.full((3, 20), float("nan"))), UP_A, "NaN"),
    "integers": (swap(UP_A, torch.ones(3, 20, dtype=torch.int64)), UP_A, "int64"),
    "other type": (lambda f: edit(f, peft_type="BOFT"), OPTIONS, "BOFT.*ADALORA, GLORA, HIRA, LOHA, LOKR, LORA, VERA"),
    "no type": (lambda f: edit(f, peft_type=None), OPTIONS, "None"),
    "r = 0": (lambda f: edit(f, r=0), OPTIONS, "≥ 1"),
    "no r": (lambda f: edit(f, r=None), OPTIONS, "no adapter for"),
    "negative alpha": (lambda f: edit(f, lora_alpha=-1), OPTIONS, "alpha"),
    "trained biases": (lambda f: edit(f, bias="all"), OPTIONS, "bias is 'all'"),
    "base changed by its init": (lambda f: edit(f, init_lora_weights="corda"), OPTIONS, "corda"),
    "targets no list": (lambda f: edit(f, target_modules=5), OPTIONS, "target_modules is 5"),
    "targets no regex": (lambda f: edit(f, target_modules="(up"), OPTIONS, "target_modules"),
    "kept modules no list": (lambda f: edit(f, modules_to_save="conv"), OPTIONS, "modules_to_save is 'conv'"),
    "ranks no object": (lambda f: edit(f, rank_pattern=[3]), OPTIONS, "rank_pattern"),
    "kept module missing": (lambda f: edit(f, modules_to_save=["conv"]), WEIGHTS, "missing key.*conv.weight"),
    "init no word": (lambda f: edit(f, init_lora_weights=[1]), OPTIONS, "init_lora_weights"),
    "a later option": (lambda f: edit(f, use_something_new=True), OPTIONS, "use_something_new"),
    "weight of another base": (swap(PREFIX + "conv.weight", torch.ones(5, 6, 3, 3)), "conv.weight", "another base"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("already", [False, True], ids=["plain", "adapted"])
def test_a_bad_file_is_refused_by_name_and_the_model_untouched(case, already, tmp_path):
    damage, place, what = BAD[case]
    saved(tmp_path)
    damage(tmp_path)
    model = every_kind()
    if already:
        inject(model, LoRA(r=3, alpha=7), "up|out")
        shake(model)
    before = state(model)
    with pytest.raises(BadAdapter, match=f"(?s){what}") as error:
        load_adapter(model, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert place in str(error.value)
    assert_untouched(model, before)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=OPTIONS):
        load_adapter(every_kind(), tmp_path / "nowhere")
    saved(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        load_adapter(every_kind(), tmp_path)


@pytest.mark.parametrize(
    ("recipe", "targets", "reason"),
    [
        (LoRA(r=3, alpha=7), "up", "out has an adapter in the file and none in the model"),
        (LoRA(r=3, alpha=7), "conv|up|out", "conv has an adapter in the model and none in the file"),
        (LoRA(r=3, alpha=8), "up|out", "the scale of up"),
        (LoRA(r=6, alpha=14), "up|out", "shape"),
        (DoRA(r=3, alpha=7), "up|out", r"up is a LowRankForm\(\) in the file and a DoRAForm\(\) in the model"),
    ],
)
def test_a_model_with_other_adapters_is_refused(recipe, targets, reason, tmp_path):
    saved(tmp_path)
    model = every_kind()
    inject(model, recipe, targets)
    before = state(model)
    with pytest.raises(BadAdapter, match=reason):
        load_adapter(model, tmp_path)
    assert_untouched(model, before)


def test_numbers_too_large_for_the_model_are_refused(tmp_path):
    saved(tmp_path)
    change(tmp_path, lambda tensors: tensors[UP_A].mul_(1e30))
    model = every_kind(torch.float16)
    before = state(model)
    with pytest.raises(BadAdapter, match="up.A has numbers too large for torch.float16"):
        load_adapter(model, tmp_path)
    assert_untouched(model, before)


def test_a_failure_while_injecting_puts_attention_back(tmp_path):
    def net():
        torch.manual_seed(1)
        return Decoder(DecoderConfig(11, 8, 1, heads=2, kv_heads=1, d_head=4, ffn=8, context=8, tied=False))

    saved(tmp_path, LoHa(r=2), "embed_tokens", net())  # our own format: shapes are checked against the built update
    change(tmp_path, lambda tensors: tensors.__setitem__("embed_tokens::A", torch.ones(2, 5)))
    model = net()
    before = state(model)
    attend = model.layers[0].self_attn.attend
    with pytest.raises(BadAdapter, match=r"embed_tokens.A has shape \(2, 5\)"):
        load_adapter(model, tmp_path, Recipe(attention=ShiftedGroups(4)))
    assert model.layers[0].self_attn.attend is attend
    assert_untouched(model, before)


def test_a_failure_while_injecting_puts_every_layer_back(tmp_path):
    saved(tmp_path, LoHa(r=2), "table|up")  # our own format: its shapes are checked against the built update
    change(tmp_path, lambda tensors: tensors.__setitem__("up::A", torch.ones(2, 5, dtype=torch.float64)))
    model = every_kind()
    before = state(model)
    with pytest.raises(BadAdapter, match=r"up.A has shape \(2, 5\)"):
        load_adapter(model, tmp_path)
    assert_untouched(model, before)
