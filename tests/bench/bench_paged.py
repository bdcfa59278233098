"""Paged AdamW against torch's AdamW on a simulated device: a memory spike, equal results, traffic and cost.

    python tests/bench/bench_paged.py [--numbers 4194304] [--steps 12] [--threads 1] [--pages 65536 1048576]

The device is a count of bytes: parameters, gradients, the optimiser's resident state and the step's activations must
fit in it. Every third step is a spike whose activations leave room for an eighth of the state. AdamW must keep all of
its state there and fails at the first spike; paged AdamW is told the room that is left, and goes on. Times are process
CPU seconds of the step, resizing included, median over steps. Slow storage is a file in the machine's page cache, so
this is the cost of copying pages, not of a bus or a disk. Not a test.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from lorabook.axes.optim.paged import MiB, PagedAdamW

SPIKE_EVERY, LR = 3, 1e-3


class OutOfMemory(RuntimeError):
    """More was asked of the simulated device than it has."""


def parameters(numbers: int) -> list[Tensor]:
    """Return one matrix and one odd vector, fp32, the same at every call."""
    g = torch.Generator().manual_seed(0)
    rows = numbers // 1024
    return [nn.Parameter(torch.randn(shape, generator=g)) for shape in ((rows, 1024), (1000,))]


def gradients(ps: list[Tensor], t: int) -> None:
    """Set the gradients of step t."""
    g = torch.Generator().manual_seed(1 + t)
    for p in ps:
        p.grad = torch.randn(p.shape, generator=g)


def run(ps: list[Tensor], optimizer: torch.optim.Optimizer, steps: int, capacity: int, spike: int, quiet: int) -> list:
    """Take steps on the device; return the CPU seconds of each `step`, or raise OutOfMemory naming the step."""
    fixed = sum(2 * p.nbytes for p in ps)
    seconds = []
    for t in range(steps):
        gradients(ps, t)
        activations = spike if t % SPIKE_EVERY == SPIKE_EVERY - 1 else quiet
        room = capacity - fixed - activations
        if isinstance(optimizer, PagedAdamW):
            began = time.process_time()
            optimizer.pages.resize(max(optimizer.pages.page, room // optimizer.pages.page * optimizer.pages.page))
            resident = optimizer.pages.resident
        else:
            began = time.process_time()
            resident = sum(2 * p.nbytes for p in ps)
        if resident > room:
            raise OutOfMemory(f"step {t}: {resident / MiB:.1f} MiB of state, room for {room / MiB:.1f}")
        optimizer.step()
        seconds.append(time.process_time() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=4 * MiB)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pages", type=int, nargs="+", default=[MiB // 16, MiB])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    plain = parameters(arguments.numbers)
    state = sum(2 * p.nbytes for p in plain)
    quiet, spike = state // 2, state // 2 + state * 7 // 8
    capacity = 2 * state + quiet  # parameters and gradients take as much as the state
    try:
        run(plain, torch.optim.AdamW(plain, lr=LR, weight_decay=0.0), arguments.steps, capacity, spike, quiet)
        print("AdamW survived the spike: the simulation shows nothing")
    except OutOfMemory as error:
        print(f"AdamW on the device with the spike fails: {error}")
    plain = parameters(arguments.numbers)
    adamw = torch.optim.AdamW(plain, lr=LR, weight_decay=0.0, foreach=False)
    alone = statistics.median(run(plain, adamw, arguments.steps, 100 * capacity, spike, quiet))
    print(f"{'AdamW, without limit':34} {1e3 * alone:8.1f} ms a step")
    for page in arguments.pages:
        for what, limit in (("all state resident", 100 * capacity), ("spike every third step", capacity)):
            ours = parameters(arguments.numbers)
            paged = PagedAdamW(ours, LR, page=page, budget=max(page, capacity // page * page))
            times = run(ours, paged, arguments.steps, limit, spike, quiet)
            equal = all(torch.equal(p, q) for p, q in zip(plain, ours, strict=True))
            if not equal:
                raise AssertionError("the parameters differ from AdamW's: the cost would mean nothing")
            moved = paged.pages.traffic
            calm = [s for t, s in enumerate(times) if t and t % SPIKE_EVERY == 1]
            squeezed = [s for t, s in enumerate(times) if t % SPIKE_EVERY == SPIKE_EVERY - 1]
            after = [s for t, s in enumerate(times) if t and t % SPIKE_EVERY == 0]
            print(
                f"paged, {page // 1024:5} KiB, {what:23} {1e3 * statistics.median(times):5.1f} ms a step "
                f"({statistics.median(times) / alone:.2f} ×): spike {1e3 * statistics.median(squeezed):.1f}, after it "
                f"{1e3 * statistics.median(after):.1f}, else {1e3 * statistics.median(calm):.1f}; in {moved.ins} pages "
                f"= {moved.bytes_in / MiB:.0f} MiB, out {moved.outs} = {moved.bytes_out / MiB:.0f} MiB, "
                f"state {state / MiB:.0f} MiB; equal bit for bit"
            )


if __name__ == "__main__":
    main()
