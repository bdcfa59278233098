"""An assignment in the pack: its cells in the notebook, and its parts graded in a child each."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from lorabook.book.assignments.assignment import BUNDLE, Assignment, Part
from lorabook.book.assignments.file_part import FilePart
from lorabook.book.classroom.grader import Grader
from lorabook.book.classroom.judge import NO_REPORT, RIGHT, Judgement
from lorabook.book.classroom.taken import taken
from lorabook.book.pack.cells import answered, graded, locked
from lorabook.book.pack.notebook import Code
from lorabook.book.pack.results import Marked
from lorabook.book.pack.safe import safe
from lorabook.book.pack.sheet import Item, Sheet
from lorabook.models.paths import notebooks_dir

NOT_ALLOWED, NOT_DEFINED = "not-allowed", "not-defined"


def reference_of(item: Item) -> str | None:
    """Return a teacher's own solution of an assignment; None where this copy of the book has none."""
    path: Path = notebooks_dir().parent / "tests" / "references" / f"{item.name}.py"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def files_of(item: Item) -> dict[str, bytes]:
    """Return the files of an item's reference; none where it is code, or where this copy of the book has none."""
    folder: Path = notebooks_dir().parent / "tests" / "references" / item.name
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def asked_of(assignment: Assignment) -> str:
    """Return all that is handed out of an assignment."""
    stubs = [one.stub for one in assignment.parts if isinstance(one, Part)]
    return "\n".join((assignment.prompt, assignment.setup, *(one.prompt for one in assignment.parts), *stubs))


def cells_of(sheet: Sheet, item: Item, assignment: Assignment) -> list[NotebookNode]:
    """Return the cells of an assignment: the setup, and for each part what is asked, a stub, a check, its points."""
    head = f"## {assignment.title} ({item.points:g} points)\n\n{assignment.prompt}"
    cells = [
        locked(sheet.name, f"{item.name}-prompt", new_markdown_cell(head)),
        locked(sheet.name, f"{item.name}-setup", new_code_cell(assignment.setup)),
    ]
    for place, part in enumerate(assignment.parts):
        points, what = round(part.share * item.points, 4), f"{item.name}-{part.name}"
        prompt = f"### {part.title} ({points:g} points)\n\n{part.prompt}"
        cells.append(locked(sheet.name, f"{what}-prompt", new_markdown_cell(prompt)))
        if isinstance(part, FilePart):
            check = new_code_cell(f"try_files({item.name}.ASSIGNMENT.parts[{place}])")
            cells.append(locked(sheet.name, f"{what}-check", check))
            continue
        given = ", ".join((f"{item.name}.ASSIGNMENT.parts[{place}]", *part.names))
        cells += [
            answered(sheet.name, what, new_code_cell(part.stub)),
            locked(sheet.name, f"{what}-check", new_code_cell(f"try_out({given})")),
            graded(sheet.name, what, new_code_cell(f"part_points({given}, of={points:g})"), points),
        ]
    return cells


def marked_parts(sheet: Sheet, key: str, student: str, item: Item, code: Code, grader: Grader) -> Marked:
    """Return an assignment of one student: each part has its own verdict, and what it says is safe to be shown."""
    every = item.assignment.parts
    verdicts = [_verdicts(sheet, key, student, item, part, code, grader) for part in every]
    points = [
        part.share * item.points * item.credit.get(on_all.code, on_all.points)
        for part, (on_all, _) in zip(every, verdicts, strict=True)
    ]
    both = list(zip(every, verdicts, strict=True))
    codes = {on_all.code for _, (on_all, _) in both}
    code_of_all = codes.pop() if len(codes) == 1 else _list((one.name, a.code) for one, (a, _) in both)
    public_codes = {on_public.code for _, (_, on_public) in both}
    says = _list((one.title, a.says) for one, (a, _) in both)
    told = _list(
        (f"{one.title} ({p:g} of {one.share * item.points:g})", _told(one, a, b))
        for (one, (a, b)), p in zip(both, points, strict=True)
    )
    return Marked(
        item.name, round(sum(points), 4), item.points, code_of_all, says,
        public_codes.pop() if len(public_codes) == 1 else "parts", told, _source(every, code),
    )  # fmt: skip


def _told(part: Part | FilePart, on_all: Judgement, on_public: Judgement) -> str:
    """Return what may be told; a file was written without any hidden input."""
    if isinstance(part, FilePart):
        return on_all.says
    return safe(on_all, on_public, part.judge.codes | {NOT_ALLOWED})


def _verdicts(
    sheet: Sheet, key: str, student: str, item: Item, part: Part | FilePart, code: Code, grader: Grader
) -> tuple[Judgement, Judgement]:
    """Return the verdict on all trials, and on the public ones, which a child of their own has seen."""
    if isinstance(part, FilePart):
        of_files = part.judged(code.files, sheet.hidden_seed(key, student, item, 0))
        return of_files, of_files
    source = part.source(code.cells)
    if source is None:
        missing = Judgement(NOT_DEFINED, f"`{part.name}` is not defined in a cell that Python can read.", 0.0)
        return missing, missing
    broken = part.rules.broken_by(source)
    if broken:
        refused = Judgement(NOT_ALLOWED, broken, 0.0)
        return refused, refused
    public = part.cases(sheet.public_seed(item))
    hidden = [case for draw in range(item.hidden) for case in part.cases(sheet.hidden_seed(key, student, item, draw))]
    on_all = tried(part, source, [*public, *hidden], grader)
    return on_all, on_all if on_all.code == RIGHT else tried(part, source, public, grader)


def tried(part: Part, source: str, trials: Sequence, grader: Grader) -> Judgement:
    """Return the judgement on the code of a part, run in a child; a report that our observers never write is none."""
    seen = grader.observed(part.bundled(source), BUNDLE, part.observe, [trial.given for trial in trials])
    try:
        return part.judged(trials, seen)
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError):
        return NO_REPORT


def _list(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {text}" for name, text in pairs)


def _source(every: Sequence[Part | FilePart], code: Code) -> str:
    asked = [name for part in every if isinstance(part, Part) for name in part.names]
    names = [name for name in asked if taken(code.cells, name) is not None]
    whole = taken([*code.cells, f"everything = ({', '.join(names)},)"], "everything") if names else None
    return (whole or "").rpartition("\n")[0][:20_000]
