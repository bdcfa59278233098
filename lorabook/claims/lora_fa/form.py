"""What LoRA-FA can reach, what it saves in one matrix, and what a random A is said to be good for."""

import torch
from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.axes.form.lora_fa import FrozenA
from lorabook.axes.optim.projected import projected
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.lora import LowRank, uniform_rows
from lorabook.core.update import Update
from lorabook.cost.count import measured_flops, saved_bytes

ZHANG = "Zhang et al. 2023 (2308.03303)"
ROWS = 11
SQUARE = (Case(6, 6, 6), Case(16, 16, 3), Case(9, 9, 1))


def step(case: Case, form: type[Update]) -> tuple[int, int]:
    """Return the bytes kept for backward, and the operations of a forward and a backward pass, on 11 rows."""
    base, x = case.linear(), case.x(ROWS)
    update = form(base, case.factors(), case.spec())
    kept = saved_bytes(lambda: update(base, x), [*base.buffers(), *update.buffers()])
    return kept, measured_flops(lambda: update(base, x).sum().backward())


def seen_by(a: Float[Tensor, "r d_in"]) -> Float[Tensor, "d_in d_in"]:
    """Return the projection onto the row space of A."""
    return linalg.pinv(a) @ a


@claim(
    statement=r"Every row of $\Delta W=s\,BA$ lies in the row space of the frozen $A$: $\Delta W\,A^+A=\Delta W$.",
    source=f"{ZHANG}, section 3",
)
def the_update_stays_in_the_rows_of_a(case: Case):
    base = case.linear()
    update = FrozenA(base, case.factors(), case.spec())
    delta = update.weight(base.matrix) - base.matrix
    return delta @ seen_by(update.A), delta


@claim(
    statement=r"A random $A$ sees the share $r/d_{in}$ of an update that it does not know, and $B$ can learn no more.",
    source="the trace of a projection onto r random directions of d_in",
    relation="~",
    cases=(Case(4, 48, 6), Case(4, 64, 16)),
)
def a_random_a_sees_r_of_d_in(case: Case):
    shares = []
    for i in range(400):
        a = uniform_rows(case.r, case.d_in, case.randn(1), case.generator(f"A{i}"))
        wanted = case.randn(case.d_out, case.d_in, stream=f"T{i}")
        shares.append((wanted @ seen_by(a)).square().sum() / wanted.square().sum())
    measured = torch.stack(shares)
    return measured.mean(), torch.tensor(case.r / case.d_in, dtype=torch.float64), measured.std() / len(measured) ** 0.5


@misconception(
    of=a_random_a_sees_r_of_d_in,
    statement=r"A random $A$ is sufficient: only $B$ needs to be trained, and nothing is out of reach.",
    source="a teaching text; what is close on benchmarks is a real restriction of what can be said",
)
def false_a_random_a_sees_everything(case: Case):
    measured, _, error = a_random_a_sees_r_of_d_in(case)
    return measured, torch.ones((), dtype=torch.float64), error


@claim(
    statement=r"For the gradient of $B$ only $Ax$ is kept: $r$ numbers a token, whatever $d_{in}$ is.",
    source=f"{ZHANG}, section 3.2",
    tol=0,
)
def only_ax_is_kept(case: Case):
    return torch.tensor(step(case, FrozenA)[0]), torch.tensor(ROWS * case.r * 8)


@claim(
    statement=r"LoRA-FA trains half as many numbers as LoRA, and its AdamW state is half as large.",
    source="r·d_out against r(d_in + d_out), two moments for each",
    when=r"$d_{out}=d_{in}$",
    cases=SQUARE,
)
def a_square_layer_trains_half(case: Case):
    updates = [form(case.linear(), case.factors(), case.spec()) for form in (FrozenA, LowRank)]
    mine, lora = (sum(p.numel() for p in update.parameters()) for update in updates)
    return torch.tensor(4 * mine), torch.tensor(2 * lora)


@claim(
    statement=r"A step of LoRA-FA costs $2n\,r(d_{in}+d_{out})$ operations less than LoRA's on $n$ rows: neither "
    r"$\partial L/\partial A$ nor, for it, $\partial L/\partial(Ax)$ is computed.",
    source="counted product by product",
    when="nothing before the layer asks for a gradient; if something does, only the first of the two is saved",
    tol=0,
)
def the_gradient_of_a_is_saved(case: Case):
    saved = step(case, LowRank)[1] - step(case, FrozenA)[1]
    # Without a gradient of A, nothing asks for that of Ax either.
    return torch.tensor(saved), torch.tensor(2 * ROWS * case.r * (case.d_in + case.d_out))


@claim(
    statement=r"A random $A$ keeps all distances of 200 points within 50%, once scaled by $\sqrt{3d_{in}/r}$.",
    source="Johnson, Lindenstrauss 1984, with the bound of Dasgupta, Gupta 2003: r ≥ 4 ln n/(ε²/2 − ε³/3)",
    relation="<=",
    when=r"$r\ge 255$, which is far above any rank that LoRA uses",
    cases=(Case(4, 768, 255),),
)
def a_wide_a_keeps_distances(case: Case):
    return _distortion(case, case.r), torch.tensor(0.5, dtype=torch.float64)


@misconception(
    of=a_wide_a_keeps_distances,
    statement=r"By the lemma of Johnson and Lindenstrauss a random $A$ of rank 16 keeps all distances, so training $B$ "
    r"is enough.",
    source="a teaching text; at r = 16 the bound says nothing, and distances say nothing about reach",
)
def false_a_thin_a_keeps_distances(case: Case):
    return _distortion(case, 16), torch.tensor(0.5, dtype=torch.float64)


def _distortion(case: Case, r: int) -> Float[Tensor, ""]:
    """Return the largest relative error of a squared distance between 200 points after A."""
    a = uniform_rows(r, case.d_in, case.randn(1), case.generator("A")) * (3 * case.d_in / r) ** 0.5
    points = case.randn(200, case.d_in, stream="points")
    before, after = torch.pdist(points).square(), torch.pdist(points @ a.T).square()
    return (after / before - 1).abs().max()


@claim(
    statement=r"$H=\partial L/\partial B\,(AA^\top)^{-1}/s^2$ moves $W$ as much like a step of $W$ itself as a frozen "
    r"$A$ allows: $s\,HA=\frac{\partial L}{\partial W}A^+A$.",
    source="LoRA-Pro (2407.18242), theorem 2.1 with A held still; PEFT's create_lorafa_optimizer",
)
def the_projected_step_imitates_full_fine_tuning(case: Case):
    a, g = case.factors().A, case.randn(case.d_out, case.d_in, stream="G")
    h = projected(case.s * g @ a.T, a, case.s)
    return case.s * h @ a, g @ seen_by(a)


@misconception(
    of=the_projected_step_imitates_full_fine_tuning,
    statement=r"The plain gradient of $B$ already moves $W$ as full fine-tuning would, within the rows of $A$.",
    source="a natural guess; it is off by AAᵀ and by s twice",
)
def false_the_plain_step_imitates_full_fine_tuning(case: Case):
    a, g = case.factors().A, case.randn(case.d_out, case.d_in, stream="G")
    return case.s * (case.s * g @ a.T) @ a, g @ seen_by(a)


DEGRADES_LITTLE = Unchecked(
    statement="Freezing A costs less than 1% of quality.",
    source=f"{ZHANG}, section 4",
    reason="a benchmark of large models on GLUE and MMLU; the toy models here have no such scores",
)
