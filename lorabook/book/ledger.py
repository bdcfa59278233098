"""The ledger: every claim and misconception with both sides and the verdict; and what cannot be checked here."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import torch
from tqdm import tqdm

from lorabook.book import ledger_pages, style
from lorabook.book.ledger_pages import Line
from lorabook.book.ledger_printer import Printer
from lorabook.book.refused import Refused
from lorabook.claims.claim import Claim
from lorabook.claims.claim import about as about_of
from lorabook.claims.discovery import discover
from lorabook.claims.runner import ClaimNotReproduced, Verdict, apart, examine
from lorabook.claims.unchecked import unchecked


def claims_with(pattern: str) -> list[Claim]:
    """Return the claims and misconceptions with the pattern in variant, module, name or statement, by variant."""
    fitting = [c for c in discover() if pattern.lower() in f"{c.about} {c.module}.{c.name} {c.statement}".lower()]
    return sorted(fitting, key=lambda claim: place(claim.about))


def place(about: str) -> tuple[int, str]:
    """Return where a variant or topic stands in the ledger: variants in the book's order, then topics by name."""
    return (style.VARIANTS.index(about), "") if about in style.VARIANTS else (len(style.VARIANTS), about)


def where_it_shows(verdict: Verdict) -> tuple[float | None, float | None]:
    """Return one entry of both sides: the farthest from a relation that fails, else the largest.

    None stands for what is not finite.
    """
    left, right = (side.detach().double().flatten() for side in verdict.sides[:2])
    size = left.abs().maximum(right.abs())
    at = (size if verdict.holds else apart(verdict.claim.relation, verdict.sides).flatten()).argmax()
    return _finite(left[at].item()), _finite(right[at].item())


def _finite(number: float) -> float | None:
    """Return the number, or None: JSON has no word for NaN and infinity."""
    return number if math.isfinite(number) else None


def checked(claim: Claim) -> Line:
    """Run a claim and return its line of the ledger: what is claimed, both sides, the gap, the verdict."""
    line = {
        "about": claim.about,
        "claim": _short(claim.module, claim.name),
        "kind": claim.kind,
        "statement": claim.statement,
        "when": claim.when,
        "instead": claim.misconception_of.statement if claim.misconception_of else "",
        "source": claim.source,
        "relation": claim.relation,
        "tol": claim.tol,
    }
    start = time.perf_counter()
    try:
        with one_thread():
            verdict = examine(claim)
    except ClaimNotReproduced as error:
        return {**line, "reproduced": False, "verdict": str(error)}
    except Exception as error:  # one claim that cannot be computed must not silence all that come after it
        return {**line, "reproduced": False, "verdict": f"could not be computed: {type(error).__name__}: {error}"}
    left, right = where_it_shows(verdict)
    return {
        **line,
        "reproduced": verdict.reproduced,
        "verdict": "holds" if verdict.holds else "fails",
        "gap": _finite(max(verdict.gaps)),
        "left": left,
        "right": right,
        "seconds": round(time.perf_counter() - start, 3),
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread inside the block.

    Claims are many small matrices: on them threads cost more than they give, most of all when cores are shared.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _short(module: str, name: str) -> str:
    """Return the name of a statement without what all of them share."""
    return f"{module.removeprefix('lorabook.claims.')}.{name}"


def open_lines(pattern: str) -> list[Line]:
    """Return the lines of what no run here can settle, with the reason; those that fit the pattern."""
    lines = [
        {"about": about_of(module), "claim": _short(module, name), "kind": "not checkable here",
         "statement": entry.statement, "source": entry.source, "reason": entry.reason}
        for name, (module, entry) in unchecked().items()
    ]  # fmt: skip
    searched = ("about", "claim", "statement")
    fits = [line for line in lines if pattern.lower() in " ".join(line[part] for part in searched).lower()]
    return sorted(fits, key=lambda line: place(line["about"]))


def check(pattern: str, printer: Printer, pages: list[Path]) -> int:
    """Verify the claims that fit, print the ledger and write it to `pages`; return 1 if a verdict is not reproduced.

    Raises:
        Refused: nothing fits the pattern, so that a misspelt one is not taken for a green ledger, or a page cannot be
            written.
    """
    claims, unsettled = claims_with(pattern), open_lines(pattern)
    if not claims and not unsettled:
        raise Refused(
            f"none of the {len(discover())} claims, and no open statement, has {pattern!r} in its variant, name or "
            "statement; `lorabook check` alone lists them all"
        )
    writers = [(page, ledger_pages.writer(page)) for page in pages]
    lines: list[Line] = []
    for line in chain(_verified(claims), unsettled):
        printer.line(line, lines)
        lines.append(line)
    printer.end(lines)
    for page, write in writers:
        page.write_text(write(lines), encoding="utf-8")
    return int(any(line.get("reproduced") is False for line in lines))


def _verified(claims: list[Claim]) -> Iterator[Line]:
    with tqdm(claims, desc="claims", unit="", disable=None, leave=False) as bar:
        for claim in bar:
            bar.set_postfix_str(claim.about, refresh=False)
            yield checked(claim)
