"""Which weights these are: a recorded run is of one base only."""

import hashlib

from torch import nn


def fingerprint(model: nn.Module) -> str:
    """Return twelve hexadecimal digits that change with a model's weights, not with their device or dtype."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
