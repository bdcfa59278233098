"""One row of a report, run by the book: the setting that everybody has, on the shipped base."""

from functools import cache
from threading import Lock

from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.vera import VeRA
from lorabook.book.assignments.report_rows import STEPS, Row
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.models.load import load
from lorabook.tasks.text import corpus
from lorabook.tasks.train import Contender, Run, Setting, train

ONE = Lock()
"""The grader has threads, and torch one generator for all of them."""


@cache
def setting() -> Setting:
    """Return the setting: the book's small base, the King James Bible, 20 steps of 2 pieces of 64 tokens."""
    base = load("tiny")
    return Setting(base, corpus("kjv", base.tokenizer), batch=2, length=64, steps=STEPS, pieces=12)


def recipe(form: str, r: int, alpha: float) -> Recipe:
    """Return the recipe of a form; VeRA has no α."""
    return {"LoRA": lambda: LoRA(r, alpha), "LoHa": lambda: LoHa(r, alpha), "VeRA": lambda: VeRA(r)}[form]()


def run(form: str, r: int, alpha: float, rate: float, seed: int) -> Run:
    """Run one row: its losses, how many numbers train, and the final loss on the validation text."""
    with ONE:
        return train(setting(), Contender(form, recipe(form, r, alpha), rate), seed)[1]


def again(row: Row) -> Run:
    """Run a row again."""
    return run(row.form, row.r, row.alpha, row.rate, row.seed)
