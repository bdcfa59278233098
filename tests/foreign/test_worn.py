"""What stood on a layer before it was adapted is kept in every state of the model, or refused before a change."""

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from situations import HOOKS, WORN, Worn
from small import assert_untouched, state
from torch import Tensor, nn
from worlds import WORLDS, R, World, forms, fresh, shake

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.inject import inject
from lorabook.core.merge import disabled, merge, merged
from lorabook.core.recipe import Recipe

RECIPES = {name: replace(form, r=R, alpha=5.0, rule=None) for name, form in forms().items()} | {
    "PiSSA": lb.PiSSA(r=R), "OLoRA": lb.OLoRA(r=R), "QLoRA": lb.QLoRA(r=R), "QPiSSA": lb.QLoRA(r=R) | lb.PiSSA(),
}  # fmt: skip
FEW = {"LoRA": lb.LoRA(r=2), "DoRA": lb.DoRA(r=2), "PiSSA": lb.PiSSA(r=2), "QLoRA": lb.QLoRA(r=2)}


def pairs() -> list[tuple[str, World, str]]:
    """Every recipe with every hook, and every layer type with every hook; recipes and layer types meet by turns."""
    names = list(RECIPES)
    chosen = [
        (name, WORLDS[(i + j) % len(WORLDS)], hook)
        for (i, name), (j, hook) in product(enumerate(RECIPES), enumerate(HOOKS))
    ]
    return chosen + [
        (names[(i + 3 * j) % len(names)], world, hook)
        for (i, world), (j, hook) in product(enumerate(WORLDS), enumerate(HOOKS))
    ]  # fmt: skip


def said(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and what reaches the input of the layer, of which a backward hook may have a part."""
    first = x.clone().requires_grad_() if x.is_floating_point() else x
    y = model(first)
    if not y.requires_grad or not x.is_floating_point():
        return [y.detach()]
    (over,) = torch.autograd.grad(y.sin().sum(), first)
    return [y.detach(), over]


def close(left: list[Tensor], right: list[Tensor]) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("name", "world", "hook"), pairs(), ids=lambda value: getattr(value, "name", value))
def test_a_hook_runs_in_every_state_and_its_handle_removes_it(name: str, world: World, hook: str) -> None:
    model, x = fresh(world)
    without = said(model, x)
    handle = HOOKS[hook](model[0])
    plain = copy.deepcopy(model)
    before = said(plain, x)
    heard = any(not torch.equal(one, other) for one, other in zip(before, without, strict=True))
    assert heard or (world.name.startswith("Embedding") and "backward" in hook), "this hook changes nothing to see"
    layer = inject(model, RECIPES[name], "0", torch.Generator().manual_seed(0))["0"]
    quantised = name.startswith("Q")
    if not quantised:
        close(said(model, x), before)
    shake(layer)
    now = said(model, x)
    with merged(model):
        close(said(model, x), now)
    with disabled(model):
        off = said(model, x)
        if not quantised:
            close(off, before)
    close(said(model, x), now)
    close(said(copy.deepcopy(model), x), now)
    merge(model)
    close(said(model, x), now)
    handle.remove()
    after = said(model, x)
    assert not heard or any(not torch.allclose(one, other) for one, other in zip(after, now, strict=True))
    assert not model[0]._forward_hooks | model[0]._forward_pre_hooks | model[0]._backward_hooks


def test_a_hook_of_a_block_stays_when_the_block_ends() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    lb.inject(model, lb.LoRA(r=2), "0")
    x, heard = torch.randn(2, 4), []
    for block in (disabled, merged):
        with block(model):
            handle = model[0].register_full_backward_hook(lambda *given: heard.append(given[0]))
            model.eval()
        assert not model[0].training
        model(x.requires_grad_()).sum().backward()
        assert heard.pop() is model[0]
        handle.remove()
        model.train()


class Named(nn.Module):
    """Three layers, of which `fc` is worn."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up, self.fc, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.fc(torch.tanh(self.up(x)))))


@pytest.mark.parametrize("recipe", FEW.values(), ids=FEW)
@pytest.mark.parametrize("worn", WORN.values(), ids=WORN)
def test_what_cannot_be_kept_is_refused_and_the_advice_helps(worn: Worn, recipe: Recipe) -> None:
    model, x = Named().eval(), torch.randn(3, 8)
    worn.put(model)
    before = state(model)
    with pytest.raises((ValueError, UnsupportedLayer), match=worn.says):
        inject(model, recipe, "up|fc|out")
    assert_untouched(model, before)
    assert list(inject(copy_without(model), recipe, "up|out")) == ["up", "out"], "the others are no worse for it"
    if worn.undo is not None:
        worn.undo(model)
        plain = model(x)
        assert list(inject(model, recipe, "up|fc|out")) == ["up", "fc", "out"]
        if recipe.base is None:
            torch.testing.assert_close(model(x), plain, rtol=1e-4, atol=1e-5)


def copy_without(model: nn.Module) -> nn.Module:
    """The same model with the very same `fc`, and layers beside it that may be adapted."""
    other = Named()
    other.fc = model.fc
    return other


@pytest.mark.parametrize("name", ["written by hand", "a facade"])
def test_the_layer_inside_a_wrapper_may_be_named(name: str) -> None:
    model, x = Named(), torch.randn(3, 8)
    WORN[name].put(model)
    inner = "layer" if name == "written by hand" else "inside"
    before = model(x)
    assert list(inject(model, lb.LoRA(r=2), rf"{inner}$")) == [f"fc.{inner}"]
    assert torch.equal(model(x), before)


def test_peft_may_have_adapted_other_layers() -> None:
    model, x = Named(), torch.randn(3, 8)
    WORN["PEFT's LoRA"].put(model)
    for parameter in model.fc.lora_B.parameters():
        nn.init.normal_(parameter)
    before = model(x)
    assert list(inject(model, lb.LoRA(r=2), "up|out")) == ["up", "out"]
    assert torch.equal(model(x), before)


def test_a_part_of_a_parametrization_is_no_target() -> None:
    model = Named()
    WORN["a parametrization that holds a layer"].put(model)
    with pytest.raises(ValueError, match="fc.parametrizations.weight.0.inner is part of a parametrization"):
        inject(model, lb.LoRA(r=2), r"inner$")


def test_a_layer_held_past_the_tree_is_noticed_by_fit() -> None:
    class Listed(nn.Module):
        def __init__(self, used: int) -> None:
            super().__init__()
            self.parts = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
            self.hidden = [*self.parts[:used]]

        def forward(self, x: Tensor) -> Tensor:
            for layer in [*self.hidden, *self.parts[len(self.hidden) :]]:
                x = torch.tanh(layer(x))
            return x

    data = [(torch.randn(4, 8), torch.randint(8, (4,)))] * 3

    def run(used: int) -> tuple[nn.Module, Callable[[], object]]:
        model = Listed(used)
        lb.inject(model, lb.LoRA(r=2), "parts")
        return model, lambda: lb.fit(model, data, steps=2, lr=1e-2, progress=False)

    run(0)[1]()
    with pytest.warns(UserWarning, match=r"2 of 3 adapters got no gradient in step 0 \(parts.0, parts.1\).*ModuleList"):
        run(2)[1]()
    model, go = run(3)
    with pytest.raises(ValueError, match=r"3 of 3 adapters got no gradient"):
        go()
    for layer in model.hidden:
        layer.requires_grad_(False)
    with pytest.raises(ValueError, match="the loss of step 0 depends on nothing that trains.*Python list"):
        go()
    assert not any(layer.update.B.any() for layer in adapted(model).values())
