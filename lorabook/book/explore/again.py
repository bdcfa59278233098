"""A row of the arena's record, run once more beside the page; the status line says how it ended."""

import threading

from lorabook.arena.job import Row
from lorabook.arena.recheck import SCORE_TOLERANCE, recheck
from lorabook.book.explore.explorer import Explorer


def run_again(view: Explorer, row: Row) -> None:
    """Start the run, and return at once."""
    view.status = f"{row.job.label}: training, about {row.seconds:.0f} s …"
    threading.Thread(target=_train, args=(view, row), daemon=True).start()


def _train(view: Explorer, row: Row) -> None:
    try:
        differences = recheck(row)
    except Exception as error:  # a thread has no caller: the reader of the status line is who must know
        view.status = str(error) or type(error).__name__
        return
    view.status = (
        "; ".join(map(str, differences))
        or f"{row.job.label}: ends at {row.score:.3f} here too, within {SCORE_TOLERANCE:.0%}."
    )
