"""Parameters of which every process holds a part (FSDP): read whole, written to, or refused by name.

`inject` first, then `fully_shard`. A and B are parameters, and become shards; W₀ is a buffer, as it never trains, and
FSDP leaves buffers alone: W₀ stays whole on every rank. What sharding saves is what trains, its gradients and the
optimiser's state, and not W₀. (DDP sends buffers, and so W₀, round at every step, unless it is made with
broadcast_buffers=False, which newer versions of torch call forward_sync_buffers=False.)
"""

import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn


def is_shard(tensor: Tensor) -> bool:
    """Whether other processes hold the rest of this tensor."""
    sharding = sys.modules.get("torch.distributed.tensor")  # imported already, if the model uses it
    return sharding is not None and isinstance(tensor, sharding.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor, gathered from all processes if it is a shard: every one of them must call this."""
    return tensor.detach().full_tensor() if is_shard(tensor) else tensor.detach()


def laid_out_as(here: Tensor, numbers: Tensor) -> Tensor:
    """Return whole `numbers` in the dtype and on the device of `here`, and sharded as it is."""
    numbers = numbers.to(here.device, here.dtype)
    if not is_shard(here):
        return numbers
    distribute = sys.modules["torch.distributed.tensor"].distribute_tensor
    return distribute(numbers, here.device_mesh, here.placements, src_data_rank=None)


def reshard(model: nn.Module) -> None:
    """Put a model's parameters back into shards: FSDP leaves some whole after a forward pass, as passing copies."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # imported already, if the model uses it
    for module in model.modules() if fsdp is not None else ():
        if isinstance(module, fsdp.FSDPModule):
            module.reshard()


def in_one_process(model: nn.Module, write: Callable[[], None]) -> None:
    """Call `write`; where the model's parameters are shards, on rank 0 alone, and let the others wait for it."""
    if not any(is_shard(parameter) for parameter in model.parameters()):
        return write()
    try:
        if torch.distributed.get_rank() == 0:
            write()
    finally:
        torch.distributed.barrier()


def refuse_shards(named: Iterator[tuple[str, Tensor]], what: str, instead: str) -> None:
    """Refuse a call that needs whole parameters.

    Raises:
        ValueError: naming the first shard, the call and what to do instead.
    """
    for name, tensor in named:
        if is_shard(tensor):
            raise ValueError(f"{name} is sharded over several processes (FSDP), and {what}: {instead}")


def refuse_flat_shards(model: nn.Module) -> None:
    """Refuse the older FSDP, whose shards are pieces of one flat parameter and not of A or B.

    Raises:
        ValueError: saying what to use.
    """
    older = sys.modules.get("torch.distributed.fsdp.fully_sharded_data_parallel")
    if older is not None and any(isinstance(module, older.FullyShardedDataParallel) for module in model.modules()):
        raise ValueError(
            "this model is in FullyShardedDataParallel, which cuts A and B up in flat parameters: use "
            "torch.distributed.fsdp.fully_shard, whose shards can be gathered"
        )
