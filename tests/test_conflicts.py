"""Conflicts between adapters: the numbers by brute force, what they are bound by, and when a comparison is refused."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import lorabook as lb
from lorabook.many.combine import concatenated
from lorabook.many.conflicts import Conflict, cancelled, conflicts, cosine, inner, overlap, principal_cosines
from lorabook.many.pair import Pair, pairs_of
from lorabook.many.row_space import outside, row_basis
from lorabook.many.stacking import stack

CALM = settings(max_examples=30, deadline=None, derandomize=True)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(seed: int, r: int = 2, d_out: int = 6, d_in: int = 8, scale: float = 1.5) -> Pair:
    return Pair(drawn(r, d_in, seed=2 * seed), drawn(d_out, r, seed=2 * seed + 1), scale)


def delta(held: Pair) -> Tensor:
    return held.scale * held.B @ held.A


@st.composite
def two_pairs(draw) -> tuple[Pair, Pair]:
    d_out, d_in, seed = draw(st.integers(1, 7)), draw(st.integers(1, 9)), draw(st.integers(0, 2**31))
    ranks, scales = draw(st.tuples(*[st.integers(1, 9)] * 2)), draw(st.tuples(*[st.floats(-3, 3)] * 2))
    made = (pair(seed + i, r, d_out, d_in, s) for i, (r, s) in enumerate(zip(ranks, scales, strict=True)))
    return tuple(made)


@CALM
@given(two_pairs())
def test_angles_are_scipys_and_belong_to_the_spaces(pairs):
    one, other = (held.A for held in pairs)
    # Beyond d_in rows more of them span the same space; scipy wants columns that span it.
    theirs = np.cos(scipy.linalg.subspace_angles(one[: one.shape[1]].T.numpy(), other[: one.shape[1]].T.numpy()))
    ours = principal_cosines(one, other)
    assert len(ours) == min(len(one), len(other), one.shape[1])
    np.testing.assert_allclose(ours.numpy(), np.sort(theirs)[::-1], atol=1e-7)
    mixed = (drawn(len(one), len(one), seed=5) + 5 * torch.eye(len(one))).double() @ one
    torch.testing.assert_close(principal_cosines(mixed, other), ours, atol=1e-6, rtol=0)
    torch.testing.assert_close(principal_cosines(other, one), ours)


@CALM
@given(two_pairs())
def test_overlap_is_how_much_of_one_projector_lies_in_the_other(pairs):
    one, other = (held.A for held in pairs)
    projectors = [torch.linalg.pinv(rows) @ rows for rows in (one, other)]
    least = min(len(one), len(other), one.shape[1])
    expected = torch.trace(projectors[0] @ projectors[1]) / least
    torch.testing.assert_close(overlap(one, other), expected, atol=1e-8, rtol=0)


def test_overlap_at_its_ends():
    one = drawn(3, 9, seed=0)
    assert overlap(one, 7 * one[:2]) == pytest.approx(1, abs=1e-14), "one holds the other"
    assert overlap(one, outside(drawn(4, 9, seed=1), row_basis(one))) < 1e-28
    assert overlap(one, 0 * one) == 0, "nothing overlaps with what spans nothing"
    assert overlap(drawn(9, 5, seed=2), drawn(2, 5, seed=3)) == pytest.approx(1, abs=1e-14), "all of the space"


@CALM
@given(two_pairs())
def test_inner_cosine_and_cancelled_are_those_of_the_matrices(pairs):
    a, b = map(delta, pairs)
    size = a.norm() * b.norm()
    assert abs(inner(*pairs) - (a * b).sum()) <= 1e-11 * (1 + size)
    total, lost = 0.0, 0.0
    for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True):
        total += abs(x) + abs(y)
        lost += 2 * min(abs(x), abs(y)) if x * y < 0 else 0.0
    assert 0 <= cancelled(*pairs) <= 1
    if size > 1e-6:
        assert cosine(*pairs) == pytest.approx(((a * b).sum() / size).item(), abs=1e-7)
        assert cancelled(*pairs) == pytest.approx(lost / total, abs=1e-12)
    for measure in (inner, cosine, cancelled):
        torch.testing.assert_close(measure(*pairs), measure(*reversed(pairs)), atol=1e-12, rtol=1e-12)


def test_an_adapter_with_itself_and_with_its_negative():
    one = pair(0)
    negative = one._replace(scale=-one.scale)
    assert (cosine(one, one), cosine(one, negative)) == (pytest.approx(1), pytest.approx(-1))
    assert (cancelled(one, one), cancelled(one, negative)) == (pytest.approx(0, abs=1e-15), 1)
    assert (cosine(one, one._replace(scale=0.0)), cancelled(one, one._replace(scale=0.0))) == (0, 0)
    nothing = one._replace(scale=0.0)
    assert (cosine(nothing, nothing), cancelled(nothing, nothing)) == (0, 0)


def test_an_adapter_that_is_zero_to_rounding_has_no_direction():
    gone = [concatenated([pair(seed)] * 3, [0.1, 0.2, -0.3]) for seed in range(8)]
    assert all(0 < delta(held).abs().max() < 1e-14 for held in gone)
    assert any(inner(held, held) > 0 for held in gone), "rounding alone would give a cosine"
    assert all(cosine(held, pair(9)) == cosine(pair(9), held) == 0 for held in gone)


def test_apart_in_what_is_read_or_in_what_is_written():
    one, other = pair(0), pair(1)
    reads = other._replace(A=outside(other.A, row_basis(one.A)))
    writes = other._replace(B=outside(other.B.T, row_basis(one.B.T)).T)
    (apart,) = conflicts({"one": {"0": one}, "other": {"0": reads}})
    assert apart.inputs < 1e-28
    assert apart.outputs > 0.05
    (beside,) = conflicts({"one": {"0": one}, "other": {"0": writes}})
    assert beside.outputs < 1e-28
    assert beside.inputs > 0.05
    assert max(abs(apart.cosine), abs(beside.cosine)) < 1e-14
    assert min(apart.cancelled, beside.cancelled) > 0.05, "entry by entry they do cancel"
    x = drawn(5, 2, seed=3) @ one.A
    assert (x @ delta(reads).T).abs().max() < 1e-13, "the other does not answer what the first reads"
    assert (x @ delta(writes).T).abs().max() > 0.1, "it does, elsewhere in the output"


def test_half_precision_is_compared_in_full():
    one, other = pair(0, 4, 40, 50), pair(1, 4, 40, 50)
    halves = [Pair(held.A.bfloat16(), held.B.bfloat16(), held.scale) for held in (one, other)]
    exact = [Pair(held.A.double(), held.B.double(), held.scale) for held in halves]
    (said,), (wanted,) = (conflicts({"one": {"0": a}, "other": {"0": b}}) for a, b in (halves, exact))
    for name in ("inputs", "outputs", "cosine", "cancelled"):
        assert getattr(said, name) == pytest.approx(getattr(wanted, name), abs=1e-12)


def test_every_two_adapters_on_every_common_layer_the_worst_first():
    up = [pair(i, r=i + 1) for i in range(3)]
    held = {
        "anna": {"up": up[0], "out": pair(3)},
        "ben": {"up": up[1]},
        "carl": {"up": up[2], "out": pair(3)._replace(scale=-1.5), "down": pair(5)},
        "dora": {"side": pair(6)},
    }
    found = conflicts(held)
    pairs = {("up", "anna", "ben"), ("up", "anna", "carl"), ("up", "ben", "carl"), ("out", "anna", "carl")}
    assert {(c.layer, c.one, c.other) for c in found} == pairs
    worst = found[0]
    assert isinstance(worst, Conflict)
    assert (worst.layer, worst.one, worst.other, worst.by_chance) == ("out", "anna", "carl", 2 / 8)
    assert (worst.inputs, worst.outputs, worst.cosine, worst.cancelled) == pytest.approx((1, 1, -1, 1))
    assert [c.cancelled for c in found] == sorted((c.cancelled for c in found), reverse=True)
    by_chance = {(c.one, c.other): c.by_chance for c in found if c.layer == "up"}
    assert by_chance == {("anna", "ben"): 2 / 8, ("anna", "carl"): 3 / 8, ("ben", "carl"): 3 / 8}
    (wide,) = conflicts({"one": {"0": pair(0, r=9)}, "other": {"0": pair(1)}})
    assert wide.by_chance == 1
    assert wide.inputs == pytest.approx(1)


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(20, 4)).double()


def test_the_numbers_of_real_layers_are_those_of_what_stacking_adds():
    models = [small_net(), small_net()]
    for i, model in enumerate(models):
        for layer in lb.inject(model, lb.LoRA(2, 3.0), "0|2", torch.Generator().manual_seed(i)).values():
            layer.update.B.data.copy_(drawn(*layer.update.B.shape, seed=i))
    held = {name: pairs_of(model) for name, model in zip(("one", "other"), models, strict=True)}
    found = {c.layer: c for c in conflicts(held)}
    assert set(found) == {"0", "2"}
    moved = {}
    for weights in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        layers = stack(small_net(), held, dict(zip(held, weights, strict=True)))
        moved[weights] = {n: layer.update.weight(0 * layer.base.matrix).detach() for n, layer in layers.items()}
    for name, c in found.items():
        one, other, both = (moved[weights][name] for weights in moved)
        squares = one.norm() ** 2 + other.norm() ** 2 + 2 * c.cosine * one.norm() * other.norm()
        assert both.norm() ** 2 == pytest.approx(squares.item(), rel=1e-10)
        left = (1 - c.cancelled) * (one.abs().sum() + other.abs().sum())
        assert both.abs().sum().item() == pytest.approx(left.item(), rel=1e-10)


@pytest.mark.parametrize("held", [{}, {"anna": {"up": pair(0)}}])
def test_a_conflict_takes_two(held):
    with pytest.raises(ValueError, match=f"takes two adapters, and {len(held)} is given"):
        conflicts(held)


def test_adapters_that_fit_different_models_or_none():
    for other in (pair(1, d_in=9), pair(1, d_out=5)):
        with pytest.raises(ValueError, match="up has another shape for 'one' than for 'other'"):
            conflicts({"one": {"up": pair(0)}, "other": {"up": other}})
    with pytest.raises(ValueError, match=r"'other' on up: A is \(3, 8\) and B \(6, 2\)"):
        conflicts({"one": {"up": pair(0)}, "other": {"up": pair(1)._replace(A=pair(1, r=3).A)}})
    with pytest.raises(ValueError, match="'one' on up has NaN or infinite entries"):
        conflicts({"one": {"up": pair(0)._replace(scale=math.inf)}, "other": {"up": pair(1)}})
    assert conflicts({"one": {"up": pair(0)}, "other": {}}) == []
