"""Make the recorded runs: full fine-tuning, LoRA on few and LoRA on all matrices, as the training explorer trains them.

from lorabook.book.explore.record import record
record("tiny")      # on any machine; again whenever the shipped base changes
record("gpu")       # where there is a CUDA device
"""

from pathlib import Path

from tqdm.auto import tqdm

from lorabook.book.explore.recorded import write_recording
from lorabook.book.explore.training import STEPS, gpu_setting, tiny_setting
from lorabook.book.explore.training_state import FULL, Line, State, contender
from lorabook.tasks.train import train

RATES = {"tiny": {FULL: 2e-3, "LoRA": 1e-2}, "gpu": {FULL: 1e-4, "LoRA": 1e-3}}


def record(model: str, steps: int = STEPS, seed: int = 0, folder: Path | None = None) -> Path:
    """Train the runs of `model`, "tiny" or "gpu", and write them beside the book's data; returns the file.

    Raises:
        ValueError: there is no such model, or no device for it.
    """
    if model not in RATES:
        raise ValueError(f"record({model!r}): expected one of {', '.join(RATES)}.")
    setting = tiny_setting(steps) if model == "tiny" else gpu_setting(steps)
    choices = [(FULL, "all seven"), ("LoRA", "q, v"), ("LoRA", "all seven")]
    lines = []
    for number, (variant, targets) in enumerate(tqdm(choices, desc=f"recording {model}", unit="run"), 1):
        knobs = State(variant, lr=RATES[model][variant], targets=targets, model=model)
        _, run = train(setting, contender(knobs, steps), seed)
        lines.append(Line(number, knobs, steps, seed, run))
    return write_recording(model, setting, lines, folder)
