"""The variants by axis: what `lorabook list` prints."""

import inspect
from collections.abc import Callable

from lorabook.recipe import Recipe, catalogue


def example(make: Callable[..., Recipe]) -> Recipe:
    """A recipe with its defaults; a number it insists on (LongLoRA's group) changes no axis, so any will do."""
    required = [p.name for p in inspect.signature(make).parameters.values() if p.default is p.empty]
    return make(**dict.fromkeys(required, 100))


def variants() -> dict[str, list[dict[str, str]]]:
    """Every variant under the folder of its main idea: its name, what it changes, its first line of documentation."""
    return {
        axis: [
            {
                "name": name,
                "changes": ", ".join(example(make).changes()) or "nothing: it is the origin",
                "about": (inspect.getdoc(make) or "").partition("\n")[0],
            }
            for name, make in recipes.items()
        ]
        for axis, recipes in catalogue().items()
    }
