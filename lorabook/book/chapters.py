"""Which chapters there are, which one a reader means by `2`, `02`, `lora` or `qdora`, and the table of them all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lorabook.book.head import heads, read_head
from lorabook.book.refused import Refused


def chapters(folder: Path) -> list[str]:
    """Return the names of the chapters in reading order, such as `02_lora`."""
    return sorted(path.stem for path in folder.glob("[0-9][0-9]_*.ipynb"))


def find_chapter(wanted: str, folder: Path) -> str:
    """Return the chapter with this number or name, or that teaches this variant; a part of a name will do if it is one.

    Raises:
        Refused: no chapter fits, or several do; the message lists them all.
    """
    names = chapters(folder)
    if wanted.isdigit():
        matches = [name for name in names if int(name[:2]) == int(wanted)]
    else:
        word = plain(wanted.removesuffix(".ipynb"))
        exact = [name for name in names if word in (plain(name), plain(name[3:]))]
        matches = exact or list(teaching(word, folder)) or [name for name in names if word in plain(name)]
    if len(matches) == 1:
        return matches[0]
    problem = (
        f"chapter {wanted!r} could be any of {', '.join(matches)}" if matches else f"there is no chapter {wanted!r}"
    )
    listing = "\n".join(f"  {name[:2]}  {name[3:]}" for name in names) or "  (none)"
    raise Refused(f"{problem}; the chapters in {folder} are\n{listing}")


def contents(folder: Path, link: str = "") -> str:
    """Return the table of chapters as Markdown: a link, the question, the axis, the minutes and the tier of each.

    Args:
        link: what stands before the name of a file in a link.

    Raises:
        ValueError: the head of a chapter is incomplete.
    """
    rows = [("chapter", "the question", "axis", "minutes", "tier"), ("---",) * 3 + ("--:", "---")]
    for name, head in heads(folder):
        title = f"[{head.title}]({link}{name}.ipynb)"
        rows.append((title, head.question, head.axis or "·", str(head.minutes), head.tier.name))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plain(name: str) -> str:
    """Return a name as people type it: LoRA-FA is lora_fa, LoRA+ is lora_plus."""
    return name.lower().replace("+", "_plus").replace("-", "_").replace(" ", "_")


def teaching(variant: str, folder: Path) -> Iterator[str]:
    """Give the chapters whose head names this variant; a reader's own notebook may have no head."""
    for name in chapters(folder):
        with contextlib.suppress(ValueError):
            if plain(variant) in map(plain, read_head(folder / f"{name}.ipynb").teaches):
                yield name
