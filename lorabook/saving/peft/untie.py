"""What to do about a file of PEFT that says two things of what is one here: the lines of code that make it two."""

from torch import nn

from lorabook.core.names import module_at, route


def advice(model: nn.Module, name: str, other: str) -> str:
    """Return code that gives `other`, a layer or tensor that is the same as `name` here, numbers of its own."""
    mine = {id(module_at(model, path)): path for path in _modules_on_the_way(model, name)}
    for path in _modules_on_the_way(model, other):
        same = mine.get(id(module_at(model, path)))
        if same is not None and route(model, path)[-1] != route(model, same)[-1]:
            parent, _, child = path.rpartition(".")
            return f"setattr(model.get_submodule({parent!r}), {child!r}, copy.deepcopy(model.get_submodule({same!r})))"
    holder, _, own = other.rpartition(".")
    return f"layer = model.get_submodule({holder!r}); layer.{own} = torch.nn.Parameter(layer.{own}.clone())"


def _modules_on_the_way(model: nn.Module, name: str) -> list[str]:
    """Return the modules that one passes on the way to a layer or a tensor, the outermost first."""
    parts = name.split(".")
    last = len(parts) if parts[-1] in route(model, name)[-1][0]._modules else len(parts) - 1
    return [".".join(parts[:length]) for length in range(1, last + 1)]
