"""Where the book's files are: beside the package in a checkout, inside it once it is installed."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def in_checkout() -> bool:
    """True when the package runs from its repository, where data/ and notebooks/ are its neighbours."""
    return (_PACKAGE.parent / "pyproject.toml").is_file() and (_PACKAGE.parent / "notebooks").is_dir()


def _root() -> Path:
    return _PACKAGE.parent if in_checkout() else _PACKAGE / "shipped"


def data_dir() -> Path:
    """The folder of the shipped base model, the corpora and the digits."""
    return _root() / "data"


def data_file(name: str) -> Path:
    """The path of one shipped data file.

    Raises:
        FileNotFoundError: it is not there; the message names the file and the next step.
    """
    path = data_dir() / name
    if not path.is_file():
        raise FileNotFoundError(
            f"data file {name!r} is missing from {data_dir()}: install lorabook again, or restore the file from its "
            f"repository; `lorabook doctor` lists every file with its size and hash"
        )
    return path


def notebooks_dir() -> Path:
    """The folder of the chapters.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = _root() / "notebooks"
    if not path.is_dir():
        raise FileNotFoundError(f"the chapters are missing from {path}: install lorabook again")
    return path
