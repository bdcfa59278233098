"""The recipes of the package by the axis of their main idea, which the folder of claims about each declares."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

from lorabook import axes, many
from lorabook.claims.discovery import folders
from lorabook.core import lora
from lorabook.core.recipe import Recipe

AXES = ("form", "init", "scale", "base", "optim", "rule", "attention", "many")
"""The axes in the book's order: those of `Recipe`, and several adapters at once."""


def recipes() -> dict[str, Callable[..., Recipe]]:
    """Return every recipe function of the package by its name, LoRA first: what is annotated to return a Recipe."""
    modules = [lora]
    for package in (axes, many):
        names = [info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        modules += [importlib.import_module(name) for name in sorted(names)]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and inspect.signature(value).return_annotation is Recipe
    }


def catalogue() -> dict[str, dict[str, Callable[..., Recipe]]]:
    """Return every recipe function by axis and name; the axis is what the variant's folder of claims declares.

    Raises:
        LookupError: no folder of claims is about the variant.
    """
    about = folders()
    by_axis: dict[str, dict[str, Callable[..., Recipe]]] = {axis: {} for axis in AXES}
    for name, make in recipes().items():
        label = example(make).label
        if label not in about:
            raise LookupError(f"{name} makes a {label}, and no folder of lorabook/claims declares ABOUT = {label!r}")
        by_axis[about[label].AXIS][name] = make
    return by_axis


def example(make: Callable[..., Recipe]) -> Recipe:
    """Return a recipe with its defaults; a number it insists on (LongLoRA's group) changes no axis, so any will do."""
    required = [p.name for p in inspect.signature(make).parameters.values() if p.default is p.empty]
    return make(**dict.fromkeys(required, 100))
