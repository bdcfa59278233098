"""GLoRA's supernet in training: every step trains one configuration, drawn at random."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorabook.axes.form.glora import SIZES
from lorabook.axes.form.glora_subnet import supernets
from lorabook.axes.form.glora_supernet import GLoRASupernetForm
from lorabook.axes.rule.drawn import DrawnEachStep
from lorabook.axes.scale.unit import UnitScale
from lorabook.core.frozen import Frozen
from lorabook.core.random_state import restore, state_of
from lorabook.core.recipe import AxisConflict, Recipe


class DrawnKinds(DrawnEachStep):
    """Before each step every term of every layer draws its kind, evenly and by itself; a run leaves the largest.

    A draw in which nothing at all could learn is drawn again.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        super().__init__(seed)
        self.layers = supernets(model)

    def end(self) -> None:
        self._use({name: layer.update.largest() for name, layer in self.layers.items()})

    def draw(self) -> None:
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
        used = [layer.update.kinds for layer in self.layers.values()]
        chosen = [[SIZES[term].split().index(kind) for term, kind in kinds.items()] for kinds in used]
        return {"kinds": torch.tensor(chosen), "source": state_of(self.source)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        restore(self.source, state["source"])
        for layer, row in zip(self.layers.values(), state["kinds"].tolist(), strict=True):
            layer.update.kinds = {term: SIZES[term].split()[i] for term, i in zip(SIZES, row, strict=True)}


@dataclass(frozen=True)
class GLoRASupernetRule:
    """The supernet's value on the rule axis: the seed of the draws."""

    seed: int

    def build(self, model: nn.Module) -> DrawnKinds:
        return DrawnKinds(model, self.seed)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        if not isinstance(recipe.form, GLoRASupernetForm):
            raise AxisConflict(f"GLoRA's draws need a supernet, and {name} has none: take GLoRASupernet")

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def GLoRASupernet(
    r: int | None = None, *, A: str = GLoRASupernetForm.A, B: str = GLoRASupernetForm.B,
    C: str = GLoRASupernetForm.C, D: str = GLoRASupernetForm.D, E: str = GLoRASupernetForm.E, seed: int = 0,
) -> Recipe:  # fmt: skip
    """GLoRA with every kind of every term in one set of weights; then `search_kinds`, and `cut_supernet`.

    Args:
        A, B, C, D, E: the kinds to choose from, as words: "none constant vector lora" (D and E have no "lora").
        seed: of the draws.

    Source: Chavan et al. 2023 (2306.07967), section 3.3. The official code draws at every forward pass, this at every
    step: with gradient accumulation one configuration sees all batches of a step.
    """
    form = GLoRASupernetForm(A, B, C, D, E)
    return Recipe(r, None, None, form=form, scale=UnitScale(), rule=GLoRASupernetRule(seed), names=frozenset({"GLoRA"}))
