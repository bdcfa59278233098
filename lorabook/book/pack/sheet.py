"""A sheet of exercises, `hw1.toml`: its title, when it is due, what lateness costs, limits, items with points."""

import hashlib
import hmac
import math
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from lorabook.book import assignments, exercises
from lorabook.book.assignments.assignment import Assignment, Part
from lorabook.book.classroom.exercise import Exercise
from lorabook.book.classroom.request import Limits
from lorabook.book.refused import Refused

DEFAULT = ("scale", "two_path", "nearest")
UNITS = {"cpu": 1, "wall": 1, "memory": 2**20, "output": 2**10}
"""What a number under [limits] counts: seconds, seconds, MiB, KiB."""


@dataclass(frozen=True)
class Item:
    """One exercise or assignment of a sheet: the name of its file, its points, how many hidden draws of cases.

    credit: the share of the points by the code of a diagnosis, where the teacher's is not the exercise's own.
    """

    name: str
    points: float
    hidden: int
    credit: Mapping[str, float]

    @cached_property
    def exercise(self) -> Exercise:
        return import_module(f"{exercises.__name__}.{self.name}").EXERCISE

    @cached_property
    def assignment(self) -> Assignment | None:
        """The assignment; None where the item is an exercise."""
        known = self.name in assignments.NAMES
        return import_module(f"{assignments.__name__}.{self.name}").ASSIGNMENT if known else None

    @property
    def tasks(self) -> tuple[Exercise | Part, ...]:
        """What is tried on cases: the exercise, or each part of the assignment that is code."""
        if self.assignment:
            return tuple(part for part in self.assignment.parts if isinstance(part, Part))
        return (self.exercise,)

    @property
    def title(self) -> str:
        return (self.assignment or self.exercise).title


@dataclass(frozen=True)
class Sheet:
    """A sheet, read and checked. `per_day` is the share of the points that a day of lateness costs, for `days` days."""

    name: str
    folder: Path
    title: str
    due: datetime | None
    per_day: float
    days: int
    hints: bool
    limits: Limits
    items: tuple[Item, ...]
    digest: str

    def public_seed(self, item: Item) -> int:
        """Return the seed of an item's public cases, the same for everybody."""
        return int.from_bytes(hashlib.sha256(f"public {self.name} {item.name}".encode()).digest()[:4])

    def hidden_seed(self, key: str, student: str, item: Item, draw: int) -> int:
        """Return the seed of hidden cases, which nobody can know without the key."""
        text = "\0".join((self.name, student, item.name, str(draw)))
        return int.from_bytes(hmac.digest(bytes.fromhex(key), text.encode(), "sha256")[:4])

    @property
    def key(self) -> str:
        """The key of hidden cases.

        Raises:
            Refused: its file is missing or holds no key.
        """
        path = self.folder / f"{self.name}.key"
        text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        if len(text) != 64 or set(text) - set("0123456789abcdef"):
            raise Refused(
                f"{path} holds no key: put the one of this sheet back; a new one draws other hidden cases for everybody"
            )
        return text


def exercise_names() -> list[str]:
    """Return the names of the chapters' exercises."""
    return [info.name for info in iter_modules(exercises.__path__)]


def new_sheet(folder: Path, items: tuple[str, ...] = DEFAULT) -> Path:
    """Write a sheet that works as it is, its key, and an empty table of what is decided by hand.

    Raises:
        Refused: the folder is there already, its name does for no file, or an exercise is unknown.
    """
    name = folder.name
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise Refused(f"a sheet cannot be called {name!r}: use letters, digits, - and _")
    if folder.exists():
        raise Refused(f"{folder} is there already; choose another name, or edit {folder / name}.toml")
    for item in items:
        _refuse_unknown(item, "the sheet")
    folder.mkdir(parents=True)
    (folder / f"{name}.toml").write_text(_text(name, items), encoding="utf-8")
    key = folder / f"{name}.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32) + "\n", encoding="utf-8")
    (folder / "overrides.csv").write_text("student,exercise,points,reason\n", encoding="utf-8")
    return folder / f"{name}.toml"


def _text(name: str, items: tuple[str, ...]) -> str:
    head = f'''title = "{name}"
# due = 2027-01-31T23:59:00+01:00     # with a time zone; without a due time nothing is late
hints = true                          # whether the notebook says how to ask for hints

[late]
per_day = 0.1                         # the share of the points that each begun day costs
days = 3                              # after so many, nothing counts

[limits]                              # of one item of one student; new processes and the network are never allowed
cpu = 12                              # seconds
wall = 10                             # seconds
memory = 1024                         # MiB beyond Python and torch
output = 4096                         # KiB of numbers
'''
    return head + "".join(
        f'''
[[item]]
exercise = "{item}"
points = {20 if item in assignments.NAMES else 10}
hidden = 2                            # draws of hidden cases, other ones for each student
# credit = {{ dtype = 0.5 }}            # the share of the points by the code of a diagnosis
'''
        for item in items
    )


def read_sheet(folder: Path) -> Sheet:
    """Read the sheet of a folder.

    Raises:
        Refused: it is not there, is no TOML, or says something that makes no sense; the message names the line's name.
    """
    name = folder.resolve().name
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise Refused(f"there is no sheet {path}: `lorabook classroom new {name}` makes one")
    raw = path.read_bytes()
    try:
        told = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no TOML: {error}") from error
    _refuse_extra(told, {"title", "due", "hints", "late", "limits", "item"}, str(path))
    late, items = _table(told, "late", path), told.get("item", [])
    _refuse_extra(late, {"per_day", "days"}, f"{path}: [late]")
    if not isinstance(items, list) or not items:
        raise Refused(f"{path} has no [[item]]: a sheet without items cannot be graded")
    read = tuple(_item(item, f"{path}: item {i}") for i, item in enumerate(items, 1))
    twice = {item.name for item in read if [other.name for other in read].count(item.name) > 1}
    if twice:
        raise Refused(f"{path}: {min(twice)} is in two items; an exercise can be asked once")
    due, hints = told.get("due"), told.get("hints", True)
    if due is not None and (not isinstance(due, datetime) or due.tzinfo is None):
        raise Refused(f"{path}: due is {due}; write a date, a time and a zone, as 2027-01-31T23:59:00+01:00")
    if not isinstance(hints, bool):
        raise Refused(f"{path}: hints is {hints!r}; true or false")
    return Sheet(
        name, folder, str(told.get("title", name)), due, _number(late.get("per_day", 0.0), 0, 1, f"{path}: per_day"),
        int(_number(late.get("days", 0), 0, 365, f"{path}: days", whole=True)), hints,
        _limits(_table(told, "limits", path), path), read, hashlib.sha256(raw).hexdigest(),
    )  # fmt: skip


def _table(told: dict, name: str, path: Path) -> dict:
    table = told.get(name, {})
    if not isinstance(table, dict):
        raise Refused(f"{path}: {name} is {table!r}; it is a table, [{name}]")
    return table


def _item(told: object, place: str) -> Item:
    if not isinstance(told, dict) or "exercise" not in told or "points" not in told:
        raise Refused(f"{place}: it needs an exercise and its points")
    _refuse_extra(told, {"exercise", "points", "hidden", "credit"}, place)
    _refuse_unknown(told["exercise"], place)
    credit = told.get("credit", {})
    if not isinstance(credit, dict):
        raise Refused(f"{place}: credit is {credit!r}; write {{ code = share }}")
    shares = {code: _number(share, 0, 1, f"{place}: credit of {code}") for code, share in credit.items()}
    points = _number(told["points"], 0, 1e6, f"{place}: points")
    if points == 0:
        raise Refused(f"{place}: points is 0; an item is worth something")
    return Item(told["exercise"], points, int(_number(told.get("hidden", 2), 1, 50, f"{place}: hidden", True)), shares)


def _limits(told: dict, path: Path) -> Limits:
    _refuse_extra(told, set(UNITS), f"{path}: [limits]")
    types = {field.name: field.type for field in fields(Limits)}
    given = {
        name: types[name](_number(told[name], 1, 1e6, f"{path}: {name}") * unit)
        for name, unit in UNITS.items()
        if name in told
    }
    return Limits(**given)


def _number(value: object, least: float, most: float, place: str, whole: bool = False) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not least <= value <= most or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise Refused(f"{place} is {value!r}; it must be {kind} from {least:g} to {most:g}")
    return float(value)


def _refuse_extra(told: dict, known: set[str], place: str) -> None:
    extra = sorted(set(told) - known)
    if extra:
        raise Refused(f"{place}: {extra[0]!r} is not known here; there are {', '.join(sorted(known))}")


def _refuse_unknown(name: object, place: str) -> None:
    known = [*exercise_names(), *assignments.NAMES]
    if name not in known:
        raise Refused(f"{place}: there is no exercise {name!r}; there are {', '.join(known)}")
