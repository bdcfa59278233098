"""Every claim of the book holds, every misconception fails, and the runner can tell the difference."""

from collections.abc import Iterator

import pytest
import torch

from lorabook.book.ledger import one_thread
from lorabook.claims.card import card
from lorabook.claims.case import SHAPES, Case
from lorabook.claims.claim import Claim, claim, misconception
from lorabook.claims.discovery import discover
from lorabook.claims.lora.form import merging_is_exact
from lorabook.claims.rslora.rank_steps import gradients_are_small_at_high_rank
from lorabook.claims.runner import ClaimNotReproduced, examine, verify

CLAIMS = discover()


@pytest.fixture(autouse=True)
def small_matrices_in_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("declared", CLAIMS, ids=lambda c: f"{c.module.removeprefix('lorabook.claims.')}.{c.name}")
def test_verdict_is_reproduced(declared):
    verify(declared)


def test_there_are_claims_and_misconceptions():
    assert len([c for c in CLAIMS if not c.is_misconception]) >= 25
    assert len([c for c in CLAIMS if c.is_misconception]) >= 12


def test_names_are_unique():
    names = [c.name for c in CLAIMS]
    assert len(names) == len(set(names))


def test_the_standard_shapes_are_thin_wide_and_square_and_alpha_is_not_r():
    thin, wide, square = SHAPES
    assert thin.d_out > thin.d_in
    assert thin.r == 1
    assert wide.d_out < wide.d_in
    assert square.d_out == square.d_in == square.r
    assert all(case.alpha != case.r for case in SHAPES)


def test_a_case_gives_the_same_numbers_on_every_call():
    case = SHAPES[1]
    assert torch.equal(case.w0(), case.w0())
    assert not torch.equal(case.randn(3, stream="a"), case.randn(3, stream="b"))


def one(case: Case) -> torch.Tensor:
    return torch.ones(3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("sides", "relation", "message"),
    [
        (lambda case: (one(case), 2 * one(case)), "=", "does not hold"),
        (lambda case: (one(case), one(case)[:2]), "=", "shapes"),
        (lambda case: (0 * one(case), 0 * one(case)), "=", "zero everywhere"),
        (lambda case: (one(case) / 0, one(case)), "=", "not finite"),
        (lambda case: (2 * one(case), one(case)), "<=", "does not hold"),
        (lambda case: (one(case), one(case), 0.01 * one(case)), "=", "3 sides"),
        (lambda case: (one(case), one(case)), "~", "2 sides"),
        (lambda case: (2 * one(case), one(case), 0.01 * one(case)), "~", "does not hold"),
        (lambda case: (one(case), one(case), 0 * one(case)), "~", "standard error"),
        (lambda case: (one(case), one(case), one(case)), "~", "draw more"),
    ],
)
def test_what_shows_nothing_is_refused(sides, relation, message):
    sides.__name__ = "sides"
    with pytest.raises(ClaimNotReproduced, match=message):
        verify(claim(statement="", source="", relation=relation)(sides))


def test_a_misconception_that_holds_is_refused():
    true = claim(statement="", source="")(lambda case: (one(case), one(case)))
    false = misconception(of=true, statement="", source="")(lambda case: (one(case), one(case)))
    with pytest.raises(ClaimNotReproduced, match="listed as false"):
        verify(false)


def test_a_misconception_that_fails_by_a_hair_is_refused():
    true = claim(statement="", source="")(lambda case: (one(case), one(case)))
    close = misconception(of=true, statement="", source="")(lambda case: (one(case), one(case) * (1 + 1e-5)))
    assert not examine(close).reproduced


def test_each_case_is_computed_once_and_the_sides_shown_are_those_of_the_widest_gap():
    computed: list[Case] = []

    @claim(statement="", source="")
    def apart_by_the_rank(case: Case):
        computed.append(case)
        off = {1: 0.1, 3: 0.3, 6: 0.2}[case.r]
        return one(case).requires_grad_(), one(case) - off

    verdict = examine(apart_by_the_rank)
    assert computed == list(SHAPES)
    assert verdict.gaps == pytest.approx((0.1, 0.3, 0.2))
    assert verdict.sides[1][0].item() == pytest.approx(0.7)
    assert not any(side.requires_grad for side in verdict.sides), "a card would keep the graph behind its sides"


def test_of_equal_gaps_the_first_is_shown():
    @claim(statement="", source="")
    def right(case: Case):
        return case.w0(), case.w0()

    assert torch.equal(examine(right).sides[0], SHAPES[0].w0())


def test_a_claim_that_is_tried_nowhere_is_refused():
    with pytest.raises(ValueError, match="cases is empty"):
        claim(statement="", source="", cases=())


@pytest.mark.parametrize("tol", [-1.0, 0.5])
def test_a_tolerance_that_lets_anything_pass_is_refused(tol):
    with pytest.raises(ValueError, match="tol"):
        claim(statement="", source="", tol=tol)


def test_a_card_is_the_same_on_every_call_and_leaves_the_readers_randomness_alone() -> None:
    before = torch.get_rng_state()
    first, second = (card(merging_is_exact)._repr_mimebundle_()["text/html"] for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)


def test_which_of_its_cases_a_card_shows_is_no_matter_of_rounding() -> None:
    apart = {Case(2, 2, 1): 1e-16, Case(3, 3, 1): 3e-16}
    shown = []
    for gaps in (apart, dict(zip(apart, reversed(apart.values()), strict=True))):
        claim = Claim(
            lambda case, gaps=gaps: (case.w0() + gaps[case], case.w0()), "s", "s", "=", 1e-9, tuple(apart), ""
        )
        shown.append(verify(claim).sides[0].shape)
    assert shown[0] == shown[1] == (2, 2)


def test_a_card_stresses_words_and_leaves_formulas_alone() -> None:
    page = card(gradients_are_small_at_high_rank)._repr_mimebundle_()["text/html"]
    assert "<em>high</em>" in page
    assert "*high*" not in page
