"""The variants by axis, what `lorabook list` prints; and the table of all of them, with what proves each."""

import inspect
from collections import Counter

from lorabook.book.ledger import place
from lorabook.claims.catalogue import catalogue, example
from lorabook.claims.discovery import discover, folders


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
        if hasattr(folder, "ORACLE")
    }


def table() -> str:
    """The proofs as Markdown: the table in the README."""
    columns = ("axis", "trained parameters of a layer", "agrees with", "claims", "misconceptions")
    keys = ("axis", "parameters", "oracle", "claims", "misconceptions")
    lines = [("variant", *columns), ("---",) * 4 + ("--:",) * 2]
    lines += [(name, *(proof[key] for key in keys)) for name, proof in proofs().items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
