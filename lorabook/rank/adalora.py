"""AdaLoRA: one budget of rank for the whole model, spent where the loss needs it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lorabook.adapted import adapted
from lorabook.init.gaussian import gaussian
from lorabook.rank.importance import Importance, triplet_scores
from lorabook.rank.schedule import CubicBudget
from lorabook.rank.step_rule import StepRule
from lorabook.recipe import Recipe
from lorabook.update.plq import PLQ


class Allocator(StepRule):
    """After step t, λ_i ← λ_i if its triplet is among the b(t) best of *all* layers, else 0.

    Scores are read before the optimiser moves, weight and gradient at one point, as in algorithm 1; the authors' code
    and PEFT read them after it. A masked λ still has a gradient: it grows again between two choices, and its triplet
    can come back until the final phase, in which the masks stay. With every = 1 it has no time to grow, and cannot.

    Source: Zhang et al. 2023 (2303.10512), equation 6 and algorithm 1.
    """

    def __init__(self, layers: dict[str, PLQ], schedule: CubicBudget, target_r: int, betas: tuple[float, float],
                 orthogonality: float) -> None:  # fmt: skip
        self.layers, self.schedule, self.orthogonality = layers, schedule, orthogonality
        self.start = sum(len(layer.E) for layer in layers.values())
        self.target = target_r * len(layers)
        self.kept: dict[str, Bool[Tensor, " r"]] = {
            name: torch.ones(len(layer.E), dtype=torch.bool, device=layer.E.device) for name, layer in layers.items()
        }
        self._seen = {
            name: {letter: Importance(getattr(layer, letter), *betas) for letter in "BEA"}
            for name, layer in layers.items()
        }

    def penalty(self) -> Float[Tensor, ""]:
        """Return γ·Σ_layers (‖PᵀP − I‖² + ‖QQᵀ − I‖²), equation 4.

        PEFT adds γ times the *mean* over all P and Q of the norm *without* the square: another size, and a pull that
        does not fade near orthogonality. A γ tuned for one is not a γ for the other.
        """
        return self.orthogonality * torch.stack([layer.orthogonality() for layer in self.layers.values()]).sum()

    def before_step(self, t: int) -> None:
        if t >= self.schedule.last:
            return
        if all(w.grad is None for layer in self.layers.values() for w in layer.parameters()):
            raise RuntimeError("AdaLoRA: no parameter has a gradient; call before_step between backward and the step")
        for layer in self._seen.values():
            for entries in layer.values():
                entries.observe()

    def after_step(self, t: int) -> None:
        if self.schedule.reallocates(t):
            self._choose(self.schedule.budget(t, self.start, self.target))
        if self.schedule.reallocates(t) or t > self.schedule.last:
            self._mask()

    def scores(self) -> dict[str, Float[Tensor, " r"]]:
        """Return the score of every triplet, by layer."""
        return {
            name: triplet_scores(seen["B"].score(), seen["E"].score(), seen["A"].score())
            for name, seen in self._seen.items()
        }

    def ranks(self) -> dict[str, int]:
        """Return how many triplets each layer may keep now."""
        return {name: int(kept.sum()) for name, kept in self.kept.items()}

    def _choose(self, budget: int) -> None:
        """Keep the `budget` best triplets. Ties fall to the first layers, so that the budget is spent exactly."""
        scores = torch.cat([s.to(torch.float64).cpu() for s in self.scores().values()])
        best = torch.zeros_like(scores, dtype=torch.bool)
        best[scores.argsort(descending=True, stable=True)[:budget]] = True
        for kept, mine in zip(self.kept.values(), best.split([len(k) for k in self.kept.values()]), strict=True):
            kept.copy_(mine)

    @torch.no_grad()
    def _mask(self) -> None:
        for name, layer in self.layers.items():
            layer.E.masked_fill_(~self.kept[name][:, None], 0.0)

    def _remembered(self) -> dict[str, Tensor]:
        remembered = {f"{name}.kept": kept for name, kept in self.kept.items()}
        for name, layer in self._seen.items():
            for letter, entries in layer.items():
                remembered[f"{name}.{letter}.sensitivity"] = entries.sensitivity
                remembered[f"{name}.{letter}.uncertainty"] = entries.uncertainty
        return remembered

    def state_dict(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self._remembered().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        mine = self._remembered()
        if mine.keys() != state.keys():
            odd = sorted(mine.keys() ^ state.keys())[0]
            raise ValueError(f"AdaLoRA: the checkpoint and this model differ in {odd!r}; resume with the same recipe")
        for name, tensor in mine.items():
            tensor.copy_(state[name])


@dataclass(frozen=True)
class Allocate:
    """The value on the rule axis: builds the allocator of a model whose layers are PΛQ."""

    target_r: int
    schedule: CubicBudget
    betas: tuple[float, float]
    orthogonality: float

    def __post_init__(self) -> None:
        if not isinstance(self.target_r, int) or isinstance(self.target_r, bool) or self.target_r < 1:
            raise ValueError(f"AdaLoRA: target_r is {self.target_r!r}; it must be a whole number ≥ 1, the mean final rank")
        if not all(0 < beta < 1 for beta in self.betas):
            raise ValueError(f"AdaLoRA: beta1 and beta2 are {self.betas}; each must lie between 0 and 1 (0.85 is usual)")
        if not 0 <= self.orthogonality < float("inf"):
            raise ValueError(f"AdaLoRA: orthogonality is {self.orthogonality!r}; it must be a finite number ≥ 0")

    def __call__(self, model: nn.Module) -> Allocator:
        layers = {name: layer.update for name, layer in adapted(model).items() if isinstance(layer.update, PLQ)}
        if not layers:
            raise ValueError("AdaLoRA's allocator found no layer of the form PΛQ: inject an AdaLoRA recipe first")
        r = min(len(layer.E) for layer in layers.values())
        if self.target_r > r:
            raise ValueError(f"AdaLoRA: target_r = {self.target_r} is more than r = {r}, the rank the layers start with")
        return Allocator(layers, self.schedule, self.target_r, self.betas, self.orthogonality)


def AdaLoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *,
    total_steps: int, target_r: int = 4, warm_up: int | None = None, final: int | None = None, every: int = 10,
    beta1: float = 0.85, beta2: float = 0.85, orthogonality: float = 0.1,
) -> Recipe:  # fmt: skip
    """Adaptive budget: ΔW = s·PΛQ, each layer with rank r at first, `target_r` per layer on average at the end.

    s = α/r with the *starting* r throughout, as in PEFT (which divides by r + 10⁻⁵).

    Args:
        total_steps: optimiser steps of the whole run; what `fit` is given as steps.
        warm_up: steps at full rank at the start; a tenth of the run if None.
        final: steps with fixed masks at the end; a third of the run if None.
        every: steps from one choice of triplets to the next; at 1 what is masked once stays masked.
        orthogonality: γ, the weight of the penalty. The paper's values are 0.1 to 0.5; they weigh against the size of
            the task's loss, and a γ that outweighs it lets the penalty's own gradient decide the scores.

    Raises:
        ValueError: a number out of its range, or phases longer than the run.

    Source: Zhang et al. 2023 (2303.10512).
    """
    warm_up = total_steps // 10 if warm_up is None else warm_up
    final = max(1, total_steps // 3) if final is None else final
    rule = Allocate(target_r, CubicBudget(total_steps, warm_up, final, every), (beta1, beta2), orthogonality)
    return Recipe(r, alpha, dropout, form=PLQ, init=gaussian, rule=rule, names=frozenset({"AdaLoRA"}))
