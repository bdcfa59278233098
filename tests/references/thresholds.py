"""Measure what the thresholds of the assignments rest on: python tests/references/thresholds.py SEEDS

For assignment 4: the widest gap of each true claim, the narrowest gap on a broken library and of the misconception.
"""

import sys
from pathlib import Path

from lorabook.book.assignments import five_claims, two_forms
from lorabook.book.assignments.trying import judgement_here
from lorabook.book.assignments.verdict import _gap, _read

HERE = Path(__file__).parent


def defined(name: str) -> dict[str, object]:
    space: dict[str, object] = {}
    exec((HERE / f"{name}.py").read_text(encoding="utf-8"), space)
    return space


def five(seeds: range) -> None:
    space = defined("five_claims")
    for part in five_claims.ASSIGNMENT.parts:
        answers, law = tuple(space[name] for name in part.names), part.judge
        true, broken, false, right = [], [], [], 0
        for seed in seeds:
            trials = part.cases(seed)
            seen = [part.observe(lambda answers=answers: answers, trial.given) for trial in trials]
            right += part.judged(trials, seen).code == "right"
            gaps: dict[int, list[float]] = {}
            for trial, one in zip(trials, seen, strict=True):
                mine, theirs = _read(one)
                shown = bool(mine) and bool(mine[0].any() or mine[1].any())
                gaps.setdefault(trial.version, []).append(_gap(law.relation, mine) if shown else float("inf"))
                if not trial.version:
                    false.append(_gap(law.relation, theirs))
            true.append(max(gaps.pop(0)))
            broken += [max(own) for own in gaps.values()]
        print(f"| {part.name} | {right} of {len(seeds)} | {max(true):.1e} | {min(broken):.2g} | {min(false):.2g} |")


def two(seeds: range) -> None:
    space = defined("two_forms")
    for part in two_forms.ASSIGNMENT.parts:
        answers = tuple(space[name] for name in part.names)
        right = sum(judgement_here(part, answers, seed).code == "right" for seed in seeds)
        print(f"| {part.name} | {right} of {len(seeds)} |")


if __name__ == "__main__":
    chosen = range(int(sys.argv[1]))
    five(chosen)
    two(chosen)
