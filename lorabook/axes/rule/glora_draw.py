"""GLoRA's supernet in training: every step trains one configuration, drawn at random."""

import random
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.form.glora import SIZES
from lorabook.axes.form.glora_subnet import supernets
from lorabook.axes.form.glora_supernet import Choices
from lorabook.axes.scale.unit import one
from lorabook.core.recipe import Recipe
from lorabook.core.step_rule import StepRule


class DrawnKinds(StepRule):
    """Before each step every term of every layer draws its kind, evenly and by itself; a run leaves the largest.

    A draw in which nothing at all could learn is drawn again.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        self.layers, self.source, self.steps = supernets(model), random.Random(seed), 0

    def begin(self, steps: int) -> None:
        self.steps = steps
        self._draw()

    def penalty(self) -> Float[Tensor, ""]:
        return torch.zeros(())

    def before_step(self, t: int) -> None:
        return None

    def after_step(self, t: int) -> None:
        if t + 1 >= self.steps:
            self.end()
        else:
            self._draw()

    def end(self) -> None:
        self._use({name: layer.update.largest() for name, layer in self.layers.items()})

    def _draw(self) -> None:
        learns = False
        while not learns:
            drawn = {
                name: {term: self.source.choice(kinds) for term, kinds in layer.update.choices.items()}
                for name, layer in self.layers.items()
            }
            learns = any(set(kinds.values()) != {"none"} for kinds in drawn.values())
        self._use(drawn)

    def _use(self, drawn: dict[str, dict[str, str]]) -> None:
        for name, kinds in drawn.items():
            self.layers[name].update.kinds = kinds

    def state_dict(self) -> dict[str, Tensor]:
        version, words, _ = self.source.getstate()
        used = [layer.update.kinds for layer in self.layers.values()]
        chosen = [[SIZES[term].split().index(kind) for term, kind in kinds.items()] for kinds in used]
        return {"kinds": torch.tensor(chosen), "source": torch.tensor([version, *words])}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        version, *words = state["source"].tolist()
        self.source.setstate((version, tuple(words), None))
        for layer, row in zip(self.layers.values(), state["kinds"].tolist(), strict=True):
            layer.update.kinds = {term: SIZES[term].split()[i] for term, i in zip(SIZES, row, strict=True)}


@dataclass(frozen=True)
class DrawKinds:
    """The value on the rule axis: the seed of the draws."""

    seed: int

    def __call__(self, model: nn.Module) -> DrawnKinds:
        return DrawnKinds(model, self.seed)


def GLoRASupernet(
    r: int | None = None, *, A: str = Choices.A, B: str = Choices.B, C: str = Choices.C, D: str = Choices.D,
    E: str = Choices.E, seed: int = 0,
) -> Recipe:  # fmt: skip
    """GLoRA with every kind of every term in one set of weights; then `search_kinds`, and `cut_supernet`.

    Args:
        A, B, C, D, E: the kinds to choose from, as words: "none constant vector lora" (D and E have no "lora").
        seed: of the draws.

    Source: Chavan et al. 2023 (2306.07967), section 3.3. The official code draws at every forward pass, this at every
    step: with gradient accumulation one configuration sees all batches of a step.
    """
    form = Choices(A, B, C, D, E)
    return Recipe(r, None, None, form=form, scale=one, rule=DrawKinds(seed), names=frozenset({"GLoRA"}))
