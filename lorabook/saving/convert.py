"""Any adapter as a LoRA: the nearest s·BA to what it changes in W₀, and how far that is from it."""

import torch
from torch import Tensor, linalg, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.dense import Dense
from lorabook.core.lora import ORIGIN, LowRank
from lorabook.core.merge import refuse_sharded
from lorabook.core.names import refuse_compiled_alone
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.targets import places_of
from lorabook.core.whole_number import refuse_unless_whole


@torch.no_grad()
def to_lora(model: nn.Module, r: int) -> dict[str, float]:
    """Put a LoRA of rank r, of scale 1, in the place of every adapter, and return what each layer loses.

    ΔW = W − W₀ = UΣVᵀ;  B = U_r√Σ_r,  A = √Σ_r V_rᵀ;  lost: ‖ΔW − BA‖/‖ΔW‖ = √(Σ_{i>r} σᵢ² / Σᵢ σᵢ²).

    No other LoRA of rank r is nearer. A base in few bits stays as it is stored. The model then saves as any LoRA does.

    Raises:
        ValueError: no adapter, a rank that a layer has no room for, or a layer whose change is more than a ΔW beside
            its own W₀: a bias that moves (GLoRA), a base quantised after its init (QPiSSA). Nothing has changed then.

    Source: Eckart, Young 1936; PEFT calls it `convert_to_lora`.
    """
    refuse_unless_whole("the rank to convert to", r)
    layers = adapted(model)
    if not layers:
        raise ValueError("this model has no adapted layer to convert: call inject first")
    for name, layer in layers.items():
        _refuse(name, layer, r)
        refuse_compiled_alone(places_of(model, layer))
    refuse_sharded(model, "a shard cannot be converted")
    lost = {}
    for name, layer in layers.items():
        converted, lost[name] = _converted(name, layer, r)
        for parent, child in places_of(model, layer):
            setattr(parent, child, converted)
    return lost


def _refuse(name: str, layer: Adapted, r: int) -> None:
    room = min(layer.base.store.shape)
    if r > room:
        raise ValueError(f"rank r = {r} is larger than {name} allows: r ≤ {room}")
    if layer.bias is not layer.base.bias:
        raise ValueError(f"{name} moves its bias too, and a LoRA has none: merge it instead")
    if layer.start is not None and not isinstance(layer.base.store, Dense):
        raise ValueError(f"{name} was quantised after its init took s·BA out of W₀: merge it instead, into 16 bits")


def _original(layer: Adapted) -> Tensor:
    w = layer.base.matrix
    return w if layer.start is None else layer.start.weight(w)


def _converted(name: str, layer: Adapted, r: int) -> tuple[Adapted, float]:
    base, w0 = layer.base, _original(layer)
    u, sigma, vt = linalg.svd((layer.update.weight(base.matrix) - w0).double(), full_matrices=False)
    root, energy = sigma[:r].sqrt(), sigma.square()
    lost = (energy[r:].sum() / energy.sum()).sqrt().item() if energy.sum() > 0 else 0.0
    if layer.start is not None:
        base.store = Dense(w0)
    kept = torch.promote_types(w0.dtype, torch.float32)
    factors = Factors((root[:, None] * vt[:r]).to(kept), (u[:, :r] * root).to(kept))
    spec = LayerSpec(name, r, 1.0, 0.0, torch.Generator(), {}, base.store.shape)
    recipe = Recipe(r, float(r), base=layer.recipe.base).complete(ORIGIN)
    converted = Adapted(base, LowRank(base, factors, spec), recipe, 1.0, None).train(layer.training)
    converted.beside = layer.beside
    return converted, lost
