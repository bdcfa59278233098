"""Assignment 3: a report of a comparison, with its results and curves as data, and one row of it run again."""

import random

from lorabook.book.assignments.assignment import Assignment
from lorabook.book.assignments.file_part import Fault, FilePart, Files
from lorabook.book.assignments.report_rows import FIELDS, STEPS, curve, rows, spread
from lorabook.book.assignments.report_run import again
from lorabook.book.assignments.report_text import refuse_strange_numbers, text
from lorabook.core.training_step import Diverged

LEAST = 0.01
"""Nats per token; rounding in a run of 20 steps is far below, see tests/references/README.md."""
SETUP = """from lorabook.book.assignments.report_run import run"""
PROMPT = f"""Compare LoRA with LoHa or VeRA on the book's small base, and report it. `run(form, r, alpha, rate, seed)`
runs one row in the setting that everybody has: {STEPS} steps on the King James Bible. It returns the losses of the
steps (`losses`), how many numbers train (`trained`) and the loss on the validation text (`final`), nats per token.

Hand in beside the notebook: `results.json`, `report.md`, and a CSV for each run. LoRA and one other form have at least
three seeds each, with one r, one α and one rate. How well it is written is read by a person, and may cost or give
points by hand."""


def judge_schema(files: Files, seed: int) -> None:
    rows(files)


def judge_curves(files: Files, seed: int) -> None:
    found = rows(files)
    every = [tuple(curve(files, row)) for row in found]
    if len(set(every)) < len(every):
        raise Fault("same-curve", "Two runs have the same curve, number by number.")


def judge_numbers(files: Files, seed: int) -> None:
    refuse_strange_numbers(text(files), rows(files))


def judge_prose(files: Files, seed: int) -> None:
    text(files)


def judge_again(files: Files, seed: int) -> None:
    """Run one row again: what trains must agree, the curve's start, and the final loss within the seeds' spread."""
    found = rows(files)
    row = random.Random(seed).choice(found)
    losses = curve(files, row)
    try:
        mine = again(row)
    except (Diverged, ValueError):
        raise Fault("cannot-run", "A row that was run again cannot be run.") from None
    if mine.trained != row.trained:
        raise Fault("trained", "A row that was run again trains another number of parameters than it says.")
    if max(abs(a - b) for a, b in zip(mine.losses, losses, strict=True)) > LEAST:
        raise Fault("other-curve", "A row that was run again has another curve than the one handed in.")
    within = max(LEAST, spread(row, found))
    if abs(mine.final - row.final) > within:
        raise Fault("not-again", f"A row that was run again ends at {mine.final:.3f}; yours is further off than the "
                    "spread of your seeds.")  # fmt: skip


ASSIGNMENT = Assignment(
    "The report", 300, PROMPT, SETUP,
    (
        FilePart("Results", "results", 0.2, "`results.json` is `{\"rows\": [...]}`, a row for each run: "
                 + ", ".join(f"`{name}` ({kind.__name__})" for name, kind in FIELDS.items())
                 + ". `curve` is the path of the run's CSV from the notebook.", judge_schema),
        FilePart("Curves", "curves", 0.2,
                 f"Each CSV has the head `step,loss` and {STEPS} lines, from step 0 on.",
                 judge_curves),
        FilePart("Numbers", "numbers", 0.2, "Every number with a decimal point in `report.md` comes out of the results:"
                 " a value, a mean or spread over seeds, a perplexity, a difference or ratio of means. Others are "
                 "written in words.", judge_numbers),
        FilePart("Text", "text", 0.1, "`report.md` has at least 120 words, and parts called Question, Setting, Results "
                 "and Limits.", judge_prose),
        FilePart("One row again", "again", 0.3, "The grader runs one of your rows again, which one you cannot know: it "
                 "must train as many numbers, have the same curve, and end within the spread of your seeds.",
                 judge_again),
    ),
)  # fmt: skip
