"""What a student gets back: the points, which mistake it was, the own lines, one public input that went wrong.

Nothing that was drawn from the key is in it, neither an input nor a text that an answer could have made of one.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from lorabook.book.classroom.exercise import Exercise
from lorabook.book.classroom.judge import RIGHT, Judgement
from lorabook.book.pack.results import Marked, read_results
from lorabook.book.pack.safe import safe
from lorabook.book.pack.scores import Score, scores
from lorabook.book.pack.sheet import Item, Sheet
from lorabook.book.pack.submissions import file_name
from lorabook.core.whole_file import replace_whole

STYLE = """<style>
:root { color-scheme: light dark }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif }
section { border-left: 4px solid #d55e00; padding: 0 1rem; margin: 1.5rem 0 }
section.right { border-color: #009e73 }
pre { overflow-x: auto; padding: .6rem; border: 1px solid currentColor; font-size: .85em }
</style>"""


def write_feedback(sheet: Sheet) -> list[Path]:
    """Write a page for every student, and return their paths.

    Raises:
        Refused: there are no results, or overrides.csv makes no sense.
    """
    folder = sheet.folder / "feedback"
    folder.mkdir(exist_ok=True)
    by_student: dict[str, list[Score]] = {}
    for score in scores(sheet, read_results(sheet)):
        by_student.setdefault(score.result.student, []).append(score)
    paths = []
    for student, own in by_student.items():
        path = folder / f"{file_name(student)}.html"
        content = page(sheet, own).encode("utf-8", "replace")
        replace_whole(path, lambda partial, content=content: partial.write_bytes(content))
        paths.append(path)
    return paths


def page(sheet: Sheet, own: Sequence[Score]) -> str:
    """Return the page of one student, HTML that asks for nothing."""
    result = own[0].result
    total, of = sum(score.points for score in own), sum(item.of for item in result.items)
    parts = [
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<title>{_safe(sheet.title)}</title>\n{STYLE}",
        f"<h1>{_safe(sheet.title)}</h1>\n<p>{_safe(result.student)}: <b>{total:g} of {of:g} points</b></p>",
    ]
    if late := result.days_late(sheet):
        parts.append(f"<p>Handed in {late} day(s) late: {own[0].share:.0%} of the points count.</p>")
    if result.flags:
        parts.append(f"<p>About the file: {_safe('; '.join(result.flags))}.</p>")
    for score, item in zip(own, sheet.items, strict=True):
        parts.append(_section(score, result.items[score.place], item))
    return "\n".join(parts) + "\n</html>\n"


def _section(score: Score, marked: Marked, item: Item) -> str:
    kind = "right" if marked.code == RIGHT else "wrong"
    mark = "✓" if marked.code == RIGHT else "✗"
    lines = [
        f'<section class="{kind}">',
        f"<h2>{mark} {_safe(item.title)}: {score.points:g} of {marked.of:g}</h2>",
        *(f"<p>{_safe(line)}</p>" for line in _told(marked, item).splitlines()),
    ]
    if score.override:
        lines.append(f"<p>Decided by hand: {_safe(score.override.reason)}</p>")
    if marked.code != RIGHT and marked.source:
        lines.append(f"<details><summary>Your code, as it was run</summary><pre>{_safe(marked.source)}</pre></details>")
    return "\n".join([*lines, "</section>"])


def _told(marked: Marked, item: Item) -> str:
    """Return what a student is told of an item; what the parts of an assignment say was made safe in grading."""
    return marked.public_says if item.assignment else said(marked, item.exercise)


def said(marked: Marked, exercise: Exercise) -> str:
    """Return what a student is told of an exercise."""
    bank = {one.code for one in (*exercise.mistakes, *exercise.symptoms, *exercise.conditions)}
    on_public = Judgement(marked.public_code, marked.public_says, 0.0)
    return safe(Judgement(marked.code, marked.says, 0.0), on_public, bank)


def _safe(text: str) -> str:
    return html.escape(text)
