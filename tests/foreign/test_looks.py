"""What stands in a layer's place looks like it: attributes, weight and bias, adapted, switched off or merged."""

import copy
from itertools import product

import pytest
import torch
from test_worn import RECIPES
from torch import nn
from worlds import WORLDS, World, fresh, shake

import lorabook as lb
from lorabook.core.inject import inject
from lorabook.core.merge import disabled, merge, merged
from lorabook.core.plain_layer import attributes_of

PAIRS = [(name, WORLDS[(i + k) % len(WORLDS)]) for (i, name), k in product(enumerate(RECIPES), range(0, 11, 2))]


def assert_looks_like(stand_in: nn.Module, plain: nn.Module) -> None:
    """The attributes of a plain layer, and a weight and a bias as it has them."""
    assert attributes_of(plain).keys() >= {"model_s_own"}
    for name, value in attributes_of(plain).items():
        assert getattr(stand_in, name) == value, name
    assert stand_in.training == plain.training
    for name in ("weight", "bias"):
        theirs = getattr(plain, name, None)
        mine = getattr(stand_in, name, None)
        assert (mine is None) == (theirs is None), name
        if theirs is not None:
            assert (mine.shape, mine.dtype, mine.device) == (theirs.shape, theirs.dtype, theirs.device)
            assert mine.size(0) == theirs.size(0)


@pytest.mark.parametrize(("name", "world"), PAIRS, ids=lambda value: getattr(value, "name", value))
def test_in_every_state_the_layer_has_its_attributes_and_its_weight(name: str, world: World) -> None:
    model, x = fresh(world)
    model[0].model_s_own = ("set", "by the host")
    model.eval()
    plain = copy.deepcopy(model[0])
    layer = inject(model, RECIPES[name], "0", torch.Generator().manual_seed(0))["0"]
    shake(layer)
    assert_looks_like(model[0], plain)
    assert torch.equal(model[0].weight.detach(), layer.plain().weight)
    exact = not name.startswith("Q")
    with disabled(model):
        assert_looks_like(model[0], plain)
        weight = model[0].weight.detach()
        if exact:
            torch.testing.assert_close(weight, plain.weight.detach(), rtol=1e-12, atol=1e-12)
        # A host that computes with the weight in place of calling the layer gets what the layer gives.
        host = copy.deepcopy(plain)
        host.weight.data = weight.clone()
        torch.testing.assert_close(host(x), model[0](x), rtol=1e-9, atol=1e-11)
    with merged(model):
        assert_looks_like(model[0], plain)
        assert type(model[0]) is type(plain)
    assert_looks_like(merge(model)[0], plain)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_switched_off_over_a_dense_base_it_is_a_plain_layer_and_nothing_is_copied(world: World) -> None:
    model, _ = fresh(world)
    memory, kind = model[0].weight.data_ptr(), type(model[0])
    inject(model, lb.LoRA(r=2), "0")
    with disabled(model):
        assert type(model[0]) is kind
        assert model[0].weight.data_ptr() == memory
        assert not model[0].weight.requires_grad


def test_what_reads_the_weight_in_training_is_told_that_dropout_cannot_act() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, self.fc.weight, self.fc.bias)

    model, x = Reads(), torch.randn(2, 6)
    lb.inject(model, lb.LoRA(r=2, dropout=0.5), "fc")
    with pytest.raises(RuntimeError, match=r"dropout=0.5 would never be applied: inject with dropout=0"):
        model(x)
    with torch.no_grad():
        model(x)
    model.eval()(x)
    again = Reads()
    lb.inject(again, lb.LoRA(r=2), "fc")
    again(x).sum().backward()
    assert again.fc.update.B.grad.any()
    attention = nn.MultiheadAttention(8, 2)
    with pytest.raises(ValueError, match=r"out_proj belongs to a MultiheadAttention.*dropout=0.1 would never be"):
        lb.inject(attention, lb.LoRA(r=2, dropout=0.1), "out_proj")
    lb.inject(attention, lb.LoRA(r=2), "out_proj")


@pytest.mark.parametrize("recipe", [lb.PiSSA(r=2, dropout=0.5), lb.OLoRA(r=2, dropout=0.5), lb.LoRA(r=2, dropout=0.5)])
@pytest.mark.parametrize("base", [lb.Recipe(), lb.QLoRA()], ids=["dense", "four bits"])
def test_switched_off_nothing_is_dropped_in_training_either(recipe: lb.Recipe, base: lb.Recipe) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8)).double().train()
    plain, x = copy.deepcopy(model), torch.randn(64, 16, dtype=torch.float64)
    inject(model, recipe | base, "0")
    with disabled(model):
        assert torch.equal(model(x), model(x))
        if base.base is None:
            torch.testing.assert_close(model(x), plain(x))
    assert not torch.equal(model.train()(x), model(x)) or recipe.init is None
