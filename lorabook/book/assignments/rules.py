"""What the code of an assignment may use: read from its syntax tree, before anything of it is run.

A part is judged by what the library computes, right and broken. Code that looks at the library's own code, at the
stack or at the interpreter would learn which it is; and a form that is asked for must not be taken from the book.
"""

import ast
from dataclasses import dataclass

ALWAYS = (
    "torch", "math", "numpy", "dataclasses", "typing", "functools", "itertools", "collections", "statistics",
    "jaxtyping", "lorabook.core",
)  # fmt: skip
CALLS = frozenset(
    "eval exec compile open globals locals vars dir getattr setattr delattr __import__ input breakpoint help".split()
)
REACHES = frozenset(
    "sys os modules builtins inspect gc ctypes importlib subprocess f_back f_locals f_globals f_code gi_frame jit fx "
    "hub compile load multiprocessing threading traceback warnings".split()
)


@dataclass(frozen=True)
class Rules:
    """What a part may import beside `ALWAYS`, and the names of the book that it must write itself."""

    imports: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()

    def broken_by(self, source: str) -> str:
        """Return what in a source may not be used, as a sentence; nothing where all may."""
        for node in ast.walk(ast.parse(source)):
            wrong = self._wrong(node)
            if wrong:
                return f"Line {node.lineno} uses {wrong}, which this assignment does not allow."
        return ""

    def _wrong(self, node: ast.AST) -> str:
        if isinstance(node, ast.Import):
            return next((part.name for part in node.names if not self._may_import(part.name)), "")
        if isinstance(node, ast.ImportFrom):
            return self._wrong_from(node)
        if isinstance(node, ast.Attribute):
            return node.attr if self._hidden(node) or node.attr in REACHES | self.own else ""
        if isinstance(node, ast.Name):
            return node.id if node.id in CALLS or _dunder(node.id) else ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return "__ in a text" if "__" in node.value else ""
        return ""

    def _wrong_from(self, node: ast.ImportFrom) -> str:
        module = node.module or ""
        if node.level or not self._may_import(module):
            return module or "a relative import"
        names = [part.name for part in node.names]
        return next((name for name in names if name in REACHES | self.own | {"*"} or name.startswith("_")), "")

    def _may_import(self, module: str) -> bool:
        return any(module == one or module.startswith(f"{one}.") for one in (*ALWAYS, *self.imports))

    def _hidden(self, node: ast.Attribute) -> bool:
        """Say whether an attribute is private to something that is not the student's own object."""
        owner = node.value
        mine = isinstance(owner, ast.Name) and owner.id == "self"
        above = isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"
        return node.attr.startswith("_") and not (mine and not _dunder(node.attr)) and not (
            above and node.attr in ("__init__", "__post_init__")
        )  # fmt: skip


def _dunder(name: str) -> bool:
    return name.startswith("__")
