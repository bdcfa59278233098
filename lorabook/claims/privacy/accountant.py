"""What the accountant counts: how ε composes, what sampling saves, and the rules of thumb that are not so."""

import math

import torch
from torch import Tensor

from lorabook.axes.optim.accountant import epsilon, loss_distribution, sigma_for
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception

ONE = (Case(d_out=6, d_in=6, r=2),)
"""Accounting knows no layer: one world is enough."""
DELTA = 1e-5
SIGMAS, STEPS = (1.5, 4.0, 12.0), (1, 20, 300)


def number(value: float) -> Tensor:
    """Return a number as a side."""
    return torch.tensor([value], dtype=torch.float64)


def by_hand(sigma: float, steps: int) -> float:
    """Return ε from Rényi's divergence of two Gaussians, α·T/(2σ²), turned into (ε, δ) at the best whole order."""
    return min(
        a * steps / (2 * sigma**2) + math.log1p(-1 / a) - (math.log(DELTA) + math.log(a)) / (a - 1)
        for a in (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)
    )


@claim(
    statement=r"$\epsilon=\min_\alpha\,\frac{\alpha T}{2\sigma^2}+\ln\frac{\alpha-1}{\alpha}-\frac{\ln\delta+\ln\alpha}"
    r"{\alpha-1}$ for $T$ steps that everyone takes part in.",
    source="Mironov 2017 (1702.07476), corollary 3; Canonne, Kamath, Steinke 2020 (2004.00010), proposition 12",
    cases=ONE,
)
def epsilon_is_the_best_renyi_bound(case: Case):
    settings = [(s, t) for s in SIGMAS for t in STEPS]
    ours = [epsilon(sigma=s, q=1.0, steps=t, delta=DELTA) for s, t in settings]
    theirs = [by_hand(s, t) for s, t in settings]
    return torch.tensor(ours, dtype=torch.float64), torch.tensor(theirs, dtype=torch.float64)


@claim(
    statement=r"$T$ steps with noise $\sigma$ cost what one step with noise $\sigma/\sqrt T$ costs.",
    source="Dong, Roth, Su 2019 (1905.02383), corollary 2: Gaussian mechanisms compose as their squared signal adds up",
    cases=ONE,
)
def steps_compose_like_one_with_less_noise(case: Case):
    together = [epsilon(sigma=s, q=1.0, steps=100, delta=DELTA) for s in SIGMAS]
    return torch.tensor(together), torch.tensor([epsilon(sigma=s / 10, q=1.0, steps=1, delta=DELTA) for s in SIGMAS])


@misconception(
    of=steps_compose_like_one_with_less_noise,
    statement=r"$\epsilon$ adds up: $T$ steps cost $T$ times the $\epsilon$ of one.",
    source="basic composition: a valid bound, far too large; for many small steps ε grows like √T",
)
def false_epsilon_adds_up(case: Case):
    together = [epsilon(sigma=s, q=1.0, steps=100, delta=DELTA) for s in SIGMAS]
    return torch.tensor(together), torch.tensor([100 * epsilon(sigma=s, q=1.0, steps=1, delta=DELTA) for s in SIGMAS])


@claim(
    statement=r"A contribution that is in a step with chance $q$ pays at most $\ln\bigl(1+q(e^\epsilon-1)\bigr)$ at "
    r"$q\delta$ for it, where it would pay $\epsilon$ at $\delta$.",
    source="Balle, Barthe, Gaboardi 2018 (1807.01647), theorem 8",
    relation="<=",
    tol=1e-4,
    cases=ONE,
)
def sampling_lowers_epsilon(case: Case):
    q, whole, part = 0.1, *sampled()
    return number(part), number(math.log1p(q * math.expm1(whole)))


@misconception(
    of=sampling_lowers_epsilon,
    statement=r"A contribution that is in a step with chance $q$ pays at most $q\,\epsilon$ for it.",
    source="right only to first order, for ε well below 1",
)
def false_sampling_divides_epsilon(case: Case):
    q, whole, part = 0.1, *sampled()
    return number(part), number(q * whole)


def sampled() -> tuple[float, float]:
    """Return ε of one step for a contribution that is in it, at δ, and in it with chance 0.1, at 0.1·δ."""
    return exact(2.0), epsilon(sigma=2.0, q=0.1, steps=1, delta=0.1 * DELTA, accountant=loss_distribution)


def exact(sigma: float) -> float:
    """Return ε of one step that everyone is in, exactly: δ = Φ(1/2σ − εσ) − e^ε·Φ(−1/2σ − εσ), solved by halving.

    Source: Balle, Wang 2018 (1805.06530), theorem 8.
    """
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        ends = torch.tensor([0.5 / sigma - middle * sigma, -0.5 / sigma - middle * sigma], dtype=torch.float64)
        first, second = torch.special.log_ndtr(ends).tolist()
        spent = math.exp(first) - math.exp(middle + second)
        low, high = (middle, high) if spent > DELTA else (low, middle)
    return high


@claim(
    statement=r"The solved $\sigma$ spends no more than the target $\epsilon$, however loose or strict it is.",
    source="the exact ε of one step at the solved σ (Balle, Wang 2018, 1805.06530, theorem 8)",
    relation="<=",
    tol=1e-4,
    cases=ONE,
)
def the_solved_sigma_keeps_to_the_budget(case: Case):
    targets = (0.1, 1.0, 10.0)
    solved = [sigma_for(epsilon=e, q=1.0, steps=1, delta=DELTA) for e in targets]
    return torch.tensor([exact(s) for s in solved]), torch.tensor(targets)


@misconception(
    of=the_solved_sigma_keeps_to_the_budget,
    statement=r"$\sigma=\sqrt{2\ln(1.25/\delta)}/\epsilon$ keeps to every target $\epsilon$.",
    source="Dwork, Roth 2014, theorem A.1, proven for ε < 1; not so at ε = 10 (Balle, Wang 2018, 1805.06530)",
)
def false_the_textbook_sigma_keeps_to_the_budget(case: Case):
    targets = (0.5, 1.0, 10.0)
    spent = [exact(math.sqrt(2 * math.log(1.25 / DELTA)) / e) for e in targets]
    return torch.tensor(spent), torch.tensor(targets)


@claim(
    statement=r"The distribution of the privacy loss gives $\epsilon$ itself: "
    r"$\delta=\Phi\bigl(\tfrac1{2\sigma}-\epsilon\sigma\bigr)-e^\epsilon\,\Phi\bigl(-\tfrac1{2\sigma}-\epsilon\sigma\bigr)$"
    r" for one step, with $\sigma/\sqrt T$ for $T$.",
    source="Balle, Wang 2018 (1805.06530), theorem 8",
    tol=1e-5,
    cases=ONE,
)
def the_loss_distribution_is_exact(case: Case):
    runs = ((4, 1), (12, 4))
    spent = [epsilon(sigma=s, q=1.0, steps=t, delta=DELTA, accountant=loss_distribution) for s, t in runs]
    return torch.tensor(spent), torch.tensor([exact(4.0), exact(6.0)])


@claim(
    statement=r"Rényi accounting gives an upper bound: the distribution of the privacy loss itself gives a smaller "
    r"$\epsilon$ for the same run.",
    source="Koskela, Jälkö, Honkela 2020 (1906.03049); both accountants run here",
    relation="<=",
    cases=ONE,
)
def renyi_is_an_upper_bound(case: Case):
    run = {"sigma": 4.0, "q": 0.1, "steps": 50, "delta": DELTA}
    return number(epsilon(**run, accountant=loss_distribution)), number(epsilon(**run))
