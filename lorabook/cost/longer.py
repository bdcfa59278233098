"""What a training step costs as its texts grow longer: FLOPs of a layer, under full attention and in groups.

    full fine-tuning:  3·(linear + attention)
    LoRA:              2·linear + 3·pairs + 3·share·attention

A frozen matrix needs two products (the value, and the gradient of its input), a trained one three. `share` is that of
full attention's L² scores which groups compute. The formula is held against FLOPs counted by torch in
claims/longlora/cost.py.
"""

from collections.abc import Sequence

import numpy as np

from lorabook.cost.count import LLAMA
from lorabook.models.decoder import DecoderConfig

SHAPE, RANK = LLAMA["7B"], 8
LENGTHS = tuple(2**k for k in range(10, 19))
"""1,024 to 262,144 tokens."""
GIGA = 1e9


def share_of_scores(group: float, shift: bool) -> float:
    """Return which share of L² scores attention in groups computes, mean of all heads.

    An unshifted head computes g/L. A shifted one cuts one group in two halves, and saves g²/2 of L·g.

    Args:
        group: g/L, the group as a share of the text, which a whole number of groups fills.
        shift: whether half of the heads are shifted.
    """
    return group - group**2 / 4 if shift else group


def step_flops(length: int, share: float, adapted: bool, shape: DecoderConfig = SHAPE, r: int = RANK) -> float:
    """Return FLOPs of forward and backward through one layer.

    Args:
        share: see `share_of_scores`; 1 is full attention.
        adapted: LoRA on q, k, v and o; otherwise everything trains.
    """
    d = shape.hidden
    linear = 2 * length * (4 * d**2 + 3 * d * shape.ffn)
    attention = 4 * length**2 * d * share
    pairs = 2 * length * 4 * r * 2 * d
    return 2 * linear + 3 * pairs + 3 * attention if adapted else 3 * (linear + attention)


def per_token(share: float, adapted: bool, lengths: Sequence[int] = LENGTHS) -> np.ndarray:
    """Return GFLOP a token and layer, at each length."""
    return np.array([step_flops(length, share, adapted) / length / GIGA for length in lengths])
