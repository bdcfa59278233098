"""Compare ways to adapt one base to one text: the same batches for all, several seeds, and the spread.

study(setting, [Contender("LoRA", LoRA(8, 16), 1e-2), Contender("full fine-tuning", None, 2e-3)], seeds=range(5))
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tqdm.auto import tqdm

from lorabook.core.training_step import Diverged
from lorabook.tasks.train import Contender, Run, Setting, train


@dataclass(frozen=True)
class Outcome:
    """What came of a contender: a finished run for each seed."""

    contender: Contender
    runs: tuple[Run, ...]

    @property
    def trained(self) -> int:
        """How many parameters train."""
        return self.runs[0].trained

    @property
    def finals(self) -> tuple[float, ...]:
        """The final validation loss for each seed, in nats per token."""
        return tuple(run.final for run in self.runs)

    @property
    def curves(self) -> tuple[tuple[float, ...], ...]:
        """The training losses for each seed, in nats per token."""
        return tuple(tuple(run.losses) for run in self.runs)

    @property
    def mean(self) -> float:
        """Mean final loss over the seeds, nats per token."""
        return statistics.fmean(self.finals)

    @property
    def spread(self) -> float:
        """Standard deviation of the final loss over the seeds."""
        return statistics.stdev(self.finals)


def study(setting: Setting, contenders: Iterable[Contender], seeds: Sequence[int]) -> list[Outcome]:
    """Train every contender once with every seed."""
    outcomes = []
    for contender in contenders:
        bar = tqdm(seeds, desc=contender.name, unit="seed", leave=False)
        outcomes.append(Outcome(contender, tuple(train(setting, contender, seed)[1] for seed in bar)))
    return outcomes


def tune(setting: Setting, contender: Contender, rates: Sequence[float], seed: int) -> dict[float, float]:
    """Return the final validation loss for every rate; infinite where training diverged."""
    finals = {}
    for rate in tqdm(rates, desc=f"{contender.name}: rate", leave=False):
        try:
            finals[rate] = train(setting, replace(contender, lr=rate), seed)[1].final
        except Diverged:
            finals[rate] = float("inf")
    return finals


def recovered(outcome: Outcome, full: Outcome, start: float) -> tuple[float, float]:
    """Return which share of full fine-tuning's gain over the base a contender reaches: mean and spread over seeds."""
    shares = [(start - mine) / (start - best) for mine, best in zip(outcome.finals, full.finals, strict=True)]
    return statistics.fmean(shares), statistics.stdev(shares)
