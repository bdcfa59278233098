"""QPiSSA: PiSSA on a base in four bits. What is quantised is what is left of W₀, which is smaller than W₀."""

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.base.nf4 import NF4, NF4Storage
from lorabook.axes.init.pissa import PiSSA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe

MENG = "Meng, Wang, Zhang 2024 (2404.02948)"
WORLD = (Case(64, 96, 8), Case(96, 64, 4))


def w0(case: Case) -> Tensor:
    """Return a W₀ of which r directions stand out, tenfold: its singular vectors are random."""
    u, sigma, vt = linalg.svd(case.w0(), full_matrices=False)
    return (u * torch.cat([10 * sigma[: case.r], sigma[case.r :]])) @ vt


def adapt(case: Case, recipe: Recipe) -> Adapted:
    """Return a layer with this W₀ in four bits, adapted, at its start."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64))
    model[0].weight.data = w0(case)
    return inject(model, Recipe(case.r, case.alpha, base=NF4Storage()) | recipe, "0", case.generator("A"))["0"]


def missed(case: Case, recipe: Recipe) -> Tensor:
    """Return W − W₀ at the start."""
    layer = adapt(case, recipe)
    return (layer.update.weight(layer.base.matrix) - w0(case)).detach()


def rounded(w: Tensor) -> Tensor:
    """Return what four bits make of a matrix."""
    return NF4(w).dense()


@claim(
    statement=r"QPiSSA takes $s\,BA$ out first and quantises what is left, so at the start it misses $W_0$ by "
    r"$Q(W_{res})-W_{res}$.",
    source=f"{MENG}, section 4: init before storage",
    cases=WORLD,
)
def qpissa_misses_what_the_rest_loses(case: Case):
    u, sigma, vt = linalg.svd(w0(case), full_matrices=False)
    rest = (u[:, case.r :] * sigma[case.r :]) @ vt[case.r :]
    return missed(case, PiSSA()), rounded(rest) - rest


@misconception(
    of=qpissa_misses_what_the_rest_loses,
    statement=r"QPiSSA starts at $W_0$, as PiSSA does.",
    source="PiSSA's own property; four bits of W_res are not W_res",
)
def false_qpissa_starts_at_w0(case: Case):
    return missed(case, PiSSA()) + w0(case), w0(case)


@misconception(
    of=qpissa_misses_what_the_rest_loses,
    statement=r"The order does not matter: quantise $W_0$, then take the top directions out of what was stored.",
    source="a frequent shortcut: the two parts then add up to Q(W₀), and nothing is gained over QLoRA",
)
def false_qpissa_may_quantise_first(case: Case):
    return missed(case, PiSSA()), rounded(w0(case)) - w0(case)


@claim(
    statement=r"QPiSSA starts nearer to $W_0$ than QLoRA, at less than half of its distance here.",
    source=f"{MENG}, section 4 and table 3",
    relation="<=",
    when="some directions of $W_0$ stand out (here $r$ of them, tenfold), which then set no block's largest entry",
    cases=WORLD,
)
def qpissa_starts_nearer_than_qlora(case: Case):
    return missed(case, PiSSA()).norm(), missed(case, Recipe()).norm() / 2


@misconception(
    of=qpissa_starts_nearer_than_qlora,
    statement="QPiSSA starts ten times nearer, as the directions that it takes out are ten times as large.",
    source="the error is that of the rest, rounded in blocks of its own",
)
def false_qpissa_starts_ten_times_nearer(case: Case):
    return missed(case, PiSSA()).norm(), missed(case, Recipe()).norm() / 10
