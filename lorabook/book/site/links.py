"""Every link inside the site leads somewhere, and no page asks anything of any server."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lorabook.book.refused import Refused

# What a browser loads by itself, as against <a href>, which the reader follows.
LOADS = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
IN_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


@dataclass
class Page(HTMLParser):
    """What one page links to, what it loads, and where it can be linked to."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif (tag, name) in LOADS and value:
                self.loads.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)


def check_links(site: Path) -> None:
    """Read every page and style sheet of a site.

    Raises:
        Refused: a link leads to a page or a place that is not there, or a page would ask another server for something.
    """
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            _check(address, path, pages, loaded=address in page.loads)
    for path in sorted(site.rglob("*.css")):
        if outside := IN_CSS.search(path.read_text(encoding="utf-8")):
            raise Refused(f"{path.relative_to(site)} loads {outside[1]}: a page may ask nothing of any server")


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _check(address: str, path: Path, pages: dict[Path, Page], loaded: bool) -> None:
    parts = urlsplit(address)
    if parts.scheme == "data" or (parts.scheme in ("http", "https", "mailto") and not loaded):
        return
    if parts.scheme or parts.netloc:
        raise Refused(f"{path.name} loads {address}: a page may ask nothing of any server")
    to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not to.is_file():
        raise Refused(f"{path.name} links to {address}, which is no file of the site")
    if parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].ids:
        raise Refused(f"{path.name} links to {address}, and {to.name} has no such place")
