"""What chapter 23 stands on: the answers of the tasks, its smallest case, and what is said of its records."""

import numpy as np
import pytest
import torch
from explorers import surfaces

from lorabook.arena import hub_merges, hub_record, hub_ways
from lorabook.arena.hub_surface import POINTS, PRODUCT, SUM, TESTS, TOTALS, Surface, recorded
from lorabook.arena.hub_texts import BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES, NEW
from lorabook.book.explore.triangle import CORNERS, State, compute, explore_surfaces
from lorabook.book.figures import hub as drawn
from lorabook.many.combine import concatenated, factors_summed
from lorabook.many.hub import product_of_sums
from lorabook.many.pair import Pair

CAPITALS, SPACES = (TESTS.index(text) for text in (BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES))


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], Surface]:
    return {row.key: row for row in recorded()}


def best_alone(found: dict[tuple[str, str], Surface], text: str) -> float:
    return min(found[text, SUM].losses[0][corner] for corner in CORNERS)


# The explorer's tasks


def test_at_a_sum_of_one_a_corner_or_its_neighbour_is_best(found: dict[tuple[str, str], Surface]) -> None:
    for way in (PRODUCT, SUM):
        result = compute(State(way, 1.0), found)
        assert sorted(POINTS[result.best[CAPITALS]])[-1] >= 9
        assert sorted(POINTS[result.best[SPACES]])[-1] >= 9
    halfway = {way: compute(State(way, 1.0, 50, 0), found) for way in (PRODUCT, SUM)}
    said = [f"{result.losses[SPACES, result.here]:.2f}" for result in halfway.values()]
    assert said == ["5.63", "4.90"]
    assert all(POINTS[result.here] == (5, 0, 5) for result in halfway.values())


def test_one_text_has_weights_that_beat_every_adapter_and_the_other_has_hardly_any(
    found: dict[tuple[str, str], Surface],
) -> None:
    shown = compute(State(SUM, 1.5, 30, 0), found)
    assert f"{shown.losses[SPACES, shown.here]:.2f}" == "4.31"
    assert f"{best_alone(found, BIBLE_WITHOUT_SPACES):.2f}" == "4.41"
    least = {text: min(min(map(min, found[text, way].losses)) for way in (PRODUCT, SUM)) for text in TESTS}
    assert least[BIBLE_WITHOUT_SPACES] == shown.losses[SPACES, shown.here]
    assert 0 < best_alone(found, BIBLE_IN_CAPITALS) - least[BIBLE_IN_CAPITALS] < 0.02


def test_shares_above_all_go_to_the_first_and_the_sentence_says_which(found: dict[tuple[str, str], Surface]) -> None:
    result = compute(State(PRODUCT, 2.0, 80, 60), found)
    assert POINTS[result.here] == (8, 2, 0)
    assert result.weights == (1.6, 0.4, 0.0)
    assert result.sentence.startswith("Weights Bible 1.6, CAPITALS 0.4, no spaces 0; ")


def test_tries_are_shares_and_open_where_their_signs_differ() -> None:
    view = explore_surfaces(surfaces())
    product, whole = (compute(State(way), {row.key: row for row in surfaces()}) for way in (PRODUCT, SUM))
    np.testing.assert_allclose(product.tries[0, :, :3].sum(1), 1)
    np.testing.assert_allclose(product.tries[0, 2, :3], (0.4, 0.4, 0.2))
    assert product.tries[0, :, 3].tolist() == [1, 1, 0], "w and −w are one adapter there"
    assert whole.tries[0, :, 3].tolist() == [1, 1, 1]
    assert product.improved[0] == (0, 1)
    assert view.result.corners == CORNERS
    assert len(view.result.losses) == len(TESTS)
    assert view.state.total in TOTALS


# The smallest case


def test_two_inputs_two_adapters() -> None:
    pairs = [Pair(torch.eye(2)[[i]], torch.eye(2)[:, [i]], 1.0) for i in range(2)]
    made = [how(pairs, [0.5, 0.5]) for how in (concatenated, factors_summed, product_of_sums)]
    assert [len(both.A) for both in made] == [2, 1, 1]
    for both, expected in zip(made, (torch.eye(2) / 2, torch.full((2, 2), 0.5), torch.full((2, 2), 0.25)), strict=True):
        torch.testing.assert_close(both.B @ both.A, expected)


# What the text says of the records


def test_merged_at_half_lorahubs_product_is_linear_at_a_quarter() -> None:
    rows = hub_merges.recorded()
    squared, linear = drawn.of_way(rows, hub_merges.SQUARED, 0.5), drawn.of_way(rows, hub_merges.LINEAR, 0.25)
    np.testing.assert_allclose(squared, linear, atol=2e-3)


def test_cutting_the_sum_back_costs_little_and_cross_terms_four_times_that() -> None:
    rows = hub_merges.recorded()
    cat, svd, linear, product = (
        drawn.of_way(rows, way, drawn.best_weight(rows, way)).mean()
        for way in (hub_merges.CAT, hub_merges.SVD, hub_merges.LINEAR, hub_merges.SQUARED)
    )
    assert 0.02 < svd - cat < 0.04
    assert 3.3 < (linear - cat) / (svd - cat) < 4.7
    assert linear == pytest.approx(product, abs=0.01)


def test_the_table_has_a_row_for_each_way_and_says_mean_and_span() -> None:
    rows = hub_record.recorded()
    head, _, base, *lines = drawn.twenty(rows).text.splitlines()
    assert head == f"|  | {' | '.join(NEW)} |"
    assert base.startswith("| the base alone | 4.07 | 7.72 | ")
    assert len(lines) == len(drawn.SAID) == len(hub_record.WAYS) - 1
    values = hub_record.losses(rows, NEW[0], hub_ways.HUB)
    assert (
        f"| {drawn.SAID[hub_ways.HUB]} | {np.mean(values):.2f} ±{np.ptp(values) / 2:.2f} |" in drawn.twenty(rows).text
    )
    assert [name for name, _ in drawn.singles(rows, BIBLE_WITHOUT_SPACES)][0] == "no spaces"
