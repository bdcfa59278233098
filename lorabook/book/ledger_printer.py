"""What `lorabook check` prints while it works: text for people, one JSON document, or one JSON object a line."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from typing import final

from tqdm import tqdm

from lorabook.book.ledger_pages import Line, as_json, as_number
from lorabook.book.plain_math import in_unicode


class Printer(ABC):
    """Sees every line of the ledger as it is settled, with those before it, and all of them at the end."""

    @abstractmethod
    def line(self, line: Line, before: list[Line]) -> None:
        """Print a line, or keep it for the end."""

    @abstractmethod
    def end(self, lines: list[Line]) -> None:
        """Print what belongs under the last line."""


@final
class Text(Printer):
    """For people: formulas in Unicode, the first line of a variant under its name, and the counts."""

    def line(self, line: Line, before: list[Line]) -> None:
        new = all(earlier["about"] != line["about"] for earlier in before)
        tqdm.write((f"\n{line['about']}\n" if new else "") + as_text(line))

    def end(self, lines: list[Line]) -> None:
        counted = Counter(_sort(line) for line in lines)
        failed = sum(line.get("reproduced") is False for line in lines)
        total = f"{counted['claim']} claims and {counted['misconception']} misconceptions, {failed} not reproduced"
        unsettled = f"; {counted['open']} statements cannot be checked here" if counted["open"] else ""
        print(f"\n{total}{unsettled}")


@final
class Document(Printer):
    """For programs: one JSON list when everything is settled."""

    def line(self, line: Line, before: list[Line]) -> None:
        """Wait for the end."""

    def end(self, lines: list[Line]) -> None:
        print(as_json(lines), end="")


@final
class Stream(Printer):
    """For programs that cannot wait: one JSON object a line."""

    def line(self, line: Line, before: list[Line]) -> None:
        tqdm.write(json.dumps(line, ensure_ascii=False))

    def end(self, lines: list[Line]) -> None:
        """Everything is said."""


def _sort(line: Line) -> str:
    if "reason" in line:
        return "open"
    return "misconception" if line["kind"] == "false" else "claim"


def as_text(line: Line) -> str:
    """Return one line of the ledger as text, its formulas in Unicode."""
    if "reason" in line:
        more = [f"open {line['claim']}", line["statement"], f"why not: {line['reason']}", f"source: {line['source']}"]
        return in_unicode("\n           ".join(more))
    mark = "ok  " if line["reproduced"] else "FAIL"
    head = f"{mark} {line['kind']}: {line['claim']}: {line['verdict']}"
    if "gap" in line:
        head += f", {as_number(line['left'], '.6g')} {line['relation']} {as_number(line['right'], '.6g')}"
        head += f", gap {as_number(line['gap'], '.1e')} (tol {line['tol']:.0e})"
    instead = f"instead: {line['instead']}" if line["instead"] else ""
    more = [line["statement"], f"if {line['when']}" if line["when"] else "", instead, f"source: {line['source']}"]
    return in_unicode("\n           ".join([head, *filter(None, more)]))
