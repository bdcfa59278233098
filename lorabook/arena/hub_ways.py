"""What one can do with twenty adapters and ten examples of a new text: each way as a function, and its losses."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from lorabook.arena.hub_bank import adapter, adapters, loss, trained_on
from lorabook.arena.hub_texts import BANK, examples
from lorabook.core.modes import evaluating
from lorabook.many.combine import Combine, combined, concatenated
from lorabook.many.hub import compose, product_of_sums
from lorabook.many.pair import State
from lorabook.many.stacking import attached
from lorabook.models.load import load
from lorabook.tasks.text import language_loss

K, TRIES = 10, 40
"""Examples, and how many times LoRAHub computes their loss."""


@dataclass(frozen=True)
class Outcome:
    """Losses on the new text, one, or one after each of `LOOKS` steps; and each adapter's weight, where it has one.

    seen: the loss on the examples that were used.
    """

    losses: tuple[float, ...]
    weights: tuple[float, ...] = ()
    seen: float | None = None


Way = Callable[[str, int, float], Outcome]
"""From a text, a seed and a learning rate (where nothing is trained it does not matter) to what comes out."""


def each_alone(text: str, seed: int, lr: float) -> Outcome:
    """Score every adapter alone, in the bank's order, and the base itself last."""
    scored = [_with(adapter(name), text) for name in BANK]
    return Outcome((*scored, loss(load("tiny").model, text)))


def mean(how: Combine) -> Way:
    """Give every adapter the weight 1/N."""
    return lambda text, seed, lr: _composed(dict.fromkeys(BANK, 1 / len(BANK)), how, text)


def chosen(text: str, seed: int, lr: float) -> Outcome:
    """Take the adapter with the least loss on ten examples."""
    name, seen = _ranked(text, seed)[0]
    return Outcome((_with(adapter(name), text),), tuple(float(name == each) for each in BANK), seen)


def hub(how: Combine, best: int | None = None) -> Way:
    """Search a weight for each adapter, or for the few that are best alone, on ten examples."""

    def find(text: str, seed: int, lr: float) -> Outcome:
        few = examples(text, K, seed)
        names = BANK if best is None else [name for name, _ in _ranked(text, seed)[:best]]
        found = compose(
            load("tiny").model, adapters(names), lambda model: language_loss(model, few), how=how, budget=TRIES,
            progress=False, generator=_generator(seed),
        )  # fmt: skip
        return Outcome((_with(found.adapter, text),), tuple(found.weights.get(name, 0.0) for name in BANK), found.loss)

    return find


def trained(text: str, seed: int, lr: float) -> Outcome:
    """Train a new LoRA on ten examples."""
    return _trained(text, seed, lr, None)


def gone_on(text: str, seed: int, lr: float) -> Outcome:
    """Take the adapter with the least loss on ten examples, and train it on them."""
    return _trained(text, seed, lr, adapter(_ranked(text, seed)[0][0]))


ALONE, MEAN, FILES = "each alone", "mean of the ΔW", "mean of the files"
CHOSEN, HUB, HUB_SUM = "best one", "LoRAHub", "LoRAHub, sum of products"
FEW, FEW_SUM = "LoRAHub, best three", "LoRAHub, best three, sum of products"
TRAINED, GONE_ON = "LoRA", "best one, trained on"
ONCE: dict[str, Way] = {ALONE: each_alone, MEAN: mean(concatenated), FILES: mean(product_of_sums)}
"""These need no examples."""
SEARCHED: dict[str, Way] = {
    CHOSEN: chosen, HUB: hub(product_of_sums), HUB_SUM: hub(concatenated),
    FEW: hub(product_of_sums, best=3), FEW_SUM: hub(concatenated, best=3),
}  # fmt: skip
TUNED: dict[str, Way] = {TRAINED: trained, GONE_ON: gone_on}
"""These have a learning rate and a number of steps, best on a seed of its own."""


def _with(state: State, text: str) -> float:
    base = load("tiny").model
    with attached(base, state):
        return loss(base, text)


def _composed(weights: dict[str, float], how: Combine, text: str) -> Outcome:
    return Outcome((_with(combined(adapters(BANK), weights, how), text),), tuple(weights.values()))


def _ranked(text: str, seed: int) -> list[tuple[str, float]]:
    """Return every adapter and its loss on ten examples, the best first."""
    few, base = examples(text, K, seed), load("tiny").model
    seen = {}
    for name in BANK:
        with attached(base, adapter(name)), evaluating(base), torch.no_grad():
            seen[name] = language_loss(base, few).item()
    return sorted(seen.items(), key=lambda item: item[1])


def _trained(text: str, seed: int, lr: float, start: State | None) -> Outcome:
    return Outcome(tuple(loss(model, text) for _, model in trained_on(examples(text, K, seed), lr, seed, start)))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
