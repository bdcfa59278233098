"""Let torch load what it loads at first use, before a limit is on: those seconds are none of a learner's."""

from functools import cache

import torch

from lorabook.cost.count import measured_flops


@cache
def warm() -> None:
    """Use once what answers may use: a device without memory, counted products, a backward pass, an optimiser step."""
    torch.eye(1, device="meta")
    parameter = torch.nn.Parameter(torch.ones(1, 1))
    measured_flops(lambda: parameter @ parameter)
    parameter.sum().backward()
    torch.optim.AdamW([parameter], lr=0.0).step()
