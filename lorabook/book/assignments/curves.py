"""A loss curve: a student's training loop on an update, held against the loop itself, number by number."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.axes.form.loha import Hadamard
from lorabook.book.assignments import two_definitions as two
from lorabook.book.assignments.assignment import Part
from lorabook.book.classroom.judge import RIGHT, Judgement
from lorabook.book.classroom.limits import inside
from lorabook.book.classroom.observe import Given, numbers
from lorabook.book.classroom.seen import Seen
from lorabook.claims.case import Case
from lorabook.core.frozen import Frozen
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.update import Update

STEPS, ROWS, CLOSE = 20, 32, 1e-6
FORMS: tuple[type, ...] = (LowRank, Hadamard)


@dataclass(frozen=True)
class Lesson:
    """A case, which of the two forms learns it, and η."""

    world: Case
    form: int
    rate: float

    @property
    def given(self) -> dict[str, object]:
        case = self.world
        return {"case": [case.d_out, case.d_in, case.r, case.alpha, case.seed], "form": self.form, "rate": self.rate}


@dataclass(frozen=True)
class Loop:
    """How a loop may differ: the decay, whether gradients pile up, the mean or the sum, when the loss is noted."""

    decay: float = 0.0
    clears: bool = True
    mean: bool = True
    optimizer: Callable = torch.optim.AdamW

    def curve(self, case: Case, form: int, rate: float) -> Tensor:
        """Return the loss before each step, and the one after the last."""
        update, base, x, y = world(case, form)
        steps = self.optimizer(update.parameters(), lr=rate, weight_decay=self.decay)
        losses = []
        for _ in range(STEPS + 1):
            error = (update(base, x) - y).square()
            loss = error.mean() if self.mean else error.sum()
            losses.append(loss.item())
            if self.clears:
                steps.zero_grad()
            loss.backward()
            steps.step()
        return torch.tensor(losses, dtype=torch.float64)


def world(case: Case, form: int) -> tuple[Update, Frozen, Tensor, Tensor]:
    """Return an update at its start, its layer, and inputs with the outputs that it shall learn."""
    base = case.linear()
    update = FORMS[form](base, KaimingStart().build(base.matrix, case.spec()), case.spec())
    x = case.x(ROWS)
    factors = case.factors()
    return update, base, x, (x @ (base.matrix + factors.B @ factors.A).T + base.bias)


def observe(function: Callable, given: Given) -> Seen:
    """Observe a training loop: its curve."""
    loop = inside(function)[0]
    case = Case(*given["case"])
    update, base, x, y = world(case, given["form"])
    return Seen((numbers(inside(lambda: loop(update, base, x, y, given["rate"], STEPS))),))


def draw(stream: random.Random) -> list[Lesson]:
    """Return two lessons for each form."""
    return [
        Lesson(Case(stream.randint(6, 12), stream.randint(6, 12), 2, 5.0, stream.randrange(10**6)), form,
               stream.choice((0.01, 0.02, 0.05)))
        for form in (0, 1) for _ in range(2)
    ]  # fmt: skip


WRONG = {
    "decay": ("AdamW's own weight decay is 0.01: LoRA trains without, `weight_decay=0`.", Loop(decay=0.01)),
    "piles-up": ("Gradients pile up from step to step: call `zero_grad()` before each backward.", Loop(clears=False)),
    "sum": ("The loss is the sum of the squared errors, and their mean is asked for.", Loop(mean=False)),
    "sgd": ("This is plain gradient descent, and AdamW is asked for.", Loop(optimizer=torch.optim.SGD)),
}
BANK = {
    "length": "Return steps + 1 losses: one before each step, and one after the last.",
    "late": "The losses are noted after each step: the first one must be that of the start.",
    "start": "The first loss is not that of the update as it came: do not train, copy or start it anew before.",
    "curve": "The first loss is right and the later ones are not, and no mistake that this assignment knows.",
}


@dataclass(frozen=True)
class CurveJudge:
    """What is due of a loop: the curve of `Loop()`."""

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(BANK) | frozenset(WRONG)

    def __call__(self, trials: Sequence[Lesson], seen: Sequence[Seen]) -> Judgement:
        """Return the judgement; another loop than was asked for is worth nothing."""
        faults = [one for one in seen if one.fault]
        if faults:
            return Judgement(faults[0].fault, faults[0].says, 0.0)
        found = [torch.as_tensor(one.parts[0], dtype=torch.float64) for one in seen]
        due = [Loop().curve(one.world, one.form, one.rate) for one in trials]
        if all(_same(*both) for both in zip(found, due, strict=True)):
            return Judgement(RIGHT, "The curves are those of the loop that is asked for.", 1.0)
        if all(len(f) >= STEPS and _same(f[:STEPS], d[1:]) for f, d in zip(found, due, strict=True) if f.dim()):
            return Judgement("late", BANK["late"], 0.0)
        for code, (says, loop) in WRONG.items():
            wrong = [loop.curve(one.world, one.form, one.rate) for one in trials]
            if all(_same(*both) for both in zip(found, wrong, strict=True)):
                return Judgement(code, says, 0.0)
        if any(f.shape != d.shape for f, d in zip(found, due, strict=True)):
            return Judgement("length", BANK["length"], 0.0)
        code = "curve" if all(_same(f[:1], d[:1]) for f, d in zip(found, due, strict=True)) else "start"
        return Judgement(code, BANK[code], 0.0)


def _same(curve: Tensor, due: Tensor) -> bool:
    return curve.shape == due.shape and bool(((curve - due).abs() <= CLOSE * due.abs()).all())


CURVE = Part(
    "A loss curve", ("loss_curve",), 0.1,
    "Write `loss_curve(update, base, x, y, rate, steps)`: train the update's parameters with AdamW (η = rate, no "
    "weight decay) on the mean squared error of `update(base, x)` against y, all rows in each step. Return steps + 1 "
    "losses: one before each step, and one after the last. Any form goes in: so LoHa, VeRA and LoRA are compared.",
    "def loss_curve(update, base, x, y, rate, steps):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
    two.RULES, draw, observe, CurveJudge(),
)  # fmt: skip
