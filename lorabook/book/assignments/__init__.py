"""The assignments: larger pieces of work than a chapter's exercise, each made of parts that are graded on their own.

    assignment.py    what an assignment is: its parts, what is due of each, what may be used
    rules.py         what the code of a part may use, read from its syntax tree before it is run
    trying.py        a part tried in the notebook, at once
    library.py       the book's own functions, wrong on purpose for a while
    sides.py         the sides of a student's claim, written down in the child
    verdict.py       what a claim is worth: it holds, it notices a broken library, its misconception fails
    five_claims.py   assignment 4: five observations, each as a claim; five_laws.py, five_slips.py
    forms.py         a student's form of update, put through its paces in the child
    form_verdict.py  what a form is worth: its definition, then its start, count, path and gradients
    files.py         what PEFT's file of it holds
    curves.py        a training loop, held against the loop, number by number
    tables.py        perplexity and its spread over seeds
    two_forms.py     assignment 2: LoHa and VeRA, by two_definitions.py
    file_part.py     a part that is handed in as files beside the notebook
    report_rows.py   a report's results and curves as data
    report_text.py   its text, and the numbers in it
    report_run.py    one row of it, run by the book
    the_report.py    assignment 3: the report

A reference solution is in `tests/references/`: it is in no wheel, and in nothing that `release` writes.
"""

NAMES = ("five_claims", "the_report", "two_forms")
"""The files that hold an `ASSIGNMENT`: what a sheet may name."""
