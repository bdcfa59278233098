"""`lorabook check` and `lorabook list`: the claims with their verdicts, and the variants by axis, as text."""

import inspect
import json
import time
from collections.abc import Callable

from torch import Tensor
from tqdm import tqdm

from lorabook.claims import Claim, ClaimNotReproduced, Verdict, discover, examine
from lorabook.recipe import Recipe, catalogue
from lorabook.refused import Refused


def chosen(pattern: str) -> list[Claim]:
    """The claims and foils whose module, name or statement contains the pattern.

    Raises: Refused when there is none, so that a misspelt pattern is not taken for a green ledger.
    """
    claims = discover()
    found = [claim for claim in claims if pattern.lower() in f"{claim.module}.{claim.name} {claim.statement}".lower()]
    if not found:
        raise Refused(
            f"none of the {len(claims)} claims has {pattern!r} in its name or statement; "
            "`lorabook check` alone lists them all"
        )
    return found


def largest(side: Tensor) -> float:
    """The entry of a side with the largest size: what the ledger shows of it."""
    flat = side.detach().double().flatten()
    return flat[flat.abs().argmax()].item()


def line(claim: Claim) -> dict[str, object]:
    """One line of the ledger: what is claimed, both sides, the gap, the verdict."""
    said = {
        "claim": f"{claim.module.removeprefix('lorabook.')}.{claim.name}",
        "foil": claim.is_foil,
        "statement": claim.statement,
        "source": claim.source,
        "relation": claim.relation,
        "tol": claim.tol,
    }
    start = time.perf_counter()
    try:
        verdict: Verdict = examine(claim)
    except ClaimNotReproduced as error:
        return {**said, "reproduced": False, "verdict": str(error)}
    return {
        **said,
        "reproduced": verdict.reproduced,
        "verdict": "holds" if verdict.holds else "fails",
        "gap": max(verdict.gaps),
        "left": largest(verdict.sides[0]),
        "right": largest(verdict.sides[1]),
        "seconds": round(time.perf_counter() - start, 3),
    }


def check(pattern: str, as_json: bool) -> int:
    """Verify the chosen claims, print the ledger; returns 1 when one is not reproduced, else 0."""
    claims = chosen(pattern)
    failed = 0
    for claim in tqdm(claims, desc="claims", unit="", disable=None, leave=False):
        result = line(claim)
        failed += not result["reproduced"]
        tqdm.write(json.dumps(result, ensure_ascii=False) if as_json else _as_text(result))
    if not as_json:
        foils = sum(claim.is_foil for claim in claims)
        print(f"\n{len(claims) - foils} claims and {foils} foils, {failed} not reproduced")
    return int(failed > 0)


def _as_text(result: dict[str, object]) -> str:
    mark = "ok  " if result["reproduced"] else "FAIL"
    kind = "foil " if result["foil"] else "claim"
    head = f"{mark} {kind} {result['claim']}: {result['verdict']}"
    if "gap" in result:
        head += f", {result['left']:.6g} {result['relation']} {result['right']:.6g}"
        head += f", gap {result['gap']:.1e} (tol {result['tol']:.0e})"
    return f"{head}\n           {result['statement']}\n           {result['source']}"


def example(make: Callable[..., Recipe]) -> Recipe:
    """A recipe with its defaults; a number it insists on (AdaLoRA's total_steps) changes no axis, so any will do."""
    required = [p.name for p in inspect.signature(make).parameters.values() if p.default is p.empty]
    return make(**dict.fromkeys(required, 100))


def variants() -> dict[str, list[dict[str, str]]]:
    """Every variant under the folder of its main idea: its name, what it changes, its first line of documentation."""
    return {
        axis: [
            {
                "name": name,
                "changes": ", ".join(example(make).changes()) or "nothing: it is the origin",
                "about": (inspect.getdoc(make) or "").partition("\n")[0],
            }
            for name, make in recipes.items()
        ]
        for axis, recipes in catalogue().items()
    }
