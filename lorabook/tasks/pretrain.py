"""Pretrain the base that ships with the book: Austen's novels, to convergence.

The learning rate warms up and then falls on a cosine; the weights kept are those that predicted the validation text
best; training ends when the schedule does, or earlier if validation has stopped improving. A run can be interrupted
at any time: its last checkpoint is whole, and the same call goes on from there.
"""

import datetime
import json
import math
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from lorabook.core.run_state import save_whole
from lorabook.core.schedule import cosine
from lorabook.core.training_step import take_steps
from lorabook.core.whole_file import replace_whole
from lorabook.models.decoder import Decoder, DecoderConfig, initialise
from lorabook.models.paths import data_file
from lorabook.models.vocabulary import read_vocabulary
from lorabook.tasks.text import Corpus, batches, corpus, evaluate, language_loss


@dataclass(frozen=True)
class Plan:
    """How a base is trained; the defaults are how the shipped one was."""

    steps: int = 7000
    batch: int = 8
    length: int = 256
    lr: float = 3e-3
    warmup: int = 200
    weight_decay: float = 0.1
    dropout: float = 0.1
    every: int = 250
    patience: int = 8
    seed: int = 0
    bf16: bool = False

    def schedule(self, step: int, steps: int) -> float:
        """Give the factor on `lr` at a step: a straight rise over `warmup`, then half a cosine down to 1%."""
        return cosine(step, steps, self.warmup, 0.01)


class Pretraining:
    """One pretraining: model, optimiser, and what has been reached.

    Its steps are those of `fit`. What it adds: matrices decay and gains do not, AdamW's second beta is 0.95, the
    weights that validate best are kept, and dropout's random state belongs into the checkpoint.
    """

    def __init__(self, config: DecoderConfig, plan: Plan, text: Corpus) -> None:
        self.plan, self.text = plan, text
        self.generator = torch.Generator().manual_seed(plan.seed)
        torch.manual_seed(plan.seed)
        self.model = Decoder(replace(config, dropout=plan.dropout))
        initialise(self.model, self.generator)
        matrices = [p for p in self.model.parameters() if p.ndim == 2]
        gains = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": gains, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.95), fused=True)
        self.step, self.best, self.best_step = 0, math.inf, 0
        self.curve: list[tuple[int, float]] = []
        self.best_weights: dict[str, Tensor] = {}

    def train(self) -> Iterator[float]:
        """Go on to the plan's last step, and give the loss of each step in nats per token.

        Raises:
            Diverged: the loss is not finite; the step was not taken.
        """
        stream = batches(self.text, self.plan.batch, self.plan.length, self.generator)
        losses = take_steps(
            self.model, self.optimizer, stream, self.step, self.plan.steps, language_loss,
            rates=[self.plan.lr] * len(self.optimizer.param_groups), schedule=self.plan.schedule, clip=1.0,
            autocast=torch.bfloat16 if self.plan.bf16 else None,
        )  # fmt: skip
        for loss in losses:
            self.step += 1
            yield loss

    def validate(self) -> float:
        """Score the validation text in bits per byte and remember the weights if they are the best so far."""
        bits = evaluate(self.model, self.text, self.plan.length).bits_per_byte
        self.curve.append((self.step, bits))
        if bits < self.best:
            self.best, self.best_step = bits, self.step
            self.best_weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        return bits

    def stopped_improving(self) -> bool:
        """Whether the best validation lies `patience` validations back."""
        return self.step - self.best_step >= self.plan.patience * self.plan.every

    def save(self, path: Path) -> None:
        """Keep everything needed to go on, in one move, so an interruption leaves the old file or the new one."""
        state = {name: getattr(self, name) for name in ("step", "best", "best_step", "curve", "best_weights")}
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"generator": self.generator.get_state(), "dropout": torch.get_rng_state(), "plan": asdict(self.plan)}
        save_whole(state, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it was made by another plan.
        """
        state = torch.load(path, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise ValueError(f"{path} was made with {state['plan']}, not {asdict(self.plan)}; move it away first.")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["dropout"])
        for name in ("step", "best", "best_step", "curve", "best_weights"):
            setattr(self, name, state[name])


def export(
    weights: dict[str, Tensor], config: DecoderConfig, provenance: dict[str, Any], folder: Path, name: str
) -> None:
    """Write NAME.safetensors (fp16, the tied head left out) and NAME.json (shape, and how it was made)."""
    stored = {k: v.half().contiguous() for k, v in weights.items() if not (config.tied and k == "lm_head.weight")}
    text = json.dumps({"config": asdict(config), "made": provenance}, indent=1) + "\n"

    def weights_to(partial: Path) -> None:
        save_file(stored, partial, metadata={"format": "pt"})
        partial.chmod(0o644)

    replace_whole(folder / f"{name}.safetensors", weights_to)
    replace_whole(folder / f"{name}.json", lambda partial: partial.write_text(text, encoding="utf-8"))


def provenance_of(run: Pretraining) -> dict[str, Any]:
    """Say how a base was made: plan, result, versions, date."""
    return {
        "text": run.text.name,
        "plan": asdict(run.plan),
        "best_step": run.best_step,
        "last_step": run.step,
        "val_bits_per_byte": round(run.best, 4),
        "curve": [[step, round(bits, 4)] for step, bits in run.curve],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def pretrain(
    out: Path,
    config: DecoderConfig | None = None,
    plan: Plan | None = None,
    name: str = "tiny",
    text: Corpus | None = None,
) -> Pretraining:
    """Train a base and write it to `out`; run again after an interruption to go on.

    Raises:
        Diverged: the loss is no longer finite.
        ValueError: `out` holds another plan's checkpoint.
    """
    config, plan = config or DecoderConfig(), plan or Plan()
    out.mkdir(parents=True, exist_ok=True)
    text = text or corpus("austen", read_vocabulary(data_file("tokenizer.json")))
    with torch.random.fork_rng(devices=[]):
        run = Pretraining(config, plan, text)
        checkpoint = out / f"{name}.checkpoint"
        if checkpoint.is_file():
            run.resume(checkpoint)
        with tqdm(total=plan.steps, initial=run.step, desc="pretrain", unit="step", mininterval=1.0) as bar:
            for loss in () if run.stopped_improving() else run.train():
                bar.update()
                if run.step % plan.every == 0 or run.step == plan.steps:
                    bits = run.validate()
                    tqdm.write(f"step {run.step}: train {loss:.3f} nats/token, validation {bits:.4f} bits/byte")
                    run.save(checkpoint)
                    export(run.best_weights, config, provenance_of(run), out, name)
                if run.stopped_improving():
                    break
    return run
