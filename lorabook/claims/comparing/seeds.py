"""How a few runs decide: pairs of runs, the rate that was chosen, and many comparisons at once."""

from itertools import product
from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception

SEEDS = (Case(10, 10, 1), Case(30, 30, 1, seed=1), Case(10, 10, 1, seed=2))
FEW = (Case(3, 3, 1), Case(5, 5, 1), Case(8, 8, 1))
FAMILIES = (Case(5, 5, 1), Case(22, 22, 1), Case(40, 40, 1))
DRAWS = 20_000
LEVEL = 0.05


def two_contenders(case: Case) -> tuple[Tensor, Tensor]:
    """Return the scores of two contenders on d_out seeds: what the seed brings is common, and larger than their own."""
    common = case.randn(case.d_out, stream="seed")
    return tuple(3.8 + 0.02 * common + 0.005 * case.randn(case.d_out, stream=who) for who in ("a", "b"))


@claim(
    statement=r"Runs on the same seeds have $\mathrm{var}(a-b)=\mathrm{var}\,a+\mathrm{var}\,b-2\,\mathrm{cov}(a,b)$: "
    "what both owe to the seed falls out of the difference.",
    source="the variance of a difference; what a paired test rests on",
    cases=SEEDS,
)
def pairing_takes_out_what_two_runs_share(case: Case):
    a, b = two_contenders(case)
    return (a - b).var(), a.var() + b.var() - 2 * torch.cov(torch.stack([a, b]))[0, 1]


@misconception(
    of=pairing_takes_out_what_two_runs_share,
    statement=r"The difference of two runs has $\mathrm{var}\,a+\mathrm{var}\,b$, so two error bars that overlap show "
    "no difference.",
    source="two error bars in one figure, read as a test",
)
def false_error_bars_that_overlap_show_no_difference(case: Case):
    a, b = two_contenders(case)
    return (a - b).var(), a.var() + b.var()


def least_p_of_signs(differences: Float[Tensor, " n"]) -> float:
    """Return p of the two-sided sign-flip test: the share of all 2ⁿ choices of signs whose sum is as far from zero."""
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=len(differences))), dtype=torch.float64)
    sums = (signs * differences).sum(1).abs()
    return (sums >= differences.sum().abs() - 1e-12).double().mean().item()


@claim(
    statement=r"If all $n$ seeds say the same, a two-sided sign-flip test gives $p=2/2^n$: five seeds never reach 5%.",
    source="counting: of $2^n$ choices of signs, all plus and all minus are as far from zero",
    tol=0,
    cases=FEW,
)
def five_seeds_of_one_sign_do_not_reach_five_percent(case: Case):
    differences = case.randn(case.d_out, stream="gaps").abs()
    return torch.tensor(least_p_of_signs(differences)), torch.tensor(2.0 ** (1 - case.d_out)).double()


@misconception(
    of=five_seeds_of_one_sign_do_not_reach_five_percent,
    statement=r"If all $n$ seeds say the same, that is $p=1/2^n$: five are enough for 5%.",
    source="a coin that falls on the same side, with the side named after it fell",
)
def false_five_seeds_of_one_sign_are_enough(case: Case):
    differences = case.randn(case.d_out, stream="gaps").abs()
    return torch.tensor(least_p_of_signs(differences)), torch.tensor(2.0**-case.d_out).double()


def lead_of_the_chosen(case: Case) -> tuple[Tensor, Tensor]:
    """Return how far below the truth the best of 2 and of 3 equal rates scores on the seed that chose it; its error.

    Scores have spread 1 and mean 0. Many draws of such a search.
    """
    scores = case.randn(DRAWS, 3, stream="rates")
    best = torch.stack([scores[:, :k].min(1).values for k in (2, 3)])
    return -best.mean(1), best.std(1) / sqrt(DRAWS)


@claim(
    statement=r"Of $k$ rates that are equally good, the best on a seed looks better than it is: by $\sigma/\sqrt\pi$ "
    r"for $k=2$, by $3\sigma/(2\sqrt\pi)$ for $k=3$. So a rate is chosen on seeds that report nothing.",
    source="the expected maximum of two and of three normal numbers",
    relation="~",
    cases=SEEDS,
)
def a_chosen_rate_looks_better_than_it_is(case: Case):
    lead, error = lead_of_the_chosen(case)
    return lead, torch.tensor([1 / sqrt(pi), 3 / (2 * sqrt(pi))]).double(), error


@misconception(
    of=a_chosen_rate_looks_better_than_it_is,
    statement="A rate's score on the seeds that chose it is its score.",
    source="tables that report the best of a sweep",
)
def false_the_score_that_chose_a_rate_is_its_score(case: Case):
    lead, error = lead_of_the_chosen(case)
    return lead, torch.zeros(2, dtype=torch.float64), error


def families_with_a_finding(case: Case) -> tuple[Tensor, Tensor]:
    """Return the share of many families of d_out comparisons in which some p is below the level; its error.

    Nothing differs, so every p is uniform.
    """
    p = torch.rand(DRAWS, case.d_out, generator=case.generator("p"), dtype=torch.float64)
    found = 1 - (p >= LEVEL).all(1).double()
    return found.mean(0, keepdim=True), found.std(0, keepdim=True) / sqrt(DRAWS)


@claim(
    statement=r"Among $m$ comparisons in which nothing differs, at least one has $p<\alpha$ with probability "
    r"$1-(1-\alpha)^m$: 68% for 22 at 5%.",
    source="independent comparisons",
    relation="~",
    cases=FAMILIES,
)
def one_of_many_is_found_by_chance(case: Case):
    share, error = families_with_a_finding(case)
    return share, torch.tensor([1 - (1 - LEVEL) ** case.d_out]).double(), error


def holm(p: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Return p after Holm's correction: the i-th smallest times m − i + 1, never below one before it, at most 1."""
    order = p.argsort()
    factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
    corrected = torch.empty_like(p)
    corrected[order] = (p[order] * factors).cummax(0).values.clamp(max=1)
    return corrected


@claim(
    statement=r"Holm's $p$ is at most Bonferroni's $\min(1,m\,p)$, and keeps the same promise: with probability "
    r"$1-\alpha$ nothing is found where nothing is.",
    source="Holm 1979",
    relation="<=",
    cases=FAMILIES,
)
def holm_finds_no_less_than_bonferroni(case: Case):
    p = torch.rand(case.d_out, generator=case.generator("p"), dtype=torch.float64) ** 3
    return holm(p), (case.d_out * p).clamp(max=1)
