"""Full fine-tuning: W ← W − η·∂L/∂W for every entry. What it changed, ΔW = W − W₀, and the same cut to a rank."""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.fit import fit
from lorabook.core.training_step import Batch


@dataclass(frozen=True)
class Change:
    """What training did to one matrix, as its singular triplets: ΔW = U diag(σ) Vᵀ with σ₁ ≥ σ₂ ≥ …"""

    u: Float[Tensor, "d_out least"]
    sigma: Float[Tensor, " least"]
    vt: Float[Tensor, "least d_in"]

    @property
    def delta(self) -> Float[Tensor, "d_out d_in"]:
        """ΔW itself."""
        return self.at(len(self.sigma))

    def at(self, r: int) -> Float[Tensor, "d_out d_in"]:
        """Return the best approximation of rank r."""
        return (self.u[:, :r] * self.sigma[:r]) @ self.vt[:r]

    def kept(self, r: int) -> float:
        """Return the share of ‖ΔW‖²_F that rank r keeps."""
        squares = self.sigma.double().square()
        return (squares[:r].sum() / squares.sum()).item()


def change_of(delta: Float[Tensor, "d_out d_in"]) -> Change:
    """Return a ΔW as its singular triplets."""
    return Change(*linalg.svd(delta.detach(), full_matrices=False))


def full_update(
    model: nn.Module, batches: Iterable[Batch], *, targets: str, steps: int, lr: float
) -> dict[str, Change]:
    """Fine-tune every entry of the weight matrices whose name matches `targets`; return what changed, by layer name.

    A copy is trained: `model` stays as it is. Nothing else trains, so that an adapter on the same targets may change
    the same matrices, and no more.

    Raises:
        ValueError: `targets` matches no weight matrix, or the model has adapters, whose factors are none.
    """
    if adapted(model):
        raise ValueError(f"{next(iter(adapted(model)))} has an adapter: fine-tune the plain model (merge it first)")
    tuned = copy.deepcopy(model)
    for name, parameter in tuned.named_parameters():
        parameter.requires_grad_(parameter.ndim == 2 and re.search(targets, name) is not None)
    before = dict(model.named_parameters())
    trained = {name: p for name, p in tuned.named_parameters() if p.requires_grad}
    if not trained:
        known = ", ".join(list(before)[:12])
        raise ValueError(f"targets={targets!r} matches no weight matrix; the model has {known} …")
    fit(tuned, batches, steps=steps, lr=lr, progress=False)
    deltas = {name.removesuffix(".weight"): p.detach() - before[name].detach() for name, p in trained.items()}
    return {name: change_of(delta) for name, delta in deltas.items()}


def by_projection(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Group what belongs to layers by the last part of the name: all q_proj, all k_proj, …"""
    grouped: dict[str, list[Any]] = {}
    for name, value in values.items():
        grouped.setdefault(name.rpartition(".")[2], []).append(value)
    return grouped


def kept_by_projection(changes: Mapping[str, Change], r: int) -> dict[str, float]:
    """Return the share of energy that rank r keeps, averaged over the matrices of each kind."""
    return {kind: sum(c.kept(r) for c in of_kind) / len(of_kind) for kind, of_kind in by_projection(changes).items()}


@contextmanager
def changed(model: nn.Module, changes: Mapping[str, Change], r: int | None = None) -> Iterator[nn.Module]:
    """W₀ + ΔW inside the block, each ΔW cut to rank r (None: whole); W₀ after it, bit for bit."""
    weights = {name: model.get_submodule(name).weight.detach() for name in changes}
    before = {name: weight.clone() for name, weight in weights.items()}
    try:
        for name, weight in weights.items():
            weight.add_(changes[name].delta if r is None else changes[name].at(r))
        yield model
    finally:
        for name, weight in weights.items():
            weight.copy_(before[name])
