"""How the book shows a claim and the library's own text in a notebook."""

import html
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.claims.claim import Claim
from lorabook.claims.outcome import numbers
from lorabook.claims.runner import Verdict, verify
from lorabook.claims.sides import sides_svg


@dataclass(frozen=True)
class Card:
    """A verified claim, ready to be displayed: statement, verdict, gap, source, and the picture of its two sides."""

    verdict: Verdict

    def __repr__(self) -> str:
        claim = self.verdict.claim
        return f"{claim.name}: {self._outcome()} ({claim.source})"

    def _outcome(self) -> str:
        cases = len(self.verdict.gaps)
        said = "OFTEN SAID, AND FALSE" if self.verdict.claim.is_misconception else "HOLDS"
        return f"{said}: {numbers(self.verdict)} ({cases} case{'s' * (cases > 1)} tried)"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        claim = self.verdict.claim
        mark = "✗" if claim.is_misconception else "✓"
        head = f"{mark} **{_title(claim)}** — {self._outcome()}"
        markdown = f"{head}\n\n> {claim.statement}\n\n*{claim.source}*"
        role = "false" if claim.is_misconception else "true"
        page = (
            f'<div class="lorabook-card lorabook-{role}" style="{_FRAME[role]}">'
            f"<div><b>{mark} {html.escape(_title(claim))}</b></div>"
            f'<div style="margin:.5em 0 .5em 1em">{_emphasised(claim.statement)}</div>'
            f"<div>{html.escape(self._outcome())}</div>{sides_svg(self.verdict)}"
            f'<div style="opacity:.75;font-size:90%"><i>{html.escape(claim.source)}</i></div></div>'
        )
        return {"text/plain": repr(self), "text/markdown": markdown, "text/html": page}


def _emphasised(statement: str) -> str:
    """Return a statement as HTML: its formulas stay for the page to set, `*word*` outside them is stressed."""
    parts = re.split(r"(\$[^$]*\$)", html.escape(statement))
    parts[::2] = [re.sub(r"\*([^*]+)\*", r"<em>\1</em>", part) for part in parts[::2]]
    return "".join(parts)


def _title(claim: Claim) -> str:
    """Say a claim's name in words; that a misconception is false is said by the card itself."""
    return claim.name.removeprefix("false_").replace("_", " ")


_FRAME = {
    "true": "border-left:4px solid #009e73;padding:.4em 1em;margin:.4em 0",
    "false": "border-left:4px dashed #d55e00;padding:.4em 1em;margin:.4em 0",
}


def card(claim: Claim) -> Card:
    """Run a claim, or a misconception, and return what to show of it.

    Raises:
        ClaimNotReproduced: the claim does not hold, or the misconception does; the chapter stops here.
    """
    return Card(verify(claim))


@dataclass(frozen=True)
class Source:
    """A piece of the library's own text, as it is now."""

    title: str
    text: str

    def __repr__(self) -> str:
        return f"# {self.title}\n{self.text}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        title = self.title.replace("__", r"\_\_")  # or Markdown takes __init__ for bold type
        return {"text/plain": repr(self), "text/markdown": f"*{title}*\n\n```python\n{self.text}\n```"}


def source(thing: Callable | type | Claim) -> Source:
    """Return the library's definition of a function, class, method or claim, to read in place; never a copy."""
    inner = thing.sides if isinstance(thing, Claim) else thing
    text = textwrap.dedent(inspect.getsource(inner)).rstrip()
    return Source(f"{inner.__module__}.{inner.__qualname__}", text)
