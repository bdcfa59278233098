"""LoRA's best rate over that of full fine-tuning, and what moves it: rank, α, the number of steps."""

from collections.abc import Sequence

from lorabook.arena.experiment import FULL, Answer, Experiment, at, rate
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.tasks import KJV, STEPS, TASKS

RANKS = {2: "LoRA r=2 α=16", 8: BASELINE, 32: "LoRA r=32 α=16", 64: "LoRA r=64 α=16"}
ALPHAS = {4: "LoRA α=4", 16: BASELINE, 64: "LoRA α=64"}
LENGTHS = (STEPS[0], KJV, STEPS[1])
REPORTED = (5.0, 20.0)
"""About ten: within a factor of two of it."""


def _answer(rows: Sequence[Row]) -> Answer:
    def over_full(task: str) -> float:
        return rate(rows, at(BASELINE, task)) / rate(rows, at(FULL, task))

    ratios = {task.name: over_full(task.name) for task in TASKS}
    by_rank = {r: rate(rows, at(name, KJV.name)) for r, name in RANKS.items()}
    by_alpha = {alpha: rate(rows, at(name, KJV.name)) for alpha, name in ALPHAS.items()}
    by_steps = {task.steps: over_full(task.name) for task in LENGTHS}
    moves = max(by_rank.values()) / min(by_rank.values())
    tenfold = [REPORTED[0] <= ratio <= REPORTED[1] for ratio in ratios.values()]
    verdict = "yes" if all(tenfold) and moves < 2 else "no" if not any(tenfold) and moves >= 2 else "partly"
    return Answer(
        verdict,
        f"best rate of LoRA over full fine-tuning's: {_said(ratios, '{:.1f}×')}; "
        f"by rank at α = 16: {_said(by_rank, '{:.2g}')} (a factor of {moves:.1f}); "
        f"by α at r = 8: {_said(by_alpha, '{:.2g}')}; by steps: {_said(by_steps, '{:.1f}×')}",
    )


def _said(numbers: dict, form: str) -> str:
    return ", ".join(f"{name} {form.format(number)}" for name, number in numbers.items())


BEST_RATE = Experiment(
    "best-rate",
    "Is LoRA's best rate ten times that of full fine-tuning, and does the rank leave it where it is?",
    tuple(at(name, task.name) for task in (*TASKS, *STEPS) for name in (BASELINE, FULL))
    + tuple(at(name, KJV.name) for name in (*RANKS.values(), *ALPHAS.values())),
    _answer,
)
