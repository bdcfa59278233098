"""What a student's claim is worth: it says what was observed, notices a broken library, and has a false neighbour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.book.assignments.library import Slip
from lorabook.book.assignments.sides import HEAD, RELATIONS
from lorabook.book.classroom.judge import NO_REPORT, RIGHT, Judgement
from lorabook.book.classroom.seen import Seen
from lorabook.claims.case import Case
from lorabook.claims.claim import Relation
from lorabook.claims.runner import CLEARLY, PRECISION, SIGMAS

WITHIN = 1e-7
"""Relative to the larger side; the sides are computed in float64."""
WORDS = 4
"""A reason of fewer different words is none."""
CLAIM, FALSE, REASON = 0.6, 0.3, 0.1
"""Shares of a part's points."""
BANK = {
    "relation": "Your claim has another relation than the one that is asked for: set `relation=` in `@claim`.",
    "sides": "The two sides have different shapes, or a '~' comes without a standard error as its third side.",
    "zero": "Both sides are zero everywhere: that shows nothing. Take a case in which something has moved.",
    "does-not-hold": "Your claim does not hold: on inputs of this kind its two sides differ.",
    "unmeasured": "The standard error is zero or too large: estimate it from independent draws, and draw more.",
    "other-observation": "What you claim holds, and is not the observation: read again what the two sides are.",
    "says-nothing": "Your claim holds whatever the library computes: we broke what it is about, and it noticed nothing."
                    " Do both sides come from one computation, or from your own formula alone?",
    "no-misconception": "There is no misconception `of` your claim that returns two sides.",
    "misconception-holds": "Your misconception holds: its sides are equal, so it is no false statement.",
    "other-misconception": "Your misconception fails, and it is not the one that is asked for: read what it says.",
    "no-reason": f"`source=` gives no reason: say in at least {WORDS} different words why the claim holds.",
}  # fmt: skip

Pair = Callable[[Case], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Trial:
    """A case, with the library as it is (version 0) or with one of its slips; `draw` seeds what is random."""

    world: Case
    version: int
    draw: int

    @property
    def given(self) -> dict[str, object]:
        case = self.world
        return {"case": [case.d_out, case.d_in, case.r, case.alpha, case.seed], "version": self.version,
                "draw": self.draw}  # fmt: skip


@dataclass(frozen=True)
class Observation:
    """What is to be claimed: its relation, the sides that are due, those of the misconception, and the slips."""

    relation: Relation
    due: Pair
    false: Pair
    slips: tuple[Slip, ...]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(BANK) | {self.code_of(slip) for slip in self.slips}

    @staticmethod
    def code_of(slip: Slip) -> str:
        return f"misses-{slip.name}"

    def __call__(self, trials: Sequence[Trial], seen: Sequence[Seen]) -> Judgement:
        """Return the judgement: nothing for a claim that does not hold or says nothing, then part by part."""
        read = [(trial, one, *_read(one)) for trial, one in zip(trials, seen, strict=True)]
        true = [(trial, mine, theirs) for trial, _, mine, theirs in read if not trial.version]
        failed = [one for trial, one, _, _ in read if not trial.version and one.fault]
        if failed:
            return Judgement(failed[0].fault, failed[0].says, 0.0)
        if not all(one.fault or (one.parts and isinstance(one.parts[0], list)) for _, one, _, _ in read):
            return NO_REPORT
        relations = {int(one.parts[0][0]) for trial, one, _, _ in read if not trial.version}
        if relations != {RELATIONS.index(self.relation)}:
            return _worth({"relation": 0.0}, self)
        fault = next(filter(None, (self._fault(trial, mine) for trial, mine, _ in true)), "")
        if fault:
            return _worth({fault: 0.0}, self)
        noticed = {trial.version for trial, _, mine, _ in read if trial.version and not self._holds(mine)}
        missed = [slip for place, slip in enumerate(self.slips, 1) if place not in noticed]
        if len(missed) == len(self.slips):
            return _worth({"says-nothing": 0.0}, self)
        lost = {self.code_of(slip): CLAIM / len(self.slips) for slip in missed}
        lost |= {code: FALSE for code in [self._false_fault(true)] if code}
        words = min(one.parts[0][1] for trial, one, _, _ in read if not trial.version)
        lost |= {"no-reason": REASON} if words < WORDS else {}
        return _worth(lost, self, 1 - sum(lost.values()))

    def says(self, code: str) -> str:
        """Return the text of a code."""
        return BANK.get(code) or next(slip.says for slip in self.slips if self.code_of(slip) == code)

    def _fault(self, trial: Trial, sides: list[Tensor]) -> str:
        due = self.due(trial.world)
        if len(sides) != (3 if self.relation == "~" else 2) or sides[0].shape != sides[1].shape:
            return "sides"
        if not (sides[0].any() or sides[1].any()):
            return "zero"
        if self.relation == "~" and not _measured(sides):
            return "unmeasured"
        if not self._holds(sides):
            return "does-not-hold"
        return "" if self._is(sides, due, ordered=self.relation != "=") else "other-observation"

    def _false_fault(self, true: Sequence[tuple[Trial, list[Tensor], list[Tensor]]]) -> str:
        if any(len(theirs) != len(mine) or theirs[0].shape != theirs[1].shape for _, mine, theirs in true):
            return "no-misconception"
        if all(_gap(self.relation, theirs) <= CLEARLY for _, _, theirs in true):
            return "misconception-holds"
        same = all(self._is(theirs, self.false(trial.world), self.relation != "=") for trial, _, theirs in true)
        return "" if same else "other-misconception"

    def _holds(self, sides: list[Tensor]) -> bool:
        """Say whether sides keep the relation; an error, sides that do not fit and sides of zeros do not."""
        fits = len(sides) == (3 if self.relation == "~" else 2) and sides[0].shape == sides[1].shape
        if not fits or not (sides[0].any() or sides[1].any()):
            return False
        if self.relation == "~" and not _measured(sides):
            return False
        return _gap(self.relation, sides) <= WITHIN

    def _is(self, sides: list[Tensor], due: tuple[Tensor, Tensor], ordered: bool) -> bool:
        """Say whether sides are those that are due; an estimate is not looked at, only its prediction."""
        if self.relation == "~":
            return _equal(sides[1], due[1])
        pairs = [due] if ordered else [due, due[::-1]]
        return any(all(_equal(side, other) for side, other in zip(sides, pair, strict=True)) for pair in pairs)


def _read(seen: Seen) -> tuple[list[Tensor], list[Tensor]]:
    if seen.fault or not seen.parts:
        return [], []
    numbers = [torch.as_tensor(part, dtype=torch.float64) for part in seen.parts]
    if numbers[0].shape != (HEAD,):
        raise ValueError("this is no report of a claim")
    mine, theirs = int(numbers[0][2]), int(numbers[0][3])
    if len(numbers) != 1 + mine + theirs:
        raise ValueError("this is no report of a claim")
    return numbers[1 : 1 + mine], numbers[1 + mine :]


def _gap(relation: Relation, sides: Sequence[Tensor]) -> float:
    left, right = sides[0], sides[1]
    size = max(left.abs().max().item(), right.abs().max().item(), 1e-300)
    if relation == "~":
        return max(0.0, ((left - right).abs() - SIGMAS * sides[2]).max().item()) / size
    return max(0.0, (left - right if relation == "<=" else (left - right).abs()).max().item()) / size


def _measured(sides: Sequence[Tensor]) -> bool:
    error, law = sides[2], sides[1]
    return error.shape == law.shape and bool((error > 0).all() and (error <= PRECISION * law.abs()).all())


def _equal(side: Tensor, due: Tensor) -> bool:
    size = max(due.abs().max().item(), 1e-300)
    fits = side.numel() == due.numel()
    return fits and bool((side.flatten() - due.flatten().double()).abs().max() <= 1e-6 * size)


def _worth(lost: dict[str, float], observation: Observation, points: float = 0.0) -> Judgement:
    if not lost:
        return Judgement(
            RIGHT, "It holds, it notices a broken library, its misconception fails, and it has a reason.", 1.0
        )
    return Judgement("+".join(lost), " ".join(observation.says(code) for code in lost), round(max(0.0, points), 6))
