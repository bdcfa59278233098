"""The JavaScript of a view and of what it imports becomes one module."""

import re
from pathlib import Path

import pytest
from explorers import BUILD

from lorabook.book.explore.bundle import HERE, bundle


@pytest.mark.parametrize("name", BUILD)
def test_the_bundle_is_one_module_with_no_import_left(name: str) -> None:
    text = bundle(name)
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert text.count("export default") == 1
    assert len(re.findall(r"^export ", text, re.MULTILINE)) == 1


def test_every_script_beside_the_explorers_belongs_to_a_bundle() -> None:
    views = [path.stem for path in HERE.glob("*.js") if "export default" in path.read_text(encoding="utf-8")]
    together = "".join(bundle(view) for view in views)
    for path in HERE.glob("*.js"):
        assert path.stem in views or f"const ${path.stem} = " in together, f"{path.name} is in no bundle"


def test_a_circle_of_imports_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one, other in (("left", "right"), ("right", "left")):
        (tmp_path / f"{one}.js").write_text(f'import {{ a }} from "./{other}.js";\nexport function b() {{}}\n')
    monkeypatch.setattr("lorabook.book.explore.bundle.HERE", tmp_path)
    with pytest.raises(ImportError, match="left → right → left"):
        bundle("left")
