"""What hangs on a plain layer and cannot be kept when another module takes its place: it is refused by name."""

from torch import nn
from torch.nn.utils import parametrize

from lorabook.core.plain_layer import attributes_of, tensors_of

STATE_HOOKS = (
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip

BEHIND_A_WEIGHT = {
    "weight_mask": ("is pruned", "torch.nn.utils.prune.remove(layer, 'weight') makes the zeros part of the weight"),
    "bias_mask": ("has a pruned bias", "torch.nn.utils.prune.remove(layer, 'bias') makes the zeros part of the bias"),
    "weight_g": ("is under weight_norm", "torch.nn.utils.remove_weight_norm(layer) makes it plain"),
    "weight_u": ("is under spectral_norm", "torch.nn.utils.remove_spectral_norm(layer) makes it plain"),
}
"""What torch's older ways of computing a weight leave on the layer, in words, and how it becomes plain again."""


def refuse_unkept(name: str, layer: nn.Module, taken: frozenset[str]) -> None:
    """Refuse a layer that carries what an adapted layer in its place would lose.

    Hooks on calls and gradients are kept, and so are the layer's attributes.

    Args:
        taken: names that an adapted layer has for its own purposes.

    Raises:
        ValueError: naming the layer, what it carries, and what to do.
    """
    found = _carried(layer, taken)
    if found is not None:
        what, then = found
        raise ValueError(f"{name} {what}, which an adapted layer in its place would lose: {then}")


def _carried(layer: nn.Module, taken: frozenset[str]) -> tuple[str, str] | None:
    own = attributes_of(layer)
    if parametrize.is_parametrized(layer):
        which = next(iter(layer.parametrizations))
        then = f"torch.nn.utils.parametrize.remove_parametrizations(layer, {which!r}) makes it plain"
        return f"has a {which} that is parametrized by {type(layer.parametrizations[which][0]).__name__}", then
    if "_hf_hook" in own:
        then = "accelerate.hooks.remove_hook_from_submodules(model) takes them off; dispatch the model after injecting"
        return f"has a hook of accelerate ({type(own['_hf_hook']).__name__}), which moves its weight in and out", then
    if "forward" in own:
        then = "take the patch off (del layer.forward; another library's adapter has a call for it) and adapt first"
        return "has a patched forward", then
    if own.get("_compiled_call_impl") is not None:
        return "is compiled on its own", "compile the model after injecting"
    tensors = tensors_of(layer)
    for kept, (what, then) in BEHIND_A_WEIGHT.items():
        if kept in tensors:
            return what, then
    odd = sorted(tensors.keys() - {"weight", "bias"})
    if odd or tensors.get("weight") is None:
        then = "leave this layer out of the targets, or give it a plain weight"
        return f"keeps {', '.join(odd) or 'its weight as no parameter'} beside weight and bias", then
    hooks = [table for table in STATE_HOOKS if any(not _is_left_behind(hook) for hook in vars(layer)[table].values())]
    if hooks:
        then = f"layer.{hooks[0]}.clear() takes it off; register it on the model"
        return f"has a hook on its state_dict ({hooks[0]})", then
    clash = sorted(own.keys() & taken)
    if clash:
        then = "rename it, or leave this layer out of the targets"
        return f"has an attribute of its own called {clash[0]!r}", then
    return None


def _is_left_behind(hook: object) -> bool:
    """Say whether a hook is what torch's norms forget when they are removed; it reads files of the norm's time."""
    return getattr(getattr(hook, "hook", hook), "__module__", "").startswith("torch.nn.utils.")
