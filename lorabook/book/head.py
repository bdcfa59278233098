"""The head of a chapter: what its first cell says of it, once, for the reader and for every table of chapters.

    # 11 · DoRA

    > **LoRA turns and stretches at once: what if the two are trained apart?**

    | minutes | tier | axis | teaches | you need |
    | --- | --- | --- | --- | --- |
    | 45 | core | form | DoRA | chapter 02 |

A cell that has nothing to say holds a dot: ·
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorabook.book.tiers import TIERS, Tier

TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
QUESTION = re.compile(r"^> \*\*(.+?)\*\*$", re.MULTILINE)
COLUMNS = ("minutes", "tier", "axis", "teaches", "you need")
ROW = r"\|" + r"([^|\n]+)\|" * len(COLUMNS)
TABLE = re.compile(re.escape(f"| {' | '.join(COLUMNS)} |") + rf"\n.*\n{ROW}$", re.MULTILINE)
NOTHING = "·"


@dataclass(frozen=True)
class Head:
    """What a chapter says of itself: how long it takes and may be, its axis ("" for none), the variants it teaches."""

    title: str
    question: str
    minutes: int
    tier: Tier
    axis: str
    teaches: tuple[str, ...]
    needs: str


def head_of(text: str) -> Head:
    """Return the head of a chapter from the text of its first cell.

    Raises:
        ValueError: the cell lacks a part of it, or names a tier that does not exist.
    """
    title, question, table = (pattern.search(text) for pattern in (TITLE, QUESTION, TABLE))
    if not (title and question and table):
        raise ValueError(
            f"the first cell starts {text[:40]!r} and needs `# title`, `> **question**` and a table with the columns "
            f"{' | '.join(COLUMNS)}"
        )
    minutes, tier, axis, teaches, needs = ("" if cell.strip() == NOTHING else cell.strip() for cell in table.groups())
    if tier not in TIERS or not minutes.isdigit():
        raise ValueError(
            f"{title[1]}: the head says {minutes!r} minutes and the tier {tier!r}; expected a whole number, and one of "
            f"{', '.join(TIERS)}"
        )
    names = tuple(name.strip() for name in teaches.split(",") if name.strip())
    return Head(title[1], question[1], int(minutes), TIERS[tier], axis, names, needs)


def read_head(path: Path) -> Head:
    """Return the head of a built chapter. Read as plain JSON: `lorabook lab` need not wait for Jupyter's own reader.

    Raises:
        ValueError: the file is no notebook, or as `head_of`; the message names the chapter.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return head_of("".join(cells[0]["source"]) if cells else "")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.stem}: {error}") from error


def heads(folder: Path) -> Iterator[tuple[str, Head]]:
    """Give the name and the head of each chapter in `folder` but the start page, in reading order.

    Raises:
        ValueError: as `read_head`.
    """
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        if path.stem.startswith("00_"):
            continue
        yield path.stem, read_head(path)
