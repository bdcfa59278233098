"""What it changes in a federation that the rank is drawn, and by whom."""

import torch
from torch import Tensor

from lorabook.axes.optim.private import Noise, noisy_mean
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dp_dylora.federated import EXPECTED, NOISY, SIGMA, XU, C, net, numbers, of_nobody
from lorabook.claims.dylora.cut import DEEP
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import adapted
from lorabook.many.federated import DPDyLoRA


@claim(
    statement=r"The server draws $b$ before any data is seen, so that only $b$ rows are sent and get noise: a round "
    r"has on average $\frac{r+1}{2r}$ of the squared noise of LoRA.",
    source=f"{XU}: one rank for all clients of a round; E[b] = (r + 1)/2 rows of d_in + d_out numbers",
    relation="~",
    cases=DEEP,
)
def a_drawn_rank_lowers_the_noise(case: Case):
    measured, rows = _squared_noise(case)
    prediction = (case.r + 1) / 2 * rows * (SIGMA * C / EXPECTED) ** 2
    return measured.mean(), torch.tensor(prediction), measured.std() / len(measured) ** 0.5


@misconception(
    of=a_drawn_rank_lowers_the_noise,
    statement=r"Every row gets noise in every round, whatever the rank.",
    source="so it would be if each client drew its own rank: the sum does not say who sent which rows",
)
def false_every_row_gets_noise(case: Case):
    measured, rows = _squared_noise(case)
    prediction = case.r * rows * (SIGMA * C / EXPECTED) ** 2
    return measured.mean(), torch.tensor(prediction), measured.std() / len(measured) ** 0.5


def _squared_noise(case: Case) -> tuple[Tensor, int]:
    """Return the squared norm of the noise of many rounds at drawn ranks, and the numbers in one row of all layers."""
    model = net(case, DPDyLoRA())
    rule, measured = adapted(model)["0"].recipe.rule.build(model), []
    rule.begin(10**6)
    for t in range(150):
        measured.append(of_nobody(model, NOISY, case.generator(f"noise {t}")).square().sum())
        rule.after_step(t)
    return torch.stack(measured), len(numbers(model)) // case.r


@claim(
    statement=r"If the clients drew their ranks, row $i$ of the mean would keep $\frac{r-i+1}{r}$ of its signal, under "
    r"noise that is the same in all rows.",
    source="a client whose rank is below i sends nothing in row i; the denominator is fixed",
    when="the draws are even, and the denominator is the number of clients expected",
)
def drawing_clients_dilute_late_rows(case: Case):
    ranks = range(1, case.r + 1)
    of = [[(torch.arange(case.r) < b).double()[:, None].expand(case.r, case.d_in)] for b in ranks]
    mean = noisy_mean(of, Noise(1e9, 0.0, expected=case.r), of[0], case.generator("mean"))[0]
    return mean[:, 0], torch.tensor([(case.r - i) / case.r for i in range(case.r)], dtype=torch.float64)


@misconception(
    of=drawing_clients_dilute_late_rows,
    statement=r"Rows that a client leaves out cost nothing: each row of the mean keeps its signal.",
    source="it would, if each row were divided by those who sent it, which no bound C/L survives",
)
def false_rows_left_out_cost_nothing(case: Case):
    mean, _ = drawing_clients_dilute_late_rows(case)
    return mean, torch.ones_like(mean)


A_MILLION_CLIENTS = Unchecked(
    statement="With a million clients and ε = 2, DP-DyLoRA loses less than 2% of accuracy, less than DP-LoRA does.",
    source=f"{XU}, abstract",
    reason="benchmarks of large models in speech, vision and language. In the tests' small federation DP-DyLoRA serves "
    "every rank, and LoRA leaves less at the one rank it was trained at, with noise and without",
)
