"""The landscape of variants: eight axes, LoRA's own choice on each, and who chooses otherwise. Read off the recipes."""

from dataclasses import dataclass

from lorabook.claims.catalogue import catalogue, example
from lorabook.claims.discovery import folders
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe

DECIDES = {
    "form": ("form", "what is added to W₀"),
    "init": ("init", "where A and B start"),
    "scale": ("scale", "how loud the update is"),
    "base": ("base", "how W₀ is stored"),
    "optim": ("optimiser", "how A and B move"),
    "rule": ("step rule", "what happens around a step"),
    "attention": ("attention", "who looks at whom"),
    "many": ("many", "several adapters at once"),
}
"""The fields of `Recipe` that are axes, and the axis that is no field; each with its name and what it decides."""


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
    origin = ORIGIN
    changes = {name: recipe.changes(ORIGIN) for name, recipe in variants().items()}
    landscape = []
    for field, (name, decides) in DECIDES.items():
        movers = tuple(variant for variant, fields in changes.items() if field in fields)
        if field == "many":
            # No recipe puts several adapters on a model: what lives here is what its claims declare.
            movers = tuple(about for about, folder in folders().items() if getattr(folder, "AXIS", "") == "many")
        landscape.append(Axis(field, name, decides, choice(getattr(origin, field, None)), movers))
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
    return getattr(value, "__name__", type(value).__name__)
