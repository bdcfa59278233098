"""Which pair of rates keeps every part of the update alive as the width grows."""

from collections.abc import Callable

import torch
from torch import Tensor

from lorabook.axes.optim.lora_plus import LoRAPlusAdamW
from lorabook.claims.case import Case, ratio_of_means
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora_plus.lora_plus import HAYOU
from lorabook.claims.rslora.rank_laws import zero_base
from lorabook.core.lora import AdamW, AlphaOverR, KaimingStart, LowRank
from lorabook.core.recipe import LayerSpec

NARROW, WIDE, STEPS, DRAWS, RATE = 128, 2048, 4, 16, 0.1
WORLD = (Case(8, WIDE, 16),)
Optimiser = Callable[[dict[str, Tensor]], torch.optim.Optimizer]


def parts(case: Case, n: int, r: int, optimiser: Optimiser, seed: int) -> Tensor:
    """Return the sizes of BΔAx, ΔB·Ax and Ax in the last of four steps on L = ⟨g, y⟩ at width n."""
    stream = f"{n} {r} {seed}"
    base = zero_base(Case(case.d_out, n, r))
    spec = LayerSpec("layer", r, AlphaOverR().build(case.alpha, r), 0.0, case.generator("A" + stream))
    update = LowRank(base, KaimingStart().build(base.matrix, spec), spec)
    x, g = case.randn(n, stream="x" + stream), case.randn(case.d_out, stream="g" + stream)
    optimizer = optimiser(dict(update.named_parameters()))
    for _ in range(STEPS):
        a, b = update.A.detach().clone(), update.B.detach().clone()
        optimizer.zero_grad()
        (update(base, x) @ g).backward()
        optimizer.step()
    moved_a, moved_b = update.A.detach() - a, update.B.detach() - b
    return torch.stack([size(b @ (moved_a @ x)), size(moved_b @ (a @ x)), size(update.A.detach() @ x)])


def size(v: Tensor) -> Tensor:
    """Return the root mean square of the entries."""
    return v.square().mean().sqrt()


def growth(case: Case, optimiser: Callable[[int], Optimiser]) -> tuple[Tensor, Tensor]:
    """Return the three sizes at width 2048 over those at width 128, with their standard errors."""
    wide, narrow = (
        torch.stack([parts(case, n, case.r, optimiser(n), i) for i in range(DRAWS)]) for n in (WIDE, NARROW)
    )
    pairs = [ratio_of_means(top, bottom) for top, bottom in zip(wide.T, narrow.T, strict=True)]
    return torch.stack([ratio for ratio, _ in pairs]), torch.stack([error for _, error in pairs])


def exponents(*of: float) -> Tensor:
    """Return what the growth is if the sizes go as n to these powers."""
    return torch.tensor([(WIDE / NARROW) ** e for e in of], dtype=torch.float64)


@claim(
    statement=r"With $\eta_A\propto\frac1n$ and $\eta_B=n\,\eta_A$ the parts $B\,\Delta A\,x$ and $\Delta B\,Ax$ and "
    r"the features $Ax$ all keep their size from width $n=128$ to 2048 (stacked; fourth Adam step).",
    source=f"{HAYOU}, section 4: both parts must be Θ(1), with Ax stable",
    relation="~",
    cases=WORLD,
    when="the width grows; small models show small gains",
)
def rates_a_width_apart_keep_every_part(case: Case):
    estimate, error = growth(case, lambda n: lambda named: LoRAPlusAdamW(float(n)).build(named, RATE / n))
    return estimate, exponents(0, 0, 0), error


@misconception(
    of=rates_a_width_apart_keep_every_part,
    statement=r"Equal rates do it as well: $\eta_A=\eta_B$, the same at every width.",
    source="plain LoRA with one rate; Ax and the output grow as n",
)
def false_equal_rates_keep_every_part(case: Case):
    estimate, error = growth(case, lambda n: lambda named: AdamW().build(named, RATE))
    return estimate, exponents(0, 0, 0), error


@misconception(
    of=rates_a_width_apart_keep_every_part,
    statement=r"Equal rates do, if both are lowered: $\eta_A=\eta_B\propto\frac1n$.",
    source="the rule for a single matrix; B then hardly moves, and both parts fade as 1/n",
)
def false_equal_small_rates_keep_every_part(case: Case):
    estimate, error = growth(case, lambda n: lambda named: AdamW().build(named, RATE / n))
    return estimate, exponents(0, 0, 0), error


@misconception(
    of=rates_a_width_apart_keep_every_part,
    statement=r"The reverse does: $\eta_B=\eta$ and $\eta_A=\lambda\eta$ with $\lambda\propto n$.",
    source="a teaching text; the features Ax then grow as n",
)
def false_a_faster_a_keeps_every_part(case: Case):
    def reversed_rates(n: int) -> Optimiser:
        return lambda named: torch.optim.AdamW(
            [{"params": [named["A"]], "lr": RATE}, {"params": [named["B"]], "lr": RATE / n}], weight_decay=0.0
        )

    estimate, error = growth(case, reversed_rates)
    return estimate, exponents(0, 0, 0), error


def balance(case: Case) -> tuple[Tensor, Tensor]:
    """Return (BΔAx over ΔB·Ax) at r = 128 over the same at r = 16, width 256, and its standard error."""
    n = 256
    plus = LoRAPlusAdamW(float(n))
    both = [
        torch.stack([parts(case, n, r, lambda named: plus.build(named, RATE / n), i) for i in range(DRAWS)])
        for r in (128, 16)
    ]
    return ratio_of_means(*(sizes[:, 0] / sizes[:, 1] for sizes in both))


@claim(
    statement=r"The balance of the two parts at fixed rates is the same at $r=16$ and 128: the ratio $\eta_B/\eta_A$ "
    r"to choose does not depend on $r$.",
    source=f"{HAYOU}, theorem 1: Θ(n), with no r in it; both parts are sums of r terms of one sign",
    relation="~",
    cases=WORLD,
)
def the_rank_is_not_in_the_ratio(case: Case):
    estimate, error = balance(case)
    return estimate, torch.tensor(1.0, dtype=torch.float64), error


@misconception(
    of=the_rank_is_not_in_the_ratio,
    statement=r"$\eta_A/\eta_B\propto d/r$: the balance falls as $\frac1r$.",
    source="a teaching text's “derivation”, reversed and with an r",
)
def false_the_ratio_goes_as_d_over_r(case: Case):
    estimate, error = balance(case)
    return estimate, torch.tensor(16 / 128, dtype=torch.float64), error
