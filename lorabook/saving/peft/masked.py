"""AdaLoRA's file in PEFT leaves out what the allocator masked."""

import torch
from torch import Tensor


def with_masked_triplets(options: dict, layer: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """PEFT's file leaves out the triplets that the allocator masked; put them back, as zeros.

    Raises:
        ValueError: the mask in `rank_pattern` does not fit the tensors.
    """
    pattern = options.get("rank_pattern") or {}
    kept = pattern.get(f"{layer}.lora_E")
    if kept is None:
        return tensors
    if not isinstance(kept, list) or len(kept) != options["init_r"] or any(k not in (False, True) for k in kept):
        raise ValueError(f"rank_pattern of {layer} is not a list of init_r = {options['init_r']} true or false")
    places = torch.tensor(kept, dtype=torch.bool).nonzero()[:, 0]
    whole = {}
    for letter, tensor in tensors.items():
        dim = 1 if letter == "B" else 0
        if tensor.ndim != 2 or tensor.shape[dim] != len(places):
            raise ValueError(
                f"rank_pattern of {layer} keeps {len(places)} triplets, but its {letter} is {tuple(tensor.shape)}"
            )
        size = list(tensor.shape)
        size[dim] = len(kept)
        whole[letter] = tensor.new_zeros(size).index_copy(dim, places, tensor)
    return whole
