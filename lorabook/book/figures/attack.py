"""Chapter 25's picture and table: how well one tells who was in, by one round's mean and by the model at the end."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from lorabook.arena.federated_runs import ROUNDS
from lorabook.arena.member_runs import MemberRun
from lorabook.arena.one_round import most, spread
from lorabook.axes.optim.accountant import epsilon
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table

DELTA = 1e-5
"""Of the ε in the table: N^−1.1 says nothing for a dozen clients."""


def by_noise(found: Mapping[float, Sequence[float]]) -> Picture:
    """Draw the attacker's AUC over σ, mean and deviation of the rounds, beside that of one who knows all the others."""
    sentence = "Without noise one round tells who was in; σ = 2 hides most"
    figure = style.figure(5.2, 3.0)
    axes = style.axes(figure, sentence, "noise multiplier σ", "AUC (0.5: guessing)")
    sigmas, at = list(found), list(range(len(found)))
    means, errors = zip(*(spread(areas) for areas in found.values()), strict=True)
    mine, theirs = style.series(0), style.series(1)
    axes.errorbar(at, means, errors, color=mine.light, marker="o", capsize=3, label="solves for all 64 coins")
    bound = [most(sigma) for sigma in sigmas]
    axes.plot(at, bound, color=theirs.light, linestyle="--", marker="s", label="knows the other 63 coins: Φ(1/(σ√2))")
    axes.axhline(0.5, color=style.NEUTRAL.text, linewidth=0.8, linestyle=":")
    axes.set_xticks(at, [f"{sigma:g}" for sigma in sigmas])
    axes.set_ylim(0.45, 1.03)
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return Picture(sentence, figure)


def by_model(runs: Sequence[MemberRun]) -> Shown:
    """Return a table: by σ, ε of all rounds, the AUC by the losses of the last model, and what that model is worth."""
    rows = []
    for sigma, some in groupby(sorted(runs, key=lambda run: run.sigma), key=lambda run: run.sigma):
        these = list(some)
        mean, deviation = spread([run.auc for run in these])
        end, wide = spread([run.end for run in these])
        rows.append((f"{sigma:g}", _spent(sigma), f"{mean:.2f} ± {deviation:.2f}", f"{end:.2f} ± {wide:.2f}"))
    return table(("σ", "ε", "AUC by the model's losses", "its loss on unseen text"), rows)


def _spent(sigma: float) -> str:
    if sigma == 0:
        return "∞"
    return f"{epsilon(sigma=sigma, q=1.0, steps=ROUNDS[-1], delta=DELTA):.1f}"
