"""Which chapters there are, and which one a reader means by `2`, `02` or `lora`."""

from pathlib import Path

from lorabook.book.refused import Refused


def chapters(folder: Path) -> list[str]:
    """Return the names of the chapters in reading order, such as `02_lora`."""
    return sorted(path.stem for path in folder.glob("[0-9][0-9]_*.ipynb"))


def find_chapter(wanted: str, folder: Path) -> str:
    """Return the chapter with this number or name; a part of the name will do when only one chapter has it.

    Raises:
        Refused: no chapter fits, or several do; the message lists them all.
    """
    names = chapters(folder)
    if wanted.isdigit():
        matches = [name for name in names if int(name[:2]) == int(wanted)]
    else:
        word = wanted.lower().removesuffix(".ipynb")
        exact = [name for name in names if word in (name.lower(), name[3:].lower())]
        matches = exact or [name for name in names if word in name.lower()]
    if len(matches) == 1:
        return matches[0]
    problem = (
        f"chapter {wanted!r} could be any of {', '.join(matches)}" if matches else f"there is no chapter {wanted!r}"
    )
    listing = "\n".join(f"  {name[:2]}  {name[3:]}" for name in names) or "  (none)"
    raise Refused(f"{problem}; the chapters in {folder} are\n{listing}")
