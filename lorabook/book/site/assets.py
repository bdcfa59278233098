"""What lies beside the pages: the views of the explorers, their tables, the style sheets, plotly."""

import json
import re
from pathlib import Path

from lorabook.book.explore.bundle import bundle, stylesheet
from lorabook.book.site.live import Widgets

HERE = Path(__file__).parent
CHART = "plotly"
VALUE = re.compile(r"^export default ", re.MULTILINE)
NOTICE = """These pages were written by `lorabook site`; the book's code and text are under the MIT licence.

Beside them lie, under their own licences:
- plotly.js, which draws charts: MIT, (c) Plotly, Inc.; its text is in _static/lorabook/plotly.min.js
- Furo, the theme: MIT, (c) Pradyun Gedam; Sphinx' scripts for the search: BSD-2-Clause, (c) the Sphinx team
"""


def write_assets(static: Path, widgets: dict[str, Widgets]) -> None:
    """Write into a folder of static files all that the pages load; `widgets` are those of each page."""
    living = {name: of_page.living for name, of_page in widgets.items() if of_page.living}
    folder = static / "lorabook"
    for part in ("views", "tables"):
        (folder / part).mkdir(parents=True)
    _write(folder / "explorer.css", stylesheet())
    for name in ("site.css", "runtime.js"):
        _write(folder / name, (HERE / name).read_text(encoding="utf-8"))
    for view in sorted({live["view"] for page in living.values() for live in page.values()}):
        _write(folder / "views" / f"{view}.js", script_of(view))
    for name, page in living.items():
        tables = json.dumps(page, ensure_ascii=False)
        _write(folder / "tables" / f"{name}.js", f"globalThis.lorabookTables = {tables};\n")
    if any(view.is_file() and CHART in view.read_text(encoding="utf-8") for view in (folder / "views").iterdir()):
        from plotly.offline import get_plotlyjs

        _write(folder / "plotly.min.js", get_plotlyjs())


def script_of(view: str) -> str:
    """Return a view as a plain script: a page that was opened from a folder may load no modules."""
    text, count = VALUE.subn("return ", bundle(view))
    if count != 1:
        raise ValueError(f"{view}.js exports {count} values by default, expected one")
    return f'(globalThis.lorabookViews ??= {{}})["{view}"] = (() => {{\n"use strict";\n{text}\n}})();\n'


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
