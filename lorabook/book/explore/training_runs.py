"""The runs of one training explorer: on which bases, beside which record, and the thread that trains them."""

import copy
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from lorabook.arena.method import Training
from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.training_models import Model
from lorabook.book.explore.training_recorded import Recorded
from lorabook.book.explore.training_seconds import Measured, measure
from lorabook.book.explore.training_state import State
from lorabook.cost.count import saved_bytes, trainable
from lorabook.tasks.train import Run

EVERY = 0.1  # seconds between two pictures of a run


@dataclass
class Line:
    """A run that was started here: its number, where the knobs stood, and what has come of it."""

    number: int
    knobs: State
    run: Run = field(default_factory=Run)


class Runs:
    """Keeps the runs and trains them one by one. Every explorer has its own, so two on one page do not meet."""

    def __init__(self, models: Mapping[str, Model], records: Mapping[str, Recorded]) -> None:
        self.models, self.records = models, dict(records)
        self.measured: dict[str, Measured] = {}
        self.lines: list[Line] = []
        self.stopping = threading.Event()
        self.threads: dict[str, threading.Thread] = {}
        self._working = threading.Lock()

    @property
    def running(self) -> bool:
        """True while a run trains."""
        return self._alive("run")

    def measuring(self, model: str) -> bool:
        """Whether a base is being loaded and timed."""
        return self._alive(model) or self.running and model not in self.measured

    def start_loss(self, model: str) -> float | None:
        """Return the loss of a base before any training: measured, or as recorded, or None where neither is known."""
        return self.measured[model].start if model in self.measured else self.records[model].start

    def measure(self, model: str, view: Explorer) -> bool:
        """Load a base and time its step in the background; return whether that was still to be done."""
        if self.models[model].missing or model in self.measured or self._alive(model) or self.running:
            return False
        self._begin(model, lambda: self._measure(model), view)
        return True

    def start(self, knobs: State, view: Explorer) -> None:
        """Train what the knobs say in the background, and draw it in `view` as it goes.

        Raises:
            ValueError: the base cannot be trained here.
            RuntimeError: a run is under way.
        """
        if self.models[knobs.model].missing:
            raise ValueError(self.models[knobs.model].missing)
        if self.running:
            raise RuntimeError(f"run {self.lines[-1].number} is still training: stop it first, or wait.")
        self.stopping.clear()
        line = Line(1 + max((line.number for line in self.lines), default=0), knobs)
        self.lines.append(line)
        self._begin("run", lambda: self._train(line, view), view)

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

    def _alive(self, name: str) -> bool:
        return name in self.threads and self.threads[name].is_alive()

    def _begin(self, name: str, work: Callable[[], None], view: Explorer) -> None:
        def working() -> None:
            try:
                with self._working:  # what is timed has the machine to itself
                    work()
            except Exception as error:  # a thread has no caller: the reader of the status line is who must know
                view.status = str(error)
            finally:
                self.threads.pop(name, None)
                view.refresh()

        self.threads[name] = threading.Thread(target=working, daemon=True)
        self.threads[name].start()

    def _measure(self, model: str) -> None:
        self.measured[model] = measure(self.models[model].task)
        self.records[model] = self.records[model].made_with(self.measured[model].base)

    def _train(self, line: Line, view: Explorer) -> None:
        try:
            if line.knobs.model not in self.measured:
                self._measure(line.knobs.model)
            self._run(line, view)
        except ArithmeticError:
            line.run.state = "diverged"
            raise
        except Exception:
            self.lines.remove(line)
            raise

    def _run(self, line: Line, view: Explorer) -> None:
        run, knobs, task, began = line.run, line.knobs, self.models[line.knobs.model].task, time.perf_counter()
        drawn = 0.0

        def on_step(_step: int, loss: float) -> bool:
            nonlocal drawn
            run.losses.append(loss)
            if time.monotonic() - drawn >= EVERY:
                drawn = time.monotonic()
                view.refresh()
            return self.stopping.is_set()

        model, method = copy.deepcopy(task.base), knobs.method
        method.prepare(model, knobs.pattern, knobs.size, torch.Generator().manual_seed(knobs.seed))
        device = next(model.parameters()).device
        batch = tuple(each.to(device) for each in next(task.stream(knobs.seed)))
        beside = [*batch, *model.parameters(), *model.buffers()]
        run.trained, run.backward_bytes = trainable(model), saved_bytes(lambda: task.loss(model, batch), beside)
        method.train(model, Training(task.stream(knobs.seed), task.steps, knobs.lr, task.loss, on_step))
        if self.stopping.is_set():
            run.state = "stopped"
        else:
            run.final, run.state = task.score(model), "finished"
        run.seconds = time.perf_counter() - began
