"""What one training explorer works with: models, recordings, its runs, and the thread that trains them one by one."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.recorded import Recording
from lorabook.book.explore.workbench import Run, Workbench, train
from lorabook.core.recipe import Recipe
from lorabook.cost.count import SMOLLM2
from lorabook.models.decoder import DecoderConfig

EVERY = 0.1  # seconds between two pictures of a run


class Studio:
    """Keeps the runs. Every explorer has its own, so two on one page know nothing of each other."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """True while a run trains."""
        return self.thread is not None and self.thread.is_alive()

    def start(
        self, run: Run, bench: Callable[[], Workbench], recipe: Recipe | None, pattern: str, view: Explorer
    ) -> None:
        """Train `run` in the background, and draw it in `view` as it goes.

        Raises:
            RuntimeError: a run is under way.
        """
        if self.running:
            raise RuntimeError(f"run {self.runs[-1].number} is still training: stop it first, or wait.")
        self.stopping.clear()
        self.runs.append(run)
        self.thread = threading.Thread(target=self._work, args=(run, bench, recipe, pattern, view), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the run after the step it is in."""
        self.stopping.set()

    def clear(self) -> None:
        """Forget all runs.

        Raises:
            RuntimeError: a run is under way.
        """
        if self.running:
            raise RuntimeError(f"run {self.runs[-1].number} is still training: stop it before you clear.")
        self.runs.clear()

    def _work(
        self, run: Run, bench: Callable[[], Workbench], recipe: Recipe | None, pattern: str, view: Explorer
    ) -> None:
        last = 0.0

        def tell() -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                view.refresh()

        try:
            train(bench(), recipe, pattern, run, self.stopping, tell)
        except Exception as error:  # a thread has no caller: the reader of the status line is who must know
            if run.state != "diverged":
                self.runs.remove(run)
            view.status = str(error)
        finally:
            self.thread = None
            view.refresh()


@dataclass(frozen=True)
class Room:
    """What one training explorer works with."""

    tiny: Workbench
    gpu: Callable[[], Workbench] | None
    steps: int
    seed: int
    recordings: dict[str, Recording | None]
    studio: Studio

    def shape(self, model: str) -> DecoderConfig:
        """The shape of a model, known without loading it."""
        return self.tiny.base.model.config if model == "tiny" else SMOLLM2

    def recording(self, model: str) -> Recording | None:
        """The recorded runs of a model, if they were made on the base that is here."""
        found = self.recordings[model]
        return found if model == "gpu" or found is None or found.base == self.tiny.fingerprint else None
