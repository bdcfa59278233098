"""What each of two processes does: train under DDP and under FSDP2, save, load. Run by test_two_processes."""

import copy
from pathlib import Path

import torch
from hosts import HOSTS, X
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import lorabook as lb
from lorabook.core.shards import is_shard
from lorabook.saving.save import load_adapter, save_adapter

HOST = HOSTS["RoBERTa's head"]
LABELS = torch.arange(6) % 3
FORMS = {"LoRA": lb.LoRA(r=2), "DoRA": lb.DoRA(r=2), "VeRA": lb.VeRA(r=2), "PiSSA": lb.PiSSA(r=2)}


def injected(form: str) -> nn.Module:
    model = HOST.model()
    lb.inject(model, FORMS[form] | lb.Recipe(also_train="after"), HOST.targets)
    return model


def trained(model: nn.Module, batch: tuple[Tensor, Tensor]) -> nn.Module:
    lb.fit(model, iter([batch] * 4), steps=4, lr=0.05, progress=False)
    return model


def said(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model.eval()(X)


def gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def sharded(model: nn.Module) -> nn.Module:
    fully_shard(model.after)
    return fully_shard(model)


def refused(call, *arguments) -> str:
    try:
        call(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def one_of_two(rank: int, folder: Path) -> None:
    """Write what came out as text for the test to read: a failed assertion here would leave the other rank waiting."""
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    halves = (X[rank::2], LABELS[rank::2])  # the mean of the halves' gradients is the gradient of the whole
    lines = []
    for form in FORMS:
        alone = trained(injected(form), (X, LABELS))
        save_adapter(alone, folder / f"{form}-alone-{rank}")
        ddp = trained(nn.parallel.DistributedDataParallel(injected(form)), halves)
        lines.append(f"{form} DDP {gap(said(ddp), said(alone))}")
        save_adapter(ddp, folder / f"{form}-ddp-{rank}")

        fsdp = trained(sharded(injected(form)), halves)
        lines.append(f"{form} FSDP {gap(said(fsdp), said(alone))}")
        save_adapter(fsdp, folder / f"{form}-fsdp")
        plain = HOST.model()
        load_adapter(plain, folder / f"{form}-fsdp")
        lines.append(f"{form} FSDP-saved {gap(said(plain), said(alone))}")
        into = sharded(injected(form))
        load_adapter(into, folder / f"{form}-alone-0")
        lines.append(f"{form} FSDP-loaded {gap(said(into), said(alone))}")
        with lb.disabled(fsdp):
            lines.append(f"{form} FSDP-disabled {gap(said(fsdp), said(HOST.model()))}")
        lines.append(f"{form} FSDP-after {gap(said(fsdp), said(alone))}")
        save_adapter(fsdp, folder / f"{form}-fsdp-later")
        w0 = fsdp.q.base.matrix
        lines.append(f"{form} W0 whole {float(is_shard(w0) or w0.shape != (8, 8))}")
        lines.append(
            f"{form} update sharded {float(not any(isinstance(p, DTensor) for p in fsdp.q.update.parameters()))}"
        )
    one = sharded(injected("LoRA"))
    messages = [
        refused(lb.merge, one),
        refused(lambda: lb.fit(one, iter([halves]), steps=1, lr=0.1, checkpoint=folder / "run", progress=False)),
        refused(lb.inject, sharded(HOST.model()), lb.LoRA(r=2), HOST.targets),
        refused(lb.inject, nn.parallel.DistributedDataParallel(HOST.model()), lb.LoRA(r=2), HOST.targets),
        refused(load_adapter, sharded(HOST.model()), folder / "LoRA-alone-0"),
    ]
    # torch.compile for once really compiles: no type checks of the test suite stand in its way here.
    fast, plain = torch.compile(HOST.model(), backend="eager"), copy.deepcopy(HOST.model())
    before = said(fast)
    load_adapter(fast, folder / f"LoRA-alone-{rank}")
    load_adapter(plain, folder / f"LoRA-alone-{rank}")
    lines.append(f"compiled loaded {gap(said(fast), said(plain))}")
    with lb.disabled(fast):
        lines.append(f"compiled disabled {gap(said(fast), before)}")
    lines.append(f"compiled after {gap(said(fast), said(plain))}")
    (folder / f"numbers-{rank}").write_text("\n".join(lines))
    (folder / f"messages-{rank}").write_text("\n".join(messages))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
