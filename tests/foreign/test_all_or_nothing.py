"""Whatever fails in the middle of a change leaves the model as it was, and the next try works."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from small import assert_untouched, state
from torch import Tensor, nn

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.core.dense import Dense, DenseStorage
from lorabook.core.lora import KaimingStart, LowRankForm
from lorabook.core.merge import disabled, merge, merged
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.saving.save import load_adapter, save_adapter

SMALL = DecoderConfig(vocab=16, hidden=8, layers=3, heads=2, kv_heads=2, d_head=4, ffn=12, context=16)
LAST = "layers.2.self_attn.v_proj"
TARGETS = "q_proj|v_proj"


def decoder() -> Decoder:
    """Modes and flags that differ from module to module, so that one that is not put back shows."""
    torch.manual_seed(0)
    model = Decoder(SMALL)
    model.layers[0].eval()
    model.layers[1].self_attn.q_proj.requires_grad_(False)
    return model


class Failing:
    """Fails when it is called for the n-th time, as a card does that is full."""

    def __init__(self, n: int, error: BaseException) -> None:
        self.left, self.error = n, error

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


FULL = torch.OutOfMemoryError("CUDA out of memory")


@dataclass(frozen=True)
class FormThatFails(LowRankForm):
    """LoRA's form, until it fails."""

    fails: Callable[[], None]

    def build(self, base, factors, spec):
        self.fails()
        return super().build(base, factors, spec)


@dataclass(frozen=True)
class StartThatFails(KaimingStart):
    """LoRA's start, until it fails."""

    fails: Callable[[], None]

    def build(self, w0, spec):
        self.fails()
        return super().build(w0, spec)


@dataclass(frozen=True)
class StorageThatFails(DenseStorage):
    """LoRA's storage, until it fails."""

    fails: Callable[[], None]

    def build(self, w0: Tensor) -> Dense:
        self.fails()
        return super().build(w0)


@dataclass(frozen=True)
class AttentionThatFails:
    """Changes a part of the model, and fails."""

    fails: Callable[[], None]

    def build(self, model: nn.Module) -> None:
        for layer in model.layers:
            layer.self_attn.attend = nn.Identity()
            self.fails()

    def refuse(self, name, base, recipe, model) -> None:
        """Nothing."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


BREAKS = {
    "form": lambda fails: lb.Recipe(r=2, form=FormThatFails(fails)),
    "start": lambda fails: lb.Recipe(r=2, init=StartThatFails(fails)),
    "storage": lambda fails: lb.Recipe(r=2, base=StorageThatFails(fails)),
    "attention": lambda fails: lb.Recipe(r=2, attention=AttentionThatFails(fails)),
}


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    "error", [FULL, RuntimeError("a form's own"), KeyboardInterrupt()], ids=["full", "own", "stop"]
)
@pytest.mark.parametrize("where", BREAKS)
def test_a_failed_injection_leaves_all_as_it_was(where: str, error: BaseException, n: int) -> None:
    model, source = decoder(), torch.Generator().manual_seed(5)
    before, drawn, modes = state(model), source.get_state(), [module.training for module in model.modules()]
    held = [dict(vars(module)) for module in model.modules()]
    with pytest.raises(type(error)):
        lb.inject(model, BREAKS[where](Failing(n, error)), TARGETS, source)
    assert_untouched(model, before)
    assert [module.training for module in model.modules()] == modes
    assert all(vars(module) == kept for module, kept in zip(model.modules(), held, strict=True))
    assert torch.equal(source.get_state(), drawn)
    again, other = lb.inject(model, lb.LoRA(r=2), TARGETS, source), decoder()
    straight = lb.inject(other, lb.LoRA(r=2), TARGETS, torch.Generator().manual_seed(5))
    assert len(again) == 6
    assert all(torch.equal(again[name].update.A, straight[name].update.A) for name in again)


SPOILS = {
    "NaN": lambda w: w.__setitem__(slice(None), float("nan")),
    "one NaN": lambda w: w.__setitem__((3, 1), float("nan")),
    "infinity": lambda w: w.__setitem__((3, 1), -float("inf")),
    "a zero row": lambda w: w.__setitem__(3, 0.0),
}
ON_W0 = {
    "PiSSA": lb.PiSSA(r=2), "OLoRA": lb.OLoRA(r=2), "DoRA": lb.DoRA(r=2), "QLoRA": lb.QLoRA(r=2),
    "QDoRA": lb.QLoRA(r=2) | lb.DoRA(), "QPiSSA": lb.QLoRA(r=2) | lb.PiSSA(), "LoRA": lb.LoRA(r=2),
}  # fmt: skip


@pytest.mark.parametrize("name", ON_W0)
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_start_that_reads_w0_names_the_layer_whose_w0_is_spoilt(name: str, spoil: str) -> None:
    model = decoder()
    with torch.no_grad():
        SPOILS[spoil](model.get_submodule(LAST).weight)
    before = state(model)
    refuses = name != "LoRA" if spoil != "a zero row" else "DoRA" in name
    if refuses:
        with pytest.raises(ValueError, match=rf"{LAST}(.weight has NaN or infinite entries \(| is all zeros)"):
            lb.inject(model, ON_W0[name], TARGETS)
        after, expected = state(model), before
        assert after["modules"] == expected["modules"]
        assert after["trains"] == expected["trains"]
    assert len(lb.inject(model, lb.LoRA(r=2), TARGETS)) == 6


def test_a_loss_that_is_nan_because_of_w0_names_its_layer() -> None:
    model = decoder()
    with torch.no_grad():
        model.get_submodule(LAST).weight[3, 1] = torch.nan
    lb.inject(model, lb.LoRA(r=2), TARGETS)
    tokens = torch.arange(8)[None]
    with pytest.raises(lb.Diverged, match=rf"the loss is nan at step 0 .*{LAST}.weight has NaN entries"):
        lb.fit(model, [(tokens, tokens)], steps=1, lr=1e-3, progress=False)


@pytest.mark.parametrize("change", [merge, lambda model: merged(model).__enter__()], ids=["merge", "merged"])
@pytest.mark.parametrize("how", ["no number", "full"])
def test_a_failed_merge_leaves_the_adapters(how: str, change: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder()
    layer = lb.inject(model, lb.LoRA(r=2), TARGETS)[LAST]
    if how == "no number":
        layer.update.B.data[0, 0] = torch.nan
        before = [(name, id(module)) for name, module in model.named_modules()]
        with pytest.raises(ValueError, match=rf"{LAST}.weight with its update has NaN or infinite entries \(8 of 64\)"):
            change(model)
    else:
        fails, w = Failing(3, FULL), type(layer.update).weight
        before = [(name, id(module)) for name, module in model.named_modules()]
        monkeypatch.setattr(type(layer.update), "weight", lambda update, w0: (fails(), w(update, w0))[1])
        with pytest.raises(torch.OutOfMemoryError):
            change(model)
    assert [(name, id(module)) for name, module in model.named_modules()] == before
    with disabled(model):
        assert not adapted(model)


def test_a_failed_load_leaves_a_plain_model_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder()
    lb.inject(model, lb.LoRA(r=2), TARGETS)
    save_adapter(model, tmp_path)
    plain = decoder()
    before, start = state(plain), copy.deepcopy(plain)
    fails, build = Failing(4, FULL), LowRankForm.build

    def instead(self, base, factors, spec):
        fails()
        return build(self, base, factors, spec)

    monkeypatch.setattr(LowRankForm, "build", instead)
    with pytest.raises(torch.OutOfMemoryError):
        load_adapter(plain, tmp_path)
    assert_untouched(plain, before)
    monkeypatch.undo()
    assert load_adapter(plain, tmp_path).keys() == load_adapter(start, tmp_path, replace(lb.Recipe())).keys()
