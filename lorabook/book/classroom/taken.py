"""Take a learner's function out of a notebook, with what it needs and nothing else of a chapter."""

import ast
from collections.abc import Iterator, Sequence


def taken(cells: Sequence[str], name: str) -> str | None:
    """Return the source that defines `name`: the statements that bind it, or a name that these use, in their order.

    Imports, functions, classes and assignments can be needed; calls that bind nothing, as prints and checks, are not.
    A cell that is no Python is left out, a line that starts with % or ! is. None if nothing defines `name`.
    """
    found = [pair for cell in cells for pair in _parsed(cell)]
    statements = [statement for statement, _ in found]
    wanted, kept = {name, "*"}, set()
    while True:
        new = {i for i, one in enumerate(statements) if i not in kept and wanted & set(_binds(one))}
        if not new:
            break
        kept |= new
        wanted |= {used for i in new for used in _uses(statements[i])}
    if not any(name in _binds(statements[i]) for i in kept):
        return None
    return "\n".join(found[i][1] for i in sorted(kept))


def _parsed(cell: str) -> list[tuple[ast.stmt, str]]:
    """Return the statements of a cell, each with its text as it was written."""
    lines = ["" if line.lstrip().startswith(("%", "!", "?")) else line for line in cell.splitlines()]
    for kept in (cell.splitlines(), lines):
        try:
            body = ast.parse("\n".join(kept)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return [(one, _text(one, body, kept)) for one in body]
    return []


def _text(one: ast.stmt, body: list[ast.stmt], lines: list[str]) -> str:
    if any(other is not one and other.end_lineno >= one.lineno and other.lineno <= one.end_lineno for other in body):
        return ast.unparse(one)  # several on one line
    first = min([one.lineno, *(decorator.lineno for decorator in getattr(one, "decorator_list", []))])
    return "\n".join(lines[first - 1 : one.end_lineno])


def _binds(statement: ast.stmt) -> Iterator[str]:
    """Return the names that a statement of the top level gives a value to; a star import may give any."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (part.asname or part.name.partition(".")[0] for part in statement.names)
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.If | ast.Try | ast.With | ast.For):
        for part in ast.walk(statement):
            if isinstance(part, ast.FunctionDef | ast.ClassDef):
                yield part.name
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id
            elif isinstance(part, ast.alias):
                yield part.asname or part.name.partition(".")[0]


def _uses(statement: ast.stmt) -> Iterator[str]:
    yield from (
        part.id for part in ast.walk(statement) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    )
