"""What LoHa costs, how it must start, and what is said of both."""

import torch
from torch import Tensor

from lorabook.axes.form.loha import Hadamard
from lorabook.claims.case import SHAPES, Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank
from lorabook.core.update import Update
from lorabook.cost.count import measured_flops

FEDPARA = "Hyeon-Woo, Ye-Bin, Oh 2021 (FedPara, 2108.06098)"
ROWS = 64
WIDE = (Case(96, 96, 8), Case(128, 64, 16))


def update_of(case: Case, form: type[Update]) -> tuple[Frozen, Update]:
    """Return a frozen layer and an update of this form on it."""
    base = case.linear()
    return base, form(base, case.factors(), case.spec())


def numbers(case: Case, form: type[Update]) -> Tensor:
    """Return how many numbers the form trains."""
    return torch.tensor(sum(p.numel() for p in update_of(case, form)[1].parameters()))


def operations(case: Case, form: type[Update]) -> Tensor:
    """Return the operations of a forward pass on 64 rows, without W₀x."""
    base, update = update_of(case, form)
    x = case.x(ROWS)
    return torch.tensor(measured_flops(lambda: update(base, x)) - measured_flops(lambda: base(x)))


@claim(
    statement=r"LoHa trains $2r(d_{in}+d_{out})$ numbers in four matrices: twice LoRA's at equal rank.",
    source=f"{FEDPARA}, proposition 1",
    tol=0,
)
def loha_trains_twice_as_many(case: Case):
    assert len(list(update_of(case, Hadamard)[1].parameters())) == 4
    return numbers(case, Hadamard), 2 * numbers(case, LowRank)


@misconception(
    of=loha_trains_twice_as_many,
    statement=r"LoHa trains 80–120% of LoRA's numbers.",
    source="a teaching text; that is LoRA of twice the rank",
)
def false_loha_trains_as_many(case: Case):
    return numbers(case, Hadamard), numbers(case, LowRank)


@claim(
    statement=r"At equal numbers of parameters LoHa's largest rank $r^2$ is above LoRA's $2r$.",
    source=f"{FEDPARA}, proposition 1; neither family contains the other",
    relation="<=",
    when=r"$r>2$ (at $r=2$ they are equal), and the matrix has so many rows and columns",
    cases=(Case(40, 40, 3), Case(40, 40, 6)),
)
def loha_has_more_rank_for_its_numbers(case: Case):
    base, update = update_of(case, Hadamard)
    delta = (update.weight(base.matrix) - base.matrix).detach()
    lora_rank = numbers(case, Hadamard) // (case.d_in + case.d_out)
    return lora_rank + 1, torch.linalg.matrix_rank(delta, rtol=1e-10)


@claim(
    statement=r"Where $\Delta W$ is built, LoHa's two products cost $4r\,d_{in}d_{out}$ operations before $x$ is seen; "
    r"LoRA's path costs $2r(d_{in}+d_{out})$ a row.",
    source="counted product by product; on 64 rows, where r² is too large for the two-path form",
    tol=0,
    cases=WIDE,
)
def loha_builds_two_matrices(case: Case):
    assert int(operations(case, LowRank)) == 2 * ROWS * case.r * (case.d_in + case.d_out)
    return operations(case, Hadamard), torch.tensor(4 * case.r * case.d_in * case.d_out)


@misconception(
    of=loha_builds_two_matrices,
    statement=r"LoHa computes slightly more than LoRA: the Hadamard product is all that is added; it even improves "
    r"efficiency.",
    source="two teaching texts; what is efficient is the number of parameters",
)
def false_loha_computes_as_lora_does(case: Case):
    return operations(case, Hadamard), operations(case, LowRank)


def gradient_at_start(case: Case, zeroed: tuple[str, ...]) -> Tensor:
    """Return Σ|∂L/∂θ| over all four factors, when these are zero and the others are not."""
    base, update = update_of(case, Hadamard)
    with torch.no_grad():
        for name in zeroed:
            getattr(update, name).zero_()
    update(base, case.x()).square().sum().backward()
    return sum(p.grad.abs().sum() for p in update.parameters())


@claim(
    statement=r"LoHa starts at $W_0$ and can leave it: with $B_1=0$ the gradient of $B_1$ is not zero.",
    source="∂L/∂B₁ = s·(G ⊙ B₂A₂)A₁ᵀ",
    when="exactly one of the two products is zero",
    cases=SHAPES,
)
def one_zero_factor_can_learn(case: Case):
    base, update = update_of(case, Hadamard)
    with torch.no_grad():
        update.B.zero_()
    x = case.x()
    y = update(base, x)
    y.square().sum().backward()
    g = 2 * y.detach().T @ x  # ∂L/∂W
    return update.B.grad, update.s * (g * (update.B2 @ update.A2).detach()) @ update.A.detach().T


@misconception(
    of=one_zero_factor_can_learn,
    statement=r"LoHa can start from any zeros, as LoRA can: with $B_1=0$ and $B_2=0$ it learns as well.",
    source="a natural guess; then every gradient is zero for ever",
)
def false_two_zero_factors_can_learn(case: Case):
    alive = gradient_at_start(case, ("B",))
    return gradient_at_start(case, ("B", "B2"))[None], alive.detach()[None]


BETTER_FOR_VALUES = Unchecked(
    statement="LoHa is better for value projections, in vision, or by 1 to 4% of quality; r = 16 is like LoRA's 64.",
    source="teaching texts, without a source",
    reason="benchmarks without a named model, data set or budget; what is checkable of capacity is in the claims",
)
