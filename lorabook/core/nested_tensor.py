"""nn.TransformerEncoder's nested tensors, which its layers take on their fast path only."""

from torch import nn


def refuse_nested_tensors(model: nn.Module, targets: list[str]) -> None:
    """Refuse to adapt a later layer of an encoder that leaves out padding by nested tensors, and not the first.

    The encoder asks its first layer whether the fast path can be had. Adapted, a layer reads W as a function of A and
    B, and takes the slow path, on which torch has no attention over nested tensors.

    Raises:
        ValueError: naming the encoder, the layer and what to do.
    """
    for name, encoder in model.named_modules():
        if not isinstance(encoder, nn.TransformerEncoder) or not encoder.use_nested_tensor:
            continue
        inside = [target for target in targets if target.startswith(f"{name}.layers.".lstrip("."))]
        first = f"{name}.layers.0.".lstrip(".")
        if inside and not any(target.startswith(first) for target in inside):
            raise ValueError(
                f"{inside[0]} belongs to a nn.TransformerEncoder that hands nested tensors to its layers where "
                f"src_key_padding_mask is given, and an adapted layer cannot take them: set use_nested_tensor = False "
                f"on {name or 'the encoder'}, which changes no number, or adapt its first layer too"
            )
