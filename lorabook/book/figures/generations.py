"""Chapter 15's picture and table: a search generation by generation, and what it is worth once the pictures are new."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

from lorabook.arena.search_runs import (
    DRAWN,
    EVOLUTION,
    REPORT_SEEDS,
    SIDES,
    SMALL,
    SUPERNET,
    WAYS,
    WINNER,
    SearchRun,
    read,
    tuned,
)  # fmt: skip
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
LARGEST, DRAWS = "supernet, whole", "supernet, best of 400 draws"
NAMES = {"LoRA": "LoRA of rank 6", SMALL: "LoRA of rank 4", SUPERNET: "supernet, evolution's winner"}


@dataclass(frozen=True)
class Search:
    """By way of searching, held-out losses minus that of the whole supernet: by seed, generation and candidate."""

    tried: dict[str, np.ndarray]

    def best(self, way: str) -> np.ndarray:
        """Return the best so far, a row a seed, a column a generation."""
        return np.minimum.accumulate(self.tried[way].min(-1), axis=1)


def reported(runs: Sequence[SearchRun] | None = None) -> dict[str, list[SearchRun]]:
    """Return the runs of every side on the report seeds, in their order, each side at its tuned rate.

    Raises:
        ValueError: a seed is missing.
    """
    runs = read() if runs is None else runs
    found = {}
    for name in (*SIDES, WINNER, DRAWN):
        lr = tuned(runs, name if name in SIDES else "GLoRA")
        at = {run.seed: run for run in runs if run.key[:2] == (name, lr)}
        if missing := [seed for seed in REPORT_SEEDS if seed not in at]:
            raise ValueError(f"{name}: the record of searches has no run of seed {missing[0]}; run `record`")
        found[name] = [at[seed] for seed in REPORT_SEEDS]
    return found


def searched(runs: Sequence[SearchRun]) -> Search:
    """Return what a supernet's searches tried."""
    shape, whole = (len(runs), EVOLUTION.rounds, EVOLUTION.population), np.array([run.largest[0] for run in runs])
    tried = {way: np.array([run.tried[way] for run in runs]).reshape(shape) for way in WAYS}
    return Search({way: losses - whole[:, None, None] for way, losses in tried.items()})


def losses_on_test(found: dict[str, list[SearchRun]]) -> dict[str, np.ndarray]:
    """Return the loss on test pictures by contender, one of each seed."""
    supernets = found[SUPERNET]
    losses = {name: [run.test for run in runs] for name, runs in found.items()}
    losses |= {LARGEST: [run.largest[1] for run in supernets], DRAWS: [run.drawn[1] for run in supernets]}
    return {name: np.array(each) for name, each in losses.items()}


def search_table(found: dict[str, list[SearchRun]]) -> Shown:
    """Return every contender's numbers and loss on test pictures; ± is the seeds' standard deviation."""
    numbers = {name: [run.numbers for run in runs] for name, runs in found.items()}
    numbers |= {LARGEST: [run.largest[2] for run in found[SUPERNET]], DRAWS: [run.drawn[2] for run in found[SUPERNET]]}
    losses = losses_on_test(found)
    rows = [
        (NAMES.get(name, name), f"{np.mean(numbers[name]):,.0f}", f"{each.mean():.2f} ± {each.std(ddof=1):.2f}")
        for name in ("LoRA", SMALL, "GLoRA", LARGEST, DRAWS, SUPERNET, DRAWN, WINNER)
        for each in [losses[name]]
    ]
    return table(("", "numbers", "loss on test pictures (nats)"), rows)


def generations(search: Search, sentence: str) -> Picture:
    """Draw the best so far of every generation, by evolution and by draws: seeds are thin, their mean thick."""
    figure = style.figure(WIDTH, 3.0)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    places = np.arange(1, EVOLUTION.rounds + 1)
    axes = style.axes(figure, "", "generation of 20", "best so far − whole supernet (nats)", (1, 1, 1))
    for way, role, dash in (("evolution", style.TRAINABLE, "-"), ("draws", style.FROZEN, "--")):
        mean = search.best(way).mean(0)
        axes.plot(places, search.best(way).T, dash, color=role.light, linewidth=0.6, alpha=0.6)
        axes.plot(places, mean, dash, color=role.light, linewidth=2.2)
        axes.annotate(way, (places[-1] + 0.4, mean[-1]), color=TEXT, fontsize=9, va="center")
    axes.set_xlim(0.5, places[-1] + 4)
    axes.set_xticks((1, 5, 10, 15, 20))
    return Picture(sentence, figure)
