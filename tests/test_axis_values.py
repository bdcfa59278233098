"""What stands on an axis: frozen values of its protocol, asked before anything changes, and nothing else."""

import dataclasses
from functools import partial

import pytest
import torch
from small import assert_untouched, state
from torch import nn
from worlds import example

import lorabook as lb
from lorabook.axes.form.dora import DoRAForm
from lorabook.axes.init.adalora import GaussianStart
from lorabook.axes.optim.any_optimizer import AnyOptimizer
from lorabook.axes.rule.delta_lora import DeltaLoRARule
from lorabook.axes.rule.dylora import DyLoRARule
from lorabook.axes.rule.glora_draw import GLoRASupernetRule
from lorabook.axes.scale.unit import UnitScale
from lorabook.claims.catalogue import recipes
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import VALUE_AXES, Recipe

EXAMPLES = {name: example(make) for name, make in recipes().items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_value_is_frozen_of_its_protocol_and_equal_to_its_like(name):
    again = example(recipes()[name])
    for axis, value in EXAMPLES[name].complete(ORIGIN).values().items():
        assert isinstance(value, VALUE_AXES[axis])
        assert dataclasses.is_dataclass(value)
        assert value.__dataclass_params__.frozen
        assert value == again.complete(ORIGIN).values()[axis]
        assert hash(value) == hash(again.complete(ORIGIN).values()[axis])


@pytest.mark.parametrize(
    ("axis", "value"),
    [
        ("optim", DoRAForm()), ("scale", DoRAForm()), ("form", lb.LoRA), ("form", DoRAForm), ("optim", torch.optim.SGD),
        ("base", torch.float16), ("rule", UnitScale()), ("attention", lb.Paged()), ("init", "gaussian"),
    ],
)  # fmt: skip
def test_what_is_no_value_of_an_axis_is_refused_where_it_is_written(axis, value):
    with pytest.raises((TypeError, ValueError)) as refusal:
        dataclasses.replace(Recipe(), **{axis: value})
    assert axis in str(refusal.value)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(init=GaussianStart()), "AdaLoRA's start has BA ≠ 0"),
        (dataclasses.replace(lb.AdaLoRA(r=4), form=None, init=None), "masks the λ of PΛQ"),
        (lb.AdaLoRA(r=2), "target_r = 4 is more than r = 2"),
        (Recipe(rule=DyLoRARule(1, None, 0)), "draws ranks of nested factors"),
        (Recipe(rule=DeltaLoRARule(0)), "lets W₀ follow BA"),
        (Recipe(rule=GLoRASupernetRule(0)), "need a supernet"),
    ],
)
def test_two_axes_that_cannot_be_had_together_are_refused_before_anything_changes(recipe, message):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    before = state(model)
    with pytest.raises(ValueError, match=message):
        lb.inject(model, recipe, "1")
    assert_untouched(model, before)


def test_any_optimizer_of_torch_is_a_value():
    model = nn.Sequential(nn.Linear(8, 8))
    lb.inject(model, lb.LoRA(r=2) | Recipe(optim=AnyOptimizer(partial(torch.optim.SGD, momentum=0.5))), "0")
    x = torch.ones(2, 8)
    history = lb.fit(model, [(x, x)], steps=1, lr=0.1, loss=lambda m, b: m(b[0]).square().mean(), progress=False)
    assert history.steps == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_recipe_counts_what_trains_on_a_layer(name):
    model = nn.Sequential(nn.Linear(12, 6))
    recipe = dataclasses.replace(EXAMPLES[name], r=4, alpha=7.0, attention=None, also_train=None)
    (layer,) = lb.inject(model, recipe, "0").values()
    trains = sum(p.numel() for p in layer.update.parameters() if p.requires_grad)
    assert recipe.complete(ORIGIN).count(6, 12) == trains


def test_a_bank_does_not_untie_a_head_from_its_embedding():
    base = tied()
    pair = lb.pairs_of(adapted_head())["head"]
    with pytest.raises(ValueError, match="are one tied matrix"):
        lb.bank(base, {"anna": {"head": pair}})


class Tied(nn.Module):
    """An embedding and a head that share their matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 8)
        self.head = nn.Linear(8, 12, bias=False)


def tied() -> Tied:
    model = Tied()
    model.head.weight = model.embed.weight
    return model


def adapted_head() -> Tied:
    model = Tied()
    lb.inject(model, lb.LoRA(r=2), "head")
    return model
