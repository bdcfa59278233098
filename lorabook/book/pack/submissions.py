"""What students handed in: a folder of folders, or the zip that a learning platform exports."""

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from lorabook.book.pack.notebook import LARGEST
from lorabook.book.refused import Refused

MOODLE = re.compile(r"_(\d+)_assignsubmission_file_?$")


@dataclass(frozen=True)
class Submission:
    """A student's notebook as it came, when it came if that is known, and what is odd about how it came."""

    student: str
    content: bytes
    handed_in: datetime | None
    flags: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def file_name(student: str) -> str:
    """Return a name for a student's files that any system takes, and that no two students share.

    A name of small letters, digits, dots, - and _ stays as it is; any other gets a few letters of its hash.
    """
    if re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,59}", student):
        return student
    plain = re.sub(r"[^\w-]+", "_", student).strip("_")[:40]
    return f"{plain}-{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def submissions(sheet: str, where: Path) -> list[Submission]:
    """Return what every student handed in, by student.

    Raises:
        Refused: `where` is neither a folder nor a zip, or nobody handed in anything.
    """
    if where.is_dir():
        found = list(_of_folder(sheet, where))
    elif where.is_file() and zipfile.is_zipfile(where):
        found = list(_of_zip(sheet, where))
    else:
        raise Refused(f"{where} is no folder and no zip: name the folder with a folder for each student, or the export")
    if not found:
        raise Refused(f"{where} holds no submission: it must have <student>/{sheet}.ipynb for each student")
    return sorted(found, key=lambda one: one.student)


def _of_folder(sheet: str, where: Path) -> Iterator[Submission]:
    for path in sorted(where.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            files = {str(file.relative_to(path)): file for file in sorted(path.rglob("*.ipynb"))}
            files = {name: file for name, file in files.items() if "checkpoint" not in name}
            name, flags = _chosen(sheet, list(files))
            stamp = path / "timestamp.txt"
            yield _read(path.name, files.get(name), flags, _stamp(stamp) if stamp.is_file() else None)
        elif path.suffix == ".ipynb":
            yield _read(path.stem, path, ("not in a folder of its own",), None)


def _read(student: str, file: Path | None, flags: tuple[str, ...], handed_in: datetime | None) -> Submission:
    student = MOODLE.sub(r" \1", student)
    if file is None:
        return Submission(student, b"", handed_in, flags)
    if file.is_symlink():
        return Submission(student, b"", handed_in, (*flags, "a link to another file: not followed"))
    try:
        size = file.stat().st_size
        if size > LARGEST:
            return Submission(student, b"", handed_in, (*flags, f"{size / 2**20:.0f} MB: not read"))
        return Submission(student, file.read_bytes(), handed_in, flags)
    except OSError as error:
        return Submission(student, b"", handed_in, (*flags, f"cannot be read: {type(error).__name__}"))


def _of_zip(sheet: str, where: Path) -> Iterator[Submission]:
    try:
        with zipfile.ZipFile(where) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(".ipynb") and not one.is_dir()]
            paths = {one.filename: PurePosixPath(one.filename.replace("\\", "/")).parts for one in members}
            root = 1 if paths and all(len(parts) > 2 for parts in paths.values()) else 0
            by_student: dict[str, list[zipfile.ZipInfo]] = {}
            for one in members:
                parts = paths[one.filename][root:]
                by_student.setdefault(parts[0].removesuffix(".ipynb"), []).append(one)
            for student, files in by_student.items():
                name, flags = _chosen(sheet, [file.filename for file in files])
                yield _unpacked(archive, student, next(file for file in files if file.filename == name), flags)
    except zipfile.BadZipFile as error:
        raise Refused(f"{where} is damaged: {error}; export it again") from error


def _unpacked(archive: zipfile.ZipFile, student: str, member: zipfile.ZipInfo, flags: tuple[str, ...]) -> Submission:
    student = MOODLE.sub(r" \1", student)
    if member.file_size > LARGEST:
        return Submission(student, b"", None, (*flags, f"{member.file_size / 2**20:.0f} MB: not read"))
    try:
        with archive.open(member) as file:
            content = file.read(LARGEST + 1)
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile, OSError) as error:
        return Submission(student, b"", None, (*flags, f"cannot be unpacked: {type(error).__name__}"))
    return Submission(student, content[:LARGEST], None, flags)


def _chosen(sheet: str, names: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return which of a student's notebooks counts, and what is odd about that."""
    if not names:
        return "", ("no notebook",)
    exact = [name for name in names if PurePosixPath(name.replace("\\", "/")).name == f"{sheet}.ipynb"]
    likely = exact or [name for name in names if sheet.lower() in name.lower()] or names
    chosen = min(likely, key=lambda name: (len(PurePosixPath(name).parts), name))
    flags = [] if exact else [f"the notebook is called {PurePosixPath(chosen).name[:60]}"]
    return chosen, (*flags, *([f"{len(names)} notebooks"] if len(names) > 1 else []))


def _stamp(path: Path) -> datetime | None:
    """Return the time in nbgrader's `timestamp.txt`: UTC, unless it names a zone."""
    try:
        told = datetime.fromisoformat(path.read_text(encoding="utf-8").strip().removesuffix(" UTC"))
    except (ValueError, OSError):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
