"""What a forward pass of one token costs after training: LoRA beside its matrices, bottleneck adapters, prefixes.

    python -c "from lorabook.arena.latency_runs import record; record()"

measures all, in half a minute. A merged LoRA and a fine-tuned model are the base in this respect: as many matrices of
the same shapes. Every pass has one of the base's beside it: kept is the median of the ratios of processor time. What
else runs slows both sides: with seven processes to a core, all came again within 5%.
"""

import copy
import datetime
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lorabook.arena.budget import method_named, size_of
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.core.modes import evaluating
from lorabook.models.paths import data_dir, data_file

PLACES = (("LoRA", "equal"), ("bottleneck", "equal"), ("bottleneck", "own"), ("prefix", "equal"), ("prefix", "own"))
ROUNDS, PASSES = 200, 4
FILE = "recorded/latency.jsonl"


@dataclass(frozen=True)
class Latency:
    """Processor time of a forward pass of one token, over the base's; and the base's, in milliseconds."""

    method: str
    budget: str
    ratio: float
    base_ms: float
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, str]:
        """What was measured."""
        return self.method, self.budget


def record(path: Path | None = None, rounds: int = ROUNDS) -> None:
    """Measure everything, on one thread, and write the file anew."""
    lines = [json.dumps(asdict(measure(*place, rounds))) for place in PLACES]
    (path or data_dir() / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path | None = None) -> dict[tuple[str, str], Latency]:
    """Return what was measured."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    found = [Latency(**json.loads(line)) for line in lines]
    return {each.key: each for each in found}


def measure(method: str, budget: str, rounds: int) -> Latency:
    """Time a contender and the base in turn."""
    model, contender = copy.deepcopy(KJV.base), method_named(method)
    contender.prepare(model, KJV.targets, size_of(contender, KJV, budget), torch.Generator().manual_seed(0))
    tokens = next(KJV.stream(0))[0][:1, :1]
    ratios, base = [], []
    with evaluating(model), evaluating(KJV.base):
        for _ in range(rounds):
            base.append(_seconds(KJV.base, tokens))
            ratios.append(_seconds(model, tokens) / base[-1])
    return Latency(
        method, budget, round(statistics.median(ratios), 3), round(1e3 * statistics.median(base) / PASSES, 3),
        device(), versions(), datetime.date.today().isoformat(),
    )  # fmt: skip


@torch.no_grad()
def _seconds(model: nn.Module, tokens: Tensor) -> float:
    began = time.process_time()
    for _ in range(PASSES):
        model(tokens)
    return time.process_time() - began
