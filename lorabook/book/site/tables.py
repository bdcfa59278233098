"""The tables of a chapter's explorers: made by running its source, kept until what they rest on changes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

from lorabook.book.build import read_source, run
from lorabook.book.refused import Refused
from lorabook.book.site.live import Widgets, widgets_of
from lorabook.core.whole_file import replace_whole
from lorabook.models.paths import data_dir

PACKAGE = Path(__file__).parents[2]
SITE = Path(__file__).parent


def tables(source: Path, kept: Path) -> Widgets:
    """Return the widgets of a chapter; run its source if `kept` does not have it.

    Raises:
        Refused: a cell of the chapter fails.
    """
    file = kept / f"{source.stem}-{_fingerprint(source)}.json"
    if not file.is_file():
        print(f"running {source.stem} for its explorers …", flush=True)
        notebook = read_source(source)
        try:
            run(notebook, source.parent.parent)
        except Refused as error:
            raise Refused(f"{source.stem} cannot be run for its explorers: {error}") from error
        kept.mkdir(parents=True, exist_ok=True)
        for old in kept.glob(f"{source.stem}-*.json"):
            old.unlink()
        text = json.dumps(asdict(widgets_of(notebook)), ensure_ascii=False)
        replace_whole(file, lambda partial: partial.write_text(text, encoding="utf-8"))
    return Widgets(**json.loads(file.read_text(encoding="utf-8")))


def _fingerprint(source: Path) -> str:
    return hashlib.sha256(f"{_rests_on()}{source.read_text(encoding='utf-8')}".encode()).hexdigest()[:16]


@cache
def _rests_on() -> str:
    """Return the digest of the package, without what only makes pages, and of its data."""
    digest = hashlib.sha256()
    for path in _files():
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    for kind in ("*.py", "*.js", "*.css"):
        yield from (path for path in sorted(PACKAGE.rglob(kind)) if SITE not in path.parents)
    yield from sorted(path for path in data_dir().rglob("*") if path.is_file() and path.name != ".lock")
