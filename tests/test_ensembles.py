"""MELoRA and MultiLoRA: torch's block_diag through parametrize, and the papers' formulas written out here, as oracles.

No package that trains either of them runs here. MELoRA's forward is also done as its authors do it, slice by slice.
"""

import copy

import pytest
import torch
from small import gap
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lorabook.axes.form.melora import MELoRA
from lorabook.axes.form.multilora import MultiLoRA
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.merge import merge
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import AxisConflict, Recipe

R, ALPHA = 3, 7.0
S = ALPHA / R
EXACT = 1e-12


def pair(recipe: Recipe) -> tuple[nn.Sequential, Adapted, nn.Linear, Tensor]:
    """A model with one adapted layer, the layer, the same plain layer, and inputs."""
    torch.manual_seed(1)
    plain, x = nn.Linear(12, 18).double(), torch.randn(5, 12, dtype=torch.float64)
    ours = nn.Sequential(copy.deepcopy(plain))
    layer = inject(ours, recipe, "0", torch.Generator().manual_seed(2))["0"]
    return ours, layer, plain.requires_grad_(False), x


def moved(layer: Adapted) -> Adapted:
    for parameter in layer.update.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return layer


class Blocks(nn.Module):
    """W₀ + s·blockdiag(B) blockdiag(A), for torch to parametrize a plain layer with."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(a.detach().clone()), nn.Parameter(b.detach().clone())

    def forward(self, w0: Tensor) -> Tensor:
        return w0 + S * torch.block_diag(*self.B) @ torch.block_diag(*self.A)


class Scaled(nn.Module):
    """W₀ + s·Σ diag(v_i) B_iA_i, pair by pair."""

    def __init__(self, a: Tensor, b: Tensor, v: Tensor) -> None:
        super().__init__()
        self.A, self.B, self.v = (nn.Parameter(held.detach().clone()) for held in (a, b, v))

    def forward(self, w0: Tensor) -> Tensor:
        w = w0
        for i in range(self.v.shape[1]):
            rows = slice(R * i, R * i + R)
            w = w + S * self.v[:, i : i + 1] * (self.B[:, rows] @ self.A[rows])
        return w


def oracle_for(layer: Adapted) -> nn.Module:
    kind = {"A", "B"} == {name for name, _ in layer.update.named_parameters()}
    update = layer.update
    return Blocks(update.A, update.B) if kind else Scaled(update.A, update.B, update.v)


RECIPES = [*(MELoRA(R, ALPHA, n=n) for n in (1, 2, 6)), *(MultiLoRA(R, ALPHA, n=n) for n in (1, 3))]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: str(recipe.form))
def test_outputs_gradients_merging_and_five_adamw_steps_are_the_oracles(recipe: Recipe) -> None:
    ours, layer, plain, x = pair(recipe)
    moved(layer)
    oracle = oracle_for(layer)
    parametrize.register_parametrization(plain, "weight", oracle)
    steps = optimizer(ours, lr=0.02), torch.optim.AdamW(oracle.parameters(), lr=0.02, weight_decay=0.0)
    for _ in range(5):
        assert gap(ours(x), plain(x)) <= EXACT
        for model, step in zip((ours, plain), steps, strict=True):
            step.zero_grad()
            torch.sin(model(x)).sum().backward()
        for name, mine in layer.update.named_parameters():
            assert gap(mine.grad, dict(oracle.named_parameters())[name].grad) <= EXACT, name
        for step in steps:
            step.step()
    assert gap(merge(ours)[0].weight, plain.weight) <= EXACT


@pytest.mark.parametrize("n", [2, 3, 6])
def test_melora_is_what_its_authors_compute_slice_by_slice(n: int) -> None:
    ours, layer, plain, x = pair(MELoRA(R, ALPHA, n=n))
    moved(layer)
    slices = x.chunk(n, dim=1)
    said = [S * (part @ a.T @ b.T) for part, a, b in zip(slices, layer.update.A, layer.update.B, strict=True)]
    assert gap(ours(x), plain(x) + torch.cat(said, dim=1)) <= EXACT


def test_each_mini_starts_as_a_lora_on_its_slice_does() -> None:
    _, layer, _, _ = pair(MELoRA(R, ALPHA, n=3))
    bound = (12 / 3) ** -0.5
    assert 0.8 * bound < layer.update.A.abs().max() <= bound
    assert not layer.update.B.any()
    assert not torch.equal(layer.update.A[0], layer.update.A[1])


def test_multilora_starts_with_no_zero_but_its_scales() -> None:
    ours, layer, plain, x = pair(MultiLoRA(R, ALPHA, n=3))
    assert not layer.update.v.any()
    for held, fan_in in ((layer.update.A, 12), (layer.update.B, R)):
        assert held.all()
        assert 0.8 * fan_in**-0.5 < held.abs().max() <= fan_in**-0.5
    assert torch.equal(ours(x), plain(x))
    torch.sin(ours(x)).sum().backward()
    assert layer.update.v.grad.abs().min() > 0
    assert not layer.update.A.grad.any()
    assert not layer.update.B.grad.any()


@pytest.mark.parametrize("n", [0, -1, True])
def test_a_number_of_parts_that_is_none_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="MELoRA: n is .*whole number"):
        MELoRA(n=n)
    with pytest.raises(ValueError, match="MultiLoRA: n is .*whole number"):
        MultiLoRA(n=n)


def test_parts_that_do_not_divide_a_layer_are_refused_before_any_change() -> None:
    model = nn.Sequential(nn.Linear(12, 18), nn.Linear(18, 10))
    with pytest.raises(ValueError, match="n = 3 does not divide both sides of 1, which is 10 × 18"):
        inject(model, MELoRA(R, n=3), r"\d")
    assert all(type(layer) is nn.Linear for layer in model)


def test_two_numbers_of_parts_are_a_conflict() -> None:
    with pytest.raises(AxisConflict):
        MELoRA(n=2) | MELoRA(n=3)
    with pytest.raises(AxisConflict):
        MELoRA() | MultiLoRA()
