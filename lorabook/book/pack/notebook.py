"""The code of a submission, in whatever shape it came; what is odd about it is said and costs nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

LARGEST = 20 * 2**20
"""Bytes; a larger file is not read."""


@dataclass(frozen=True)
class Code:
    """The code cells of a notebook in their order, what is odd about it, and the data files that lie beside it."""

    cells: tuple[str, ...]
    flags: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)


def code_of(content: bytes) -> Code:
    """Return the code cells of a notebook. Nothing that is in the file makes this raise."""
    if not content.strip():
        return Code((), ("the file is empty",))
    try:
        told = json.loads(content.decode("utf-8-sig"))
        sheets = told.get("worksheets")  # of notebooks before version 4
        cells = told["cells"] if sheets is None else [cell for sheet in sheets for cell in sheet["cells"]]
        code = tuple(_source(cell) for cell in cells if cell.get("cell_type") == "code")
        kernel = str(told.get("metadata", {}).get("kernelspec", {}).get("language", "python"))
        known = any("nbgrader" in cell.get("metadata", {}) for cell in cells)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Code((), (f"no notebook: {type(error).__name__}",))
    flags = [
        *(["no code cell"] if not code else []),
        *([f"its kernel speaks {kernel[:20]}"] if kernel.lower() != "python" else []),
        *(["the cells have lost their metadata"] if not known else []),
    ]
    return Code(code, tuple(flags))


def _source(cell: dict) -> str:
    source = cell.get("source", cell.get("input", ""))
    return "".join(map(str, source)) if isinstance(source, list) else str(source)
