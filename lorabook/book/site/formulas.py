"""Formulas of a page as MathML: those that Sphinx finds in Markdown, and those in the HTML that a chapter shows."""

import html
import re
from typing import TYPE_CHECKING, Any

from lorabook.book.formula import as_mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Code and drawings keep their dollars; a formula has no space inside its dollars and no digit behind them.
PARTS = re.compile(
    r"(?P<kept><(?P<tag>code|pre|svg|script|style)\b.*?</(?P=tag)>|<[^>]*>)"
    r"|\$\$(?P<block>[^$]+)\$\$"
    r"|\$(?P<inline>[^\s$](?:[^$]*[^\s$])?)\$(?!\d)",
    re.DOTALL,
)


def with_formulas(page: str) -> str:
    """Return HTML with its $…$ and $$…$$ as MathML."""

    def one(match: re.Match[str]) -> str:
        if match["kept"] is not None:
            return match["kept"]
        return as_mathml(html.unescape(match["block"] or match["inline"]), block=match["block"] is not None)

    return PARTS.sub(one, page)


def setup(app: "Sphinx") -> dict[str, Any]:
    """Let Sphinx write formulas so: this module is an extension of it, chosen by html_math_renderer = "mathml"."""
    from docutils import nodes

    def inline(translator: Any, node: Any) -> None:
        translator.body.append(as_mathml(node.astext(), block=False))
        raise nodes.SkipNode

    def block(translator: Any, node: Any) -> None:
        translator.body.append(f'<div class="math">{as_mathml(node.astext(), block=True)}</div>')
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
