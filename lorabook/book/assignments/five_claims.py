"""Assignment 4: five observations of the chapters, each as a claim with its misconception."""

import random
from collections.abc import Callable, Sequence

from lorabook.book.assignments import five_laws as laws
from lorabook.book.assignments.assignment import Assignment, Part
from lorabook.book.assignments.rules import Rules
from lorabook.book.assignments.sides import Sides
from lorabook.book.assignments.verdict import Observation, Trial
from lorabook.claims.case import Case

RULES = Rules(("lorabook.claims.claim", "lorabook.claims.case", "lorabook.claims.runner", "lorabook.axes.form.loha"))
SETUP = """from dataclasses import replace

import torch

from lorabook.axes.form.loha import Hadamard
from lorabook.claims.claim import claim, misconception
from lorabook.claims.runner import verify
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.recipe import Factors"""
PROMPT = """Five observations, each to be written as a claim: a function of a case that returns two sides, under
`@claim`, and beside it the false neighbour that people take for it, under `@misconception`. `verify(your_claim)` runs
it on the book's cases.

Both sides must be computed, and at least one of them by the library: we try your claim on other cases, and on a
library that is broken in what the claim is about. It must hold on the first and fail on the second. The misconception
must fail.
`source=` says in your own words why the claim holds, and why somebody believes the misconception.

A case gives what you need: `case.linear()`, a frozen layer; `.w0()`, `.x()`, `.factors()` (an A and a B that have both
moved), `.spec()` (LoRA's scale is `case.s`; `.spec(s)` sets another), `.r`, `.alpha`. For each claim: 60% of the points
for holding and noticing, 30% for the misconception, 10% for the reason."""
ALPHAS = (5.0, 7.0, 11.0)
SMALL = (1.0, 1.5)
"""Where a branch must not hide what happens to the frozen path."""
STUB = """@claim(statement=r"{true}", source=""{relation})
def {name}(case):
    # YOUR CODE HERE
    raise NotImplementedError()


@misconception(of={name}, statement=r"{false}", source="")
def false_{name}(case):
    # YOUR CODE HERE
    raise NotImplementedError()"""


def drawn(slips: int, alphas: tuple[float, ...]) -> Callable[[random.Random], Sequence[Trial]]:
    """Return how trials are drawn: three cases with the library as it is, two with each slip, in any order."""

    def draw(stream: random.Random) -> list[Trial]:
        versions = [0, 0, 0, *(place for place in range(1, slips + 1) for _ in range(2))]
        trials = [Trial(_case(stream, alphas), version, stream.randrange(2**31)) for version in versions]
        return stream.sample(trials, len(trials))

    return draw


def _case(stream: random.Random, alphas: tuple[float, ...]) -> Case:
    # r at most a third of the smaller side, so that two adapters leave rank over, and s is never 1.
    d_out, d_in = stream.sample(range(7, 17), 2)
    return Case(d_out, d_in, stream.choice((2, 3)) if min(d_out, d_in) > 8 else 2, stream.choice(alphas),
                stream.randrange(10**6))  # fmt: skip


def part(
    title: str, name: str, prompt: str, true: str, false: str, law: Observation, alphas: tuple[float, ...] = ALPHAS
) -> Part:
    """Return one observation as a part."""
    relation = "" if law.relation == "=" else f', relation="{law.relation}"'
    return Part(
        title=title, names=(name, f"false_{name}"), share=0.2, prompt=prompt,
        stub=STUB.format(name=name, true=true, false=false, relation=relation), rules=RULES,
        draw=drawn(len(law.slips), alphas), observe=Sides(name, law.slips), judge=law,
    )  # fmt: skip


ALPHA = part(
    "Twice α", "alpha_doubles",
    "At the same A and B, twice α makes ΔW twice as large. Left: ΔW = W − W₀ with scale 2s; right: twice ΔW with scale "
    "s, both from `LowRank(…).weight(w0)`. The misconception: α scales both factors, so ΔW is four times as large.",
    r"$\Delta W(2\alpha)=2\,\Delta W(\alpha)$", r"$\Delta W(2\alpha)=4\,\Delta W(\alpha)$", laws.ALPHA,
)  # fmt: skip
RANKS = part(
    "Two adapters", "ranks_add",
    "The sum of the updates of two adapters of rank r on one layer has at most rank 2r. Left: the rank of ΔW₁ + ΔW₂, "
    "as a tensor of one number; right: 2r. Relation `<=`. The second adapter's factors are those of "
    "`replace(case, seed=case.seed + 1)`. The misconception: the sum of two matrices of rank r has at most rank r.",
    r"$\operatorname{rank}(\Delta W_1+\Delta W_2)\le2r$", r"$\operatorname{rank}(\Delta W_1+\Delta W_2)\le r$",
    laws.RANKS,
)  # fmt: skip
FIRST = part(
    "The first step", "first_step",
    "One step of gradient descent with η = 0.1 on L = Σ y²/2, from LoRA's own start (`KaimingStart`) and on the rows "
    "of `case.x()`, moves W by −ηs²GAᵀA, where G = ∂L/∂W at the start and A is LoRA's start. Left: W − W₀ after a step "
    "that you take with the library; right: −ηs²GAᵀA. The misconception: W moves by −ηG, as in full fine-tuning.",
    r"$\Delta W_1=-\eta s^2GA^\top A$", r"$\Delta W_1=-\eta G$", laws.FIRST,
)  # fmt: skip
PAIRS = part(
    "LoHa's pairs", "pairs_trade",
    "In LoHa, ΔW = s·(BA)⊙(B₂A₂), what one pair gains the other may lose: A times 3 and A₂ over 3 leave ΔW as it is. "
    "Left: ΔW of a `Hadamard(base, case.factors(), case.spec())` after both were changed; right: before. The "
    "misconception: A and A₂ both times 3 make ΔW three times as large (left: after; right: three times before).",
    r"$\Delta W(3A,A_2/3)=\Delta W(A,A_2)$", r"$\Delta W(3A,3A_2)=3\,\Delta W(A,A_2)$", laws.PAIRS,
)  # fmt: skip
DROPOUT = part(
    "Dropout's price", "dropout_costs",
    "Dropout on the branch leaves the mean of the output, not of its square: with probability p = ½, E‖y‖² = ‖ȳ‖² + "
    "s² p/(1−p) Σⱼ xⱼ²‖BAⱼ‖², where ȳ is the output without dropout and Aⱼ column j of A. For x = `case.x(1)`, left: "
    "the mean of ‖y‖² over at least 4,000 draws of a `LowRank` with `replace(case.spec(), dropout=0.5)`; right: what "
    "is predicted; third: the standard error of the mean. Relation `~`. The misconception: E‖y‖² = ‖ȳ‖².",
    r"$E\|y\|^2=\|\bar y\|^2+s^2\frac p{1-p}\sum_jx_j^2\|BA_j\|^2$", r"$E\|y\|^2=\|\bar y\|^2$", laws.DROPOUT, SMALL,
)  # fmt: skip

ASSIGNMENT = Assignment("Five observations as claims", 240, PROMPT, SETUP, (ALPHA, RANKS, FIRST, PAIRS, DROPOUT))
