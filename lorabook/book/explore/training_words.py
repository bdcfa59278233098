"""What the training explorer says: how far a run came, what Train would do, how long it takes, what is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass

from lorabook.book.explore.training_lines import Curve, rate
from lorabook.book.explore.training_recorded import Recorded
from lorabook.book.explore.training_runs import Runs
from lorabook.book.explore.training_state import State, is_full

SAME = 5e-4
"""Nats. Below, a run has ended as recorded; other hardware adds in another order and ends a little elsewhere."""


@dataclass(frozen=True)
class Shares:
    """Which part of a gain over the base a line has: of full fine-tuning's, and of LoRA's; None where unknown."""

    full: float | None
    lora: float | None


def shares(curve: Curve, start: float | None, full: Curve | None, lora: Curve | None) -> Shares:
    """Return how a line's gain compares with that of the two others."""
    return Shares(*(_share(curve, start, other) for other in (full, lora)))


def _share(curve: Curve, start: float | None, other: Curve | None) -> float | None:
    if other is None or start is None or curve.score is None or other.score is None or other.score >= start:
        return None
    return (start - curve.score) / (start - other.score)


def of_line(curve: Curve, label: str, part: Shares, steps: int, again: Curve | None) -> str:
    """Say how a line goes, or went; `again` is the record's run with the same knobs. A share of 1 is its own."""
    name = _begins(label)
    if curve.state == "running":
        loss = f", loss {curve.losses[-1]:.2f} nats per token" if curve.losses else ""
        return f"{name}: step {len(curve.losses)} of {steps}{loss}."
    if curve.score is None:
        ended = "was stopped" if curve.state == "stopped" else "broke off"
        return f"{name} {ended} after {len(curve.losses)} of {steps} steps."
    ended = f"{name} ends at {curve.score:.3f} nats per token on unseen text"
    return f"{ended}{_gain(part, is_full(curve.knobs))}.{_again(curve, again)}"


def _gain(part: Shares, full: bool) -> str:
    whose = {"full fine-tuning's": None if full else part.full, "LoRA's": part.lora}
    gains = {theirs: share for theirs, share in whose.items() if share not in (None, 1.0)}
    if any(share < 0 for share in gains.values()):
        return ": worse than the base before any step"
    told = " and ".join(f"{share:.0%} of {theirs}" for theirs, share in gains.items())
    return f": {told} gain over the base" if told else ""


def _begins(name: str) -> str:
    """Return a name as a sentence begins with it: "Full fine-tuning", but "rsLoRA"."""
    return name[:1].upper() + name[1:] if name.partition(" ")[0].islower() else name


def _again(curve: Curve, again: Curve | None) -> str:
    if again is None or curve.number is None:
        return ""
    if abs(curve.score - again.score) < SAME:
        return f" As recorded: {again.score:.3f} nats."
    return f" The record, from another machine or version, has {again.score:.3f} nats."


def plan(state: State, missing: str, share: float) -> str:
    """Say what pressing Train would do."""
    if missing:
        return missing
    size = "" if not state.chosen.sizes else f" with {state.chosen.letter} = {state.r}"
    where = f" on {state.targets}" if state.chosen.places else ""
    return f"{_begins(state.variant)}{size}{where} would train {share:.1%} of the model. Press Train."


def time_it_takes(state: State, runs: Runs) -> str:
    """Say how long a run takes here: as the last one of this variant did, or by LoRA's step and the record's ratio."""
    name, model = state.variant, state.model
    if runs.models[model].missing:
        return ""
    if runs.measuring(model):
        return "Loading the text and timing a step …"
    if runs.lines and runs.lines[-1].run.state == "finished" and runs.lines[-1].knobs == state:
        return f"It took {_seconds(runs.lines[-1].run.seconds)}."
    took = [line.run.seconds for line in runs.lines if line.run.final is not None and _alike(line.knobs, state)]
    if took:
        return f"A run of {name} takes about {_seconds(took[-1])} on this machine: the last one did."
    if model not in runs.measured:
        return ""
    measured, ratio, steps = runs.measured[model], runs.records[model].step_ratio(name), runs.models[model].task.steps
    if ratio is None:
        return f"A step of LoRA takes {measured.step:.2g} s on this machine; {name} has not been timed beside it yet."
    whole = _seconds(steps * measured.step * ratio + measured.score)
    return f"A run of {name} takes about {whole} on this machine, by the {measured.step:.2g} s of a step of LoRA."


def _alike(one: State, other: State) -> bool:
    return (one.variant, one.model, one.targets) == (other.variant, other.model, other.targets)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def where_from(record: Recorded, state: State, curves: Sequence[Curve], full: Curve | None, missing: str) -> str:
    """Say where the drawn lines and the learning rate come from; `missing` is why the base cannot be trained here."""
    said = []
    if missing and not curves:
        return "No run of it is recorded in this copy of the book."
    if record.rate(state.variant) is None:
        first = rate(record.knobs(state.variant, state.seed).lr)
        said.append(f"The best rate of {state.variant} is not in the record yet: its search begins at {first}.")
    shown = [record.rows[curve.knobs] for curve in curves if curve.number is None]
    if shown:
        last = shown[-1]
        said.append(f"Recorded runs, each at its best rate: {last.device}, {last.versions}, {last.date}.")
    if full is None and not missing:
        said.append("No full fine-tuning to compare with yet: choose it as the variant and train it once.")
    return " ".join(said)
