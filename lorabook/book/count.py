"""What one cell of a chapter costs its reader: words, lines, cards, explorers, exercises, minutes.

Calls are read off the syntax tree: `card(…)` shows one card, `fold(title, …)` one folded card for each claim in it,
`show(…)` an exercise, whose minutes stand in its output. Code counts unless its source is hidden, outputs unless they
are hidden or folded.
"""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from nbformat import NotebookNode

from lorabook.book.prose import code_block_lines, filled_lines, unfolded, words

PROSE, OUTPUT, CODE = 150, 200, 15
"""Words and lines a minute."""
CARD, EXPLORER = 1, 5
"""Minutes."""
STATED = re.compile(r"\babout (\d+) minutes\b")
FALSE = "false_"
"""How the name of every misconception begins."""


@dataclass(frozen=True)
class Counts:
    """What is counted; `reading` are the minutes of it, the running time left out."""

    words: int = 0
    output_words: int = 0
    code_lines: int = 0
    shown_lines: int = 0
    import_lines: int = 0
    cards: tuple[str, ...] = ()
    folded_cards: tuple[str, ...] = ()
    explorers: tuple[str, ...] = ()
    exercises: tuple[int, ...] = ()

    @property
    def reading(self) -> float:
        lines = self.code_lines + self.shown_lines
        read = self.words / PROSE + self.output_words / OUTPUT + lines / CODE
        return read + CARD * len(self.cards) + EXPLORER * len(self.explorers) + sum(self.exercises)

    @property
    def misconceptions(self) -> int:
        return sum(name.startswith(FALSE) for name in self.cards)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def count(cell: NotebookNode, explorers: Collection[str]) -> Counts:
    """Return what a cell of an executed notebook costs; `explorers` are the names of the functions that return one.

    Raises:
        ValueError: an exercise is shown without its minutes.
    """
    if cell.cell_type != "code":
        return Counts(words=words(cell.source), shown_lines=code_block_lines(cell.source))
    # A line of IPython's own (%, !) is no Python; it is a line of code all the same.
    tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE))
    hidden = cell.metadata.get("jupyter", {})
    calls = [(_name(node.func), node.args) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    imports = sum(node.end_lineno - node.lineno + 1 for node in ast.walk(tree) if _imports(node))
    own = Counts(
        code_lines=0 if hidden.get("source_hidden") else filled_lines(cell.source) - imports,
        import_lines=imports,
        folded_cards=tuple(_name(claim) for name, args in calls if name == "fold" for claim in args[1:]),
    )
    cards = tuple(_name(args[0]) for name, args in calls if name == "card" and args)
    if hidden.get("outputs_hidden"):
        return replace(own, folded_cards=own.folded_cards + cards)
    moved = tuple(name for name, _ in calls if name in explorers)
    text = "\n".join(_texts(cell))
    own = replace(own, cards=cards, explorers=moved)
    if shows := sum(name == "show" for name, _ in calls):
        stated = tuple(int(minutes) for minutes in STATED.findall(text))
        if len(stated) != shows:
            raise ValueError(f"{shows} exercises are shown and {len(stated)} say “about N minutes”, in: {cell.source}")
        return replace(own, exercises=stated)
    if cards or moved:  # their minutes hold the time to read them
        return own
    return replace(own, output_words=words(text), shown_lines=code_block_lines(text))


def _texts(cell: NotebookNode) -> Iterator[str]:
    """Give the text of the outputs as a notebook stores it."""
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        text = output.get("text", data.get("text/markdown", data.get("text/plain", "")))
        if output.get("name") != "stderr":
            yield unfolded("".join(text))


def _imports(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name; what is no name has none."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
