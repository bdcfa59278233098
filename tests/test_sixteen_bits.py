"""Sixteen bits and autocast: where rounding would move a model that nobody has trained, or a dtype would slip in."""

from dataclasses import replace

import pytest
import torch
from small import TOKENS, every_kind, suits
from torch import Tensor, nn
from worlds import forms

from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.vera import VeRA
from lorabook.axes.optim.private import clipped
from lorabook.axes.optim.projected import projected
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe

HALVES = [torch.bfloat16, torch.float16]


def wide(dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(96, 64, bias=False)).to(dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("cast_after", [False, True])
def test_dora_starts_at_its_base_to_the_last_bit(dtype: torch.dtype, cast_after: bool) -> None:
    plain, x = wide(dtype), torch.randn(8, 96).to(dtype)
    model = wide(torch.float32 if cast_after else dtype)
    inject(model, DoRA(r=4), "0")
    assert torch.equal(model.to(dtype)(x), plain(x))


def test_qdora_starts_where_qlora_does() -> None:
    lora, dora, x = wide(torch.bfloat16), wide(torch.bfloat16), torch.randn(8, 96).bfloat16()
    inject(lora, QLoRA(r=4), "0")
    inject(dora, QLoRA(r=4) | DoRA(), "0")
    assert torch.equal(dora(x), lora(x))


def test_doras_trained_path_is_its_definition_to_the_rounding_of_one_number() -> None:
    model = wide(torch.bfloat16)
    layer = inject(model, DoRA(r=4, alpha=8.0), "0")["0"]
    layer.update.B.data += torch.randn(64, 4).bfloat16() / 50
    v = layer.base.matrix.double() + layer.scale * layer.update.B.double() @ layer.update.A.double()
    told = layer.update.row_norms(layer.base.matrix).double()
    assert ((told / v.norm(dim=1) - 1).abs() <= 2**-8).all()


def test_a_table_of_many_rows_leaves_no_half_precision_number() -> None:
    # The square of a row of W₀, 100,000 numbers long, is above what float16 holds; its length is not.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(100_000, 4).half())
    plain = model(TOKENS)
    inject(model, DoRA(r=2), "0")
    assert torch.equal(model(TOKENS), plain)


@pytest.mark.parametrize("name", forms())
def test_under_autocast_a_layer_answers_in_the_dtype_of_its_plain_layer(name: str) -> None:
    model = every_kind(torch.float32)
    inject(model, replace(forms()[name], r=2, alpha=7.0, rule=None), suits(name))
    inputs: dict[str, Tensor] = {"table": TOKENS, "conv": torch.randn(2, 6, 4, 4), "up": torch.randn(2, 20),
                                 "out": torch.randn(2, 12)}  # fmt: skip
    with torch.autocast("cpu", torch.bfloat16):
        for layer_name, layer in adapted(model).items():
            assert layer(inputs[layer_name]).dtype == layer.plain()(inputs[layer_name]).dtype, layer_name


@pytest.mark.parametrize("recipe", [LoRA(r=2), VeRA(r=2)], ids=lambda recipe: recipe.label)
def test_a_model_may_have_layers_of_two_dtypes(recipe: Recipe) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6).bfloat16())
    inject(model, recipe, r"\d")
    x = torch.randn(3, 6)
    assert model[0](x).dtype == torch.float32
    model[1](x.bfloat16()).sum().backward()
    assert all(p.grad is not None and p.dtype == torch.float32 for p in model[1].update.parameters())


@pytest.mark.parametrize("dtype", HALVES)
def test_a_clipped_contribution_is_no_longer_than_c(dtype: torch.dtype) -> None:
    for seed in range(20):
        given = torch.randn(1000, generator=torch.Generator().manual_seed(seed)).to(dtype)
        (kept,) = clipped([given], 1.0)
        assert kept.double().norm() <= 1 + 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALVES])
def test_the_projected_step_is_that_of_double_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    a, g = torch.randn(3, 40).to(dtype), torch.randn(5, 3).to(dtype)
    made = projected(g, a, 2.0)
    wanted = g.double() @ torch.linalg.inv(a.double() @ a.double().T) / 4
    assert made.dtype == dtype
    assert (made.double() - wanted).norm() <= 4 * torch.finfo(dtype).eps * wanted.norm()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_that_depend_on_each_other_are_refused_whatever_the_rounding(dtype: torch.dtype) -> None:
    for seed in range(50):
        a = torch.randn(2, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        a = torch.cat([a, 0.3 * a[:1] + 0.7 * a[1:]]).to(dtype)
        with pytest.raises(ValueError, match="linearly dependent"):
            projected(torch.ones(5, 3, dtype=dtype), a, 2.0)
