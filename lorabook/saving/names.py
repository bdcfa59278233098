"""Forms and scales by name: a file names a value of the package, and can name nothing else.

Adding a variant adds its name: the files of `axes/` are asked. Names that files were written with before are here too.
"""

import importlib
import inspect
import pkgutil
from dataclasses import asdict, is_dataclass
from functools import cache
from types import ModuleType
from typing import Any

from lorabook.axes import form, scale
from lorabook.core import lora
from lorabook.core.recipe import Form, Scale

OLD_NAMES = {
    "LowRank": "LowRankForm", "RowScaled": "DoRAForm", "FrozenA": "LoRAFAForm", "Hadamard": "LoHaForm",
    "ElementwiseScaled": "HiRAForm", "PLQ": "AdaLoRAForm", "NestedLowRank": "DyLoRAForm",
    "LastRowOnly": "FrozenDyLoRAForm", "MiniEnsemble": "MELoRAForm", "Following": "DeltaLoRAForm",
    "Kinds": "GLoRAForm", "Choices": "GLoRASupernetForm", "LeftFactor": "LoKrForm", "Parallel": "MultiLoRAForm",
    "FromOnePair": "VeRAForm",
    "alpha_over_r": "AlphaOverR", "alpha_over_root_r": "AlphaOverRootR", "one": "UnitScale",
}  # fmt: skip
"""What a file of an earlier version says, and what it is called now."""


def name_of(value: Form | Scale) -> str:
    """Return the name that a file gives a form or a scale."""
    return type(value).__name__


def numbers_of(value: Form | Scale) -> dict[str, Any]:
    """Return what makes this value one of its kind: the fields, plain numbers and words."""
    return asdict(value) if is_dataclass(value) else {}


@cache
def forms() -> dict[str, type[Form]]:
    """Return the class of every value of the form axis, by name."""
    return _values(form, ["self", "base", "factors", "spec"])


@cache
def scales() -> dict[str, type[Scale]]:
    """Return the class of every value of the scale axis, by name."""
    return _values(scale, ["self", "alpha", "r"])


def _values(axis: ModuleType, arguments: list[str]) -> dict[str, type]:
    """Return the dataclasses, of LoRA's file and an axis' files, whose `build` takes just these arguments."""
    files = [importlib.import_module(info.name) for info in pkgutil.iter_modules(axis.__path__, f"{axis.__name__}.")]
    return {
        name: value
        for module in [lora, *files]
        for name, value in vars(module).items()
        if inspect.isclass(value) and is_dataclass(value) and list(_arguments(value)) == arguments
    }


def _arguments(value: type) -> list[str]:
    return list(inspect.signature(value.build).parameters) if hasattr(value, "build") else []
