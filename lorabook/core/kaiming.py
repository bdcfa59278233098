"""LoRA's start: A random, B zero, hence ΔW = 0 and W₀ whole."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.core.recipe import Factors, LayerSpec


def uniform_rows(rows: int, d_in: int, like: Tensor, generator: torch.Generator) -> Float[Tensor, "rows d_in"]:
    """Return rows × d_in numbers, uniform on ±1/√d_in: Kaiming's rule with a = √5 and fan_in = d_in."""
    bound = 1 / math.sqrt(d_in)
    # Drawn where the generator lives, so that one seed gives one adapter on every device.
    a = torch.empty(rows, d_in, device=generator.device).uniform_(-bound, bound, generator=generator)
    return a.to(like)


def kaiming(w0: Float[Tensor, "d_out d_in"], spec: LayerSpec) -> Factors:
    """Return A uniform on ±1/√d_in and B = 0.

    fan_in is d_in, the number of inputs that A reads. Storing A as d_in × r makes the usual library call take
    fan_in = r instead, and A comes out √(d_in/r) times too large.

    Source: Hu et al. 2021 (2106.09685), section 4.1, and its loralib (a = √5).
    """
    d_out, d_in = w0.shape
    return Factors(A=uniform_rows(spec.r, d_in, w0, spec.generator), B=w0.new_zeros(d_out, spec.r))
