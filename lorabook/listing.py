"""The variants by axis, what `lorabook list` prints; and the table of all of them, with what proves each."""

import inspect
from collections import Counter
from collections.abc import Callable

from lorabook.claims import discover, idea_modules
from lorabook.ledger import place
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


def proofs() -> dict[str, dict[str, str]]:
    """What proves each variant, in the book's order: its axis, the oracle of its tests, its trained parameters, claims.

    Oracle and parameters are what one of the variant's files of claims declares; the axis is that file's folder. The
    parameters are those of one d_out × d_in layer at rank r.
    """
    counted = Counter((claim.about, "foils" if claim.is_foil else "claims") for claim in discover())
    declared = [module for module in idea_modules("lorabook") if "ORACLE" in vars(module)]
    return {
        module.ABOUT: {
            "axis": module.__name__.split(".")[1],
            "oracle": module.ORACLE,
            "parameters": module.PARAMETERS,
            "claims": str(counted[module.ABOUT, "claims"]),
            "foils": str(counted[module.ABOUT, "foils"]),
        }
        for module in sorted(declared, key=lambda module: place(module.ABOUT))
    }


def table() -> str:
    """The proofs as Markdown: the table in the README."""
    columns = ("axis", "trained parameters of a layer", "agrees with", "claims", "foils")
    keys = ("axis", "parameters", "oracle", "claims", "foils")
    lines = [("variant", *columns), ("---",) * 4 + ("--:",) * 2]
    lines += [(name, *(proof[key] for key in keys)) for name, proof in proofs().items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
