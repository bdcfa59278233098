"""Assignment 2: LoHa and VeRA written against the book's `Update`, their files, and how they are compared."""

import torch

from lorabook.book.assignments import two_definitions as two
from lorabook.book.assignments.assignment import Assignment, Part
from lorabook.book.assignments.curves import CURVE
from lorabook.book.assignments.files import LOHA_FILE, VERA_FILE
from lorabook.book.assignments.form_verdict import FormJudge
from lorabook.book.assignments.forms import Form
from lorabook.book.assignments.tables import TABLE

SETUP = """import torch
from torch import nn

from lorabook.claims.case import Case
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.update import Update"""
PROMPT = """Two forms of update, written by you against the book's own interface, `lorabook.core.update.Update`: a form
has `weight(w0)`, which is its definition, and `forward(base, x)`, which is its path and adds the bias. `base` is a
frozen layer; `base.matrix`, `base.bias`, `base.store.shape`, `base(x)` and `base.two_paths(x, x, A, B, s, bias)` are
what you need of it. `spec.r`, `spec.scale` and `spec.generator` say the rest. Nothing of `lorabook.axes` may be used:
what you write is held against it. `LowRank` in `lorabook.core.lora` is LoRA in this interface."""


LOHA = Part(
    "LoHa", ("LoHaUpdate",), 0.3,
    "Write the class `LoHaUpdate(base, factors, spec)`: W = W₀ + s·(BA)⊙(B₂A₂). `A` (r × d_in) and `B` (d_out × r) "
    "come from `factors`, in which B is zero; `A2` and `B2`, of the same sizes, are random from `spec.generator`. Four "
    "parameters train, and no other.",
    """class LoHaUpdate(Update):
    def __init__(self, base, factors, spec):
        super().__init__()
        # YOUR CODE HERE
        raise NotImplementedError()

    def weight(self, w0):
        # YOUR CODE HERE
        raise NotImplementedError()

    def forward(self, base, x):
        # YOUR CODE HERE
        raise NotImplementedError()""",
    two.RULES, two.draw, Form("LoHaUpdate", two.make_loha, two.loha_shapes, two.nothing),
    FormJudge(
        two.loha_shapes, lambda case: case.s, two.hadamard, two.hadamard,
        {
            "sum": ("The two products are added. ⊙ multiplies them entry by entry.",
                    lambda p, case: p["B"] @ p["A"] + p["B2"] @ p["A2"]),
            "one-pair": ("The second pair is left out.", lambda p, case: p["B"] @ p["A"]),
            "crossed": ("The pairs are crossed: B goes with A, and B₂ with A₂.",
                        lambda p, case: (p["B"] @ p["A2"]) * (p["B2"] @ p["A"])),
            "factors": ("You multiply the factors entry by entry, and then B by A: ⊙ stands between the products.",
                        lambda p, case: (p["B"] * p["B2"]) @ (p["A"] * p["A2"])),
        },
    ),
)  # fmt: skip
VERA = Part(
    "VeRA", ("VeRAUpdate",), 0.3,
    "Write the class `VeRAUpdate(base, spec, A, B)`: W = W₀ + s·diag(b) B diag(d) A. A (r × n) and B (m × r) are "
    "shared by all layers, frozen, and larger than this one may need: take the first d_in columns of A and the first "
    "d_out rows of B, as views. `b` (d_out numbers, 0 at the start) and `d` (r numbers, 0.1 at the start) train, "
    "nothing else. "
    "The path builds neither ΔW nor a diagonal matrix.",
    """class VeRAUpdate(Update):
    def __init__(self, base, spec, A, B):
        super().__init__()
        # YOUR CODE HERE
        raise NotImplementedError()

    def weight(self, w0):
        # YOUR CODE HERE
        raise NotImplementedError()

    def forward(self, base, x):
        # YOUR CODE HERE
        raise NotImplementedError()""",
    two.RULES, two.draw, Form("VeRAUpdate", two.make_vera, two.vera_shapes, two.shift_pair),
    FormJudge(
        two.vera_shapes, lambda case: 1.0, two.vera, lambda p, case: two.vera(p, case, 1.0),
        {
            "no-b": ("b is left out.", lambda p, case: two.vera({**p, "b": torch.ones_like(p["b"])}, case)),
            "no-d": ("d is left out.", lambda p, case: two.vera({**p, "d": torch.ones_like(p["d"])}, case)),
            "last-slice": ("You take the last rows and columns of the shared pair: take the first.",
                           lambda p, case: p["b"][:, None] * two.pair(case)[1][-case.d_out :]
                           @ (p["d"][:, None] * two.pair(case)[0][:, -case.d_in :])),
        },
        lambda case: 2 * (case.d_in * case.d_out + case.r * (case.d_in + case.d_out)),
        lambda case: torch.tensor([0.0, 0.1 * case.r], dtype=torch.float64),
    ),
)  # fmt: skip

ASSIGNMENT = Assignment(
    "LoHa and VeRA against LoRA", 300, PROMPT, SETUP,
    (LOHA, VERA, LOHA_FILE, VERA_FILE, CURVE, TABLE),
)  # fmt: skip
