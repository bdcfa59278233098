"""What came out of a claim, in its own numbers: both sides where a side is one number, else how far they are apart."""

import math

from torch import Tensor

from lorabook.claims.runner import Verdict


def numbers(verdict: Verdict) -> str:
    """Say what the two sides are, in digits that no machine's rounding moves."""
    if max(verdict.gaps) == math.inf:
        return "one side is not even a finite number"
    if verdict.claim.relation == "~":
        estimate, prediction, error = (side.double().mean().item() for side in verdict.sides)
        return f"measured {estimate:.3g} ± {error:.1g}, predicted {prediction:.3g}"
    return _apart(verdict) if verdict.claim.is_misconception else _together(verdict)


def _together(verdict: Verdict) -> str:
    left, right = verdict.sides
    if verdict.claim.relation == "<=":
        return f"{_number(left)} is at most {_number(right)}" if left.numel() == 1 else "no number is above its bound"
    alike = f"both sides are {_number(left)}, equal" if left.numel() == 1 else "the two sides are equal"
    return f"{alike} to {_power(verdict.claim.tol)}" if verdict.claim.tol else f"{alike} to the last bit"


def _apart(verdict: Verdict) -> str:
    left, right = (side.double() for side in verdict.sides)
    if left.numel() == 1:
        return f"one side is {_number(left)}, the other {_number(right)}"
    largest = max(left.abs().max().item(), right.abs().max().item())
    if verdict.claim.relation == "<=":
        above = (left - right).max().item()
        return f"a number is {_size(above)} above its bound, where the largest of all is {_size(largest)}"
    widest = (left - right).abs().max().item()
    return f"two numbers that should be equal are {_size(widest)} apart, where the largest of all is {_size(largest)}"


def _number(side: Tensor) -> str:
    """Write a side that is one number: a count in full, with its commas, anything else in three digits."""
    value = side.item()
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.3g}"


def _size(value: float) -> str:
    """Write a size in two digits, without an exponent where a reader can do without."""
    return f"{float(f'{value:.2g}'):,g}"


def _power(tolerance: float) -> str:
    """Write 1e-09 as 10⁻⁹."""
    factor, exponent = f"{tolerance:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if factor == "1" else f"{factor}·{power}"
