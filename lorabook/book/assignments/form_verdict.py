"""What a student's form is worth: its definition first, then its start, its count, its path and its gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.book.assignments.forms import PARTS, ROWS, g_of, values
from lorabook.book.classroom.judge import NO_REPORT, RIGHT, Judgement
from lorabook.book.classroom.seen import Seen
from lorabook.claims.case import Case

WITHIN = 1e-9
"""Relative to the larger side: all is computed in float64."""
SHARES = {"start": 0.15, "dead": 0.15, "begins": 0.1, "count": 0.15, "path": 0.3, "no-bias": 0.3, "gradient": 0.2,
          "copies": 0.1, "builds": 0.1}  # fmt: skip
"""What each fault of a form with a right definition costs."""
BANK = {
    "no-base": "`weight(w0)` returns ΔW alone: the effective W is W₀ + ΔW.",
    "no-scale": "The update is not multiplied by s (`spec.scale`).",
    "scale-on-base": "s multiplies W₀ too: it belongs to the update only.",
    "weight": "`weight(w0)` is not the definition, and no mistake that this assignment knows.",
    "start": "At the start W is not W₀: a form must begin with the pretrained layer.",
    "dead": "At the start every gradient is zero: nothing would ever move.",
    "begins": "A parameter starts at another value than the text gives.",
    "count": "Another number of parameters trains than the definition has: what is shared or frozen is no parameter.",
    "path": "`forward(base, x)` does not compute what `weight` defines: it must be xWᵀ + b, for each row of x.",
    "no-bias": "`forward(base, x)` leaves out the layer's bias.",
    "gradient": "`forward` gives a parameter another gradient than the definition does: is something detached?",
    "builds": "`forward` builds matrices as large as W₀, or diagonal ones: go x, A, d, B, b, from right to left.",
    "copies": "A and B are copied: they belong to all layers, so a layer takes slices of them, which are views.",
}


@dataclass(frozen=True)
class Drawn:
    """A case for a form."""

    world: Case

    @property
    def given(self) -> dict[str, object]:
        case = self.world
        return {"case": [case.d_out, case.d_in, case.r, case.alpha, case.seed]}


@dataclass(frozen=True)
class FormJudge:
    """What is due of a form.

    Args:
        delta: ΔW without its scale, from the parameters by name.
        others: the same after what the form was given has changed.
        mistakes: wrong ΔW by code, and what to say.
        flops: how many operations a forward pass on one row may take; None where any number may.
        begins: the sum of each parameter at the start; None where they are random.
    """

    shapes: Callable[[Case], dict[str, tuple[int, ...]]]
    scale: Callable[[Case], float]
    delta: Callable[[dict[str, Tensor], Case], Tensor]
    others: Callable[[dict[str, Tensor], Case], Tensor]
    mistakes: dict[str, tuple[str, Callable[[dict[str, Tensor], Case], Tensor]]]
    flops: Callable[[Case], float] | None = None
    begins: Callable[[Case], Tensor] | None = None

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(BANK) | frozenset(self.mistakes)

    def __call__(self, trials: Sequence[Drawn], seen: Sequence[Seen]) -> Judgement:
        """Return the judgement: nothing for another definition, else what is left of the points."""
        faults = [one for one in seen if one.fault]
        if faults:
            return Judgement(faults[0].fault, faults[0].says, 0.0)
        found: dict[str, float] = {}
        for trial, one in zip(trials, seen, strict=True):
            parts = [torch.as_tensor(part, dtype=torch.float64) for part in one.parts]
            if len(parts) != len(PARTS) + len(self.shapes(trial.world)) or parts[0].shape != (2,):
                return NO_REPORT
            wrong = self._definition(trial.world, parts[PARTS.index("weight")])
            if wrong:
                return Judgement(wrong, self.mistakes[wrong][0] if wrong in self.mistakes else BANK[wrong], 0.0)
            found |= dict.fromkeys(self._faults(trial.world, parts), 0.0)
        if not found:
            return Judgement(RIGHT, "Definition, start, count, path and gradients are right.", 1.0)
        left = 1 - sum(SHARES[code] for code in found)
        return Judgement("+".join(found), " ".join(BANK[code] for code in found), round(max(0.0, left), 6))

    def _definition(self, case: Case, weight: Tensor) -> str:
        """Return which mistake is in W, or nothing."""
        w0, s, p = case.w0(), self.scale(case), values(case, self.shapes(case))
        delta = self.delta(p, case)
        if same(weight, w0 + s * delta):
            return ""
        known = {"no-base": s * delta, "no-scale": w0 + delta, "scale-on-base": s * (w0 + delta)}
        known |= {code: w0 + s * wrong(p, case) for code, (_, wrong) in self.mistakes.items()}
        return next((code for code, one in known.items() if same(weight, one)), "weight")

    def _faults(self, case: Case, parts: list[Tensor]) -> list[str]:
        head, at_start, sums, alive, _, output, others, *slopes = parts
        w0, s, x, bias = case.w0(), self.scale(case), case.x(ROWS), case.linear().bias
        p = {name: value.requires_grad_(True) for name, value in values(case, self.shapes(case)).items()}
        y = x @ (w0 + s * self.delta(p, case)).T + bias
        (y * g_of(case)).sum().backward()
        plain = {name: value.detach() for name, value in p.items()}
        tests = {
            "start": not same(at_start, w0),
            "dead": not alive.any(),
            "begins": self.begins is not None and bool(alive.any()) and not same(sums, self.begins(case)),
            "count": head[0] != sum(value.numel() for value in p.values()),
            "no-bias": same(output, y.detach() - bias),
            "path": not same(output, y.detach()) and not same(output, y.detach() - bias),
            "gradient": not all(same(a, b.grad) for a, b in zip(slopes, p.values(), strict=True)),
            "builds": self.flops is not None and bool(head[1] > self.flops(case)),
            "copies": not same(others, w0 + s * self.others(plain, case)),
        }
        return [code for code, shows in tests.items() if shows]


def same(side: Tensor, due: Tensor) -> bool:
    """Say whether two tensors are equal but for rounding."""
    due = due.detach().double()
    size = max(due.abs().max().item(), 1e-300)
    return side.shape == due.shape and bool((side - due).abs().max() <= WITHIN * size)
