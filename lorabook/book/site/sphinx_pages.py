"""Sphinx with MyST-NB: from a folder of notebooks and Markdown to pages with contents, search and previous/next."""

import io
import logging
import re
import warnings
from pathlib import Path
from typing import Any

from lorabook.book.refused import Refused

COLOUR = re.compile("\x1b\\[[0-9;]*m")
SETTINGS: dict[str, Any] = {
    "project": "lorabook",
    "html_title": "lorabook",
    "language": "en",
    "root_doc": "index",
    "extensions": ["myst_nb", "lorabook.book.site.formulas"],
    "nb_execution_mode": "off",
    "nb_render_markdown_format": "myst",
    "nb_code_prompt_show": "Show the code",
    "nb_code_prompt_hide": "Hide the code",
    "myst_enable_extensions": ["dollarmath"],
    "myst_links_external_new_tab": False,
    "html_math_renderer": "mathml",
    "html_theme": "furo",
    "pygments_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "html_css_files": ["lorabook/explorer.css", "lorabook/site.css"],
    "html_js_files": ["lorabook/runtime.js"],
    # A summary of what was found would be fetched, which a page opened from a folder may not do.
    "html_show_search_summary": False,
    "html_show_sourcelink": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_copy_source": False,
    "html_use_index": False,
}


def make_pages(sources: Path, static: Path, target: Path, work: Path) -> None:
    """Write the pages of `sources` into `target`.

    Args:
        static: a folder whose files go along as they are.
        work: a folder for what Sphinx keeps in between.

    Raises:
        Refused: Sphinx is not installed, or warns: of a link that leads nowhere, of a page that no contents name.
    """
    try:
        from sphinx.application import Sphinx
        from sphinx.util.docutils import docutils_namespace, patch_docutils
    except ImportError as error:
        raise Refused("the site is made by Sphinx and MyST-NB: run `pip install lorabook[site]` first") from error
    settings = {**SETTINGS, "html_static_path": [str(static)]}
    # A file, for the theme's own settings: Sphinx takes those of an extension alone by argument.
    text = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    (sources / "conf.py").write_text(text, encoding="utf-8")
    said = io.StringIO()
    with warnings.catch_warnings(), patch_docutils(str(sources)), docutils_namespace():
        # What Sphinx will remove one day concerns its extensions, and no page.
        for category in (DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)
        Sphinx(sources, sources, target, work, "html", status=None, warning=said).build()
    logging.getLogger("sphinx").handlers.clear()
    if faults := COLOUR.sub("", said.getvalue()).strip():
        first, *others = faults.splitlines()
        more = f" (and {len(others)} lines more)" if others else ""
        raise Refused(f"the site has a fault: {first}{more}")
