"""Who chooses where the rank goes: AdaLoRA by its scores, AdaLoRA by something else, LoRA with ranks or cut at the end.

AdaLoRA starts with rank 6 in all 28 matrices of the book's model, and LoRA that is cut at the end too.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import linalg, nn

from lorabook.arena.allocation_trace import Tracer
from lorabook.arena.choices import ChosenBy, drawn, largest
from lorabook.arena.tasks import KJV
from lorabook.axes.form.adalora import PLQ
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.step_rule import StepRule

R, ALPHA, TARGET, EVERY, GAMMA = 6, 8, 2, 5, 0.001
WARM_UP, FINAL = KJV.steps // 10, KJV.steps // 3
"""What the recipe has if nothing is said: a tenth and a third of the run."""
SCORE, RANDOM, LAMBDA = "by score", "at random", "by |λ|"
RETRAINED, CUT = "LoRA with its ranks", "LoRA r=6, cut at the end"
"""RETRAINED: LoRA from the start with the ranks that the run by score with this seed ended with, s = 2 everywhere. CUT:
LoRA of rank 6, of whose ΔW the largest singular values of the whole model are left after the last step."""
POWERS = {SCORE: range(9, 13), RANDOM: range(9, 13), CUT: range(5, 8), RETRAINED: range(6, 9)}
RATES = {way: tuple(1e-3 * 2 ** (k / 2) for k in powers) for way, powers in POWERS.items()}
"""√2 apart, around what the arena found. LAMBDA has SCORE's: all but the choice is the same."""


class Asked(NamedTuple):
    """A run: how triplets are chosen, the mean rank at the end, the two phases, the rate, the seed."""

    way: str
    lr: float
    seed: int
    target: int = TARGET
    warm_up: int = WARM_UP
    final: int = FINAL


def prepare(
    model: nn.Module, asked: Asked, ranks: Sequence[int], generator: torch.Generator
) -> tuple[StepRule, Tracer] | tuple[None, None]:
    """Put into the model what trains, and return its rule with who looks at it; `ranks` are for LoRA to take over."""
    if asked.way == RETRAINED:
        for name, r in zip(matrices(), ranks, strict=True):
            if r:
                inject(model, LoRA(r, 2 * r), f"^{re.escape(name)}$", generator)
        return None, None
    if asked.way == CUT:
        inject(model, LoRA(R, 2 * R), KJV.targets, generator)
        return None, None
    recipe = AdaLoRA(
        R, ALPHA, total_steps=KJV.steps, target_r=asked.target, warm_up=asked.warm_up, final=asked.final, every=EVERY,
        orthogonality=GAMMA,
    )  # fmt: skip
    inject(model, recipe, KJV.targets, generator)
    rule = recipe.rule.build(model)
    others = {RANDOM: drawn(asked.seed), LAMBDA: largest}
    return ChosenBy(rule, others[asked.way]) if asked.way in others else rule, Tracer(rule)


@torch.no_grad()
def keep_largest(model: nn.Module, mean_rank: int) -> None:
    """Leave of all ΔW = s·BA the largest singular values of the whole model, `mean_rank` for each matrix on average."""
    updates = [layer.update for layer in adapted(model).values()]
    parts = [linalg.svd(update.s * update.B @ update.A, full_matrices=False) for update in updates]
    sizes = torch.cat([sigma for _, sigma, _ in parts]).sort(descending=True).values
    least = sizes[mean_rank * len(updates) - 1]
    for update, (u, sigma, vt) in zip(updates, parts, strict=True):
        k = int((sigma >= least).sum())
        update.B.zero_()[:, :k] = u[:, :k] * sigma[:k] / update.s
        update.A.zero_()[:k] = vt[:k]


def ranks(model: nn.Module) -> tuple[int, ...]:
    """Return the rank that is left in each matrix, 0 where nothing was adapted: λ or columns of B that are not zero."""
    layers = adapted(model)
    live = {
        name: (layer.update.E if isinstance(layer.update, PLQ) else layer.update.B.T) for name, layer in layers.items()
    }
    return tuple(int((live[name] != 0).any(1).sum()) if name in live else 0 for name in matrices())


@cache
def matrices() -> tuple[str, ...]:
    """Return the names of the adapted matrices, in the order in which ranks are kept."""
    return tuple(name for name, _ in KJV.base.named_modules() if name.endswith(KJV.targets))
