"""What Delta-LoRA's moves of W₀ add up to, and what they are said to add up to."""

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.rule.delta_lora import DeltaLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import Adapted
from lorabook.core.dense import Dense
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe

ZI = "Zi et al. 2023 (2309.02411)"
TEXT = "a teaching text's section on Delta-LoRA"
TELESCOPE = "the sum of P_{t+1} − P_t over t = K … T−1 is P_T − P_K"
RATE, STEPS, K = 2.0, 12, 4
SHAPES = (Case(12, 9, 1), Case(9, 16, 2), Case(14, 14, 4))
"""min(d_out, d_in) is above 2r in all three, and 12 steps of rank 2r would fill it."""


def learn(case: Case, recipe: Recipe, lr: float = 0.05, steps: int = STEPS) -> tuple[Adapted, list[Tensor]]:
    """Train one layer towards another matrix; return it, and s·BA before the first and after every step."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64))
    model[0].weight.data = case.w0()
    layer = inject(model, recipe, "0", case.generator("A"))["0"]
    wanted = case.randn(case.d_out, case.d_in, stream="wanted")

    def product() -> Tensor:
        return (layer.update.s * layer.update.B @ layer.update.A).detach()

    def misses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1] @ wanted.T).square().mean()

    products = [product()]
    inputs = (case.randn(32, case.d_in, stream=f"x{t}") for t in range(steps))
    fit(model, ((x, x) for x in inputs), steps=steps, lr=lr, loss=misses, progress=False,
        on_step=lambda t, _: products.append(product()) and None)  # fmt: skip
    return layer, products


def effective(layer: Adapted) -> Tensor:
    """Return W as the model has it."""
    return layer.update.weight(layer.base.matrix).detach()


def followed(case: Case, start: int) -> tuple[Tensor, list[Tensor]]:
    """Return how far W₀ itself has come, and the moves λ·s·(B_{t+1}A_{t+1} − B_tA_t) that the paper would make."""
    layer, products = learn(case, DeltaLoRA(case.r, case.alpha, rate=RATE, start=start))
    moves = [RATE * (after - before) for before, after in zip(products[start:], products[start + 1 :], strict=False)]
    return effective(layer) - layer.base.matrix - products[-1], moves


def rank(m: Tensor) -> Tensor:
    """Return the rank of a matrix that is known to about 12 digits."""
    return linalg.matrix_rank(m, rtol=1e-9)


@claim(
    statement=r"Moving $W_0$ by $\lambda s(B_{t+1}A_{t+1}-B_tA_t)$ after each step from $K$ on ends at "
    r"$W_0+\lambda s(B_TA_T-B_KA_K)$: the moves telescope.",
    source=f"{ZI}, algorithm 1; {TELESCOPE}",
    when=r"$\lambda$ is constant",
    cases=SHAPES,
)
def the_moves_telescope(case: Case):
    drift, moves = followed(case, K)
    return drift, torch.stack(moves).sum(0)


@misconception(
    of=the_moves_telescope,
    statement=r"$W^{t+1}=W^t+\lambda(B^tA^t-B^{t-1}A^{t-1})$.",
    source=f"{TEXT}; without s and one step late",
)
def false_the_moves_are_late_and_unscaled(case: Case):
    drift, moves = followed(case, K)
    return drift, torch.stack(moves[:-1]).sum(0) / case.s


@claim(
    statement=r"$W_0$ moves by a matrix of rank at most $2r$, whatever the number of steps.",
    source=f"{TELESCOPE}, a difference of two matrices of rank r",
    relation="<=",
    when=r"$\lambda$ is constant; from $K=0$ on the rank is at most $r$, because $B_0=0$",
    tol=0,
    cases=SHAPES,
)
def w0_moves_by_rank_2r(case: Case):
    late, early = (rank(followed(case, start)[0]) for start in (K, 0))
    return torch.stack([late, early]), torch.tensor([2 * case.r, case.r])


@misconception(
    of=w0_moves_by_rank_2r,
    statement=r"The effective update is no longer rank-constrained: $W_0$ can move by a matrix of full rank.",
    source=f"{TEXT}, and the paper's title: 'high-rank parameters'",
)
def false_w0_moves_by_full_rank(case: Case):
    full = torch.tensor(min(case.d_out, case.d_in))
    return full, rank(followed(case, K)[0])


@misconception(
    of=w0_moves_by_rank_2r,
    statement=r"$W_0$ accumulates: the rank of the sum is that of all the moves side by side.",
    source=f"{TEXT}; side by side the moves do have more rank, and their sum has not",
)
def false_w0_accumulates_the_moves(case: Case):
    drift, moves = followed(case, K)
    return rank(torch.cat(moves, dim=1)), rank(drift)


@claim(
    statement=r"From $K$ on it is LoRA with $\alpha(1+\lambda)$ beside $W_0-\lambda s\,B_KA_K$: a base that has moved "
    r"once, by rank $r$.",
    source="the telescoped sum, put together anew",
    when=r"$\lambda$ is constant",
    cases=SHAPES,
)
def a_warm_up_moves_the_base_once(case: Case):
    layer, products = learn(case, DeltaLoRA(case.r, case.alpha, rate=RATE, start=K))
    return effective(layer), layer.base.matrix - RATE * products[K] + (1 + RATE) * products[-1]


@claim(
    statement=r"With another $\lambda_t$ after every step, $W_0$ moves by a matrix of full rank.",
    source="Σλ_t(P_{t+1} − P_t) no longer telescopes: every P_t stays in it with the weight λ_{t−1} − λ_t",
    when=r"the number of steps times $r$ reaches $\min(d_{out},d_{in})$",
    tol=0,
    cases=SHAPES,
)
def a_changing_rate_breaks_the_bound(case: Case):
    return rank(drift_with_rates(case, 16)), torch.tensor(min(case.d_out, case.d_in))


def drift_with_rates(case: Case, pieces: int) -> Tensor:
    """Return how far W₀ has come when Delta-LoRA runs in pieces of one random step, each with a λ of its own."""
    layer, _ = learn(case, DeltaLoRA(case.r, case.alpha, rate=RATE), steps=1)
    w0, update = layer.base.matrix.clone(), layer.update
    for piece in range(pieces):
        with torch.no_grad():
            # What W₀ has become is the base of the next piece, which starts to follow here.
            layer.base.store = Dense(effective(layer) - update.s * (update.B @ update.A))
            update.start()
            update.rate = 1 + 0.5 * (-1) ** piece
            for letter, p in update.named_parameters():
                p.add_(0.2 * case.randn(*p.shape, stream=f"{letter}{piece}"))
    return (effective(layer) - update.s * (update.B @ update.A)).detach() - w0


@claim(
    statement=r"The way of $W_0$ follows from $B_K$ and $A_K$, so $r(d_{in}+d_{out})$ numbers a matrix are kept, and "
    r"whether it moves.",
    source=f"{TELESCOPE}; {ZI} keeps as many: the A_t and B_t of the step before",
    cases=SHAPES,
)
def two_small_factors_are_kept(case: Case):
    layer, products = learn(case, DeltaLoRA(case.r, case.alpha, rate=RATE, start=K))
    update, numbers = layer.update, case.r * (case.d_in + case.d_out) + 1
    drift = effective(layer) - layer.base.matrix - products[-1]
    telescoped = RATE * (products[-1] - update.s * update.B_K @ update.A_K)
    return torch.cat([drift.flatten(), kept(layer)]), torch.cat([telescoped.flatten(), torch.tensor([numbers])])


@misconception(
    of=two_small_factors_are_kept,
    statement=r"The product $B_tA_t$ of the step before is kept: $d_{out}d_{in}$ numbers a matrix, as many as $W_0$.",
    source="the update rule, taken word for word",
)
def false_the_last_product_is_kept(case: Case):
    layer, _ = learn(case, DeltaLoRA(case.r, case.alpha, rate=RATE, start=K))
    return kept(layer), torch.tensor([case.d_out * case.d_in])


def kept(layer: Adapted) -> Tensor:
    """Return how many numbers an update holds besides those that train."""
    return torch.tensor([sum(buffer.numel() for buffer in layer.update.buffers())])


BETTER_THAN_LORA = Unchecked(
    statement="Delta-LoRA adapts more flexibly and generalises better than LoRA.",
    source=f"{ZI}, section 4; {TEXT}",
    reason="a benchmark of language models. With constant λ and K = 0 it is LoRA with α(1 + λ), see "
    "it_is_lora_with_a_larger_alpha: compare it with a LoRA whose α has been tuned",
)
