"""What holds for every form and every start at any shape, rank, scale and dtype: examples drawn, not chosen."""

from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from worlds import example, forms

from lorabook.claims.catalogue import catalogue
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe
from lorabook.saving.save import load_adapter, save_adapter

STARTS = {name: example(make) for name, make in catalogue()["init"].items()}
RECIPES = forms() | STARTS
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
ROUNDINGS = 24
"""How many roundings of the largest possible intermediate result two ways to compute one output may differ by."""


class Drawn(NamedTuple):
    """A layer, an adapter's numbers, and a batch. Both sides of the layer are even, for forms that cut them in two."""

    d_out: int
    d_in: int
    r: int
    alpha: float
    bias: bool
    rows: int
    dtype: torch.dtype
    seed: int

    def linear(self) -> nn.Sequential:
        """The plain layer: the same numbers at every call."""
        torch.manual_seed(self.seed)
        return nn.Sequential(nn.Linear(self.d_in, self.d_out, self.bias)).to(self.dtype)

    def adapted(self, recipe: Recipe, seed: int) -> tuple[nn.Sequential, Adapted]:
        """The layer with an adapter, every number of which has moved from its start."""
        model = self.linear()
        asked = replace(recipe, r=self.r, alpha=self.alpha, rule=None)
        layer = inject(model, asked, "0", torch.Generator().manual_seed(seed))["0"]
        source = torch.Generator().manual_seed(self.seed + 1)
        with torch.no_grad():
            for p in layer.update.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=source).to(p))
        return model, layer

    def x(self) -> Tensor:
        return torch.randn(self.rows, self.d_in, generator=torch.Generator().manual_seed(self.seed + 2)).to(self.dtype)


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    d_out, d_in = 2 * draw(st.integers(1, 12)), 2 * draw(st.integers(1, 12))
    return Drawn(
        d_out, d_in, draw(st.integers(1, min(d_out, d_in))), draw(st.floats(0.25, 32)), draw(st.booleans()),
        draw(st.integers(1, 5)), draw(st.sampled_from(DTYPES)), draw(st.integers(0, 2**20)),
    )  # fmt: skip


everything = pytest.mark.parametrize("name", RECIPES)
tried = settings(max_examples=8, deadline=None, derandomize=True)


def near(one: Tensor, other: Tensor, layer: Adapted, x: Tensor) -> None:
    """Two outputs agree to the rounding of what was added up on the way to them."""
    w = layer.update.weight(layer.base.matrix).detach().double()
    parts = [p.detach().double().abs().max() for p in layer.update.parameters()]
    size = (x.double().abs() @ w.abs().T).max() + x.double().abs().sum(1).max() * max(parts, default=0.0) ** 2
    size = size * max(1.0, abs(layer.scale)) + one.double().abs().max()
    assert (one.double() - other.double()).abs().max() <= ROUNDINGS * torch.finfo(x.dtype).eps * size


@everything
@tried
@given(drawn())
def test_path_definition_and_merged_layer_say_the_same(name: str, case: Drawn) -> None:
    model, layer = case.adapted(RECIPES[name], 0)
    x = case.x()
    with torch.no_grad():
        said = model(x)
        defined = layer.base.apply_matrix(x, layer.matrix(), layer.bias)
        near(said, defined, layer, x)
        plain = merge(model)
        assert type(plain[0]) is nn.Linear
        assert plain[0].weight.dtype == said.dtype == case.dtype
        near(plain(x), said, layer, x)


@everything
@tried
@given(drawn())
def test_what_was_saved_comes_back_bit_for_bit(name: str, case: Drawn) -> None:
    model, layer = case.adapted(RECIPES[name], 0)
    other = case.linear()
    inject(other, layer.recipe, "0", torch.Generator().manual_seed(5))
    with TemporaryDirectory() as folder, torch.no_grad():
        save_adapter(model, folder)
        load_adapter(other, folder)
        assert torch.equal(other(case.x()), model(case.x()))


@everything
@tried
@given(drawn())
def test_the_count_is_the_formula_and_one_generator_gives_one_adapter(name: str, case: Drawn) -> None:
    (_, layer), (_, same) = (case.adapted(RECIPES[name], 3) for _ in range(2))
    trained = {key: p for key, p in layer.update.named_parameters() if p.requires_grad}
    again = dict(same.update.named_parameters())
    kept = torch.promote_types(case.dtype, torch.float32)
    assert all(torch.equal(p, again[key]) and p.dtype == kept for key, p in trained.items())
    form = layer.recipe.form
    assert sum(p.numel() for p in trained.values()) == form.count(case.d_out, case.d_in, case.r, 1, case.bias)


@pytest.mark.parametrize("name", STARTS)
@tried
@given(drawn())
def test_a_start_inside_w0_is_w0(name: str, case: Drawn) -> None:
    model = case.linear()
    before = model[0].weight.detach().double()
    asked = replace(STARTS[name], r=case.r, alpha=case.alpha)
    layer = inject(model, asked, "0")["0"]
    w = layer.update.weight(layer.base.matrix).detach().double()
    size = before.abs().max() + layer.scale * (layer.update.B.abs().double() @ layer.update.A.abs().double()).max()
    assert (w - before).abs().max() <= ROUNDINGS * torch.finfo(case.dtype).eps * size
