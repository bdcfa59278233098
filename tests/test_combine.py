"""Adapters combined and stacked: against PEFT's add_weighted_adapter, in any order, and when they must be refused."""

import copy

import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import TOKENS, EveryKind, assert_untouched, every_kind, gap, logits, state
from torch import Tensor, nn

import lorabook as lb
from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.layer_types import freeze
from lorabook.many.combine import Truncated, combined, concatenated, factors_summed, weighted_sum
from lorabook.many.hub import product_of_sums
from lorabook.many.pair import Pair, pairs_of
from lorabook.many.stacking import attach, attached, stack

# PEFT notices Conv1D's transposed weight by itself, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")

TARGETS = "table|conv|up|out"
WEIGHTS = {"anna": 0.75, "ben": -0.5, "carl": 1.25}
DIFFERENT = {"anna": (2, 7.0), "ben": (3, 4.0), "carl": (1, 2.0)}
EQUAL = {"anna": (3, 7.0), "ben": (3, 4.0), "carl": (3, 2.0)}
"""Rank and α."""


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alone(i: int, r: int, alpha: float, recipe=lb.LoRA, targets: str = TARGETS) -> EveryKind:
    """A model with one adapter, all numbers of which have moved."""
    model = every_kind()
    generator = drawn(i)
    for layer in lb.inject(model, recipe(r, alpha), targets, generator).values():
        for parameter in layer.update.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model


def models(ranks=DIFFERENT, recipe=lb.LoRA) -> dict[str, EveryKind]:
    return {name: alone(i, r, alpha, recipe) for i, (name, (r, alpha)) in enumerate(ranks.items())}


def adapters(ranks=DIFFERENT) -> dict[str, dict[str, Pair]]:
    return {name: pairs_of(model) for name, model in models(ranks).items()}


def delta(pair: Pair) -> Tensor:
    return pair.scale * pair.B @ pair.A


def in_peft(folder, held: dict[str, EveryKind], **how) -> Tensor:
    """What PEFT's model says once it has put these adapters, read from our files, together."""
    for name, model in held.items():
        lb.save_adapter(model, folder / name)
    first, *others = held
    theirs = peft.PeftModel.from_pretrained(every_kind(), folder / first, adapter_name=first)
    for name in others:
        theirs.load_adapter(folder / name, adapter_name=name)
    theirs.add_weighted_adapter(list(WEIGHTS), list(WEIGHTS.values()), "all", **how)
    theirs.set_adapter("all")
    return logits(theirs.eval())


def in_ours(held: dict[str, EveryKind], how) -> Tensor:
    model = every_kind()
    stack(model, {name: pairs_of(one) for name, one in held.items()}, WEIGHTS, how)
    return logits(model)


# PEFT keeps weights in float32: 2⁻²⁴ of √(w·s), which is no binary fraction, is lost in "linear".
@pytest.mark.parametrize(
    ("how", "theirs", "ranks", "tol"),
    [
        (concatenated, {"combination_type": "cat"}, DIFFERENT, 1e-12),
        (Truncated(2), {"combination_type": "svd", "svd_rank": 2}, DIFFERENT, 1e-12),
        (Truncated(3), {"combination_type": "svd"}, DIFFERENT, 1e-12),
        (factors_summed, {"combination_type": "linear"}, EQUAL, 1e-6),
    ],
)
def test_pefts_ways_of_combining_on_every_kind_of_layer(how, theirs, ranks, tol, tmp_path):
    held = models(ranks)
    assert gap(in_ours(held, how), in_peft(tmp_path, held, **theirs)) < tol


def test_the_ways_of_combining_are_four_different_models():
    said = [in_ours(models(EQUAL), how) for how in (concatenated, Truncated(3), factors_summed, product_of_sums)]
    for i, one in enumerate(said):
        assert all(gap(one, other) > 0.01 for other in said[:i])


def test_peft_adds_up_adapters_of_rslora_as_we_do(tmp_path):
    """PEFT 0.21.2 reads the first adapter's use_rslora into the sum, α/√r = √r of the new r: our files never say it."""
    held = models(EQUAL, recipe=lb.rsLoRA)
    theirs = in_peft(tmp_path, held, combination_type="cat")
    assert gap(in_ours(held, concatenated), theirs) < 1e-12


def test_every_layer_of_a_stack_is_the_sum_and_merging_in_turn_gives_the_same():
    held, model, in_turn = adapters(), every_kind(), every_kind()
    plain = {name: freeze(every_kind().get_submodule(name)).matrix for name in held["anna"]}
    layers = stack(model, held, WEIGHTS)
    for name, layer in layers.items():
        expected = plain[name] + weighted_sum([one[name] for one in held.values()], list(WEIGHTS.values()))
        assert gap(layer.update.weight(layer.base.matrix), expected) < 1e-14
        assert layer.r == 6
    said = logits(model)
    lb.merge(model)
    assert lb.adapted(model) == {}
    for name in reversed(held):
        attach(in_turn, {k: pair._replace(scale=WEIGHTS[name] * pair.scale) for k, pair in held[name].items()})
        lb.merge(in_turn)
    assert gap(logits(model), said) < 1e-13
    assert gap(logits(in_turn), said) < 1e-13


def test_in_single_precision_order_shows_in_the_last_digits_only():
    held = adapters()
    said = []
    for names in (list(held), list(reversed(held))):
        model = every_kind(torch.float32)
        for name in names:
            attach(model, held[name])
            lb.merge(model)
        said.append(logits(model))
    assert 0 < gap(*said) < 1e-5


def test_adapters_on_other_layers_and_an_added_negative():
    held = {"up": pairs_of(alone(0, 2, 7.0, targets="up")), "out": pairs_of(alone(1, 3, 4.0, targets="up|out"))}
    model = every_kind()
    layers = stack(model, held, {"up": 1.0, "out": -0.5})
    assert {name: layer.r for name, layer in layers.items()} == {"up": 5, "out": 3}
    taken_back = stack(every_kind(), held | {"again": held["up"]}, {"up": 1.0, "out": 0.0, "again": -1.0})
    assert all(layer.update.weight(0 * layer.base.matrix).abs().max() < 1e-15 for layer in taken_back.values())


def test_a_stack_is_a_plain_adapter_that_trains_and_saves(tmp_path):
    model = every_kind()
    stack(model, adapters(), WEIGHTS)
    said = logits(model)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        f"{name}.update.{letter}" for name in lb.adapted(model) for letter in "AB"
    }
    lb.save_adapter(model, tmp_path)
    theirs = peft.PeftModel.from_pretrained(every_kind(), tmp_path).eval()
    assert gap(logits(theirs), said) < 1e-12
    again = every_kind()
    lb.load_adapter(again, tmp_path)
    assert torch.equal(logits(again), said)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(-3, 3), st.floats(0.1, 4)), min_size=1, max_size=4),
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31),
)  # fmt: skip
def test_any_sum_is_exact_side_by_side_and_nearest_when_truncated(parts, d_out, d_in, seed):
    g = drawn(seed)
    pairs = [
        Pair(torch.randn(r, d_in, generator=g).double(), torch.randn(d_out, r, generator=g).double(), s)
        for r, _, s in parts
    ]
    weights = [w for _, w, _ in parts]
    whole = sum(w * s * p.B @ p.A for p, w, (_, _, s) in zip(pairs, weights, parts, strict=True))
    size = 1e-12 * (1 + whole.abs().max())
    assert (delta(concatenated(pairs, weights)) - whole).abs().max() < size
    order = list(reversed(range(len(pairs))))
    turned = concatenated([pairs[i] for i in order], [weights[i] for i in order])
    assert (delta(turned) - whole).abs().max() < size
    sigma = torch.linalg.svdvals(whole)
    for r in (1, 2, 40):
        short = Truncated(r)(pairs, weights)
        assert short.A.shape == (len(short.B.T), d_in)
        assert len(short.A) <= r
        lost = (delta(short) - whole).square().sum()
        assert abs(lost - sigma[r:].square().sum()) < 1e-10 * (1 + sigma.square().sum())


def test_a_pair_keeps_its_dtype():
    pairs = [Pair(p.A.bfloat16(), p.B.bfloat16(), p.scale) for p in adapters(EQUAL)["anna"].values()][2:3] * 2
    for how in (concatenated, Truncated(2), factors_summed, product_of_sums):
        made = how(pairs, [0.5, 1.0])
        assert (made.A.dtype, made.B.dtype, made.scale) == (torch.bfloat16, torch.bfloat16, 1.0)


def test_inside_the_block_an_adapter_and_after_it_the_model_of_before():
    model = every_kind()
    model.up.weight.requires_grad_(False)
    before, said = state(model), logits(model)
    with attached(model, adapters()["anna"]) as layers:
        assert layers.keys() == lb.adapted(model).keys()
        assert gap(logits(model), logits(models()["anna"])) < 1e-14
    assert_untouched(model, before)
    assert torch.equal(logits(model), said)
    with pytest.raises(RuntimeError, match="in the block"), attached(model, adapters()["anna"]):
        raise RuntimeError("in the block")
    assert_untouched(model, before)


@pytest.mark.parametrize(
    ("held", "weights", "how", "message"),
    [
        ({}, {}, concatenated, "there is no adapter"),
        ({"anna": {}}, {"anna": 1.0}, concatenated, "adapter 'anna' has no layer"),
        (adapters(), {"anna": 1.0, "ben": 1.0}, concatenated, "adapter 'carl' has no weight"),
        (adapters(), WEIGHTS | {"dora": 1.0}, concatenated, "'dora', which is not there; there are 'anna', 'ben'"),
        (adapters(), WEIGHTS | {"ben": float("nan")}, concatenated, "weight of 'ben' is nan"),
        (adapters(), WEIGHTS, factors_summed, r"table \('anna', 'ben', 'carl'\): .* the ranks 2, 3, 1"),
        (adapters(), WEIGHTS, product_of_sums, r"table \('anna', 'ben', 'carl'\): .* the ranks 2, 3, 1"),
    ],
)
def test_what_cannot_be_combined(held, weights, how, message):
    model = every_kind()
    before = state(model)
    with pytest.raises(ValueError, match=message):
        stack(model, held, weights, how)
    assert_untouched(model, before)


def one(r: int = 2, d_in: int = 20, d_out: int = 12) -> Pair:
    return Pair(torch.ones(r, d_in).double(), torch.ones(d_out, r).double(), 1.0)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"up": one(d_in=19)}, r"adapter on up: A is \(2, 19\) .* expected r × 20 and 12 × r"),
        ({"down": one()}, "for the layer 'down', which this model does not have"),
        ({"up": one(), "down": one(r=3)}, "for the layer 'down', which this model does not have"),
        ({"up": one()._replace(A=one().A / 0)}, "adapter on up has NaN or infinite entries"),
        ({}, "this adapter has no layer"),
    ],
)
def test_what_cannot_be_attached(held, message):
    model = every_kind()
    before = state(model)
    with pytest.raises(ValueError, match=message):
        attach(model, held)
    assert_untouched(model, before)


def test_adapters_of_different_models_and_broken_ones():
    with pytest.raises(ValueError, match="up is 12 × 20 for 'anna' and 12 × 9 for 'ben'"):
        combined({"anna": {"up": one()}, "ben": {"up": one(d_in=9)}}, {"anna": 1.0, "ben": 1.0})
    with pytest.raises(ValueError, match="up of 'anna': A has 2 rows and B 3 columns"):
        combined({"anna": {"up": one()._replace(B=one(r=3).B)}}, {"anna": 1.0})


def test_a_model_that_has_adapters_and_layers_of_no_kind():
    model = alone(0, 2, 7.0)
    with pytest.raises(ValueError, match="table has an adapter already"):
        stack(model, adapters(), WEIGHTS)
    odd = nn.Sequential(nn.Bilinear(2, 2, 2), nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(UnsupportedLayer):
        attach(odd, {"0": one()})
    with pytest.raises(ValueError, match="'1'"):
        attach(odd, {"1": one(), "1.0": one(d_in=2, d_out=2)})


@pytest.mark.parametrize("r", [0, -1, True])
def test_a_rank_that_is_no_rank(r):
    with pytest.raises(ValueError, match="rank to truncate to is"):
        Truncated(r)


def test_a_layer_held_in_two_places_is_put_back_in_both():
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, nn.ReLU())})
    twin = copy.deepcopy(model)
    with attached(model, {"a": Pair(torch.ones(1, 4), torch.ones(4, 1), 2.0)}):
        assert model["a"] is model["b"][0]
        assert not torch.equal(model["b"](torch.ones(4)), twin["b"](torch.ones(4)))
    assert model["a"] is model["b"][0] is shared


def test_tokens_are_read():
    """What the comparisons above rest on: the logits are not all alike, and adapters move them."""
    assert logits(every_kind()).shape == (len(TOKENS), 7)
    assert gap(logits(models()["anna"]), logits(every_kind())) > 0.1
