"""Small models that hold tensors and layers in every way people do, and the wrappers that people put around a model."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from lorabook.core.adapted_layer import Adapted

X = torch.randn(6, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


class Net(nn.Module):
    """Two adapted layers, q and o, and what a host puts before, between and after them."""

    def __init__(self, before: nn.Module, between: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.q, self.between, self.o, self.after = before, nn.Linear(8, 8), between, nn.Linear(8, 8), after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.o(torch.tanh(self.between(self.q(self.before(x))))))


class Listed(nn.Module):
    """Heads in a list or a dict, which have no forward pass of their own."""

    def __init__(self, heads: nn.Module) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        parts = self.heads.values() if isinstance(self.heads, nn.ModuleDict) else self.heads
        return sum(part(x) for part in parts)


class Offsets(nn.Module):
    """Parameters in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = nn.ParameterList([nn.Parameter(torch.zeros(8)) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.offsets[0] - torch.tanh(self.offsets[1])


class RobertaHead(nn.Module):
    """Dense, tanh, out: as RobertaClassificationHead."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.out_proj = nn.Linear(8, 8), nn.Linear(8, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(torch.tanh(self.dense(x)))


class Scaled(nn.Module):
    """A parameter of the model's own, at its root."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.q, self.o = nn.Parameter(torch.ones(8)), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(torch.tanh(self.gain * self.q(x)))


class Mixture(nn.Module):
    """A container that trains, with an adapted layer (o) inside."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.part = nn.Linear(8, 8), Scaled()

    def forward(self, x: Tensor) -> Tensor:
        return self.part(torch.tanh(self.q(x)))


class Twice(nn.Module):
    """One layer (q) in two places, or one block under two names; and a norm."""

    def __init__(self, block: bool) -> None:
        super().__init__()
        self.q = nn.Sequential(nn.Linear(8, 8)) if block else nn.Linear(8, 8)
        self.again, self.norm, self.o = self.q, nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.norm(self.again(torch.tanh(self.q(x)))))


def tied_net() -> Net:
    """`before` and `after` are one matrix, in two layers."""
    net = Net(nn.Linear(8, 8, bias=False), nn.Identity(), nn.Linear(8, 8))
    net.after.weight = net.before.weight
    return net


@dataclass(frozen=True)
class Host:
    """How to build a model, which layers are adapted, what trains beside them, and whether PEFT can say so."""

    build: Callable[[], nn.Module]
    targets: str
    beside: str | None
    in_peft: bool

    def model(self) -> nn.Module:
        torch.manual_seed(11)
        model = self.build().double()
        for parameter in model.parameters():  # no bias or norm stays where nothing could be seen of it
            parameter.data += 0.1 * torch.randn_like(parameter)
        return model.eval()


def _net(between: nn.Module | None = None, after: nn.Module | None = None) -> Net:
    return Net(nn.Identity(), between or nn.Identity(), after or nn.Identity())


HOSTS = {
    "nothing beside": Host(_net, r"^(q|o)$", None, True),
    "batch norm": Host(lambda: _net(nn.BatchNorm1d(8)), r"^(q|o)$", None, True),
    "batch norm trained": Host(lambda: _net(nn.BatchNorm1d(8)), r"^(q|o)$", "between", True),
    "half of a norm": Host(lambda: _net(nn.LayerNorm(8)), r"^(q|o)$", r"between\.weight", True),
    "spectral norm's buffers": Host(lambda: _net(nn.BatchNorm1d(8, affine=False)), r"^(q|o)$", None, True),
    "a Sequential": Host(
        lambda: _net(after=nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))), r"^(q|o)$", "after", True
    ),
    "one layer of a Sequential": Host(
        lambda: _net(after=nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))), r"^(q|o)$", r"after\.1", True
    ),
    "RoBERTa's head": Host(lambda: _net(after=RobertaHead()), r"^(q|o)$", "after", True),
    "a ModuleList": Host(
        lambda: _net(after=Listed(nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 3)]))), r"^(q|o)$", "heads", True
    ),
    "a ModuleDict": Host(
        lambda: _net(after=Listed(nn.ModuleDict({"a": nn.Linear(8, 3), "b": nn.Linear(8, 3)}))), "q|o$", "heads", True
    ),
    "a ParameterList": Host(lambda: _net(Offsets()), r"^(q|o)$", "offsets", False),
    "a root parameter": Host(Scaled, "q|o", "gain", False),
    "an adapter inside": Host(Mixture, r"^q|part\.o", "gain", False),
    "tied, one of two names": Host(tied_net, r"^(q|o)$", r"after\.weight", False),
    "tied, and frozen": Host(tied_net, r"^(q|o)$", r"after\.bias", False),
    "one layer, two places": Host(lambda: Twice(block=False), r"^(again|o)$", "norm", False),
    "one block, two names": Host(lambda: Twice(block=True), r"again\.0|^o$", "norm", True),
}


def averaged(model: nn.Module) -> nn.Module:
    return torch.optim.swa_utils.AveragedModel(model)


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


def inside(model: nn.Module) -> nn.Module:
    """A part of the model is wrapped, and not the model."""
    for name, part in list(model.named_children()):
        if not isinstance(part, (nn.Linear, Adapted)):  # a layer that is compiled alone is refused: tested by itself
            setattr(model, name, torch.compile(part, backend="eager"))
    return model


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "bare": lambda model: model,
    "compile": compiled,
    "DataParallel": nn.DataParallel,
    "AveragedModel": averaged,
    "DDP": nn.parallel.DistributedDataParallel,
    "a part compiled": inside,
    "checkpointing": checkpoint_wrapper,
    "compile in AveragedModel": lambda model: averaged(compiled(model)),
    "DDP in compile": lambda model: compiled(nn.parallel.DistributedDataParallel(model)),
}


def copy_of(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model)
