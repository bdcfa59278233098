"""LoRA+: two step sizes."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import RIGHT, TOP, equation_and_measurement, lora_terms
from lorabook.core.lora import ORIGIN


def rates(recipe: lb.Recipe) -> dict[str, float]:
    """Return the step size that the recipe's optimiser gives each trained matrix, in units of η."""
    named = {name: p for name, p in adapt(recipe).named_parameters() if p.requires_grad}
    names = {id(p): name.rsplit(".", 1)[-1] for name, p in named.items()}
    groups = recipe.complete(ORIGIN).optim.build(named, lr=1.0).param_groups
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


def draw() -> Drawing:
    recipe = lb.LoRAPlus(16.0, r=RANK)
    layer, steps = adapt(recipe), rates(recipe)
    drawing = equation_and_measurement(
        "LoRA+: the same matrices, but B takes larger steps than A",
        "η_{B} = λ·η_{A} with λ > 1: under Adam, a step of A already moves Ax by n·η_{A}",
        layer,
        lora_terms(layer),
    )
    left, longest = 572, max(steps.values())
    drawing.heading(left - 22, TOP + 50, "one step, to scale")
    for place, name in enumerate(sorted(steps)):
        y, length = TOP + 86 + 44 * place, (RIGHT - left - 46) * steps[name] / longest
        drawing.text(left - 22, y + 5, name, size=14, anchor="start", bold=True)
        drawing.line([(left, y), (left + length, y)], "trainable", width=3)
        drawing.dot(left + length, y, "trainable", size=5)
        drawing.text(left + length + 10, y + 5, f"{steps[name]:g} η", size=12, anchor="start")
    return drawing
