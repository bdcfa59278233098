"""A LoRA adapter as plain tensors, layer by layer: what a bank holds many of."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.dense import Dense
from lorabook.core.lora import LowRank


class Pair(NamedTuple):
    """One LoRA adapter on one layer: ΔW = scale·BA."""

    A: Float[Tensor, "r d_in"]
    B: Float[Tensor, "d_out r"]
    scale: float


State = Mapping[str, Pair]
"""One adapter on a whole model: its pair for every layer it touches, by the layer's name."""


def pairs_of(model: nn.Module) -> dict[str, Pair]:
    """Return the adapter of an adapted model, layer by layer, against the layers as they were before injection.

    Where an init took s·B₀A₀ out of W₀ (PiSSA), the pair has rank 2r: s·[B, −B₀][A; A₀].

    Raises:
        ValueError: a layer's update is not s·BA, so that no pair can stand for it, or it is s·BA beside a quantised
            W₀ − s·B₀A₀ (QPiSSA), which no other adapter's base can be.
    """
    return {name: _pair(name, layer) for name, layer in adapted(model).items()}


def _pair(name: str, layer: Adapted) -> Pair:
    update, start = layer.update, layer.start
    if not isinstance(update, LowRank):
        raise ValueError(
            f"{name} is a {type(update).__name__}: a bank holds updates of the form s·BA only; merge it instead"
        )
    if start is not None and not isinstance(layer.base.store, Dense):
        raise ValueError(
            f"{name} was quantised after s·BA had been taken out of W₀, so its base is its own and cannot be shared in "
            "a bank: serve this model alone, or train the adapter with QLoRA and LoRA's own init"
        )
    factors = layer.against_whole_w0()
    return Pair(factors.A.clone(), factors.B.clone(), update.s)


def check_named(adapters: Mapping[str, State]) -> None:
    """Refuse adapters that are not given as name → layer → pair: a list, or the models that trained them.

    Raises:
        TypeError: saying what was given and how to make a state of it.
    """
    if not isinstance(adapters, Mapping):
        raise TypeError(
            f"adapters is a {type(adapters).__name__}; give them by name, as in {{'anna': pairs_of(adapted_model)}}"
        )
    for name, state in adapters.items():
        check_state(f"adapter {name!r}", state)


def check_state(what: str, state: State) -> None:
    """Refuse, naming `what`, an adapter that is not layer → pair.

    Raises:
        TypeError: as `check_named`.
    """
    values = list(state.values()) if isinstance(state, Mapping) else [state]
    odd = [value for value in values if not isinstance(value, Pair)]
    if odd:
        raise TypeError(
            f"{what} is given as a {type(odd[0]).__name__}, and must be a Pair for every layer: "
            "pairs_of(adapted_model) reads them out of the model that trained it"
        )


def check_pair(what: str, pair: Pair, d_out: int, d_in: int) -> None:
    """Raise ValueError, naming `what`, if a pair does not fit a d_out × d_in layer or is not finite."""
    r = len(pair.A)
    if pair.A.shape != (r, d_in) or pair.B.shape != (d_out, r):
        raise ValueError(
            f"{what}: A is {tuple(pair.A.shape)} and B {tuple(pair.B.shape)}; expected r × {d_in} and {d_out} × r"
        )
    if not (pair.A.isfinite().all() and pair.B.isfinite().all() and abs(pair.scale) < float("inf")):
        raise ValueError(f"{what} has NaN or infinite entries; train or load it again")
