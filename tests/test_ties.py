"""TIES and DARE: against PEFT's merge_utils and its add_weighted_adapter, on average, and what is refused."""

import pytest
import torch
from peft.utils import merge_utils
from small import gap
from test_combine import EQUAL, WEIGHTS, in_ours, in_peft, models
from torch import Tensor

from lorabook.many.combine import Truncated, weighted_sum
from lorabook.many.pair import Pair
from lorabook.many.ties import Dare, Ties, delta_w, trimmed

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")
FOUR = [0.5, 1.0, -0.7, 0.25]  # binary fractions but one: PEFT keeps weights in float32


def drawn(seed: int = 0) -> list[Pair]:
    g = torch.Generator().manual_seed(seed)

    def one(i: int) -> Pair:
        a, b = (torch.randn(*shape, generator=g).double() for shape in ((3, 20), (12, 3)))
        return Pair(a, b, 0.5 + i)

    return [one(i) for i in range(4)]


def deltas(pairs: list[Pair]) -> list[Tensor]:
    return [delta_w(pair) for pair in pairs]


@pytest.mark.parametrize("density", [0.05, 0.2, 0.7, 0.99])
def test_ties_is_pefts(density: float) -> None:
    pairs = drawn()
    theirs = merge_utils.ties(deltas(pairs), torch.tensor(FOUR, dtype=torch.float64), density)
    assert gap(delta_w(Ties(density)(pairs, FOUR)), theirs) < 1e-14


def test_a_trimmed_matrix_keeps_its_largest_entries() -> None:
    delta = deltas(drawn())[0]
    kept = trimmed(delta, 0.25)
    assert (kept != 0).sum() == 60
    assert kept.abs()[kept != 0].min() > delta.abs()[kept == 0].max()
    assert torch.equal(kept[kept != 0], delta[kept != 0])


def test_of_adapters_that_agree_ties_is_the_mean_and_of_opposite_ones_the_larger() -> None:
    one = drawn()[0]
    assert gap(delta_w(Ties(1.0)([one, one, one], [1.0] * 3)), delta_w(one)) < 1e-14
    against = one._replace(scale=-0.25 * one.scale)
    assert gap(delta_w(Ties(1.0)([one, against], [1.0] * 2)), delta_w(one)) < 1e-14


def test_ties_on_every_kind_of_layer_is_pefts_ties_svd(tmp_path) -> None:
    held = models(EQUAL)
    whole = in_ours(held, Ties(0.4))
    theirs = in_peft(tmp_path, held, combination_type="ties_svd", svd_rank=2, density=0.4)
    assert gap(in_ours(held, lambda pairs, weights: Truncated(2)([Ties(0.4)(pairs, weights)], [1.0])), theirs) < 1e-6
    assert gap(whole, theirs) > 1e-3, "what is cut off is something"


def test_dare_is_the_sum_on_average_and_drops_its_share() -> None:
    pairs, g = drawn(), torch.Generator().manual_seed(1)
    whole = weighted_sum(pairs, FOUR)
    draws = torch.stack([delta_w(Dare(0.25, g)(pairs, FOUR)) for _ in range(2000)])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - whole).abs() / error).max() < 4.5
    alone = delta_w(Dare(0.25, g)(pairs[:1], [1.0]))
    kept = alone != 0
    assert 0.15 < kept.double().mean() < 0.35
    assert gap(alone[kept], 4 * delta_w(pairs[0])[kept]) < 1e-14


def test_dare_at_density_one_is_the_sum() -> None:
    assert gap(delta_w(Dare(1.0, torch.Generator())(drawn(), FOUR)), weighted_sum(drawn(), FOUR)) < 1e-14


@pytest.mark.parametrize("density", [0, -0.2, 1.01, float("nan")])
def test_a_density_is_a_share(density: float) -> None:
    for make in (Ties, lambda share: Dare(share, torch.Generator())):
        with pytest.raises(ValueError, match="the share of the entries that is kept"):
            make(density)


def test_these_are_ways_to_combine_like_the_others() -> None:
    assert set(WEIGHTS) == set(EQUAL)
    said = [
        in_ours(models(EQUAL), how) for how in (Ties(0.4), Dare(0.4, torch.Generator().manual_seed(0)), Truncated(9))
    ]
    assert all(gap(one, other) > 1e-3 for i, one in enumerate(said) for other in said[:i])
