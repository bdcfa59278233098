"""From the folder of chapters to the folder of pages."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat

from lorabook.book.build import out_of_step, sources
from lorabook.book.chapters import chapters, contents
from lorabook.book.refused import Refused
from lorabook.book.site.assets import NOTICE, write_assets
from lorabook.book.site.links import check_links
from lorabook.book.site.live import NONE, Widgets
from lorabook.book.site.page import page_of
from lorabook.book.site.sphinx_pages import make_pages

MARK = "lorabook-site.txt"
INDEX = """# lorabook

LoRA and its variants as a book. Every equation is a piece of code that checks itself, every claim has its false
neighbour beside it, and every chapter trains a real language model.

Here you read it, and move what needs no computing; the other explorers show how they begin. In your own copy,
`lorabook lab`, everything runs: training, exercises with their checks, all explorers.

{contents}

```{{toctree}}
:hidden:

{pages}
```
"""


def no_widgets(_source: Path) -> Widgets:
    """Let nothing live: every explorer is its picture."""
    return NONE


def build_site(folder: Path, target: Path, widgets_of: Callable[[Path], Widgets]) -> int:
    """Write the chapters of `folder` as pages into `target`, say how many and how large; return 0.

    Args:
        widgets_of: gives the widgets of a chapter's source.

    Raises:
        Refused: a chapter is not built, a link leads nowhere, or `target` holds something else than a site.
    """
    _refuse_other(target)
    if apart := next(out_of_step(folder), None):
        raise Refused(f"a page would be missing or old: {apart.splitlines()[0]}")
    widgets = {source.stem: widgets_of(source) for source in sources(folder)}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        made = Path(work).resolve()
        names = _write_sources(folder, made / "sources", widgets)
        write_assets(made / "static", widgets)
        make_pages(made / "sources", made / "static", made / "site", made / "work")
        _refuse_missing(made / "site", names)
        check_links(made / "site")
        (made / "site" / MARK).write_text(NOTICE, encoding="utf-8")
        shutil.rmtree(made / "site" / "_sources", ignore_errors=True)  # Sphinx makes this folder, empty
        if target.exists():
            shutil.rmtree(target)
        (made / "site").replace(target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    alive = sum(len(of_page.living) for of_page in widgets.values())
    print(f"{target / 'index.html'}: {len(names)} pages, {alive} of their explorers and predictions alive, "
          f"{size / 1e6:.0f} MB")  # fmt: skip
    return 0


def _write_sources(folder: Path, to: Path, widgets: dict[str, Widgets]) -> list[str]:
    to.mkdir()
    for name in chapters(folder):
        notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        nbformat.write(page_of(notebook, name, widgets[name]), to / f"{name}.ipynb")
    for page in sorted(folder.glob("*.md")):
        shutil.copyfile(page, to / page.name)
    names = [*chapters(folder), *sorted(page.stem for page in folder.glob("*.md"))]
    index = INDEX.format(contents=contents(folder), pages="\n".join(names))
    (to / "index.md").write_text(index, encoding="utf-8")
    return names


def _refuse_missing(site: Path, names: list[str]) -> None:
    if missing := [name for name in names if not (site / f"{name}.html").is_file()]:
        raise Refused(f"the site lacks the pages {', '.join(missing)}: Sphinx wrote none; read its messages above")


def _refuse_other(target: Path) -> None:
    if target.exists() and not (target / MARK).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} is there and is no site of this book: name a new folder, or move that one away")
