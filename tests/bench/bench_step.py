"""Training steps of every form against somebody else's, on one LLaMA-style model, in one process and in turn.

    python tests/bench/bench_step.py [--rounds 15] [--hidden 256] [--threads 2] [--dropout 0.0] [--only LoKr]

Forms are found, not listed; who they are compared with is in peers.py. An init, a scale or a base that is dense changes
no step, so each form is there once. Ratios are medians over rounds of the ratio within a round, with the quartiles, of
process CPU time: absolute times say little on a shared machine. Who goes first changes from round to round. Bytes kept
are the unique storages that autograd saves for backward, parameters excluded. Operations are the matrix products that
torch's counter sees: predicted, not timed, and blind to what works entry by entry. Not a test.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import peft
import torch
from peers import ALPHA, LENGTH, PEERS, VOCAB, R, base, nothing_more
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import lorabook as lb
from lorabook.book.listing import example
from lorabook.claims.catalogue import catalogue
from lorabook.core.recipe import AxisConflict, Recipe

BATCH = 8
GOALS = {"LowRankForm": 0.92, "DoRAForm": 0.85}
GOALS_WIDE = GOALS | {"LoKrForm": 0.85, "LoHaForm": 0.80}
"""The largest time ratio to the peer that is good enough, 1.0 where nothing is said; the second from 1024 on."""


def forms() -> dict[str, tuple[str, Recipe]]:
    """Return (recipe's name, recipe) for every form of the package, by the form's name."""
    found = {"LowRankForm": ("LoRA", lb.LoRA())}
    for folder in catalogue().values():
        for name, recipe in folder.items():
            made = example(recipe)
            if made.form is not None:
                found.setdefault(getattr(made.form, "__name__", type(made.form).__name__), (name, made))
    return found


def ours(hidden: int, recipe: Recipe, dropout: float) -> nn.Module:
    model = base(hidden)
    lb.inject(model, replace(recipe, r=R, alpha=ALPHA, dropout=dropout, rule=None), targets="_proj")
    return model


class Stepper:
    """One model, its optimiser and its batch; `step` trains once."""

    def __init__(self, model: nn.Module, after: Callable[[], None] = nothing_more) -> None:
        self.model, self.after = model.train(), after
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4) if self.trained else None
        self.tokens = torch.randint(VOCAB, (BATCH, LENGTH), generator=torch.Generator().manual_seed(1))

    def loss(self) -> Tensor:
        logits = self.model(input_ids=self.tokens, use_cache=False).logits
        return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), self.tokens[:, 1:].flatten())

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
        self.after()

    def operations(self) -> int:
        """Count the operations of all matrix products of a step."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops()

    def kept(self) -> int:
        """Return the bytes that the forward pass keeps for backward, without parameters and buffers."""
        own = {t.untyped_storage().data_ptr() for t in (*self.model.parameters(), *self.model.buffers())}
        saved: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            storage = t.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage.nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = self.loss()
        kept = sum(saved.values())
        del loss
        return kept


class FrozenStepper(Stepper):
    """The frozen base's own forward and backward: every input gradient, no weight gradient."""

    def __init__(self, hidden: int) -> None:
        model = base(hidden).requires_grad_(False)
        model.enable_input_require_grads()
        super().__init__(model)

    def step(self) -> None:
        self.loss().backward()


@dataclass(frozen=True)
class Row:
    """What was measured of one form."""

    name: str
    who: str
    against_peer: list[float]
    against_base: float
    kept: tuple[float, float]
    operations: tuple[float, float]
    goal: float

    def __str__(self) -> str:
        quarter, middle = len(self.against_peer) // 4, statistics.median(self.against_peer)
        held = "" if middle <= self.goal and round(self.kept[0], 1) <= round(self.kept[1], 1) else " **missed**"
        return (
            f"| {self.name} | {self.who} | {middle:.2f} ({self.against_peer[quarter]:.2f}–"
            f"{self.against_peer[-1 - quarter]:.2f}) | {self.goal:.2f}{held} | {self.against_base:.2f} | "
            f"{self.kept[0]:.1f} / {self.kept[1]:.1f} | {self.operations[0]:.2f} | {self.operations[1]:.2f} |"
        )


HEAD = (
    "| form | against | time, of theirs | goal | time, of the frozen base | MiB kept, ours / theirs | operations, of "
    "theirs | operations, of the base |\n| --- | --- | --: | --: | --: | --: | --: | --: |"
)


def seconds(step: Callable[[], None]) -> float:
    """Return the process CPU seconds of one call: immune to what else the machine does."""
    began = time.process_time()
    step()
    return time.process_time() - began


def compare(form: str, name: str, recipe: Recipe, options: argparse.Namespace) -> Row:
    """Step ours, theirs and the frozen base in turn."""
    peer = PEERS.get(form, PEERS["LowRankForm"])
    mine = Stepper(ours(options.hidden, recipe, options.dropout))
    model = peer.build(options.hidden, options.dropout)
    optimizer = [mine, Stepper(model, peer.after(model)), FrozenStepper(options.hidden)]
    operations = [stepper.operations() for stepper in optimizer]
    kept = [stepper.kept() / 2**20 for stepper in optimizer]
    for stepper in optimizer:
        stepper.step()
    times = []
    for i in range(options.rounds):
        order = [(i + k) % 3 for k in range(3)]
        taken = {k: seconds(optimizer[k].step) for k in order}
        times.append([taken[k] for k in range(3)])
    goals = GOALS_WIDE if options.hidden >= 1024 else GOALS
    return Row(
        name,
        peer.who,
        sorted(t[0] / t[1] for t in times),
        statistics.median(t[0] / t[2] for t in times),
        (kept[0], kept[1]),
        (operations[0] / operations[1], operations[0] / operations[2]),
        1.0 if options.dropout else goals.get(form, 1.0),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds after two warm-up steps (15)")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model (256)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--dropout", type=float, default=0.0, help="dropout of the branches (0)")
    parser.add_argument("--only", nargs="*", default=[""], help="recipes whose name contains one of these")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, peft {peft.__version__}, hidden {options.hidden}, dropout {options.dropout}, "
        f"{options.threads} threads, {options.rounds} rounds\n\n{HEAD}"
    )
    for form, (name, recipe) in forms().items():
        if any(part.lower() in name.lower() for part in options.only):
            try:
                print(compare(form, name, recipe, options), flush=True)
            except AxisConflict as refusal:
                print(f"| {name} | – | refused: {str(refusal).partition(' (layer')[0]} | | | | | |", flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
