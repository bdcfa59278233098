"""Make one ES module of a view and of the modules it imports: a widget carries its JavaScript as one text.

The files beside this one are plain modules (`import { build } from "./controls.js"`). Each imported file becomes a
function of its own, so two of them may use the same local name:

    const $controls = (() => { …; return { build }; })();
    const { build } = $controls;
"""

import re
from functools import cache
from pathlib import Path

from lorabook.book import style

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:function|const|class) (\w+))", re.MULTILINE)


@cache
def bundle(view: str) -> str:
    """Return the text of `view`.js with everything that it imports, each module once, imports first.

    Raises:
        FileNotFoundError: there is no such file beside this one.
    """
    order: list[str] = []
    _visit(view, order, ())
    modules = [_wrapped(name) for name in order if name != view]
    return "\n".join([*modules, IMPORT.sub(r"const {\1} = $\2;", _text(view))])


@cache
def stylesheet() -> str:
    """Return the style sheet that all explorers share."""
    return (HERE / "explorer.css").read_text(encoding="utf-8")


def _text(name: str) -> str:
    if name == "style":  # the one module written by Python: colours, dashes and markers
        return f"export const STYLE = {style.as_json()};"
    return (HERE / f"{name}.js").read_text(encoding="utf-8")


def _visit(name: str, order: list[str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ImportError(f"{' → '.join((*above, name))}: JavaScript modules import each other; break the circle.")
    for _, wanted in IMPORT.findall(_text(name)):
        if wanted not in order:
            _visit(wanted, order, (*above, name))
    order.append(name)


def _wrapped(name: str) -> str:
    text = IMPORT.sub(r"const {\1} = $\2;", _text(name))
    names = ", ".join(EXPORT.findall(text))
    return f"const ${name} = (() => {{\n{EXPORT.sub('', text)}\nreturn {{ {names} }};\n}})();"
