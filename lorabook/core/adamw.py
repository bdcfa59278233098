"""The trained parameters, by name, and AdamW over them: the optimiser axis of LoRA itself."""

import torch
from torch import Tensor


def adamw(named: dict[str, Tensor], lr: float) -> torch.optim.AdamW:
    """Return AdamW with one step size for A and B alike, and no weight decay.

    Args:
        named: trained parameters by their name in the model.
        lr: step size η for every parameter.

    Source: Loshchilov, Hutter 2017 (1711.05101).
    """
    return torch.optim.AdamW(list(named.values()), lr=lr, weight_decay=0.0)
