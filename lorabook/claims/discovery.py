"""Which claims there are: every folder beside this file, every file in it, every claim in that."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from lorabook import claims
from lorabook.claims.claim import Claim


def folders() -> dict[str, ModuleType]:
    """Return every folder of claims by the variant or topic that it declares as ABOUT.

    Raises:
        LookupError: two folders declare the same.
    """
    by_about: dict[str, ModuleType] = {}
    for name in sorted(info.name for info in pkgutil.iter_modules(claims.__path__) if info.ispkg):
        folder = importlib.import_module(f"{claims.__name__}.{name}")
        if folder.ABOUT in by_about:
            raise LookupError(
                f"{folder.__name__} and {by_about[folder.ABOUT].__name__} both declare ABOUT = {folder.ABOUT!r}: "
                "put their claims in one folder, or name what the second is about"
            )
        by_about[folder.ABOUT] = folder
    return by_about


def claim_modules() -> Iterator[ModuleType]:
    """Give every file of claims, imported, in the order of names."""
    for folder in folders().values():
        for name in sorted(info.name for info in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}.")):
            yield importlib.import_module(name)


def discover() -> list[Claim]:
    """Return every claim and misconception of the book, in the order of files and of the lines in them.

    A misconception follows its claim.
    """
    every: list[Claim] = []
    for module in claim_modules():
        own = [value for value in vars(module).values() if isinstance(value, Claim) and value.module == module.__name__]
        every += sorted(own, key=lambda claim: claim.sides.__code__.co_firstlineno)
    return every
