"""What a layer may have lived through before it is adapted: what is kept, what is refused, and how it becomes plain."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import accelerate.hooks
import loralib
import peft
import torch
from lycoris import create_lycoris
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.hooks import RemovableHandle

Hang = Callable[[nn.Module], RemovableHandle]

HOOKS: dict[str, Hang] = {
    "forward": lambda layer: layer.register_forward_hook(lambda module, given, y: 2 * y + 1),
    "forward, with kwargs": lambda layer: layer.register_forward_hook(
        lambda module, given, options, y: y - 3, with_kwargs=True
    ),
    "forward, always called": lambda layer: layer.register_forward_hook(
        lambda module, given, y: y.square(), always_call=True
    ),
    "forward, prepended": lambda layer: layer.register_forward_hook(lambda module, given, y: 0.5 * y, prepend=True),
    "pre": lambda layer: layer.register_forward_pre_hook(lambda module, given: (_moved(given[0]),)),
    "pre, with kwargs": lambda layer: layer.register_forward_pre_hook(
        lambda module, given, options: ((_moved(given[0]),), options), with_kwargs=True
    ),
    "full backward": lambda layer: layer.register_full_backward_hook(_scaled),
    "full backward pre": lambda layer: layer.register_full_backward_pre_hook(lambda module, over: (5 * over[0],)),
}
"""Every sort of hook that torch has for calls and gradients; each changes what comes out."""


def _moved(x: torch.Tensor) -> torch.Tensor:
    return 3 * x if x.is_floating_point() else (x + 1) % 10


def _scaled(module: nn.Module, into: tuple, over: tuple) -> tuple:
    return tuple(None if gradient is None else 7 * gradient for gradient in into)


@dataclass(frozen=True)
class Worn:
    """What cannot be kept.

    put: does it to a model of named layers, of which `fc` is meant; says: what the refusal must name;
    undo: what the refusal tells to do, for those whose layer can become plain again.
    """

    put: Callable[[nn.Module], object]
    says: str
    undo: Callable[[nn.Module], object] | None = None


class Shifted(nn.Module):
    """A parametrization with a layer of its own in it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8, bias=False)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        return w + self.inner.weight


class ByHand(nn.Module):
    """LoRA as tutorials write it: the layer, and two thin ones past it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.A, self.B = layer, nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.B(self.A(x))


class Facade(nn.Module):
    """A wrapper of no library that shows its layer's weight as its own."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.inside, self.extra = layer, nn.Linear(8, 8)

    @property
    def weight(self) -> torch.Tensor:
        return self.inside.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inside(x) + self.extra(x)


def _quietly(do: Callable[[nn.Module], object]) -> Callable[[nn.Module], object]:
    """Without the warning that torch's older functions give of their age."""

    def done(model: nn.Module) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            do(model)

    return done


def _patched(model: nn.Module) -> None:
    before = model.fc.forward
    model.fc.forward = lambda x: 3 * before(x)


def _lycoris(model: nn.Module) -> None:
    network = create_lycoris(nn.ModuleDict({"fc": model.fc}), 1.0, linear_dim=2, linear_alpha=1.0, algo="loha")
    network.apply_to()


def _peft(config: type[peft.PeftConfig], **options: object) -> Callable[[nn.Module], object]:
    return lambda model: peft.inject_adapter_in_model(config(target_modules=["fc"], **options), model)


def _instead(make: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], object]:
    return lambda model: setattr(model, "fc", make(model.fc))


WORN: dict[str, Worn] = {
    "patched forward": Worn(_patched, "fc has a patched forward", lambda m: delattr(m.fc, "forward")),
    "LyCORIS": Worn(_lycoris, "fc has a patched forward", lambda m: delattr(m.fc, "forward")),
    "accelerate's hook": Worn(
        lambda m: accelerate.hooks.add_hook_to_module(m.fc, accelerate.hooks.AlignDevicesHook("cpu")),
        r"fc has a hook of accelerate \(AlignDevicesHook\)", accelerate.hooks.remove_hook_from_submodules,
    ),
    "offloaded by accelerate": Worn(
        lambda m: accelerate.cpu_offload(m.fc), "fc has a hook of accelerate",
        accelerate.hooks.remove_hook_from_submodules,
    ),
    "weight_norm": Worn(
        lambda m: parametrizations.weight_norm(m.fc), "fc has a weight that is parametrized by _WeightNorm",
        lambda m: parametrize.remove_parametrizations(m.fc, "weight"),
    ),
    "weight_norm, old": Worn(
        _quietly(lambda m: nn.utils.weight_norm(m.fc)), "fc is under weight_norm",
        lambda m: nn.utils.remove_weight_norm(m.fc),
    ),
    "spectral_norm": Worn(
        lambda m: parametrizations.spectral_norm(m.fc), "fc has a weight that is parametrized by _SpectralNorm",
        lambda m: parametrize.remove_parametrizations(m.fc, "weight"),
    ),
    "spectral_norm, old": Worn(
        lambda m: nn.utils.spectral_norm(m.fc), "fc is under spectral_norm",
        lambda m: nn.utils.remove_spectral_norm(m.fc)
    ),
    "parametrized bias": Worn(
        lambda m: parametrize.register_parametrization(m.fc, "bias", nn.Tanh()), "fc has a bias that is parametrized",
        lambda m: parametrize.remove_parametrizations(m.fc, "bias"),
    ),
    "a parametrization that holds a layer": Worn(
        lambda m: parametrize.register_parametrization(m.fc, "weight", Shifted()),
        r"fc has a weight that is parametrized by Shifted",
        lambda m: parametrize.remove_parametrizations(m.fc, "weight"),
    ),
    "pruned": Worn(
        lambda m: prune.l1_unstructured(m.fc, "weight", 0.3), "fc is pruned", lambda m: prune.remove(m.fc, "weight")
    ),
    "pruned columns": Worn(
        lambda m: prune.ln_structured(m.fc, "weight", 2, 2, 1), "fc is pruned", lambda m: prune.remove(m.fc, "weight")
    ),
    "pruned bias": Worn(
        lambda m: prune.l1_unstructured(m.fc, "bias", 0.3), "fc has a pruned bias", lambda m: prune.remove(m.fc, "bias")
    ),
    "compiled layer": Worn(
        _instead(lambda layer: torch.compile(layer, backend="eager")),
        "a Linear was compiled on its own .*take the wrapper off",
        _instead(lambda wrapper: wrapper._orig_mod),
    ),
    "layer.compile()": Worn(lambda m: m.fc.compile(backend="eager"), "fc is compiled on its own"),
    "a buffer": Worn(
        lambda m: m.fc.register_buffer("seen", torch.ones(8)), "fc keeps seen beside", lambda m: delattr(m.fc, "seen")
    ),
    "state_dict hook": Worn(
        lambda m: m.fc.register_state_dict_post_hook(lambda *given: None), "fc has a hook on its state_dict",
        lambda m: m.fc._state_dict_hooks.clear(),
    ),
    "load_state_dict hook": Worn(
        lambda m: m.fc.register_load_state_dict_pre_hook(lambda *given: None), "fc has a hook on its state_dict"
    ),
    "an attribute that we need": Worn(
        lambda m: setattr(m.fc, "scale", 3.0), "fc has an attribute of its own called 'scale'",
        lambda m: delattr(m.fc, "scale"),
    ),
    "loralib": Worn(_instead(lambda layer: loralib.Linear(8, 8, r=2)), "fc is a loralib.layers.Linear"),
    "PEFT's LoRA": Worn(_peft(peft.LoraConfig, r=2), r"PEFT\) has adapted", _instead(lambda w: w.base_layer)),
    "PEFT's DoRA": Worn(_peft(peft.LoraConfig, r=2, use_dora=True), r"PEFT\) has adapted"),
    "PEFT's LoHa": Worn(_peft(peft.LoHaConfig, r=2), r"PEFT\) has adapted"),
    "PEFT's LoKr": Worn(_peft(peft.LoKrConfig, r=2), r"PEFT\) has adapted"),
    "PEFT's IA3": Worn(_peft(peft.IA3Config, feedforward_modules=[]), r"PEFT\) has adapted"),
    "PEFT's AdaLoRA": Worn(_peft(peft.AdaLoraConfig, total_step=10), r"PEFT\) has adapted"),
    "PEFT's OFT": Worn(_peft(peft.OFTConfig, r=0, oft_block_size=4), r"PEFT\) has adapted"),
    "PEFT's HRA": Worn(_peft(peft.HRAConfig, r=2), r"PEFT\) has adapted"),
    "written by hand": Worn(_instead(ByHand), "fc is a situations.ByHand, which wraps", _instead(lambda w: w.layer)),
    "a facade": Worn(_instead(Facade), "fc is a situations.Facade, which wraps", _instead(lambda w: w.inside)),
}  # fmt: skip
