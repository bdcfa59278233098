"""Assignment 4, as a teacher would hand it in."""

from dataclasses import replace

import torch

from lorabook.axes.form.loha import Hadamard
from lorabook.claims.claim import claim, misconception
from lorabook.core.lora import KaimingStart, LowRank

### BEGIN SOLUTION
DRAWS, RATE = 20_000, 0.1


def delta(case, s):
    base = case.linear()
    return (LowRank(base, case.factors(), case.spec(s)).weight(base.matrix) - base.matrix).detach()


@claim(
    statement=r"$\Delta W(2\alpha)=2\,\Delta W(\alpha)$",
    source="α stands in front of BA once, in s = α/r",
)
def alpha_doubles(case):
    return delta(case, 2 * case.s), 2 * delta(case, case.s)


@misconception(
    of=alpha_doubles, statement=r"$\Delta W(2\alpha)=4\,\Delta W(\alpha)$", source="α taken for part of A and B"
)
def false_alpha_doubles(case):
    return delta(case, 2 * case.s), 4 * delta(case, case.s)


def rank_of_sum(case):
    both = delta(case, case.s) + delta(replace(case, seed=case.seed + 1), case.s)
    return torch.linalg.matrix_rank(both, rtol=1e-10)


@claim(
    statement=r"$\operatorname{rank}(\Delta W_1+\Delta W_2)\le2r$",
    source="the column space of a sum lies in the sum of the column spaces",
    relation="<=",
)
def ranks_add(case):
    return rank_of_sum(case), torch.tensor(2 * case.r)


@misconception(of=ranks_add, statement=r"$\operatorname{rank}(\Delta W_1+\Delta W_2)\le r$", source="both have rank r")
def false_ranks_add(case):
    return rank_of_sum(case), torch.tensor(case.r)


def after_a_step(case):
    base = case.linear()
    start = KaimingStart().build(base.matrix, case.spec())
    a = start.A.clone()
    update = LowRank(base, start, case.spec())
    y = update(base, case.x())
    (y.square().sum() / 2).backward()
    with torch.no_grad():
        for p in update.parameters():
            p -= RATE * p.grad
    return (update.weight(base.matrix) - base.matrix).detach(), a, y.detach().T @ case.x()


@claim(
    statement=r"$\Delta W_1=-\eta s^2GA^\top A$",
    source="A stands still where B is zero, and B moves by the chain rule: −ηsGAᵀ",
)
def first_step(case):
    moved, a, g = after_a_step(case)
    return moved, -RATE * case.s**2 * g @ a.T @ a


@misconception(of=first_step, statement=r"$\Delta W_1=-\eta G$", source="LoRA taken for full fine-tuning")
def false_first_step(case):
    moved, _, g = after_a_step(case)
    return moved, -RATE * g


def hadamard(case, c, c2):
    base = case.linear()
    update = Hadamard(base, case.factors(), case.spec())
    with torch.no_grad():
        update.A *= c
        update.A2 *= c2
        return update.weight(base.matrix) - base.matrix


@claim(
    statement=r"$\Delta W(3A,A_2/3)=\Delta W(A,A_2)$",
    source="each entry of ΔW is a product of one entry of each pair",
)
def pairs_trade(case):
    return hadamard(case, 3, 1 / 3), hadamard(case, 1, 1)


@misconception(of=pairs_trade, statement=r"$\Delta W(3A,3A_2)=3\,\Delta W(A,A_2)$", source="⊙ taken for a sum")
def false_pairs_trade(case):
    return hadamard(case, 3, 3), 3 * hadamard(case, 1, 1)


def dropped(case):
    base = case.linear()
    update = LowRank(base, case.factors(), replace(case.spec(), dropout=0.5))
    x, p = case.x(1), 0.5
    with torch.no_grad():
        squares = update(base, x.expand(DRAWS, -1)).square().sum(1)
        plain = update.eval()(base, x).square().sum()
    factors = case.factors()
    columns = (factors.B @ factors.A).square().sum(0)
    added = case.s**2 * p / (1 - p) * (x.flatten().square() * columns).sum()
    return squares.mean(), plain, added, squares.std() / DRAWS**0.5


@claim(
    statement=r"$E\|y\|^2=\|\bar y\|^2+s^2\frac p{1-p}\sum_jx_j^2\|BA_j\|^2$",
    source="the mean of a square is the square of the mean and the variance, p/(1−p) for each input",
    relation="~",
)
def dropout_costs(case):
    mean, plain, added, error = dropped(case)
    return mean, plain + added, error


@misconception(of=dropout_costs, statement=r"$E\|y\|^2=\|\bar y\|^2$", source="it holds of y itself")
def false_dropout_costs(case):
    mean, plain, _, error = dropped(case)
    return mean, plain, error


### END SOLUTION
