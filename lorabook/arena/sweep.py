"""The sweep: ask the plan what is missing, let Dask's workers run it, and write each row when its run ends."""

import logging
import signal
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tqdm.auto import tqdm

from lorabook.arena.job import Job, Row
from lorabook.arena.plan import Place, left, next_jobs
from lorabook.arena.record import Record
from lorabook.arena.run import run

WAIT = "10s"
"""For a scheduler to answer."""


class SweepError(RuntimeError):
    """The sweep cannot begin or go on; what is in the record stays there, and the same command goes on from it."""


def sweep(
    record: Record, places: Sequence[Place], curves: Sequence[Place] = (), workers: int = 2,
    scheduler: str | None = None,
) -> list[Job]:  # fmt: skip
    """Run everything that the record lacks, and return the jobs whose worker died again and again.

    Args:
        places, curves: as `next_jobs` takes them.
        workers: processes of one thread each, on this machine; those of the scheduler, if one is named.
        scheduler: address of a running Dask scheduler, tcp://host:8786.

    Raises:
        SweepError: Dask is not installed, the scheduler does not answer or went away, or a run failed in a way that
            no row can say.
        RecordError: another sweep writes the record, or it cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(_one_interrupt())
        stack.enter_context(record.alone())
        client = stack.enter_context(_client(workers, scheduler, stack))
        return _drain(client, record, places, curves)


def _client(workers: int, scheduler: str | None, stack: ExitStack):
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise SweepError("the sweep runs on Dask, which is not installed: pip install 'lorabook[arena]'") from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a scheduler that is gone is said once, by us
    if scheduler is None:
        with _interrupts(signal.SIG_IGN):  # Ctrl-C is for this process; it closes the workers
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
                silence_logs=logging.ERROR,
            )  # fmt: skip
        return Client(stack.enter_context(cluster))
    try:
        return Client(scheduler, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"no Dask scheduler answers at {scheduler!r} within {WAIT}: start one with `dask scheduler`, and workers "
            "with `dask worker ADDRESS`, or leave --scheduler out to use this machine"
        ) from error


@contextmanager
def _interrupts(by: signal.Handlers | Callable) -> Iterator[None]:
    """Handle Ctrl-C so inside the block, where this is the main thread and somebody listens."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, by)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _one_interrupt() -> AbstractContextManager[None]:
    """Ctrl-C stops the sweep, and a second one does not disturb the closing."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    return _interrupts(stop)


def _drain(client, record: Record, places: Sequence[Place], curves: Sequence[Place]) -> list[Job]:
    from distributed import as_completed
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    rows = record.rows()
    asked: set[Job] = set()
    lost: list[Job] = []
    ended = as_completed()
    running: dict[str, Job] = {}

    blamed: set[Job] = set()  # also who only stood in line at a worker that another one killed: each runs again, alone
    alone: list[Job] = []

    def submit(job: Job) -> None:
        future = client.submit(run, job, pure=False)
        running[future.key] = job
        ended.add(future)

    def ask() -> None:
        for job in next_jobs(rows, places, curves):
            if job not in asked:
                asked.add(job)
                submit(job)

    with tqdm(total=sum(left(rows, places, curves).values()), unit="run", desc="arena") as bar:
        ask()
        for future in ended:
            job = running.pop(future.key)
            try:
                row = future.result()
            except KilledWorker:
                if job in blamed:
                    lost.append(job)
                    bar.write(f"{job.label}: its worker died each time; the others go on")
                else:
                    blamed.add(job)
                    alone.append(job)
                if alone and not running:
                    submit(alone.pop())
                continue
            except FutureCancelledError as error:
                raise SweepError(
                    f"the scheduler went away during {job.label}: the same command goes on from the record"
                ) from error
            except Exception as error:
                raise SweepError(
                    f"{job.label} failed: {type(error).__name__}: {error}. The rows before are kept"
                ) from error
            record.add(row)
            rows.append(row)
            bar.update()
            bar.set_postfix_str(_said(row), refresh=False)
            ask()
            if alone and not running:
                submit(alone.pop())
            bar.total = bar.n + max(len(running), sum(left(rows, places, curves).values()))
    return lost


def estimate(rows: Sequence[Row], runs: dict[str, int], workers: int) -> float | None:
    """Return the seconds that so many runs of each task take, by the rows there are; None where a task has none."""
    total = 0.0
    for task, number in runs.items():
        seconds = [row.seconds for row in rows if row.task == task and row.seconds is not None]
        if number and not seconds:
            return None
        total += number * statistics.median(seconds) if number else 0.0
    return total / workers


def _said(row: Row) -> str:
    score = row.state if row.score is None else f"{row.score:.3f}"
    return f"{row.method} on {row.task}: {score}"
