"""GLoRA's search: which kinds to keep of a trained supernet, found by trying them on validation data."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lorabook.axes.form.glora import GLoRAForm, term_shapes
from lorabook.axes.form.glora_subnet import kinds_in_use, supernets, use_kinds
from lorabook.axes.rule.evolution import Evolution, Genome, cost, evolve
from lorabook.core.modes import evaluating


@dataclass(frozen=True)
class SearchResult:
    """The best configuration, its validation loss, its trained numbers, and how many configurations were tried."""

    configuration: dict[str, GLoRAForm]
    loss: float
    parameters: int
    tried: int


@torch.no_grad()
def search_kinds(
    model: nn.Module, loss: Callable[[nn.Module], float], *, limit: int | None = None, plan: Evolution | None = None,
    generator: torch.Generator | None = None, progress: bool = True,
) -> SearchResult:  # fmt: skip
    """Return the configuration of a trained supernet with the lowest loss, and leave the model in it. Nothing trains.

    Args:
        loss: of the model as it stands, on validation data; the model is in eval mode.
        limit: the most numbers that the adapters may have, all layers together.
        generator: of the search; seed 0 if None.

    Raises:
        ValueError: the model holds no supernet, the limit is below the smallest configuration, or a loss is not finite.

    Source: Chavan et al. 2023 (2306.07967), section 3.3 and the official `evolution_utils.py`.
    """
    layers, genes, costs = supernets(model), [], []
    for name, layer in layers.items():
        for term, kinds in layer.update.choices.items():
            genes.append((name, term, kinds))
            costs.append([_numbers(term, kind, *layer.base.store.shape, layer.r) for kind in kinds])

    def configuration(genome: Genome) -> dict[str, GLoRAForm]:
        chosen: dict[str, dict[str, str]] = {name: {} for name in layers}
        for (name, term, kinds), i in zip(genes, genome, strict=True):
            chosen[name][term] = kinds[i]
        return {name: GLoRAForm(**kinds) for name, kinds in chosen.items()}

    def at(genome: Genome) -> float:
        use_kinds(model, configuration(genome))
        return float(loss(model))

    before, source = kinds_in_use(model), generator or torch.Generator().manual_seed(0)
    try:
        with evaluating(model):
            ranked = evolve(costs, at, limit=limit, plan=plan, generator=source, progress=progress)
    except BaseException:
        use_kinds(model, before)
        raise
    best = next(iter(ranked))
    use_kinds(model, configuration(best))
    return SearchResult(configuration(best), ranked[best], cost(best, costs), len(ranked))


def _numbers(term: str, kind: str, d_out: int, d_in: int, r: int) -> int:
    return sum(rows * columns for rows, columns in term_shapes({term: kind}, d_out, d_in, r).values())
