"""Did this client take part? Trainings on half of some texts, and how far the model's loss fell on each.

    python -c "from lorabook.arena.member_runs import record; record()"

A coin decides for each of `TEXTS` pieces of the Bible whether its client takes part, in every round. The attacker has
the model before and after, and all pieces; he calls a client a member if its loss fell far. The area under his curve
(AUC) is the chance that a member's loss fell further than an outsider's: 0.5 is guessing.
"""

import copy
import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import nn

from lorabook.arena.federated_runs import LOCAL_RATE, ROUNDS, SIDES, TARGETS, clients, score
from lorabook.arena.run import device, versions
from lorabook.axes.optim.private import Noise
from lorabook.core.inject import inject
from lorabook.core.modes import evaluating
from lorabook.many.federated import Federation, federate
from lorabook.models.load import load
from lorabook.models.paths import data_dir, data_file
from lorabook.tasks import text

FILE = "recorded/members.jsonl"
TEXTS, SIDE, C = 24, "LoRA r=1", 1.0
SIGMAS = (0.0, 0.5)
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class MemberRun:
    """By how much the loss fell on the text of each member, and of each outsider; `end` is that of unseen text."""

    sigma: float
    seed: int
    members: list[float]
    outsiders: list[float]
    end: float
    device: str
    versions: str
    date: str

    @property
    def auc(self) -> float:
        """The chance that a member's loss fell further than an outsider's."""
        return area(self.members, self.outsiders)


def area(high: Sequence[float], low: Sequence[float]) -> float:
    """Return the share of pairs in which the first is larger; equal ones count half."""
    pairs = list(product(high, low))
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)


def record(path: Path | None = None) -> None:
    """Run what is missing in the file, and add a line for each run as it ends (some minutes on one core)."""
    path = path or data_dir() / FILE
    done = {(run.sigma, run.seed) for run in read(path)} if path.exists() else set()
    for key in product(SIGMAS, SEEDS):
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(run(*key)), separators=(",", ":")) + "\n")


def read(path: Path | None = None) -> list[MemberRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [MemberRun(**json.loads(line)) for line in lines]


def run(sigma: float, seed: int) -> MemberRun:
    """Toss the coins, train, and look at every text."""
    base = load("tiny").model
    model, coins = copy.deepcopy(base), torch.Generator().manual_seed(2000 + seed)
    some = [clients()[i] for i in torch.randperm(len(clients()), generator=coins)[:TEXTS]]
    came = (torch.rand(TEXTS, generator=coins) < 0.5).tolist()
    inject(model, SIDES[SIDE].recipe(seed), TARGETS, torch.Generator().manual_seed(seed))
    inside = [client for client, here in zip(some, came, strict=True) if here]
    secret = torch.Generator().manual_seed(1000 + seed)
    federation = Federation(inside, 1.0, Noise(C, sigma, TEXTS / 2), 1, LOCAL_RATE, secret, text.language_loss)
    federate(model, federation, rounds=ROUNDS[-1], lr=1.0, progress=False)
    fell = [round(loss(base, client) - loss(model, client), 4) for client in some]
    sides = [[drop for drop, here in zip(fell, came, strict=True) if here is side] for side in (True, False)]
    today = datetime.date.today().isoformat()
    return MemberRun(sigma, seed, *sides, round(score(model, 1), 4), device(), versions(), today)


@torch.no_grad()
def loss(model: nn.Module, client: partial) -> float:
    """Return a model's loss on a client's text."""
    with evaluating(model):
        return text.language_loss(model, next(client())).item()
