"""Every pair of variants composes, trains, saves, loads and merges, or is refused with a reason before any change.

The pairs come from the recipes in the package, so that a new variant meets all others the day it is added.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small import TOKENS, assert_untouched, gap, state
from torch import Tensor, nn
from worlds import example

from lorabook.claims.catalogue import catalogue
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import ORIGIN
from lorabook.core.merge import disabled, merge
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.saving.save import load_adapter, save_adapter

RECIPES = {name: example(make) for folder in catalogue().values() for name, make in folder.items()}
PAIRS = list(itertools.combinations(RECIPES, 2))
NUMBERS = Recipe(r=4, alpha=7.0)
TARGETS = "[qv]_proj|up_proj"
SMALL = DecoderConfig(vocab=11, hidden=16, layers=2, heads=2, kv_heads=2, d_head=8, ffn=16, context=8)
STEPS = 4


def net() -> nn.Module:
    torch.manual_seed(1)
    return Decoder(SMALL).eval()


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    return itertools.repeat((TOKENS[:, :-1], TOKENS[:, 1:]))


def said(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(TOKENS)


def injected(recipe: Recipe, seed: int) -> nn.Module:
    model = net()
    inject(model, recipe, TARGETS, torch.Generator().manual_seed(seed))
    return model


def refused(work: Callable[[], object]) -> str:
    """What the refusal says, or nothing if the work is done."""
    try:
        work()
    except AxisConflict as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_pair_works_from_start_to_end_or_is_refused(one: str, other: str, tmp_path: Path) -> None:
    if refusal := refused(lambda: RECIPES[one] | RECIPES[other] | NUMBERS):
        assert set(RECIPES[one].changes(ORIGIN)) & set(RECIPES[other].changes(ORIGIN)) or "dropout" in refusal
        assert RECIPES[one].label in refusal
        assert RECIPES[other].label in refusal
        return
    recipe = RECIPES[one] | RECIPES[other] | NUMBERS
    model, start = net(), said(net())
    before = state(model)
    if refusal := refused(lambda: inject(model, recipe, TARGETS, torch.Generator().manual_seed(0))):
        assert len(refusal) > 40
        assert_untouched(model, before)
        return
    with disabled(model):
        assert gap(said(model), start) < 0.2, "switched off, it is the base, perhaps quantised"
    first = fit(model, batches(), steps=STEPS, lr=0.01, progress=False).losses
    assert first[-1] < first[0], "four steps on one batch lower its loss"
    after = said(model)
    save_adapter(model, tmp_path)
    again = injected(recipe, seed=5)
    assert not torch.equal(said(again), after)
    load_adapter(again, tmp_path)
    assert torch.equal(said(again), after)
    assert gap(said(merge(again)), after) < 1e-4


def test_some_pairs_are_refused_and_most_are_not() -> None:
    clashes = sum(bool(set(RECIPES[a].changes(ORIGIN)) & set(RECIPES[b].changes(ORIGIN))) for a, b in PAIRS)
    assert 0 < clashes < len(PAIRS) / 2
