"""The runs of one training explorer: on which models, beside which recordings, and the thread that trains them."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import nn

from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.recorded import Recording
from lorabook.book.explore.training_state import Line, State, contender
from lorabook.cost.count import SMOLLM2
from lorabook.models.decoder import DecoderConfig
from lorabook.models.fingerprint import fingerprint
from lorabook.tasks.train import Run, Setting, train

EVERY = 0.1  # seconds between two pictures of a run


class Runs:
    """Keeps the runs and trains them one by one. Every explorer has its own, so two on one page do not meet.

    Args:
        tiny: the setting of the shipped base.
        gpu: returns that of the GPU-sized model; asked when it trains first, None where it cannot.
        seed: of all runs.
        recordings: recorded runs for each model; those of the shipped base count only if made with its weights.
    """

    def __init__(
        self, tiny: Setting, gpu: Callable[[], Setting] | None, seed: int, recordings: Mapping[str, Recording | None]
    ) -> None:
        self.tiny, self.gpu, self.seed = tiny, None if gpu is None else cache(gpu), seed
        self.recordings = dict(recordings)
        recording = self.recordings["tiny"]
        if recording is not None and recording.base != fingerprint(tiny.base.model):
            self.recordings["tiny"] = None
        self.lines: list[Line] = []
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    @property
    def steps(self) -> int:
        """Steps of a run."""
        return self.tiny.steps

    @property
    def running(self) -> bool:
        """True while a run trains."""
        return self.thread is not None and self.thread.is_alive()

    def can_train(self, model: str) -> bool:
        """Whether this machine can train the model."""
        return model == "tiny" or self.gpu is not None

    def shape(self, model: str) -> DecoderConfig:
        """Return the shape of a model, known without loading it."""
        return self.tiny.base.model.config if model == "tiny" else SMOLLM2

    def start_loss(self, model: str) -> float:
        """Return the loss of a model before any training: measured where it can be trained, and else as recorded."""
        return self._setting(model).start if self.can_train(model) else self.recordings[model].start

    def start(self, knobs: State, view: Explorer) -> None:
        """Train what the knobs say in the background, and draw it in `view` as it goes.

        Raises:
            RuntimeError: a run is under way.
        """
        if self.running:
            raise RuntimeError(f"run {self.lines[-1].number} is still training: stop it first, or wait.")
        self.stopping.clear()
        number = 1 + max((line.number for line in self.lines), default=0)
        line = Line(number, knobs, self.steps, self.seed)
        self.lines.append(line)
        self.thread = threading.Thread(target=self._train, args=(line, view), daemon=True)
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
            raise RuntimeError(f"run {self.lines[-1].number} is still training: stop it before you clear.")
        self.lines.clear()

    def _setting(self, model: str) -> Setting:
        return self.tiny if model == "tiny" else self.gpu()

    def _train(self, line: Line, view: Explorer) -> None:
        drawn = 0.0

        def on_step(_run: Run) -> bool:
            nonlocal drawn
            if time.monotonic() - drawn >= EVERY:
                drawn = time.monotonic()
                view.refresh()
            return self.stopping.is_set()

        try:
            what = contender(line.knobs, line.steps)
            train(self._setting(line.knobs.model), what, line.seed, run=line.run, on_step=on_step)
        except Exception as error:  # a thread has no caller: the reader of the status line is who must know
            if line.run.state != "diverged":
                self.lines.remove(line)
            view.status = str(error)
        finally:
            self.thread = None
            view.refresh()


def warm_up() -> None:
    """Take one optimiser step on nothing: a process's first one imports much of torch, and nothing moves meanwhile."""
    nothing = nn.Parameter(torch.zeros(1))
    nothing.grad = torch.zeros(1)
    torch.optim.AdamW([nothing]).step()
