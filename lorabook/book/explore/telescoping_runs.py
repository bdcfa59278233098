"""Small trainings in which W₀ follows BA, the update written out as in the paper, under a λ that may change.

One 16 × 16 layer learns another matrix by AdamW, a new batch at every step. After each step
W₀ ← W₀ + λ_t·s·(P_{t+1} − P_t) with P_t = B_tA_t.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.dense import Dense
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA

SIDE, RANK, ALPHA, STEPS, LATE, RATE = 16, 2, 4.0, 24, 8, 0.05
FROM_0, FROM_LATE, RISING, IN_TURN = (
    "λ at every step", f"0, then λ from step {LATE} on", "rising from 0 to λ", "λ and 0 in turn",
)  # fmt: skip
SCHEDULES: dict[str, Callable[[float, int], float]] = {
    FROM_0: lambda rate, t: rate,
    FROM_LATE: lambda rate, t: rate if t >= LATE else 0.0,
    RISING: lambda rate, t: rate * t / (STEPS - 1),
    IN_TURN: lambda rate, t: rate * ((t + 1) % 2),
}
"""λ_t of the step that leads from P_t to P_{t+1}."""


@dataclass(frozen=True)
class Run:
    """A run at t = 0 … T: s·P_t, W₀'s own way and its rank, W as the model has it, and ‖W − W*‖ / ‖W₀ − W*‖."""

    products: Float[Tensor, "times d d"]
    ways: Float[Tensor, "times d d"]
    ranks: tuple[int, ...]
    weights: Float[Tensor, "times d d"]
    misses: Float[Tensor, " times"]


@cache
def run(rates: tuple[float, ...], alpha: float = ALPHA) -> Run:
    """Train a LoRA of this α whose W₀ follows with λ_t = rates[t]; a LoRA alone if all are 0."""
    draw = torch.Generator().manual_seed(0)
    w0, wanted = job(draw)
    model = nn.Sequential(nn.Linear(SIDE, SIDE, bias=False, dtype=torch.float64))
    model[0].weight.data = w0.clone()
    layer = inject(model, LoRA(r=RANK, alpha=alpha), "0", draw)["0"]
    update, base = layer.update, layer.base

    def product() -> Tensor:
        return (update.s * update.B @ update.A).detach()

    products, ways = [product()], [torch.zeros_like(w0)]

    def follow(t: int, _: float) -> None:
        products.append(product())
        base.store = Dense(base.matrix + rates[t] * (products[-1] - products[-2]))
        ways.append(base.matrix - w0)

    def miss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1] @ wanted.T).square().mean()

    inputs = [torch.randn(32, SIDE, generator=draw, dtype=torch.float64) for _ in rates]
    fit(model, zip(inputs, inputs, strict=True), steps=len(rates), lr=RATE, loss=miss, on_step=follow, progress=False)
    moved, come = torch.stack(products), torch.stack(ways)
    weights = w0 + come + moved
    distances = (weights - wanted).flatten(1).norm(dim=1)
    return Run(moved, come, tuple(map(rank, ways)), weights, distances / distances[0])


def rates_of(schedule: str, rate: float) -> tuple[float, ...]:
    """Return λ_t for every step."""
    return tuple(SCHEDULES[schedule](rate, t) for t in range(STEPS))


def left(rates: tuple[float, ...]) -> list[float]:
    """Return with what weight each P_u, u = 0 … t, stands in Σ_{u<t} λ_u(P_{u+1} − P_u): λ_{u−1} − λ_u inside."""
    return [before - after for before, after in zip((0.0, *rates), (*rates, 0.0), strict=True)]


def rank(m: Float[Tensor, "d d"]) -> int:
    """Return the rank of a matrix that is known to about 12 digits."""
    return int(singular_values(m).count_nonzero())


def singular_values(m: Float[Tensor, "d d"]) -> Float[Tensor, " d"]:
    """Return σ₁ ≥ σ₂ ≥ …, with 0 for what is rounding alone."""
    sigma = torch.linalg.svdvals(m)
    return torch.where(sigma > 1e-9 * sigma[0], sigma, 0.0)


def job(draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return W₀, and a W* whose distance from it has singular values that fall by a fifth each."""
    w0, left, right = (torch.randn(SIDE, SIDE, generator=draw, dtype=torch.float64) for _ in range(3))
    sides = [torch.linalg.qr(m).Q for m in (left, right)]
    sigma = 4 * 0.8 ** torch.arange(SIDE, dtype=torch.float64)
    return w0 / SIDE**0.5, w0 / SIDE**0.5 + sides[0] @ torch.diag(sigma) @ sides[1]
