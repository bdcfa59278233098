"""PEFT's `modules_to_save`: what it copies, trains and saves beside an adapter, and what a copy would untie.

PEFT puts a copy in the place of every module whose name *ends* in an entry, containers with all that they hold,
running statistics included. A copy in one place leaves the module's other places, and whatever is tied to it, as they
were. Here they stay one, so such a file fits only where it says the same of all of them.
"""

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.beside import outside
from lorabook.core.names import Place, first_names, named_modules, named_tensors, route, tied
from lorabook.saving.adapter_file import AdapterFile
from lorabook.saving.record import Record, copied

NO_COPY = (nn.ModuleDict, nn.ModuleList, nn.ParameterDict, nn.ParameterList)
"""Containers without a forward pass, which PEFT does not copy."""


def outermost(names: Iterable[str]) -> list[str]:
    """Return those of the names of modules that lie inside no other one."""
    names = sorted(set(names))
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


def copied_by_peft(model: nn.Module, ends: Iterable[str]) -> list[str]:
    """Return every plain name that PEFT's `modules_to_save` means: of whole words or not, it goes by the end."""
    inside = tuple(f"{name}." for name, module in named_modules(model) if isinstance(module, Adapted))
    names = (name for name, _ in named_modules(model) if name and not name.startswith(inside))
    return [name for name in names if name.endswith(tuple(ends))]


def left_out_by_peft(ends: Iterable[str], name: str) -> bool:
    """PEFT's rule: what `modules_to_save` names, and all inside it, gets no adapter."""
    return any(re.match(rf"(^|.*\.){end}($|\..*)", name) for end in ends)


def modules_to_save(record: Record) -> list[str]:
    """Return the modules that hold what belongs to the adapter beside it."""
    return outermost(name.rpartition(".")[0] for name in record.beside)


def obstacle_beside(record: Record, model: nn.Module) -> str | None:
    """Return why PEFT cannot hold what lies beside the adapters; None if it can."""
    modules, trained = dict(named_modules(model)), modules_to_save(record)
    for name in trained:
        if not name:
            return "PEFT trains modules beside the adapters, and here the model itself holds a parameter that trained"
        if isinstance(modules[name], NO_COPY):
            return f"PEFT copies no {type(modules[name]).__name__}, which {name} is"
        inside = next((n for n, m in modules.items() if n.startswith(f"{name}.") and isinstance(m, Adapted)), None)
        if inside is not None:
            return f"PEFT puts no adapter on {inside} inside {name}, which trains beside the adapters"
        for own, tensor in named_tensors(modules[name]):
            others = untied_by_copy(model, f"{name}.{own}", tensor, name)
            if others:
                return f"PEFT copies what trains beside the adapters, which would untie {name}.{own} and {others[0]}"
    copies = {_key(route(model, name)[-1]) for name in trained}
    hit = [name for name in copied_by_peft(model, trained) if _key(route(model, name)[-1]) not in copies]
    if trained and hit:
        return f"PEFT's modules_to_save goes by the end of a name, and would train {min(hit)} too"
    excluded = next((name for name in record.layers if left_out_by_peft(trained, name)), None)
    return None if excluded is None else f"PEFT takes {excluded} for a part of what trains beside the adapters"


def untied_by_copy(model: nn.Module, name: str, tensor: Tensor, module: str) -> list[str]:
    """Return the other names of a tensor that PEFT's copy of `module` leaves with the numbers of before."""
    copy = _key(route(model, module)[-1])
    return [other for other in tied(model, tensor) if other != name and copy not in map(_key, route(model, other))]


def tensors_beside(record: Record, model: nn.Module, copied_modules: list[str]) -> dict[str, Tensor]:
    """Return what PEFT wants of every module that it copies: all it holds, by name."""
    modules, first = dict(named_modules(model)), first_names(model)
    found = {}
    for module in copied_modules:
        for own, tensor in named_tensors(modules[module]):
            name = f"{module}.{own}"
            known = record.beside.get(first[name])
            found[name] = copied(tensor) if known is None else known.clone()
    return found


def _key(place: Place) -> tuple[int, str]:
    return id(place[0]), place[1]


def copied_ends(file: AdapterFile, model: nn.Module) -> list[str]:
    """Return the ends of names that PEFT copied: modules_to_save, and with ensure_weight_tying what is tied to them."""
    ends = list(file.options.get("modules_to_save") or ())
    if not ends or not file.options.get("ensure_weight_tying"):
        return ends
    modules = tuple(f"{name}." for name in copied_by_peft(model, ends))
    also = {n for name, t in named_tensors(model) if name.startswith(modules) for n in tied(model, t)}
    return ends + sorted({name.rpartition(".")[0] for name in also if not name.startswith(modules)})


def plain(path: str) -> str:
    """Return a path without what a wrapper of torch put before a name when PEFT wrote the file."""
    return re.sub(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)", "", path).removeprefix(
        "."
    )


def same_numbers(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, or differ by what is lost between their dtypes and by nothing else."""
    one = copied(one)
    if one.shape != other.shape or one.dtype == other.dtype or not one.is_floating_point():
        return one.shape == other.shape and torch.equal(one, other)
    lost = max(torch.finfo(dtype).eps for dtype in (one.dtype, other.dtype))
    least = max(torch.finfo(dtype).tiny for dtype in (one.dtype, other.dtype))
    return torch.allclose(one.double(), other.double(), rtol=lost, atol=least)


class Copies:
    """The parts of PEFT's file that are copies of modules, gathered key by key and checked against the model."""

    def __init__(self, model: nn.Module, ends: Iterable[str]) -> None:
        self.model, self.ends = model, tuple(ends)
        self.modules = outermost(copied_by_peft(model, self.ends)) if self.ends else []
        self.known, self.first = dict(named_tensors(model)), first_names(model)
        self.read: dict[str, Tensor] = {}

    def take(self, name: str, tensor: Tensor) -> bool:
        """Keep a tensor of a copied module; False if it is none."""
        mine = name in self.known and any(name.startswith(f"{module}.") for module in self.modules)
        if mine:
            self.read[name] = tensor
        return mine

    def missing(self) -> str | None:
        """Return a name that the file should have and has not."""
        read = {self.first[name] for name in self.read}
        for names, _, _ in outside(self.model):
            if names[0] not in read and any(n.startswith(f"{m}.") for n in names for m in self.modules):
                return names[0]
        return None

    def untied(self) -> tuple[str, str] | None:
        """Return two names that are one tensor here, and of which the file says different things."""
        for name, tensor in self.read.items():
            module = next(module for module in self.modules if name.startswith(f"{module}."))
            for other in untied_by_copy(self.model, name, self.known[name], module):
                theirs = self.read.get(other, copied(self.known[other]))
                if theirs.shape != tensor.shape or not torch.equal(theirs.to(tensor.dtype), tensor):
                    return name, other
        return None

    def by_first_name(self) -> dict[str, Tensor]:
        """Return the tensors, each once."""
        return {self.first[name]: tensor for name, tensor in self.read.items()}
