"""One battery for every form of the update on every kind of layer; forms are found, not listed.

A new variant is tried by all of this as soon as its file is there.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from worlds import WORLDS, R, World, forms, fresh, shake

from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.merge import disabled, merge, merged
from lorabook.core.recipe import Recipe
from lorabook.saving.save import load_adapter, save_adapter

FORMS = forms()
everywhere = pytest.mark.parametrize(
    ("form", "world"),
    [pytest.param(form, world, id=f"{name}-{world.name}") for name, form in FORMS.items() for world in WORLDS],
)


def adapt(form: Recipe, world: World, seed: int = 0) -> tuple[nn.Sequential, Adapted, Tensor]:
    """Return a model of one adapted layer, the layer, and an input. α ≠ r, so that no scale hides."""
    model, x = fresh(world)
    recipe = replace(form, r=R, alpha=5.0, rule=None)
    return model, inject(model, recipe, targets="0", generator=torch.Generator().manual_seed(seed))["0"], x


def close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-11)


def test_every_form_is_found():
    assert {"LowRankForm", "DoRAForm", "AdaLoRAForm", "LoHaForm"} <= set(FORMS)


@everywhere
def test_starts_at_its_base(form, world):
    model, x = fresh(world)
    before = model(x).detach()
    model, _, _ = adapt(form, world)
    close(model(x).detach(), before)


@everywhere
def test_path_is_the_definition_in_value_and_gradient(form, world):
    model, layer, x = adapt(form, world)
    shake(layer)
    base, parameters = layer.base, list(layer.update.parameters())
    by_path = layer(x)
    by_definition = base.apply_matrix(x, layer.update.weight(base.matrix), layer.update.bias(base))
    close(by_path, by_definition)
    probe = torch.randn_like(by_path)
    for path, definition in zip(
        torch.autograd.grad((by_path * probe).sum(), parameters),
        torch.autograd.grad((by_definition * probe).sum(), parameters),
        strict=True,
    ):
        close(path, definition)


@pytest.mark.parametrize(
    ("form", "world"),
    [
        pytest.param(form, world, id=f"{name}-{world.name}")
        for name, form in FORMS.items()
        for world in WORLDS
        if not world.name.startswith("Embedding")  # an index has no gradient
    ],
)
def test_the_input_gets_the_same_gradient(form, world):
    _, layer, x = adapt(form, world)
    shake(layer)
    x = x.requires_grad_(True)
    path = torch.autograd.grad(layer(x).square().sum(), x)[0]
    w = layer.update.weight(layer.base.matrix)
    definition = torch.autograd.grad(layer.base.apply_matrix(x, w, layer.update.bias(layer.base)).square().sum(), x)[0]
    close(path, definition)


@everywhere
def test_the_merged_layer_is_plain_and_equal(form, world):
    model, layer, x = adapt(form, world)
    shake(layer)
    before, state = model(x).detach(), {k: v.clone() for k, v in layer.state_dict().items()}
    with merged(model):
        assert type(model[0]) is type(fresh(world)[0][0])
        close(model(x), before)
    assert model[0] is layer
    assert all(torch.equal(v, state[k]) for k, v in layer.state_dict().items())
    merge(model)
    assert not any(p.requires_grad for p in model.parameters())
    close(model(x), before)
    assert repr(model[0]) == repr(fresh(world)[0][0])


class Parametrized(nn.Module):
    """torch's own way to say W = update(W₀), as an oracle that is not ours."""

    def __init__(self, layer: Adapted) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, weight: Tensor) -> Tensor:
        matrix = self.layer.base.native(weight) if "Conv" not in type(self.layer.base).__name__ else weight.flatten(1)
        matrix = weight.T if type(self.layer.base).__name__ in ("FrozenEmbedding", "FrozenConv1D") else matrix
        return self.layer.base.native(self.layer.update.weight(matrix))


class Biased(nn.Module):
    """The same for the bias."""

    def __init__(self, layer: Adapted) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, bias: Tensor) -> Tensor:
        return self.layer.update.bias(self.layer.base)


@everywhere
def test_parametrize_agrees(form, world):
    model, layer, x = adapt(form, world)
    shake(layer)
    plain, _ = fresh(world)
    plain.requires_grad_(False)
    if isinstance(plain[0], nn.Embedding):
        plain[0].padding_idx = None  # it would stop gradients of a table that trains; ours is frozen
    parametrize.register_parametrization(plain[0], "weight", Parametrized(layer))
    if layer.bias is not None:
        parametrize.register_parametrization(plain[0], "bias", Biased(layer))
    ours, theirs = model(x), plain(x)
    close(ours, theirs)
    parameters = list(layer.update.parameters())
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), parameters),
        torch.autograd.grad(theirs.square().sum(), parameters),
        strict=True,
    ):
        close(a, b)


@everywhere
def test_only_the_update_trains_and_the_base_never_moves(form, world):
    model, layer, x = adapt(form, world)
    frozen = layer.base.matrix.clone()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {f"0.update.{name}" for name, _ in layer.update.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    moved = {name: p.detach().clone() for name, p in layer.update.named_parameters()}
    for _ in range(2):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    assert torch.equal(layer.base.matrix, frozen)
    assert any(not torch.equal(p, moved[name]) for name, p in layer.update.named_parameters())


@everywhere
def test_the_parameter_count_is_the_stated_formula(form, world):
    _, layer, _ = adapt(form, world)
    d_out, d_in = layer.base.store.shape
    counted = sum(p.numel() for p in layer.update.parameters() if p.requires_grad)
    form = layer.recipe.form
    assert counted == form.count(d_out, d_in, R, layer.base.patch, layer.base.bias is not None)


@everywhere
def test_one_generator_one_adapter(form, world):
    same = [adapt(form, world, seed=7)[1].update.state_dict() for _ in range(2)]
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    other = adapt(form, world, seed=8)[1].update.state_dict()
    assert any(not torch.equal(same[0][name], other[name]) for name in other)


@everywhere
def test_disabled_is_the_model_before_injection(form, world):
    plain, x = fresh(world)
    model, layer, _ = adapt(form, world)
    shake(layer)
    after = model(x).detach()
    with disabled(model):
        close(model(x), plain(x).detach())
    assert torch.equal(model(x).detach(), after)


@everywhere
def test_saving_and_loading_is_bit_exact(form, world, tmp_path):
    model, layer, x = adapt(form, world)
    shake(layer)
    save_adapter(model, tmp_path / "adapter")
    again, _ = fresh(world)
    load_adapter(again, tmp_path / "adapter")
    assert torch.equal(again(x), model(x))


@everywhere
def test_the_effective_weight_is_the_one_in_use(form, world):
    model, layer, x = adapt(form, world)
    shake(layer)
    plain, _ = fresh(world)
    assert layer.weight.shape == plain[0].weight.shape
    assert (layer.weight.dtype, layer.weight.device) == (plain[0].weight.dtype, plain[0].weight.device)
    with torch.no_grad():
        plain[0].weight.copy_(layer.weight.tensor())
        if layer.bias is not None:
            plain[0].bias.copy_(layer.bias)
    close(plain(x).detach(), model(x).detach())
