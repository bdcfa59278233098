"""A student's own form of update, put through its paces in the child: what it is, where it starts, what it computes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.book.classroom.encode import Fault
from lorabook.book.classroom.limits import inside
from lorabook.book.classroom.observe import Given, numbers
from lorabook.book.classroom.seen import Seen
from lorabook.claims.case import Case
from lorabook.core.frozen import Frozen
from lorabook.core.update import Update
from lorabook.cost.count import measured_flops

ROWS = 9
NO_FORM = "`{}` is no class that derives from `lorabook.core.update.Update`."
NO_NAMES = "`{}` must have parameters (`nn.Parameter`) called {}, of the sizes that the text gives."
PARTS = ("head", "at the start", "sums", "alive", "weight", "output", "others")
"""What is written down, in this order; then the gradient of each parameter."""

Make = Callable[[type, Frozen, Case], Update]


@dataclass(frozen=True)
class Form:
    """Observe a form. `make` builds one, `shapes` are its trained parameters, `values` what they are set to.

    disturb: changes what the form was given, after which `others`, its W, is read again.
    """

    name: str
    make: Make
    shapes: Callable[[Case], dict[str, tuple[int, ...]]]
    disturb: Callable[[Update, Case], None]

    def __call__(self, function: Callable, given: Given) -> Seen:
        form = inside(function)[0]
        refuse_no_form(form, self.name)
        case = Case(*given["case"])
        base = case.linear()
        update = inside(lambda: self.make(form, base, case))
        head = [sum(p.numel() for p in update.parameters() if p.requires_grad)]
        at_start = inside(lambda: update.weight(base.matrix))
        begun = parameters(update, self.name, self.shapes(case)).values()
        sums = [p.detach().sum().item() for p in begun]
        alive = self._gradients(update, base, case)
        set_parameters(update, self.name, values(case, self.shapes(case)))
        weight = inside(lambda: update.weight(base.matrix))
        output = inside(lambda: update(base, case.x(ROWS)))
        slopes = self._gradients(update, base, case)
        head.append(inside(lambda: measured_flops(lambda: update(base, case.x(1)))))
        self.disturb(update, case)
        others = inside(lambda: update.weight(base.matrix))
        size = [float(slope.abs().sum()) for slope in alive.values()]
        told = [head, at_start, sums, size, weight, output, others, *slopes.values()]
        return Seen(tuple(numbers(one) for one in told))

    def _gradients(self, update: Update, base: Frozen, case: Case) -> dict[str, Tensor]:
        """Return ∂/∂θ of Σ g·y for each parameter, zeros where there is none."""
        mine = parameters(update, self.name, self.shapes(case))
        update.zero_grad()
        y = inside(lambda: update(base, case.x(ROWS)))
        inside(lambda: (y * g_of(case)).sum().backward())
        return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in mine.items()}


def refuse_no_form(form: object, name: str) -> None:
    """Refuse what is no class of updates.

    Raises:
        Fault: it is none.
    """
    if not (isinstance(form, type) and issubclass(form, Update)):
        raise Fault("type", NO_FORM.format(name))


def parameters(update: Update, name: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the parameters of an update that have these names and sizes.

    Raises:
        Fault: one is missing, or has another size.
    """
    own = dict(update.named_parameters())
    if any(one not in own or own[one].shape != shape for one, shape in shapes.items()):
        raise Fault("type", NO_NAMES.format(name, ", ".join(shapes)))
    return {one: own[one] for one in shapes}


def set_parameters(update: Update, name: str, new: dict[str, Tensor]) -> None:
    """Give an update's parameters these values."""
    mine = parameters(update, name, {one: tuple(value.shape) for one, value in new.items()})
    with torch.no_grad():
        for one, value in new.items():
            mine[one].copy_(value)


def values(case: Case, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return what the parameters of a case are set to: none is zero, and no two are alike."""
    return {name: case.randn(*shape, stream=f"own {name}") for name, shape in shapes.items()}


def g_of(case: Case) -> Tensor:
    """Return the ∂L/∂y with which gradients are taken."""
    return case.randn(ROWS, case.d_out, stream="g")
