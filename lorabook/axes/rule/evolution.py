"""Evolutionary search over choices: draw some, keep the best, let them mutate and cross, and train nothing."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from lorabook.core.whole_number import refuse_unless_whole

Genome = tuple[int, ...]
"""For each gene the number of the option it takes."""

Costs = Sequence[Sequence[int]]
"""For each gene what each of its options costs: this says how many genes and options there are, too."""

TRIES = 10
"""Attempts for each child that is wanted: one may be known already, or above the limit."""


@dataclass(frozen=True)
class Evolution:
    """The numbers of the search; the defaults are those of the official code.

    Args:
        population: genomes tried a round; `crossovers` and `mutations` of them are children, the rest new draws.
        parents: how many of the best so far may have children.
        rate: the chance that a gene mutates.
    """

    population: int = 50
    parents: int = 10
    crossovers: int = 25
    mutations: int = 25
    rate: float = 0.2
    rounds: int = 20

    def __post_init__(self) -> None:
        for name, least in (("population", 2), ("parents", 1), ("crossovers", 0), ("mutations", 0), ("rounds", 1)):
            refuse_unless_whole(f"evolution: {name}", getattr(self, name), least)
        if self.crossovers + self.mutations > self.population:
            raise ValueError(
                f"evolution: {self.crossovers} crossovers and {self.mutations} mutations are more than the population "
                f"of {self.population}; make it larger, or have fewer children"
            )
        if not 0 < self.rate <= 1:
            raise ValueError(f"evolution: rate is {self.rate!r}; it must be a probability in (0, 1]")


def draw(costs: Costs, source: torch.Generator) -> Genome:
    """Return a genome in which every option of every gene is equally likely."""
    return tuple(int(chance * len(options)) for chance, options in zip(_chances(costs, source), costs, strict=True))


def mutate(parent: Genome, costs: Costs, rate: float, source: torch.Generator) -> Genome:
    """Return the parent with each gene drawn anew with the chance `rate`; what is drawn may be what was there."""
    hits, fresh = _chances(costs, source), draw(costs, source)
    return tuple(new if hit < rate else old for old, new, hit in zip(parent, fresh, hits, strict=True))


def cross(one: Genome, other: Genome, source: torch.Generator) -> Genome:
    """Return a child that takes every gene from one of two parents, either with the same chance."""
    return tuple(a if chance < 0.5 else b for a, b, chance in zip(one, other, _chances(one, source), strict=True))


def cost(genome: Genome, costs: Costs) -> int:
    """Return the sum of what a genome's options cost."""
    return sum(options[i] for i, options in zip(genome, costs, strict=True))


def evolve(
    costs: Costs, loss: Callable[[Genome], float], *, generator: torch.Generator, limit: int | None = None,
    plan: Evolution | None = None, progress: bool = True,
) -> dict[Genome, float]:  # fmt: skip
    """Return every genome that was tried with its loss, the best first. None is tried twice.

    The first round tries the cheapest genome, so that a tight limit leaves somebody to start from, and random ones.
    Each later round mutates the best so far, crosses them, and draws the rest anew. A round in which nothing new turns
    up is the last.

    Args:
        limit: the largest allowed cost; none if None.

    Raises:
        ValueError: a gene has no option, the limit is below the cheapest genome, or a loss is not finite.

    Source: Guo et al. 2020 (1904.00420), algorithm 1, as used by GLoRA (2306.07967).
    """
    plan = Evolution() if plan is None else plan
    if not costs or not all(costs):
        raise ValueError("evolution: there must be one gene at least, and every gene needs an option")
    cheapest = tuple(min(range(len(options)), key=options.__getitem__) for options in costs)
    if limit is not None and cost(cheapest, costs) > limit:
        least = cost(cheapest, costs)
        raise ValueError(f"evolution: the limit is {limit}, and the cheapest genome costs {least}: raise the limit")
    tried: dict[Genome, float] = {}
    best: list[Genome] = []

    def grow(number: int, make: Callable[[], Genome]) -> None:
        """Try `number` new genomes, or as many as turn up."""
        wanted = len(tried) + number
        for _ in range(TRIES * number):
            if len(tried) == wanted:
                return
            genome = make()
            if genome not in tried and (limit is None or cost(genome, costs) <= limit):
                tried[genome] = _finite(loss(genome), genome)

    def parent() -> Genome:
        return best[int(_chances(range(1), generator)[0] * len(best))]

    for turn in tqdm(range(plan.rounds), desc="evolution", unit="round", disable=not progress, leave=False):
        known = len(tried)
        if turn == 0:
            grow(1, lambda: cheapest)
        else:
            best[:] = sorted(tried, key=tried.__getitem__)[: plan.parents]
            grow(plan.mutations, lambda: mutate(parent(), costs, plan.rate, generator))
            grow(plan.crossovers, lambda: cross(parent(), parent(), generator))
        grow(known + plan.population - len(tried), lambda: draw(costs, generator))
        if len(tried) == known:
            break
    return dict(sorted(tried.items(), key=lambda one: one[1]))


def _chances(genes: Sequence, source: torch.Generator) -> list[float]:
    """Return a number in [0, 1) for each gene."""
    return torch.rand(len(genes), generator=source, device=source.device, dtype=torch.float64).tolist()


def _finite(loss: float, genome: Genome) -> float:
    if not math.isfinite(loss):
        raise ValueError(f"evolution: the loss of genome {genome} is {loss}; it must be a finite number")
    return float(loss)
