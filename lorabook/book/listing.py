"""The variants by axis, what `lorabook list` prints; and the table of all of them, with what proves each."""

import inspect
import json
from collections import Counter

from lorabook.book.ledger import place
from lorabook.claims.catalogue import catalogue, example
from lorabook.claims.discovery import discover, folders
from lorabook.core.lora import ORIGIN


def variants() -> dict[str, list[dict[str, str]]]:
    """Return every variant under the axis of its main idea: its name, what it changes, its first line of docs."""
    return {
        axis: [
            {
                "name": name,
                "changes": ", ".join(example(make).changes(ORIGIN)) or "nothing: it is the origin",
                "about": (inspect.getdoc(make) or "").partition("\n")[0],
            }
            for name, make in recipes.items()
        ]
        for axis, recipes in catalogue().items()
    }


def as_text() -> str:
    """Return the variants for a terminal: the axis, then name and first line of each, and the axes that it changes."""
    by_axis = variants()
    width = 2 + max(len(variant["name"]) for own in by_axis.values() for variant in own)
    lines = []
    for axis, own in by_axis.items():
        lines.append(axis)
        for variant in own:
            lines.append(f"  {variant['name']:{width}}{variant['about']}")
            lines.append(f"{'':{width + 4}}changes: {variant['changes']}")
    return "\n".join(lines)


def as_json() -> str:
    """Return the variants as one JSON object."""
    return json.dumps(variants(), indent=2, ensure_ascii=False)


def proofs() -> dict[str, dict[str, str]]:
    """Return what proves each variant, in the book's order: axis, oracle of its tests, trained parameters, claims.

    All but the counts is what the variant's folder of claims declares. The parameters are those of one d_out × d_in
    layer at rank r.
    """
    counted = Counter((claim.about, "misconceptions" if claim.is_misconception else "claims") for claim in discover())
    return {
        about: {
            "axis": folder.AXIS,
            "oracle": folder.ORACLE,
            "parameters": folder.PARAMETERS,
            "claims": str(counted[about, "claims"]),
            "misconceptions": str(counted[about, "misconceptions"]),
        }
        for about, folder in sorted(folders().items(), key=lambda item: place(item[0]))
        if "ORACLE" in vars(folder)
    }


def table() -> str:
    """Return the proofs as Markdown: the table in the README."""
    columns = ("axis", "trained parameters of a layer", "agrees with", "claims", "misconceptions")
    keys = ("axis", "parameters", "oracle", "claims", "misconceptions")
    lines = [("variant", *columns), ("---",) * 4 + ("--:",) * 2]
    lines += [(name, *(proof[key] for key in keys)) for name, proof in proofs().items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
