"""What belongs to the adapters of a model although it lies beside them: what `also_train` trained, running statistics.

None of it can be told from a flag: what trained may be frozen again, and running statistics never train. So the model
notes at injection what it holds; what an adapter's file holds, and what `disabled()` gives back, goes by that.
"""

from collections.abc import Collection, Iterator

from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.before import Before
from lorabook.core.names import Place, named_modules, own_tensors


def outside(model: nn.Module) -> Iterator[tuple[list[str], Tensor, tuple[Place, ...]]]:
    """Yield every tensor outside the adapted layers once: all its plain names, and all places that hold it."""
    names: dict[int, list[str]] = {}
    places: dict[int, dict[tuple[int, str], Place]] = {}
    tensors: dict[int, Tensor] = {}
    inside = tuple(f"{name}.".removeprefix(".") for name, module in named_modules(model) if isinstance(module, Adapted))
    for name, module in named_modules(model):
        if isinstance(module, Adapted) or f"{name}.".startswith(inside):
            continue
        for own, tensor in own_tensors(module):
            tensors[id(tensor)] = tensor
            names.setdefault(id(tensor), []).append(f"{name}.{own}".removeprefix("."))
            places.setdefault(id(tensor), {})[id(module), own] = (module, own)
    for key, tensor in tensors.items():
        yield names[key], tensor, tuple(places[key].values())


def beside(model: nn.Module) -> dict[str, Before]:
    """Return what is noted of the tensors that the model still has, by their first plain name."""
    everything = [before for layer in adapted(model).values() for before in layer.beside]
    here = {id(module) for module in model.modules()}
    noted = {_key(place): before for before in everything for place in before.places}
    homeless = {one.name: one for one in everything if not any(id(holder) in here for holder, _ in one.places)}
    found = {}
    for names, tensor, places in outside(model):
        known = [noted[_key(place)] for place in places if _key(place) in noted]
        if not known and names[0] in homeless and homeless[names[0]].numbers.shape == tensor.shape:
            known = [homeless[names[0]]]
        if known:
            found[names[0]] = Before(names[0], places, known[0].numbers, any(before.trains for before in known))
    return found


def note(model: nn.Module, trains: Collection[int] = (), changes: Collection[int] = ()) -> None:
    """Note what every buffer outside the adapters holds, and every parameter that is to change, unless noted before.

    Args:
        trains: `id` of the parameters that train beside the adapters.
        changes: `id` of the parameters that are about to get other numbers, from a file.
    """
    layers = adapted(model)
    if not layers:
        return
    noted = beside(model)
    for names, tensor, places in outside(model):
        begins = id(tensor) in trains
        known = noted.get(names[0])
        if known is not None:
            known.trains = known.trains or begins
        elif begins or id(tensor) in changes or not isinstance(tensor, nn.Parameter):
            noted[names[0]] = Before(names[0], places, tensor.detach().clone(), begins)
    # One injection may see a part of the model only: what is noted of the rest stays.
    earlier = {_key(before.places[0]): before for layer in layers.values() for before in layer.beside}
    everything = earlier | {_key(before.places[0]): before for before in noted.values()}
    for layer in layers.values():
        layer.beside = list(everything.values())


def note_trained(model: nn.Module) -> None:
    """Note what is about to train beside the adapters, whoever unfroze it."""
    note(model, {id(tensor) for _, tensor, _ in outside(model) if tensor.requires_grad})


def _key(place: Place) -> tuple[int, str]:
    return id(place[0]), place[1]
