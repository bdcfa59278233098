"""The variants by axis, what `lorabook list` prints; one of them whole; and the table of all, with what proves each."""

import inspect
import json
from collections import Counter
from collections.abc import Callable
from types import ModuleType

import lorabook as lb
from lorabook.book.chapters import plain, teaching
from lorabook.book.head import read_head
from lorabook.book.ledger import place
from lorabook.book.plain_math import in_unicode
from lorabook.book.refused import Refused
from lorabook.claims.catalogue import AXES, example, recipes
from lorabook.claims.discovery import discover, folders
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe
from lorabook.models.paths import notebooks_dir


def variants() -> dict[str, list[dict[str, str]]]:
    """Return every variant, and what LoRA is compared with, by axis: its name, its calls, what it changes, what it is.

    A variant with a recipe function of its own is what that function's first line of docs says, and one without is
    what its folder of claims declares.
    """
    by_axis: dict[str, list[dict[str, str]]] = {axis: [] for axis in (*AXES, "baselines")}
    for about, folder in _proven().items():
        makers = _makers(about)
        by_axis[folder.AXIS].append(
            {
                "name": about,
                "call": ", ".join(f"lb.{name}()" for name in makers if name in lb.__all__) or folder.CALL,
                "changes": ", ".join(example(next(iter(makers.values()))).changes(ORIGIN)) if makers else "",
                "about": _first_line(makers) if makers else folder.SAYS,
            }
        )
    return by_axis


def as_text() -> str:
    """Return the variants for a terminal: the axis, then a line for each, its name and what it is."""
    by_axis = variants()
    width = 2 + max(len(variant["name"]) for own in by_axis.values() for variant in own)
    lines = []
    for axis, own in by_axis.items():
        lines += [axis, *(f"  {variant['name']:{width}}{variant['about']}" for variant in own)]
    return "\n".join([*lines, "", "One of them whole: `lorabook list dora`."])


def as_json() -> str:
    """Return the variants as one JSON object."""
    return json.dumps(variants(), indent=2, ensure_ascii=False)


def one(wanted: str) -> str:
    """Return all that the book has on a variant: its equation, axis, call, trained numbers, chapter, oracle and claims.

    Raises:
        Refused: no variant has this name; the message lists them all.
    """
    every = {variant["name"]: variant for own in variants().values() for variant in own}
    names = [name for name in every if _letters(wanted) in map(_letters, (name, *_makers(name)))]
    if not names:
        raise Refused(f"there is no variant {wanted!r}; the variants are {', '.join(every)}")
    variant, proof = every[names[0]], proofs()[names[0]]
    folder = notebooks_dir()
    titles = [read_head(folder / f"{name}.ipynb").title for name in teaching(names[0], folder)]
    rows = {
        "axis": proof["axis"],
        "call": variant["call"],
        "changes": variant["changes"],
        "trains": proof["parameters"],
        "chapter": ", ".join(titles) or "none of its own",
        "agrees with": proof["oracle"],
        "claims": f"{proof['claims']}, and {proof['misconceptions']} misconceptions: `lorabook check` runs them",
    }
    claims = [claim for claim in discover() if claim.about == names[0]]
    said = [in_unicode(f"  {'✗' if claim.is_misconception else '✓'} {claim.statement}") for claim in claims]
    listed = [f"  {what:13}{text}" for what, text in rows.items() if text]
    return "\n".join([names[0], f"  {variant['about']}", "", *listed, *said])


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
        for about, folder in _proven().items()
    }


def table() -> str:
    """Return the proofs as Markdown: the table in the README."""
    columns = ("axis", "trained parameters of a layer", "agrees with", "claims", "misconceptions")
    keys = ("axis", "parameters", "oracle", "claims", "misconceptions")
    lines = [("variant", *columns), ("---",) * 4 + ("--:",) * 2]
    lines += [(name, *(proof[key] for key in keys)) for name, proof in proofs().items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _proven() -> dict[str, ModuleType]:
    """Return the folders of claims that are about a variant, in the book's order; others are about a topic."""
    return {
        about: folder
        for about, folder in sorted(folders().items(), key=lambda item: place(item[0]))
        if "ORACLE" in vars(folder)
    }


def _makers(about: str) -> dict[str, Callable[..., Recipe]]:
    """Return the recipe functions of a variant by name, the variant's own first."""
    return {name: make for name, make in recipes().items() if example(make).label == about}


def _letters(name: str) -> str:
    """Return a name as people type it in a hurry: slora, lorafa, loraplus."""
    return plain(name).replace("_", "")


def _first_line(makers: dict[str, Callable[..., Recipe]]) -> str:
    return (inspect.getdoc(next(iter(makers.values()))) or "").partition("\n")[0]
