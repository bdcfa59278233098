"""The gallery: every diagram of `lorabook.book.figures.diagrams`, drawn into a folder as SVG."""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from lorabook.book.figures import diagrams
from lorabook.book.figures.drawing import Drawing


def gallery() -> dict[str, Callable[[], Drawing]]:
    """Return what draws each diagram, by the name of its file: read off the package, so that none is forgotten."""
    names = [info.name for info in pkgutil.iter_modules(diagrams.__path__)]
    return {name: import_module(f"{diagrams.__name__}.{name}").draw for name in names}


def diagram(name: str) -> Drawing:
    """Return one diagram, by the name of its file in `figures/`.

    Raises:
        LookupError: there is no such diagram.
    """
    names = [info.name for info in pkgutil.iter_modules(diagrams.__path__)]
    if name not in names:
        raise LookupError(f"there is no diagram {name!r}; there are {', '.join(names)}")
    return import_module(f"{diagrams.__name__}.{name}").draw()


def draw_all(folder: Path) -> list[Path]:
    """Draw every diagram into `folder` and return the files.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to draw into: make it first")
    files = []
    for name, draw in gallery().items():
        file = folder / f"{name}.svg"
        file.write_text(draw().svg(), encoding="utf-8")
        files.append(file)
    return files
