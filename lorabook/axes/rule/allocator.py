"""AdaLoRA's allocator: at each step, which triplets of the whole model may live."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lorabook.axes.form.adalora import PLQ
from lorabook.axes.rule.importance import Importance, triplet_scores
from lorabook.axes.rule.schedule import BudgetPlan, CubicBudget
from lorabook.core.step_rule import StepRule


class Allocator(StepRule):
    """After step t, λ_i ← λ_i if its triplet is among the b(t) best of *all* layers, else 0.

    Scores are read before the optimiser moves, weight and gradient at one point, as in algorithm 1; the authors' code
    and PEFT read them after it. A masked λ still has a gradient: it grows again between two choices, and its triplet
    can come back until the final phase, in which the masks stay. With every = 1 it has no time to grow, and cannot.

    Source: Zhang et al. 2023 (2303.10512), equation 6 and algorithm 1.
    """

    def __init__(self, layers: dict[str, PLQ], plan: BudgetPlan, target_r: int, betas: tuple[float, float],
                 orthogonality: float) -> None:  # fmt: skip
        self.layers, self.plan, self.orthogonality = layers, plan, orthogonality
        self._schedule = None if plan.total_steps is None else plan.of(plan.total_steps)
        self.start = sum(len(layer.E) for layer in layers.values())
        self.target = target_r * len(layers)
        self.kept: dict[str, Bool[Tensor, " r"]] = {
            name: torch.ones(len(layer.E), dtype=torch.bool, device=layer.E.device) for name, layer in layers.items()
        }
        self._seen = {
            name: {letter: Importance(getattr(layer, letter), *betas) for letter in "BEA"}
            for name, layer in layers.items()
        }

    def begin(self, steps: int) -> None:
        self._schedule = self.plan.of(steps)

    @property
    def schedule(self) -> CubicBudget:
        """The budget of this run.

        Raises:
            RuntimeError: the recipe left the steps open, and no run has begun.
        """
        if self._schedule is None:
            raise RuntimeError("AdaLoRA: how long is the run? It was left open; call begin(steps) first, as `fit` does")
        return self._schedule

    def penalty(self) -> Float[Tensor, ""]:
        """Return γ·Σ_layers (‖PᵀP − I‖² + ‖QQᵀ − I‖²), equation 4.

        The authors' code and PEFT add γ times the *mean* over all P and Q of the norm *without* the square: smaller by
        far, and with a pull that does not fade near orthogonality. A γ tuned for one is none for the other.
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

    def end(self) -> None:
        return None

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
