"""How far an adapted model has moved from its base, on a text that it should still read as before."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.merge import disabled


@torch.no_grad()
def kl_from_base(model: nn.Module, tokens: Int[Tensor, "batch length"]) -> float:
    """Return KL(base ‖ adapted) in nats per token: Σ_y p₀(y)·(log p₀(y) − log p(y)), averaged over positions.

    0 is the base itself; no labels are needed. Switching the adapters off gives the base back without a second copy.

    Raises:
        ValueError: the model has no adapter to switch off.
    """
    after = model(tokens).float().log_softmax(-1)
    with disabled(model):
        before = model(tokens).float().log_softmax(-1)
    return (before.exp() * (before - after)).sum(-1).mean().item()


@torch.no_grad()
def branch_output(model: nn.Module, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, ""]:
    """Return the root mean square of what the adapters change in the logits, all together."""
    after = model(tokens)
    with disabled(model):
        return (after - model(tokens)).square().mean().sqrt()


@torch.no_grad()
def layer_outputs(model: nn.Module, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, " layers"]:
    """Return the root mean square of what each adapter adds to the output of its own layer."""
    sizes = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append((output - layer.base(*inputs)).square().mean().sqrt())

    hooks = [layer.register_forward_hook(note) for layer in adapted(model).values()]
    try:
        model(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(sizes)
