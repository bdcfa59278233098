"""AdaLoRA's start: both factors small and random, for a form that holds ΔW at zero by other means."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.form.adalora import AdaLoRAForm
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import AxisConflict, Factors, LayerSpec, Recipe

STD = 0.02


@dataclass(frozen=True)
class GaussianStart:
    """AdaLoRA's value on the init axis."""

    takes_from_w0: ClassVar = False

    def build(self, w0: Float[Tensor, "d_out d_in"], spec: LayerSpec) -> Factors:
        """Return A and B with entries from N(0, 0.02²).

        Neither factor is zero, so BA is not: use it with a form that multiplies BA by something that starts at zero, as
        PΛQ does. With LoRA's own form the model would start away from its base.

        Source: Zhang et al. 2023 (2303.10512), section 3.1; the 0.02 is that of the authors' code.
        """
        d_out, d_in = w0.shape
        return Factors(A=_normal(w0, spec.generator, spec.r, d_in), B=_normal(w0, spec.generator, d_out, spec.r))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        if not isinstance(recipe.form, AdaLoRAForm):
            raise AxisConflict(
                f"AdaLoRA's start has BA ≠ 0, and {type(recipe.form).__name__} would move {name} away from its base: "
                "use it with AdaLoRA's form, whose λ start at zero"
            )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def _normal(like: Tensor, generator: torch.Generator, rows: int, columns: int) -> Tensor:
    # Drawn where the generator lives, so that one seed gives one adapter on every device.
    return torch.empty(rows, columns, device=generator.device).normal_(0.0, STD, generator=generator).to(like)
