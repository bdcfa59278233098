"""A sweep that is stopped from outside, Ctrl-C or a scheduler that dies: one sentence, and every row before is kept."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lorabook.arena import plan
from lorabook.arena.budget import method_named, task_named
from lorabook.arena.record import Record
from lorabook.arena.sweep import SweepError, sweep

SECONDS = 120


def lines(folder: Path) -> list[bytes]:
    path = folder / "digits.jsonl"
    return path.read_bytes().splitlines() if path.is_file() else []


def until(true, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, f"{what} did not happen in {SECONDS} s"
        time.sleep(0.1)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_says_one_thing(tmp_path, times):
    command = [sys.executable, "-m", "lorabook", "arena", "--only", "LoRA", "--task", "digits", "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--record", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until(lambda: lines(tmp_path) or process.poll() is not None, "the first row")
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    said = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 130
    assert "lorabook: stopped" in said
    assert "Traceback" not in said
    assert all(json.loads(line) for line in lines(tmp_path))
    assert lines(tmp_path)


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_that_dies_ends_the_sweep_with_a_sentence_and_keeps_the_rows(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, record = f"tcp://127.0.0.1:{port}", Record(tmp_path)
    places = plan.places([method_named("LoRA")], [task_named("digits")], ["equal"])
    quiet = ("--no-dashboard",)
    with running("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), *quiet) as scheduler:
        with socket.socket() as there:
            until(lambda: there.connect_ex(("127.0.0.1", port)) == 0, "a scheduler that listens")
        with running("distributed.cli.dask_worker", address, "--nthreads", "1", "--nworkers", "1", *quiet):
            killer = threading.Thread(target=lambda: (until(lambda: lines(tmp_path), "a row"), scheduler.kill()))
            killer.start()
            with pytest.raises(SweepError, match="the scheduler went away during LoRA on digits"):
                sweep(record, places, scheduler=address)
            killer.join()
    assert record.rows()
