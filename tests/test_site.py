"""The site: whole, self-contained, and refused in one sentence when a page or a link is missing."""

import html
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from site_sample import NAME, sample_chapter

from lorabook.book.cli import main
from lorabook.book.explore import bundle
from lorabook.book.formula import as_mathml
from lorabook.book.refused import Refused
from lorabook.book.site import tables
from lorabook.book.site.assets import script_of
from lorabook.book.site.build_site import MARK, build_site, no_widgets
from lorabook.book.site.formulas import PARTS, with_formulas
from lorabook.book.site.page import page_of
from lorabook.models.paths import notebooks_dir

VIEWS = [path.stem for path in Path(bundle.__file__).parent.glob("*.js") if "export default" in path.read_text("utf-8")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of chapters."""
    made = tmp_path / "book"
    made.mkdir()
    return made


def test_a_site_has_every_page_its_formulas_and_what_its_explorers_need(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    widgets = sample_chapter(folder)
    assert [live["view"] for live in widgets.living.values()] == ["predict", "codebook", "spectrum"]
    assert len(widgets.asking) == 1
    assert build_site(folder, tmp_path / "site", lambda _source: widgets) == 0
    assert "2 pages, 3 of their explorers and predictions alive" in capsys.readouterr().out
    page = (tmp_path / "site" / f"{NAME}.html").read_text(encoding="utf-8")
    assert page.count("<math") == 1
    assert "$5" in page
    assert page.count('class="lorabook-live"') == 3
    assert page.count("lorabook lab 01") == 1, "what asks a kernel says where there is one"
    assert 'href="symbols.html"' in page
    assert f'href="{NAME}.html"' in (tmp_path / "site/index.html").read_text(encoding="utf-8")
    own = tmp_path / "site/_static/lorabook"
    assert {path.stem for path in (own / "views").iterdir()} == {"predict", "codebook", "spectrum"}
    assert (own / "plotly.min.js").stat().st_size > 1e6
    assert "plotly.js" in (tmp_path / "site" / MARK).read_text(encoding="utf-8")
    assert str(tmp_path) not in page


def test_the_command_without_running_shows_every_explorer_as_its_picture_and_makes_the_site_anew(
    folder: Path, tmp_path: Path
) -> None:
    sample_chapter(folder)
    for _ in range(2):
        assert main(["site", str(tmp_path / "site"), "--pictures", "--folder", str(folder)]) == 0
    page = (tmp_path / "site" / f"{NAME}.html").read_text(encoding="utf-8")
    assert "lorabook-live" not in page
    pictures = re.findall(r'<img class="lorabook-picture"[^>]* alt="([^"]+)">', page)
    assert len(pictures) == 3
    assert all(pictures)
    assert not (tmp_path / "site/_static/lorabook/plotly.min.js").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"book", "site"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[gone](gone.md)", r"the site has a fault: .*01_sample.*gone\.md"),
        ('<a href="gone.html">gone</a>', r"01_sample\.html links to gone\.html, which is no file of the site$"),
        ('<a href="symbols.html#gone">x</a>', r"links to symbols\.html#gone, and symbols\.html has no such place$"),
        ('<img src="https://example.org/a.png">', r"loads https://example\.org/a\.png: a page may ask nothing"),
    ],
)
def test_a_link_that_leads_nowhere_or_asks_another_server_fails_the_build(
    folder: Path, tmp_path: Path, more: str, said: str
) -> None:
    sample_chapter(folder, more)
    with pytest.raises(Refused, match=said) as refused:
        build_site(folder, tmp_path / "site", no_widgets)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "site").exists()


def test_a_chapter_that_is_not_built_is_a_missing_page(folder: Path, tmp_path: Path) -> None:
    sample_chapter(folder)
    (folder / f"{NAME}.ipynb").unlink()
    with pytest.raises(Refused, match="a page would be missing or old: 01_sample: not built yet"):
        build_site(folder, tmp_path / "site", no_widgets)


def test_a_folder_of_something_else_stays(folder: Path, tmp_path: Path) -> None:
    sample_chapter(folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it", encoding="utf-8")
    with pytest.raises(Refused, match=r"mine is there and is no site of this book"):
        build_site(folder, tmp_path / "mine", no_widgets)
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "all of it"


def test_without_sphinx_the_message_names_the_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_chapter(folder)
    monkeypatch.setitem(sys.modules, "sphinx.application", None)
    with pytest.raises(Refused, match=r"run `pip install lorabook\[site\]` first"):
        build_site(folder, tmp_path / "site", no_widgets)


def test_a_chapter_is_run_once_until_it_changes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widgets = sample_chapter(folder)
    runs: list[Path] = []
    monkeypatch.setattr(tables, "run", lambda _notebook, place: runs.append(place))
    monkeypatch.setattr(tables, "widgets_of", lambda _executed: widgets)
    source = folder / "src" / f"{NAME}.py"
    assert tables.tables(source, tmp_path / "kept") == tables.tables(source, tmp_path / "kept") == widgets
    assert runs == [folder]
    source.write_text(source.read_text(encoding="utf-8") + "\n# %%\n1\n", encoding="utf-8")
    tables.tables(source, tmp_path / "kept")
    assert len(runs) == 2
    assert len(list((tmp_path / "kept").iterdir())) == 1, "what is out of date goes"


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_becomes_a_plain_script(view: str) -> None:
    text = script_of(view)
    assert f'["{view}"]' in text
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "formulas"),
    [
        ("<p>$a$ and $$b$$</p>", 2),
        ("<p>it costs $5 or $6</p>", 0),
        ("<code>$a$</code><pre>$a$</pre><svg><text>$a$</text></svg>", 0),
        ('<b title="$a$">$x&gt;y$</b>', 1),
    ],
)
def test_dollars_in_html_are_formulas_where_a_notebook_takes_them_for_such(page: str, formulas: int) -> None:
    written = with_formulas(page)
    assert written.count("<math") == formulas
    if not formulas:
        assert written == page


def texts(notebook: NotebookNode) -> list[str]:
    """Every text of a chapter that may hold formulas."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [data[mime] for data in outputs for mime in ("text/html", "text/markdown") if mime in data]
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"] + shown


@pytest.mark.parametrize("path", sorted(notebooks_dir().glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_formula_of_the_book_leaves_its_latex_behind(path: Path) -> None:
    written = {}
    for text in texts(nbformat.read(path, as_version=4)):
        for match in PARTS.finditer(re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
            if latex := match["block"] or match["inline"]:
                written[latex] = re.sub(r"<[^>]*>", "", as_mathml(html.unescape(latex), block=False))
    assert {latex: math for latex, math in written.items() if "\\" in html.unescape(math)} == {}


def test_a_progress_bar_has_no_place_on_a_page() -> None:
    cell = nbformat.v4.new_code_cell("run()", outputs=[
        nbformat.v4.new_output("display_data", {"text/plain": "claims:   0%|          | 0/640 [00:00<?, ?it/s]"}),
        nbformat.v4.new_output("display_data", {"text/plain": "50% | of it"}),
    ])  # fmt: skip
    page = page_of(nbformat.v4.new_notebook(cells=[cell]), "00_none", no_widgets(Path()))
    assert [output.data["text/plain"] for output in page.cells[0].outputs] == ["50% | of it"]
