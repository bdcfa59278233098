"""The two forms of assignment 2: their sizes, their definitions on plain tensors, how a student's class is built."""

import random

import torch
from torch import Tensor

from lorabook.book.assignments.form_verdict import Drawn
from lorabook.book.assignments.rules import Rules
from lorabook.claims.case import Case
from lorabook.core.frozen import Frozen
from lorabook.core.lora import KaimingStart
from lorabook.core.update import Update

OWN = frozenset({"Hadamard", "SharedPair", "LoHaForm", "VeRAForm", "LoHa", "VeRA", "GLoRA", "HiRA"})
RULES = Rules(("lorabook.claims.case",), OWN)
WIDER, TALLER = 3, 2
"""How much larger VeRA's shared pair is than the layer."""


def draw(stream: random.Random) -> list[Drawn]:
    """Return four cases: no two sizes of a layer are equal, and s is never 1."""
    drawn = []
    for _ in range(4):
        d_out, d_in = stream.sample(range(6, 14), 2)
        alpha = stream.choice((5.0, 7.0, 11.0))
        drawn.append(Drawn(Case(d_out, d_in, stream.choice((2, 3)), alpha, stream.randrange(10**6))))
    return drawn


def loha_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    a, b = (case.r, case.d_in), (case.d_out, case.r)
    return {"A": a, "B": b, "A2": a, "B2": b}


def vera_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    return {"b": (case.d_out,), "d": (case.r,)}


def pair(case: Case) -> tuple[Tensor, Tensor]:
    """Return VeRA's A and B, larger than this layer needs."""
    a = case.randn(case.r, case.d_in + WIDER, stream="shared A")
    return a, case.randn(case.d_out + TALLER, case.r, stream="shared B")


def vera(p: dict[str, Tensor], case: Case, shift: float = 0.0) -> Tensor:
    a, b = (one + shift for one in pair(case))
    return p["b"][:, None] * b[: case.d_out] @ (p["d"][:, None] * a[:, : case.d_in])


def make_loha(form: type, base: Frozen, case: Case) -> Update:
    return form(base, KaimingStart().build(base.matrix, case.spec()), case.spec())


def make_vera(form: type, base: Frozen, case: Case) -> Update:
    a, b = pair(case)
    update = form(base, case.spec(1.0), a, b)
    object.__setattr__(update, "given_pair", (a, b))
    return update


def nothing(update: Update, case: Case) -> None:
    """Change nothing."""


def shift_pair(update: Update, case: Case) -> None:
    """Change the pair that all layers share."""
    with torch.no_grad():
        for one in update.given_pair:
            one += 1


def hadamard(p: dict[str, Tensor], case: Case) -> Tensor:
    return (p["B"] @ p["A"]) * (p["B2"] @ p["A2"])
