"""The ledger: every claim and misconception with both sides and the verdict; and what cannot be checked here."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from lorabook.book import ledger_pages, style
from lorabook.book.ledger_pages import shown
from lorabook.book.refused import Refused
from lorabook.claims.claim import Claim
from lorabook.claims.claim import about as about_of
from lorabook.claims.discovery import discover
from lorabook.claims.runner import ClaimNotReproduced, Verdict, apart, examine
from lorabook.claims.unchecked import unchecked

Line = dict[str, object]


def chosen(pattern: str) -> list[Claim]:
    """The claims and misconceptions whose variant, module, name or statement contains the pattern, by variant."""
    found = [c for c in discover() if pattern.lower() in f"{c.about} {c.module}.{c.name} {c.statement}".lower()]
    return sorted(found, key=lambda claim: place(claim.about))


def place(about: str) -> tuple[int, str]:
    """Where a variant or topic stands in the ledger: variants in the book's order, then topics by name."""
    return (style.VARIANTS.index(about), "") if about in style.VARIANTS else (len(style.VARIANTS), about)


def telling(verdict: Verdict) -> tuple[float | None, float | None]:
    """The same entry of both sides: the one farthest from a relation that fails, else the largest. None: not finite."""
    left, right = (side.detach().double().flatten() for side in verdict.sides[:2])
    size = left.abs().maximum(right.abs())
    at = (size if verdict.holds else apart(verdict.claim.relation, verdict.sides).flatten()).argmax()
    return _finite(left[at].item()), _finite(right[at].item())


def _finite(number: float) -> float | None:
    """JSON has no word for NaN and infinity."""
    return number if math.isfinite(number) else None


def line(claim: Claim) -> Line:
    """One line of the ledger: what is claimed, both sides, the gap, the verdict."""
    said = {
        "about": claim.about,
        "claim": f"{claim.module.removeprefix('lorabook.claims.')}.{claim.name}",
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
        verdict: Verdict = examine(claim)
    except ClaimNotReproduced as error:
        return {**said, "reproduced": False, "verdict": str(error)}
    except Exception as error:  # one claim that cannot be computed must not silence all that come after it
        return {**said, "reproduced": False, "verdict": f"could not be computed: {type(error).__name__}: {error}"}
    left, right = telling(verdict)
    return {
        **said,
        "reproduced": verdict.reproduced,
        "verdict": "holds" if verdict.holds else "fails",
        "gap": _finite(max(verdict.gaps)),
        "left": left,
        "right": right,
        "seconds": round(time.perf_counter() - start, 3),
    }


def open_lines(pattern: str) -> list[Line]:
    """The statements that no run here can settle, with the reason; those that fit the pattern."""
    found = [
        {"about": about_of(module), "claim": f"{module.removeprefix('lorabook.claims.')}.{name}",
         "kind": "not checkable here", "statement": entry.statement, "source": entry.source, "reason": entry.reason}
        for name, (module, entry) in unchecked().items()
    ]  # fmt: skip
    fits = [one for one in found if pattern.lower() in f"{one['about']} {one['claim']} {one['statement']}".lower()]
    return sorted(fits, key=lambda one: place(one["about"]))


def check(pattern: str, as_json: bool, pages: list[Path]) -> int:
    """Verify the chosen claims, print the ledger and write it to `pages`; returns 1 if a verdict is not reproduced.

    Raises: Refused when nothing fits the pattern, so that a misspelt one is not taken for a green ledger.
    """
    claims, left = chosen(pattern), open_lines(pattern)
    if not claims and not left:
        raise Refused(
            f"none of the {len(discover())} claims, and no open statement, has {pattern!r} in its variant, name or "
            "statement; `lorabook check` alone lists them all"
        )
    writers = [(page, ledger_pages.writer(page)) for page in pages]
    results: list[Line] = []
    for said in _verified(claims):
        results.append(said)
        tqdm.write(json.dumps(said, ensure_ascii=False) if as_json else _as_text(said, results))
    results += left
    for said in left:
        print(json.dumps(said, ensure_ascii=False) if as_json else _as_text(said, results))
    for page, write in writers:
        page.write_text(write(results), encoding="utf-8")
    failed = sum(said.get("reproduced") is False for said in results)
    if not as_json:
        misconceptions = sum(claim.is_misconception for claim in claims)
        total = f"{len(claims) - misconceptions} claims and {misconceptions} misconceptions, {failed} not reproduced"
        print(f"\n{total}; {len(left)} statements cannot be checked here" if left else f"\n{total}")
    return int(failed > 0)


def _verified(claims: list[Claim]) -> Iterator[Line]:
    with tqdm(claims, desc="claims", unit="", disable=None, leave=False) as bar:
        for claim in bar:
            bar.set_postfix_str(claim.about, refresh=False)
            yield line(claim)


def _as_text(said: Line, before: list[Line]) -> str:
    """One entry as text; the first of a variant under the variant's name."""
    heading = "" if any(one is not said and one["about"] == said["about"] for one in before) else f"\n{said['about']}\n"
    if "reason" in said:
        more = [f"open {said['claim']}", said["statement"], f"why not: {said['reason']}", f"source: {said['source']}"]
        return heading + "\n           ".join(more)
    mark = "ok  " if said["reproduced"] else "FAIL"
    head = f"{mark} {said['kind']}: {said['claim']}: {said['verdict']}"
    if "gap" in said:
        head += f", {shown(said['left'], '.6g')} {said['relation']} {shown(said['right'], '.6g')}"
        head += f", gap {shown(said['gap'], '.1e')} (tol {said['tol']:.0e})"
    instead = f"instead: {said['instead']}" if said["instead"] else ""
    more = [said["statement"], f"if {said['when']}" if said["when"] else "", instead, f"source: {said['source']}"]
    return heading + "\n           ".join([head, *filter(None, more)])
