"""What students handed in: a folder of folders, or the zip that a learning platform exports."""

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from lorabook.book.pack.notebook import LARGEST
from lorabook.book.refused import Refused

DATA, MOST, LARGEST_DATA = (".md", ".json", ".csv"), 200, 2**20
"""Which files beside a notebook are read, how many of them, and up to how many bytes each."""
MOODLE = re.compile(r"_(\d+)_assignsubmission_file_?$")


@dataclass(frozen=True)
class Submission:
    """A student's notebook as it came, when it came if that is known, and what is odd about how it came."""

    student: str
    content: bytes
    handed_in: datetime | None
    flags: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What lies beside the notebook, by its path from there; some assignments read it."""

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256(self.content)
        for name, content in sorted(self.files.items()):
            digest.update(f"\0{name}\0{len(content)}\0".encode("utf-8", "surrogatepass") + content)
        return digest.hexdigest()


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
            one = _read(path.name, files.get(name), flags, _stamp(stamp) if stamp.is_file() else None)
            yield replace(one, files=_beside(files[name].parent if name else path))
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


def _beside(folder: Path) -> dict[str, bytes]:
    """Return the data files of a folder and the folders in it; links, hidden and large ones are left out."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in DATA or path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
            continue
        if path.is_file() and path.stat().st_size <= LARGEST_DATA and len(found) < MOST:
            found[name] = path.read_bytes()
    return found


def _of_zip(sheet: str, where: Path) -> Iterator[Submission]:
    try:
        with zipfile.ZipFile(where) as archive:
            every = [one for one in archive.infolist() if not one.is_dir()]
            members = [one for one in every if one.filename.endswith(".ipynb")]
            paths = {one.filename: PurePosixPath(one.filename.replace("\\", "/")).parts for one in members}
            root = 1 if paths and all(len(parts) > 2 for parts in paths.values()) else 0
            by_student: dict[str, list[zipfile.ZipInfo]] = {}
            for one in members:
                parts = paths[one.filename][root:]
                by_student.setdefault(parts[0].removesuffix(".ipynb"), []).append(one)
            for student, files in by_student.items():
                name, flags = _chosen(sheet, [file.filename for file in files])
                one = _unpacked(archive, student, next(file for file in files if file.filename == name), flags)
                yield replace(one, files=_beside_in(archive, every, PurePosixPath(name).parent))
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


def _beside_in(archive: zipfile.ZipFile, every: list[zipfile.ZipInfo], folder: PurePosixPath) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for one in every:
        path = PurePosixPath(one.filename)
        if folder.parts and path.suffix in DATA and path.is_relative_to(folder) and len(found) < MOST:
            if one.file_size <= LARGEST_DATA and not one.flag_bits & 1:
                with archive.open(one) as file:
                    found[path.relative_to(folder).as_posix()] = file.read(LARGEST_DATA)
    return found


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
