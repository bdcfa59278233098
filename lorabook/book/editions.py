"""A reader's copy of the chapters after an upgrade: which of them have a newer edition, without touching her work.

`editions.json` in the copy says of each page which edition was copied. A page that is still as it was copied has no
work in it, and is replaced; any other stays, and the newer edition can be put beside it, into `new-editions`.
"""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

from lorabook.core.whole_file import replace_whole

RECORD, BESIDE = "editions.json", "new-editions"


def edition(page: Path) -> str:
    """Return what tells two editions of a page apart."""
    return hashlib.sha256(page.read_bytes()).hexdigest()[:16]


def pages(folder: Path) -> list[Path]:
    """Return the chapters and pages of a folder."""
    return sorted(path for kind in ("*.ipynb", "*.md") for path in folder.glob(kind))


def copied(folder: Path) -> dict[str, str]:
    """Return which edition of each page was copied into a folder; nothing of those that an older lorabook copied."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return {str(name): str(which) for name, which in told.items()}
    return {}


def bring(shipped: Path, folder: Path) -> int:
    """Copy the pages that a folder lacks, and newer editions of those that nobody worked in. Return how many.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(exist_ok=True)
    known, brought = copied(folder), 0
    for page in pages(shipped):
        own, new = folder / page.name, edition(page)
        untouched = own.is_file() and known.get(page.name) == edition(own)
        if not own.exists() or (untouched and known[page.name] != new):
            shutil.copyfile(page, own)
            brought += 1
        elif not (untouched or edition(own) == new):
            continue
        known[page.name] = new
    text = json.dumps(known, indent=1) + "\n"
    replace_whole(folder / RECORD, lambda partial: partial.write_text(text, encoding="utf-8"))
    return brought


def newer(shipped: Path, folder: Path) -> list[str]:
    """Return the names of pages that a reader has worked in and that have a newer edition, or one of unknown age."""
    known = copied(folder)
    return [
        page.name
        for page in pages(shipped)
        if (folder / page.name).is_file()
        and edition(folder / page.name) != edition(page)
        and known.get(page.name) != edition(page)
    ]


def put_beside(shipped: Path, folder: Path) -> Path:
    """Copy the newer editions into a folder beside the reader's pages, and return it.

    Raises:
        OSError: it cannot be written.
    """
    beside = folder / BESIDE
    beside.mkdir(exist_ok=True)
    for name in newer(shipped, folder):
        shutil.copyfile(shipped / name, beside / name)
    return beside
