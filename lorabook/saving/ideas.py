"""Ideas found by name in the package, so that a file can name one and can name nothing else."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from lorabook.core import alpha_over_r, lora
from lorabook.core.update import Family, Update


def modules(folder: str) -> list[ModuleType]:
    """Return every module of a folder of lorabook."""
    package = importlib.import_module(f"lorabook.{folder}")
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(one.name) for one in found]


@cache
def forms() -> dict[str, type[Update] | type[Family]]:
    """Return every form of update by its class name; a family of forms stands for all of its members."""
    found = {
        name: value
        for module in [lora, *modules("axes.form")]
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Update | Family) and not inspect.isabstract(value)
    }
    made = {form.makes for form in found.values() if issubclass(form, Family)}
    return {name: form for name, form in found.items() if form not in made}


@cache
def scales() -> dict[str, Callable[[float, int], float]]:
    """Return every scale function by its name."""
    return {
        name: value
        for module in [alpha_over_r, *modules("axes.scale")]
        for name, value in vars(module).items()
        if inspect.isfunction(value) and list(inspect.signature(value).parameters) == ["alpha", "r"]
    }


@cache
def peft_inits() -> dict[str, Callable[..., Any]]:
    """Return the inits that take part of W₀, by PEFT's name: what each file of `init/` declares as PEFT_INIT."""
    return {name: init for module in modules("axes.init") for name, init in vars(module).get("PEFT_INIT", {}).items()}
