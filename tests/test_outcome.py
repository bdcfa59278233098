"""A card says what came out in the claim's own numbers."""

import pytest
import torch

from lorabook.claims.claim import claim, misconception
from lorabook.claims.outcome import numbers
from lorabook.claims.runner import examine


def _claim(*sides: list[float] | float, **more):
    tensors = tuple(torch.as_tensor(side, dtype=torch.float64) for side in sides)
    return claim(statement="s", source="t", **more)(lambda case: tensors)


def _false(*sides: list[float] | float, **more):
    tensors = tuple(torch.as_tensor(side, dtype=torch.float64) for side in sides)
    return misconception(of=_claim(1.0, 1.0, **more), statement="s", source="t")(lambda case: tensors)


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        (_claim(1856.0, 1856.0, tol=0), "both sides are 1,856, equal to the last bit"),
        (_claim(4.12695, 4.12695), "both sides are 4.13, equal to 10⁻⁹"),
        (_claim([1.0, 2.0], [1.0, 2.0], tol=2e-7), "the two sides are equal to 2·10⁻⁷"),
        (_claim(0.225, 0.483, relation="<="), "0.225 is at most 0.483"),
        (_claim([1.0, 2.0], [1.0, 3.0], relation="<="), "no number is above its bound"),
        (_claim(9.12, 9.33, 0.2, relation="~"), "measured 9.12 ± 0.2, predicted 9.33"),
        (_false(0.247, 1.0), "one side is 0.247, the other 1"),
        (
            _false([980.0, 2.0], [1100.0, 2.0]),
            "two numbers that should be equal are 120 apart, where the largest of all is 1,100",
        ),
        (
            _false([1.0, 5.0], [2.0, 4.5], relation="<="),
            "a number is 0.5 above its bound, where the largest of all is 5",
        ),
        (_false(0.632, 0.0088, 0.005, relation="~"), "measured 0.632 ± 0.005, predicted 0.0088"),
        (_false(float("nan"), 1.0), "one side is not even a finite number"),
    ],
)  # fmt: skip
def test_the_outcome_is_said_in_the_claims_own_numbers(tried, said):
    assert numbers(examine(tried)) == said
