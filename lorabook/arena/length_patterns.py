"""What the record of `length_runs` says of each contender: who ties stretch and turn, over matrices and over rows.

sides = recorded()
sides["LoRA"].over_matrices("q_proj")     # one correlation for each seed
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.length_runs import SIDES, LengthRun, read, tuned
from lorabook.arena.matrices import target_names
from lorabook.arena.tasks import KJV

STRETCH, RELATIVE, TURN = range(3)
"""The columns of `LengthRun.moved`."""


@dataclass(frozen=True)
class Pattern:
    """A contender's reported runs at its tuned rate, one for each seed, in the order of the seeds.

    names: of the matrices, in the order of `LengthRun.moved`.
    """

    lr: float
    runs: tuple[LengthRun, ...]
    names: tuple[str, ...]

    @property
    def scores(self) -> np.ndarray:
        """Loss on new text, nats per token."""
        return np.array([run.score for run in self.runs])

    @property
    def directions(self) -> np.ndarray:
        """Loss of the trained directions at the lengths of W₀."""
        return np.array([run.directions for run in self.runs])

    @property
    def lengths(self) -> np.ndarray:
        """Loss of the directions of W₀ at the trained lengths."""
        return np.array([run.lengths for run in self.runs])

    @property
    def longer(self) -> np.ndarray:
        """The share of rows that are not shorter than before, mean over matrices."""
        return 1 - np.array([run.shorter for run in self.runs])

    @property
    def over_rows(self) -> np.ndarray:
        """The correlation of |stretch| and turn over the rows of a matrix at the end, mean over matrices."""
        return np.array([np.mean(run.together) for run in self.runs])

    def turned_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return turn and stretch/‖W₀_i‖ of every row of `length_runs.SHOWN`, first seed."""
        turn, stretch = np.array(self.runs[0].rows)
        return turn, stretch

    def moved(self, kind: str = "") -> np.ndarray:
        """Return seed × look × matrix × (ΔM, ΔM/‖W₀‖, ΔD) of the matrices whose name has `kind` in it."""
        places = [i for i, name in enumerate(self.names) if kind in name]
        return np.array([run.moved for run in self.runs])[:, :, places]

    def over_matrices(self, kind: str = "", stretch: int = STRETCH) -> np.ndarray:
        """Return the correlation of ΔM (or `RELATIVE`) and ΔD over matrices and looks, as in the paper's picture."""
        flat = self.moved(kind).reshape(len(self.runs), -1, 3)
        return np.array([np.corrcoef(each[:, stretch], each[:, TURN])[0, 1] for each in flat])


def recorded(runs: Sequence[LengthRun] | None = None) -> dict[str, Pattern]:
    """Return every contender of the record.

    Raises:
        ValueError: a contender has no reported run at its tuned rate.
    """
    runs = read() if runs is None else runs
    names = tuple(target_names(KJV.base, KJV.targets))
    return {name: _pattern(name, runs, names) for name in SIDES}


def _pattern(name: str, runs: Sequence[LengthRun], names: tuple[str, ...]) -> Pattern:
    lr = tuned(runs, name)
    mine = [run for run in runs if run.key[:2] == (name, lr) and run.seed not in TUNING_SEEDS]
    if lr is None or not mine:
        raise ValueError(f"the record of lengths has no reported run of {name}: run `length_runs.record()`")
    return Pattern(lr, tuple(sorted(mine, key=lambda run: run.seed)), names)
