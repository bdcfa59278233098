"""Claims: equations that run.

A claim is a function that returns the two sides of an equation; the runner compares them, so a claim cannot be written
to check nothing. A misconception is the tempting false neighbour of a claim: it must fail, clearly, on the same cases.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from lorabook.claims.case import SHAPES, Case

Relation = Literal["=", "<=", "~"]
Sides = Callable[[Case], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Claim:
    """A statement, and the function that computes its two sides for a case.

    `relation` is "=" (equal within `tol`, relative to the larger side), "<=" (elementwise), or "~" (a law in
    expectation; the function returns estimate, prediction, standard error of the estimate). `when` is the condition
    that a statement in circulation leaves out, and under which it holds.
    """

    sides: Sides
    statement: str
    source: str
    relation: Relation = "="
    tol: float = 1e-9
    cases: tuple[Case, ...] = SHAPES
    when: str = ""
    misconception_of: "Claim | None" = None

    @property
    def name(self) -> str:
        """The name of its function: false statements begin with `false_`."""
        return self.sides.__name__

    @property
    def module(self) -> str:
        """The module that declares it."""
        return self.sides.__module__

    @property
    def about(self) -> str:
        """The variant or topic that the claim belongs to: what its folder declares as ABOUT."""
        return about(self.module)

    @property
    def kind(self) -> str:
        """What the claim says of its statement: it holds, holds if `when` is so, or is false."""
        return "false" if self.is_misconception else "holds if" if self.when else "holds"

    @property
    def is_misconception(self) -> bool:
        """True for a false neighbour, which must fail where its claim holds."""
        return self.misconception_of is not None

    def __call__(self, case: Case) -> tuple[Tensor, ...]:
        return self.sides(case)


def claim(
    *, statement: str, source: str, relation: Relation = "=", tol: float = 1e-9, cases: tuple[Case, ...] = SHAPES,
    when: str = "",
) -> Callable[[Sides], Claim]:  # fmt: skip
    """Declare a true statement: LaTeX `statement`, where it comes from, and `when` it holds if that is not always.

    Raises:
        ValueError: a tolerance that would let anything pass, an unknown relation, or no case.
    """
    if not 0 <= tol <= 0.05:
        raise ValueError(f"tol is {tol!r}; a claim that allows more than 5% says nothing: a law has the relation '~'")
    if relation not in ("=", "<=", "~"):
        raise ValueError(f"relation is {relation!r}; it must be '=', '<=' or '~'")
    if not cases:
        raise ValueError("cases is empty; a claim that is tried nowhere says nothing: leave it out for the usual three")
    return lambda sides: Claim(sides, statement, source, relation, tol, tuple(cases), when)


def misconception(*, of: Claim, statement: str, source: str) -> Callable[[Sides], Claim]:
    """Declare the false neighbour of a claim. It runs on the claim's own cases, and must fail there."""
    return lambda sides: replace(of, sides=sides, statement=statement, source=source, when="", misconception_of=of)


def about(module: str) -> str:
    """Return what a module's folder, or outside the package the module itself, declares as ABOUT.

    Raises:
        LookupError: neither declares it.
    """
    for name in filter(None, (module, module.rpartition(".")[0])):
        if "ABOUT" in (names := vars(importlib.import_module(name))):
            return names["ABOUT"]
    raise LookupError(f"what is {module} about? Write ABOUT = 'its variant' in it, or in its folder's __init__")
