"""The nine questions that the arena settles, in the order in which they are asked."""

from lorabook.arena.experiment import Experiment
from lorabook.arena.experiments.batch_size import BATCH_SIZE
from lorabook.arena.experiments.best_rate import BEST_RATE
from lorabook.arena.experiments.capacity import CAPACITY_OF_RANK
from lorabook.arena.experiments.carries_over import CARRIES_OVER
from lorabook.arena.experiments.differ import DIFFER
from lorabook.arena.experiments.first_steps import FIRST_STEPS
from lorabook.arena.experiments.forgetting import FORGETTING
from lorabook.arena.experiments.intruders import INTRUDER_DIRECTIONS
from lorabook.arena.experiments.where import WHERE

EXPERIMENTS: tuple[Experiment, ...] = (
    BEST_RATE,
    FIRST_STEPS,
    WHERE,
    CAPACITY_OF_RANK,
    BATCH_SIZE,
    FORGETTING,
    INTRUDER_DIRECTIONS,
    DIFFER,
    CARRIES_OVER,
)
