"""Two ways to keep a new adapter's A orthogonal to the A of earlier tasks: a pull (soft), or a projection (hard).

Both read and move A only. What A_t does not read, B_t cannot answer: A_tA_iᵀ = 0 alone gives B_tA_tx = 0 for every x in
the row space of A_i.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.core.lora import LowRank
from lorabook.core.step_rule import StepRule
from lorabook.many.row_space import outside, row_basis

Rows = Mapping[str, tuple[LowRank, Float[Tensor, "n d_in"]]]
"""By layer: the update that trains, and the rows of all earlier A, one below the other."""


class Apart(StepRule, ABC):
    """A rule that knows every layer's trained A_t and the frozen rows [A_1; …; A_{t−1}]. It remembers nothing else."""

    def __init__(self, rows: Rows) -> None:
        self.rows = {name: (update, earlier.to(update.A)) for name, (update, earlier) in rows.items()}

    def before_step(self, t: int) -> None:
        return None

    def end(self) -> None:
        return None

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if state:
            raise ValueError(f"O-LoRA keeps no state between steps, and the checkpoint has {sorted(state)[0]!r}")

    def overlaps(self) -> dict[str, Float[Tensor, "n r"]]:
        """Return [A_1; …; A_{t−1}]A_tᵀ by layer: all zero when the new adapter reads nothing that earlier ones read."""
        return {name: earlier @ update.A.T for name, (update, earlier) in self.rows.items()}

    @abstractmethod
    def kept(self) -> int:
        """Return how many numbers are kept of the earlier tasks."""


def squares(overlap: Float[Tensor, "n r"]) -> Float[Tensor, ""]:
    """Return Σ_jk O_jk²: the paper's penalty, equation 8. Its pull fades as the overlap does."""
    return overlap.square().sum()


def absolutes(overlap: Float[Tensor, "n r"]) -> Float[Tensor, ""]:
    """Return Σ_jk |O_jk|: the penalty of the authors' code. Its pull is as strong near zero as far from it."""
    return overlap.abs().sum()


class Pulled(Apart):
    """The loss gets λ·Σ_layers Σ_{i<t} measure(A_iA_tᵀ): orthogonality is wished for, and never exact."""

    def __init__(self, rows: Rows, weight: float, measure: Callable[[Tensor], Tensor]) -> None:
        super().__init__(rows)
        self.weight, self.measure = weight, measure

    def begin(self, steps: int) -> None:
        return None

    def penalty(self) -> Float[Tensor, ""]:
        overlaps = self.overlaps().values()
        return self.weight * sum((self.measure(overlap) for overlap in overlaps), torch.zeros(()))

    def after_step(self, t: int) -> None:
        return None

    def kept(self) -> int:
        return sum(earlier.numel() for _, earlier in self.rows.values())


class Projected(Apart):
    """A_t ← A_t − (A_tQᵀ)Q at the start and after each step, Q an orthonormal basis of *all* earlier rows together.

    The step is projected, not only the gradient: Adam divides each entry by a number of its own, which turns a
    projected gradient back out of the complement.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        # In bfloat16 a basis is not orthonormal to better than a percent: at least float32, whatever A is kept in.
        self.bases = {
            name: row_basis(earlier).to(torch.promote_types(earlier.dtype, torch.float32))
            for name, (_, earlier) in self.rows.items()
        }

    def begin(self, steps: int) -> None:
        self._project()

    def penalty(self) -> Float[Tensor, ""]:
        return torch.zeros(())

    def after_step(self, t: int) -> None:
        self._project()

    def kept(self) -> int:
        return sum(basis.numel() for basis in self.bases.values())

    @torch.no_grad()
    def _project(self) -> None:
        for name, (update, _) in self.rows.items():
            update.A.copy_(outside(update.A.to(self.bases[name]), self.bases[name]))
