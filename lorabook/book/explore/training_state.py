"""What can be trained in the training explorer: its knobs, the contender that they stand for, and a run of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.book.explore.state import Choice, Steps, control, folded
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.tasks.train import Contender, Run

FULL = "full fine-tuning"

VARIANTS: dict[str, Callable[[int], Recipe | None]] = {
    "LoRA": lambda steps: LoRA(),
    "rsLoRA": lambda steps: rsLoRA(),
    "LoRA+": lambda steps: LoRAPlus(),
    "DoRA": lambda steps: DoRA(),
    "LoHa": lambda steps: LoHa(),
    "PiSSA": lambda steps: PiSSA(),
    "QLoRA": lambda steps: QLoRA(),
    "QDoRA": lambda steps: QLoRA() | DoRA(),
    "AdaLoRA": lambda steps: AdaLoRA(total_steps=steps),
    FULL: lambda steps: None,
}
"""What can be trained, as a function of the number of steps (AdaLoRA's budget is a schedule over them)."""

TARGETS = {"q, v": "q_proj|v_proj", "q, k, v, o": "[qkvo]_proj", "gate, up, down": "mlp", "all seven": "proj"}
RATES = tuple(float(f"{m}e{e}") for e in range(-4, 0) for m in (1, 2, 5)) + (1.0,)
POWERS = tuple(2**i for i in range(9))
MODELS = ("tiny", "gpu")


@dataclass(frozen=True)
class State:
    """The knobs of a run."""

    variant: str = control("LoRA", Choice("variant", tuple(VARIANTS)))
    r: int = control(8, Steps("rank r", POWERS[:7]))
    alpha: int = control(16, Steps("α", POWERS))
    lr: float = control(0.01, Steps("learning rate", RATES))
    targets: str = folded("q, v", Choice("targets", tuple(TARGETS)))
    model: str = folded("tiny", Choice("model", MODELS))


@dataclass
class Line:
    """A run as it is drawn and recorded: its number, where the knobs stood when it began, and what has come of it."""

    number: int
    knobs: State
    steps: int
    seed: int
    run: Run = field(default_factory=Run)
    label: str = field(init=False)

    def __post_init__(self) -> None:
        self.label = contender(self.knobs, self.steps).name


def contender(knobs: State, steps: int) -> Contender:
    """Return what the knobs say is to be trained."""
    recipe, targets = VARIANTS[knobs.variant](steps), TARGETS[knobs.targets]
    if recipe is None:
        return Contender(knobs.variant, None, knobs.lr, targets)
    name = f"{knobs.variant}, r = {knobs.r}"
    return Contender(name, recipe | Recipe(r=knobs.r, alpha=float(knobs.alpha)), knobs.lr, targets)
