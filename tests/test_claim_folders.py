"""The house of the claims: what each folder declares, that it offers all of its files, and who may read it."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lorabook
from lorabook.claims.catalogue import AXES
from lorabook.claims.claim import Claim
from lorabook.claims.discovery import claim_modules, discover, folders

PACKAGE = Path(lorabook.__file__).parent
HOUSE = PACKAGE / "claims"
FOLDERS = {Path(folder.__file__).parent.name: folder for folder in folders().values()}
CLAIMS = discover()
OF_A_VARIANT = ("AXIS", "ORACLE", "PARAMETERS")
BESIDE_THE_AXES = "baselines"
"""What bottleneck adapters and prefixes declare: they are no recipes and move on no axis."""
DECLARERS = {
    "lorabook.claims.claim.claim",
    "lorabook.claims.claim.misconception",
    "lorabook.claims.unchecked.Unchecked",
}
READERS = {"claims", "book", "__init__.py"}
"""The rooms of the package that may import claims. Whatever else did so would let an idea lean on its own proof."""


def imported(file: Path) -> Iterator[str]:
    """Give every module and every name that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder_of(claim: Claim) -> ModuleType:
    """Return the folder that declares a claim."""
    return FOLDERS[claim.module.split(".")[2]]


def test_every_folder_of_claims_is_found_and_every_file_with_claims_is_in_one():
    assert {path.parent.name for path in HOUSE.glob("*/*.py")} == set(FOLDERS)
    in_folders = {Path(module.__file__) for module in claim_modules()}
    assert in_folders == {path for path in HOUSE.glob("*/*.py") if path.name != "__init__.py"}
    declaring = {file for file in PACKAGE.rglob("*.py") for name in imported(file) if name in DECLARERS}
    assert declaring - in_folders == set(), "discovery looks into the folders of claims only"


def test_no_idea_reads_its_own_proofs():
    leaning = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] not in READERS
        and any(name.startswith("lorabook.claims") for name in imported(file))
    }
    assert leaning == set()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_says_what_it_is_about(name):
    declared = vars(FOLDERS[name])
    assert declared["ABOUT"]
    assert sum(fact in declared for fact in OF_A_VARIANT) in (0, len(OF_A_VARIANT)), "all three, or it is a topic"
    assert declared.get("AXIS", BESIDE_THE_AXES) in (*AXES, BESIDE_THE_AXES)
    assert all(declared[fact] for fact in OF_A_VARIANT if fact in declared)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_offers_every_file_of_it(name):
    files = sorted(path.stem for path in (HOUSE / name).glob("*.py") if path.name != "__init__.py")
    starred = [
        node.module
        for node in ast.parse(inspect.getsource(FOLDERS[name])).body
        if isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["*"]
    ]
    assert starred == [f"lorabook.claims.{name}.{file}" for file in files], "a star import for each file, in order"


def test_a_claim_goes_by_its_name_in_its_folder():
    """`from lorabook.claims import dora as claims`: no helper, file or other claim may stand before it."""
    hidden = [claim.name for claim in CLAIMS if vars(folder_of(claim)).get(claim.name) is not claim]
    assert hidden == []


def test_a_claim_is_about_what_its_folder_is_about():
    assert [claim.name for claim in CLAIMS if claim.about != folder_of(claim).ABOUT] == []


def test_names_say_what_is_false():
    assert [claim.name for claim in CLAIMS if claim.name.startswith("false_") != claim.is_misconception] == []
