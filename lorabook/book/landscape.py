"""The landscape of variants: eight axes, LoRA's own choice on each, and who chooses otherwise. Read off the recipes."""

from dataclasses import dataclass

from lorabook.claims.catalogue import catalogue, example
from lorabook.claims.discovery import folders
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe

DECIDES = {
    "form": ("form", "what is added to W₀", "s·BA"),
    "init": ("init", "where A and B start", "A random, B zero"),
    "scale": ("scale", "how large the update is", "α/r"),
    "base": ("base", "how W₀ is stored", "as it is"),
    "optim": ("optimiser", "how A and B move", "AdamW"),
    "rule": ("step rule", "what happens around a step", "nothing"),
    "attention": ("attention", "who looks at whom", "as pretrained"),
    "many": ("many", "several adapters at once", "one"),
}
"""The fields of `Recipe` that are axes, and the axis that is no field: its name, what it decides, what LoRA does."""


@dataclass(frozen=True)
class Axis:
    """One axis: its name and what it decides, LoRA's own choice there, the variants that choose otherwise."""

    field: str
    name: str
    decides: str
    origin: str
    movers: tuple[str, ...]


def axes() -> list[Axis]:
    """Return the eight axes with who moves on them."""
    recipes, landscape = variants().values(), []
    for field, (name, decides, in_lora) in DECIDES.items():
        movers = tuple(dict.fromkeys(recipe.label for recipe in recipes if field in recipe.changes(ORIGIN)))
        if field == "many":
            # No recipe puts several adapters on a model: what lives here is what its claims declare.
            movers = tuple(about for about, folder in folders().items() if getattr(folder, "AXIS", "") == "many")
        landscape.append(Axis(field, name, decides, in_lora, movers))
    return landscape


def variants() -> dict[str, Recipe]:
    """Return one recipe of every variant in the package, LoRA first."""
    examples = {name: example(make) for recipes in catalogue().values() for name, make in recipes.items()}
    return {"LoRA": examples.pop("LoRA"), **examples}


def choice(value: object) -> str:
    """Return the short name of a choice on an axis."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return type(value).__name__
