"""The checker has teeth: for every claim there is a way to break the library that makes the claim fail.

First by hand: mistakes that people make, each with the claims that must notice. Then by machine, for every claim that
discovery finds: the functions that it calls are changed, one place at a time, until it fails. A failure is a gap above
the claim's tolerance; an exception does not count. A claim that no change can make fail would say nothing.

That misconceptions fail as they are is tested with the claims; here, that the claim beside each can fail too.
"""

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mutants import PACKAGE, Mutant, Place, TooLong, called_by, in_place, mutants_of

from lorabook.book.ledger import one_thread
from lorabook.claims.case import Case
from lorabook.claims.claim import Claim
from lorabook.claims.discovery import discover
from lorabook.claims.runner import gap

CLAIMS = discover()
THE_CHECKER = {f"{PACKAGE}/claims/{name}.py" for name in ("claim", "case", "runner")}
"""What compares the sides and draws the numbers: to break it would show nothing about a claim."""


@pytest.fixture(autouse=True)
def small_matrices_in_one_thread() -> Iterator[None]:
    with one_thread():
        yield


def by_middle(claim: Claim) -> list[Case]:
    """Return a claim's cases, the middle one first: of three shapes it is neither thin nor square."""
    middle = len(claim.cases) // 2
    return [claim.cases[middle], *claim.cases[:middle], *claim.cases[middle + 1 :]]


def nearness(claim: Claim, place: Place) -> int:
    """Return how near a function is to the idea of a claim: 0 in a variant's file, 1 in core, 9 in the claim's own."""
    room = Path(place.file).relative_to(PACKAGE).parts[0]
    if room == "claims":
        return 9 if place.file == sys.modules[claim.module].__file__ else 8
    return 1 if room == "core" else 0


def in_turn(streams: list[Iterator[Mutant]]) -> Iterator[Mutant]:
    """Give the first of each stream, then the second of each, to the end of the longest."""
    while streams:
        alive = []
        for stream in streams:
            mutant = next(stream, None)
            if mutant is not None:
                yield mutant
                alive.append(stream)
        streams = alive


def mutants(claim: Claim, case: Case) -> Iterator[Mutant]:
    """Give the mutants of all functions that a claim calls, those of its idea first, of its own helpers last."""
    places = {
        place: lines
        for place, lines in called_by(lambda: claim(case)).items()
        if place.file not in THE_CHECKER and place.name != claim.name
    }
    for near in sorted({nearness(claim, place) for place in places}):
        yield from in_turn([mutants_of(p, lines) for p, lines in places.items() if nearness(claim, p) == near])


def fails(claim: Claim, case: Case) -> bool:
    """Say whether the two sides are apart. A crash is no verdict."""
    try:
        return gap(claim, claim(case)) > claim.tol
    except Exception:
        return False


def patience(claim: Claim, case: Case) -> float:
    """Return how long a broken library may take over a claim that holds as it is (s)."""
    began = time.perf_counter()
    assert gap(claim, claim(case)) <= claim.tol, "the claim does not hold as it is"
    return 0.5 + 5 * (time.perf_counter() - began)


def a_mutant_that_kills(claim: Claim) -> Mutant | None:
    """Return the first mutant, over all cases, that makes the claim fail."""
    for case in by_middle(claim):
        seconds = patience(claim, case)
        for mutant in mutants(claim, case):
            # The time may be over a moment before or after the claim itself runs; that is no verdict either.
            with suppress(TooLong), in_place(mutant, seconds), warnings.catch_warnings(action="ignore"):
                if fails(claim, case):
                    return mutant
    return None


# An alarm that rings inside the callback of a weak reference cannot be raised there, and rings again.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "claim",
    [c for c in CLAIMS if not c.is_misconception],
    ids=lambda c: f"{c.module.removeprefix('lorabook.claims.')}.{c.name}",
)
def test_a_broken_library_makes_the_claim_fail(claim, record_property):
    mutant = a_mutant_that_kills(claim)
    record_property("killed by", str(mutant))
    assert mutant is not None, (
        f"{claim.module}.{claim.name} holds whatever is changed in the code it calls, so it says nothing of that code: "
        "let one of its sides come from the library's own function"
    )
    assert gap(claim, claim(by_middle(claim)[0])) <= claim.tol, "the library was not put back"


def test_every_misconception_stands_beside_a_claim_that_is_tried_here():
    assert all(misconception.misconception_of in CLAIMS for misconception in CLAIMS if misconception.is_misconception)
