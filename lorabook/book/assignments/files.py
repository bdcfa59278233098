"""Files that PEFT loads: a student's form as PEFT's keys and tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.book.assignments import two_definitions as two
from lorabook.book.assignments.assignment import Part
from lorabook.book.assignments.form_verdict import Drawn, same
from lorabook.book.assignments.forms import refuse_no_form, set_parameters, values
from lorabook.book.classroom.encode import Fault
from lorabook.book.classroom.judge import NO_REPORT, RIGHT, Judgement
from lorabook.book.classroom.limits import inside
from lorabook.book.classroom.observe import Given, numbers
from lorabook.book.classroom.seen import Seen
from lorabook.claims.case import Case
from lorabook.core.frozen import Frozen
from lorabook.core.update import Update

LAYER = "layers.3.up_proj"
BANK = {
    "keys": "Keys are missing that PEFT asks for; each is `base_model.model.{layer}.` and the end that the text gives.",
    "extra": "There are more keys than PEFT knows: it refuses such a file.",
    "turned": "A tensor is transposed: PEFT keeps it as the text says.",
    "swapped": "The tensors are the right ones under each other's keys.",
    "scaled": "The scale is in the tensors: PEFT reads α and r from its options, and would multiply by it again.",
    "numbers": "A tensor holds other numbers than the form.",
}


@dataclass(frozen=True)
class InFile:
    """Observe a file: a number of keys, and the tensor under each key that is due, [] where there is none."""

    form: str
    make: Callable[[type, Frozen, Case], Update]
    shapes: Callable[[Case], dict[str, tuple[int, ...]]]
    keys: tuple[str, ...]

    def __call__(self, function: Callable, given: Given) -> Seen:
        write, form = inside(function)
        refuse_no_form(form, self.form)
        if not callable(write):
            raise Fault("type", "What writes the file is no function.")
        case = Case(*given["case"])
        update = inside(lambda: self.make(form, case.linear(), case))
        set_parameters(update, self.form, values(case, self.shapes(case)))
        file = inside(lambda: write(update, LAYER))
        if not isinstance(file, dict):
            raise Fault("type", "Return a dict from PEFT's keys to tensors.")
        found = [numbers(file[key]) if key in file else [] for key in self.keys]
        return Seen(([float(len(file))], *found))


@dataclass(frozen=True)
class FileJudge:
    """What is due of a file: the tensors, in the order of the keys."""

    due: Callable[[Case], tuple[Tensor, ...]]
    scale: Callable[[Case], float]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(BANK)

    def __call__(self, trials: Sequence[Drawn], seen: Sequence[Seen]) -> Judgement:
        """Return the judgement; the keys alone are worth a fifth."""
        for trial, one in zip(trials, seen, strict=True):
            if one.fault:
                return Judgement(one.fault, one.says, 0.0)
            due = self.due(trial.world)
            if len(one.parts) != 1 + len(due):
                return NO_REPORT
            count, *found = [torch.as_tensor(part, dtype=torch.float64) for part in one.parts]
            code = self._fault(int(count[0]), found, due, self.scale(trial.world))
            if code:
                return Judgement(code, BANK[code], 0.0 if code in ("keys", "extra") else 0.2)
        return Judgement(RIGHT, "PEFT's keys, and the right tensors under them.", 1.0)

    def _fault(self, count: int, found: list[Tensor], due: tuple[Tensor, ...], s: float) -> str:
        if not all(one.numel() for one in found):
            return "keys"
        if count > len(due):
            return "extra"
        if all(same(one, other) for one, other in zip(found, due, strict=True)):
            return ""
        if all(same(one, other) or same(one, other.T) for one, other in zip(found, due, strict=True)):
            return "turned"
        if all(any(same(one, other) for other in due) for one in found):
            return "swapped"
        if all(same(one, other) or same(one, s * other) for one, other in zip(found, due, strict=True)):
            return "scaled"
        return "numbers"


def loha_due(case: Case) -> tuple[Tensor, ...]:
    p = values(case, two.loha_shapes(case))
    return p["B"], p["A"], p["B2"], p["A2"]


def vera_due(case: Case) -> tuple[Tensor, ...]:
    p = values(case, two.vera_shapes(case))
    return (p["b"], p["d"], *two.pair(case))


def file_part(
    title: str, name: str, form: str, share: float, prompt: str, stub: str, seen: InFile, judge: FileJudge
) -> Part:
    return Part(title, (name, form), share, prompt, stub, two.RULES, two.draw, seen, judge)


STUB = "def {}(update, layer):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
ONE = f"base_model.model.{LAYER}."
LOHA_FILE = file_part(
    "LoHa's file", "loha_file", "LoHaUpdate", 0.1,
    "Write `loha_file(update, layer)`, which returns what PEFT's file of your LoHa holds for a layer of this name: a "
    "dict with the keys `base_model.model.{layer}.` + `hada_w1_a` (d_out × r), `hada_w1_b` (r × d_in), `hada_w2_a`, "
    "`hada_w2_b`. PEFT computes (w1_a w1_b) ⊙ (w2_a w2_b), and takes the scale from its options.",
    STUB.format("loha_file"),
    InFile("LoHaUpdate", two.make_loha, two.loha_shapes,
           tuple(f"{ONE}hada_{end}" for end in ("w1_a", "w1_b", "w2_a", "w2_b"))),
    FileJudge(loha_due, lambda case: case.s),
)  # fmt: skip
VERA_FILE = file_part(
    "VeRA's file", "vera_file", "VeRAUpdate", 0.1,
    "Write `vera_file(update, layer)`: the keys are `base_model.model.{layer}.` + `vera_lambda_b` and `vera_lambda_d`, "
    "and for what all layers share `base_model.vera_A` and `base_model.vera_B`, whole.",
    STUB.format("vera_file"),
    InFile("VeRAUpdate", two.make_vera, two.vera_shapes,
           (f"{ONE}vera_lambda_b", f"{ONE}vera_lambda_d", "base_model.vera_A", "base_model.vera_B")),
    FileJudge(vera_due, lambda case: 1.0),
)  # fmt: skip
