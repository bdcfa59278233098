"""What is said about LoRA and cannot be checked here: listed with the reason, not dropped."""

from dataclasses import dataclass

from lorabook.claims.discovery import claim_modules


@dataclass(frozen=True)
class Unchecked:
    """A statement in circulation that no run on this machine can settle, and why.

    Declare it in a file of its variant's folder: `SPEED_ON_GPU = Unchecked(statement=…, source=…, reason=…)`.
    """

    statement: str
    source: str
    reason: str


def unchecked() -> dict[str, tuple[str, Unchecked]]:
    """Return every unchecked statement of the book by its name, with the module that declares it."""
    return {
        name.lower(): (module.__name__, value)
        for module in claim_modules()
        for name, value in vars(module).items()
        if isinstance(value, Unchecked)
    }
