"""Sixteen-bit bases: updates kept in float32, computed in the base's dtype; and no step leaves what is no number."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from small import TOKENS, every_kind, logits, shake, suits
from torch import Tensor, nn
from worlds import forms

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import AdamW
from lorabook.core.merge import disabled, merge, merged
from lorabook.core.recipe import Recipe

HALVES = [torch.bfloat16, torch.float16]
RECIPES = {name: replace(form, r=2, alpha=3.0, rule=None, optim=None) for name, form in forms().items()} | {
    "PiSSA": lb.PiSSA(r=2, alpha=3), "OLoRA": lb.OLoRA(r=2, alpha=3), "QLoRA": lb.QLoRA(r=2, alpha=3),
}  # fmt: skip


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", RECIPES)
def test_kept_in_float32_and_computed_in_the_bases_dtype(name: str, dtype: torch.dtype) -> None:
    model, exact = every_kind(dtype), every_kind(dtype).double()
    plain = logits(model)
    inject(model, RECIPES[name], suits(name))
    if not name.startswith("Q"):
        torch.testing.assert_close(logits(model), plain, rtol=0.02, atol=0.02)
    shake(model, 0.05)
    for layer in adapted(model).values():
        assert {kept.dtype for kept in layer.update.state_dict().values()} == {torch.float32}
        assert layer.weight.dtype == layer.base.matrix.dtype == layer.weight.tensor().dtype == dtype
        assert layer.bias is None or layer.bias.dtype == dtype
    # The same adapters on the same numbers, with nothing rounded.
    inject(exact, RECIPES[name], suits(name))
    exact.load_state_dict(model.state_dict())
    far = (logits(model).double() - logits(exact)).abs().max() / logits(exact).abs().max()
    assert far <= (0.06 if dtype == torch.bfloat16 else 0.01)
    model(TOKENS).float().square().mean().backward()
    grads = {p.grad.dtype for p in model.parameters() if p.requires_grad}
    assert grads == {torch.float32}
    said = logits(model)
    assert said.dtype == dtype
    with merged(model):
        torch.testing.assert_close(logits(model), said, rtol=0.05, atol=0.05)
    with disabled(model):
        assert logits(model).dtype == dtype
    assert {p.dtype for p in merge(model).parameters()} == {dtype}


@pytest.mark.parametrize("dtype", HALVES)
def test_a_step_too_small_for_sixteen_bits_is_not_lost(dtype: torch.dtype) -> None:
    model = every_kind(dtype)
    layer = inject(model, lb.LoRA(r=2), "up")["up"]
    start = layer.update.A.detach().clone()
    layer.update.B.data += 0.1
    data = [(TOKENS, torch.tensor([0, 1, 2]))]
    lb.fit(model, data, steps=1, lr=1e-6, progress=False)
    assert ((layer.update.A - start).abs() - 1e-6).abs().max() < 1e-7
    assert (layer.update.A.to(dtype) == start.to(dtype)).double().mean() > 0.9, "rounded, it would have been"


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", RECIPES)
def test_every_form_learns_on_a_sixteen_bit_base(name: str, dtype: torch.dtype) -> None:
    model = every_kind(dtype)
    inject(model, RECIPES[name], suits(name))
    data = [(TOKENS, torch.tensor([0, 1, 2]))] * 12
    history = lb.fit(model, data, steps=12, lr=2e-2, progress=False)
    assert history.losses[-1] < history.losses[0]
    assert all(p.isfinite().all() for p in model.parameters())


class Spoilt(torch.optim.SGD):
    """Writes NaN into one entry of one parameter at its third step."""

    steps = 0

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        super().step()
        self.steps += 1
        if self.steps == 3:
            self.param_groups[0]["params"][-1].view(-1)[0] = math.nan


def _spoilt(named: dict[str, Tensor], lr: float) -> torch.optim.Optimizer:
    return Spoilt(named.values(), lr)


def numbers(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def watched(model: nn.Module, data: Iterator, **options: object) -> tuple[list[list[Tensor]], lb.Diverged]:
    """Train into a divergence; the parameters after each good step (and before the first), and what was raised."""
    seen = [numbers(model)]
    with pytest.raises(lb.Diverged) as raised:
        lb.fit(
            model, data, steps=6, lr=1e-2, progress=False,
            on_step=lambda step, loss: seen.append(numbers(model)), **options,
        )  # fmt: skip
    return seen, raised.value


BAD = {"loss": "the loss is nan", "gradient": "the gradient norm is nan", "optimiser": "what the optimiser wrote into"}


@pytest.mark.parametrize("name", [*RECIPES, "full fine-tuning"])
@pytest.mark.parametrize("bad", BAD)
def test_the_parameters_are_those_before_the_bad_step(name: str, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = every_kind(torch.float32)
    if name in RECIPES:
        inject(model, RECIPES[name], suits(name))
    steps = iter(range(6))

    def loss(m: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        value, step = nn.functional.cross_entropy(m(batch[0]), batch[1]), next(steps)
        if step == 2 and bad == "gradient":
            value.register_hook(lambda gradient: gradient * math.nan)
        return value * math.nan if step == 2 and bad == "loss" else value

    if bad == "optimiser":
        monkeypatch.setattr(AdamW, "build", lambda self, named, lr: _spoilt(named, lr))
    seen, raised = watched(model, [(TOKENS, torch.tensor([0, 1, 2]))] * 6, loss=loss)
    assert len(seen) == 3, "two good steps"
    assert BAD[bad] in str(raised)
    assert "at step 2" in str(raised)
    assert not all(torch.equal(one, other) for one, other in zip(seen[0], seen[-1], strict=True))
    assert all(torch.equal(one, other) for one, other in zip(numbers(model), seen[-1], strict=True))


def test_all_in_float16_the_first_step_is_taken_back() -> None:
    model = every_kind(torch.float32)
    inject(model, lb.LoRA(r=2), "up|out")
    model.half()
    seen, raised = watched(model, [(TOKENS, torch.tensor([0, 1, 2]))] * 6)
    assert len(seen) == 1
    assert "up.update.A is no number at step 0" in str(raised)
    assert "train in bfloat16 or float32 (model.float())" in str(raised)
    assert all(torch.equal(one, other) for one, other in zip(numbers(model), seen[0], strict=True))
    lb.fit(model.float(), [(TOKENS, torch.tensor([0, 1, 2]))] * 2, steps=2, lr=1e-2, progress=False)


def test_a_float16_base_that_overflows_is_told_to_take_another_dtype() -> None:
    model = every_kind(torch.float16)
    model.out.weight.data.fill_(3e4)
    model.up.bias.data.fill_(1)
    inject(model, lb.LoRA(r=2), "up|out")
    data = [(TOKENS, torch.tensor([0, 1, 2]))] * 2
    with pytest.raises(lb.Diverged, match=r"The base is float16, in which no number is above 65504: model.bfloat16"):
        lb.fit(model, data, steps=2, lr=1e-2, progress=False)
    lb.fit(model.bfloat16(), data, steps=2, lr=1e-2, progress=False)


def test_a_conversion_between_forms_stays_in_float32() -> None:
    from lorabook.saving.convert import to_lora

    model = every_kind(torch.bfloat16)
    inject(model, replace(lb.LoHa(r=2), alpha=3.0), "up|out")
    shake(model)
    to_lora(copy.deepcopy(model), 4)
    converted = copy.deepcopy(model)
    to_lora(converted, 4)
    assert {p.dtype for layer in adapted(converted).values() for p in layer.update.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(converted), logits(model), rtol=0.05, atol=0.05)


def test_what_trains_beside_the_adapters_keeps_its_dtype() -> None:
    model = every_kind(torch.bfloat16)
    inject(model, lb.LoRA(r=2) | Recipe(also_train="conv"), "up")
    assert {p.dtype for name, p in model.named_parameters() if p.requires_grad and "conv" in name} == {torch.bfloat16}
    assert {p.dtype for p in model.up.update.parameters()} == {torch.float32}
