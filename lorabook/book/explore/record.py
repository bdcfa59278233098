"""Make the recorded runs: full fine-tuning, LoRA on few and LoRA on all matrices, as the training explorer trains them.

    from lorabook.book.explore.record import record
    record("tiny")      # on any machine; again whenever the shipped base changes
    record("gpu")       # where there is a CUDA device
"""

import threading
from pathlib import Path

from tqdm.auto import tqdm

from lorabook.book.explore.recorded import write_recording
from lorabook.book.explore.training import TARGETS, gpu_bench, tiny_bench
from lorabook.book.explore.workbench import FULL, STEPS, Run, train
from lorabook.core.lora import LoRA

RATES = {"tiny": {FULL: 2e-3, "LoRA": 1e-2}, "gpu": {FULL: 1e-4, "LoRA": 1e-3}}


def record(model: str, steps: int = STEPS, seed: int = 0, folder: Path | None = None) -> Path:
    """Train the runs of `model`, "tiny" or "gpu", and write them beside the book's data; returns the file.

    Raises:
        ValueError: there is no such model, or no device for it.
    """
    if model not in RATES:
        raise ValueError(f"record({model!r}): expected one of {', '.join(RATES)}.")
    bench = tiny_bench() if model == "tiny" else gpu_bench()
    rates, runs = RATES[model], []
    lora = LoRA(r=8, alpha=16.0)
    wanted = [(FULL, None, "all seven"), ("LoRA", lora, "q, v"), ("LoRA", lora, "all seven")]
    for number, (variant, recipe, targets) in enumerate(tqdm(wanted, desc=f"recording {model}", unit="run"), 1):
        run = Run(number, model, variant, 8, 16, rates[variant], targets, steps, seed)
        train(bench, recipe, TARGETS[targets], run, threading.Event(), lambda: None)
        runs.append(run)
    return write_recording(model, bench, runs, folder)
