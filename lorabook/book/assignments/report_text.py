"""The text of a report: its parts, and every number with a point in it, which must come out of the results."""

import math
import re
import statistics
from itertools import permutations

from lorabook.book.assignments.file_part import Fault, Files
from lorabook.book.assignments.report_rows import TEXT, Row

HEADS = ("question", "setting", "results", "limits")
WORDS = 120
WORD, NUMBER, LONGEST = re.compile(r"[\w.+−-]+"), re.compile(r"[−-]?\d+\.\d+(e[−-]?\d+)?"), 30


def text(files: Files) -> str:
    """Return the report.

    Raises:
        Fault: it is missing, no text, short, or lacks a part.
    """
    if TEXT not in files:
        raise Fault("not-attempted", f"There is no {TEXT} beside the notebook.")
    told = files[TEXT].decode("utf-8", "replace")
    heads = [line.lstrip("# ").strip().lower() for line in told.splitlines() if line.startswith("#")]
    missing = [head for head in HEADS if head not in heads]
    if missing:
        raise Fault("heads", f"The report has no part called {missing[0]}: it has Question, Setting, Results, Limits.")
    if len(told.split()) < WORDS:
        raise Fault("short", f"The report has fewer than {WORDS} words.")
    return told


def refuse_strange_numbers(told: str, found: list[Row]) -> None:
    """Refuse a number of the text that the results do not give, to as many digits as it is written with.

    Raises:
        Fault: naming it; or there are no numbers at all.
    """
    words = [word.rstrip(".") for word in WORD.findall(told)]
    written = [word for word in words if len(word) <= LONGEST and NUMBER.fullmatch(word)]
    if len(written) < 4:
        raise Fault("no-numbers", "The report tells fewer than four numbers of the results.")
    known = known_numbers(found)
    for one in written:
        plain = one.replace("−", "-")
        digits = len(plain.partition("e")[0].partition(".")[2])
        value = abs(float(plain))
        if not any(round(abs(other), digits) == round(value, digits) for other in known):
            raise Fault("strange-number", f"{one} is in the report, and is nothing that the results give.")


def known_numbers(found: list[Row]) -> list[float]:
    """Return what a report may tell: each row's numbers; mean, spread and perplexity; differences and ratios."""
    own = [x for row in found for x in (row.alpha, row.rate, row.final, math.exp(row.final))]
    means, every = [], []
    for contender in dict.fromkeys(row.contender for row in found):
        finals = [row.final for row in found if row.contender == contender]
        for values in (finals, [math.exp(x) for x in finals]):
            means.append(statistics.fmean(values))
            every.append(statistics.stdev(values) if len(values) > 1 else 0.0)
    pairs = [x for a, b in permutations(means, 2) for x in (a - b, a / b)]
    trained = [float(row.trained) for row in found]
    ratios = [a / b for a in set(trained) for b in set(trained) if b]
    return [*own, *means, *every, *pairs, *ratios]
