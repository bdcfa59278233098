"""Modules that stand for a layer: another library's adapter, a compiled layer, a parametrization, one of your own."""

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from lorabook.core.names import named_modules

HELD_AS = {"base_layer": "PEFT", "original_module": "PEFT", "org_module": "LyCORIS", "_orig_mod": "torch.compile"}
"""Under which name a wrapper holds the layer that it stands for, and whose wrapper it is."""


def refuse_wrapped(name: str, layer: nn.Module, model: nn.Module, matched: set[str]) -> None:
    """Refuse a layer that another module wraps: an adapter inside might be passed by, or adapt the wrong matrix.

    A wrapper of no known library is told by its weight, which has the shape of a layer's in it, or by a pair of thin
    layers beside the layer. Naming the layer in it, by a pattern that does not fit the wrapper, says that it is meant.

    Args:
        matched: names of all modules that the targets match.

    Raises:
        ValueError: naming the wrapper and what to do.
    """
    parts, modules = name.split("."), dict(named_modules(model))
    for n in range(len(parts) - 1, 0, -1):
        outer, child = ".".join(parts[:n]), parts[n]
        wrapper = modules[outer]
        if isinstance(wrapper, ParametrizationList):
            raise ValueError(
                f"{name} is part of a parametrization, by which another layer's weight is computed: choose targets "
                "that leave it out"
            )
        if child in HELD_AS or _is_of_peft(wrapper):
            _refuse(name, outer, wrapper, HELD_AS.get(child, "PEFT"))
        if outer in matched and (_has_the_weight_of(wrapper) or _has_a_thin_pair(wrapper)):
            _refuse(name, outer, wrapper, None)


def _refuse(name: str, outer: str, wrapper: nn.Module, whose: str | None) -> None:
    what = f"{outer} is a {type(wrapper).__module__}.{type(wrapper).__name__}"
    if whose == "torch.compile":
        raise ValueError(f"{what}, which has compiled the layer {name}: inject first and compile after it")
    if whose is not None:
        raise ValueError(
            f"{what}: another library ({whose}) has adapted or wrapped the layer {name}. Merge it first "
            "(model = model.merge_and_unload() in PEFT), or choose targets that leave it out"
        )
    raise ValueError(
        f"{what}, which wraps the layer {name} and looks like an adapter of another library. Merge it first, or name "
        f"the layer itself by a pattern that fits its last name only, e.g. {name.rpartition('.')[2] + '$'!r}"
    )


def _is_of_peft(module: nn.Module) -> bool:
    return any(kind.__name__ == "BaseTunerLayer" for kind in type(module).__mro__)


def _weights(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Return (d_out, d_in) of the layers below a module that hold a matrix, by name."""
    return {
        name: (len(part.weight), part.weight[0].numel())
        for name, part in module.named_modules()
        if name and isinstance(part._parameters.get("weight"), Tensor) and part.weight.ndim > 1
    }


def _has_the_weight_of(wrapper: nn.Module) -> bool:
    """Say whether a module with layers in it has a `weight` as well, of the shape of one that it holds itself."""
    weight = getattr(wrapper, "weight", None)
    shapes = [child.weight.shape for child in wrapper.children() if isinstance(child._parameters.get("weight"), Tensor)]
    return isinstance(weight, Tensor) and weight.shape in shapes


def _has_a_thin_pair(wrapper: nn.Module) -> bool:
    """Say whether all that a module holds is one layer W and pairs A, B that go past it: d_in → r → d_out, r small."""
    shapes = sorted(_weights(wrapper).values(), key=lambda shape: shape[0] * shape[1])
    if len(shapes) < 3 or len(shapes) % 2 == 0:
        return False
    *thin, (d_out, d_in) = shapes
    down = sorted(r for r, read in thin if read == d_in and r < min(d_out, d_in))
    up = sorted(r for written, r in thin if written == d_out and r < min(d_out, d_in))
    return len(down) == len(up) == len(thin) // 2 and down == up
