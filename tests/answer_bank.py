"""Answers as learners write them, and the code that each is due: `tests/answers/<exercise>.py`, a cell an answer."""

import functools
import importlib
import linecache
import math
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lorabook.book import exercises
from lorabook.book.classroom.exercise import Exercise

FOLDER = Path(__file__).parent / "answers"
HEAD = re.compile(r"^# %% (\S+): (.+)$", re.MULTILINE)
IMPORTS = """
import functools
import math
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
"""
NAMES = {"functools": functools, "math": math, "np": np, "torch": torch, "nn": nn, "F": F}


def found() -> dict[str, Exercise]:
    """Return the exercises of the book, by the name of their file."""
    names = [one.name for one in pkgutil.iter_modules(exercises.__path__)]
    return {name: importlib.import_module(f"{exercises.__name__}.{name}").EXERCISE for name in names}


EXERCISES = found()


@dataclass(frozen=True)
class Answer:
    """One answer: the file of its exercise, the code that is due, what it is, its text."""

    exercise: str
    due: str
    what: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.exercise}: {self.due}: {self.what}"

    def function(self) -> object:
        """Return what the text defines, as a notebook keeps it: its lines are in linecache."""
        file = f"<{self.name}>"
        linecache.cache[file] = (len(self.text), None, self.text.splitlines(keepends=True), file)
        space = dict(NAMES)
        exec(compile(self.text, file, "exec"), space)
        return space[EXERCISES[self.exercise].function]

    def cells(self) -> list[str]:
        """Return the cells of a notebook that defines it."""
        return [IMPORTS, self.text]


def answers() -> list[Answer]:
    """Return the whole bank."""
    result = []
    for file in sorted(FOLDER.glob("*.py")):
        parts = HEAD.split(file.read_text(encoding="utf-8"))[1:]
        result += [Answer(file.stem, *part) for part in zip(parts[::3], parts[1::3], parts[2::3], strict=True)]
    return result
