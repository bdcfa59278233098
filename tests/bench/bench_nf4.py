"""NF4 against bitsandbytes on the CPU: quantise and dequantise, in one process and in turn.

    python tests/bench/bench_nf4.py [--rounds 11] [--threads 1] [--sizes 4096 1024]

A ratio is bitsandbytes' time over ours, the median over rounds of the ratio within a round: above 1 we are faster. On a
shared machine, read process CPU time. Every round checks that both sides gave the same numbers. Not a test.
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable

logging.disable(logging.WARNING)  # bitsandbytes logs that an optional kernel package is absent

import bitsandbytes.functional as bnb  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from lorabook.axes.base.blocks import dequantise, quantise  # noqa: E402
from lorabook.axes.base.double_quant import DoubleQuant  # noqa: E402

DTYPES = (torch.float32, torch.bfloat16)


def timed(call: Callable[[], object], repeats: int) -> tuple[float, float, object]:
    """Return wall seconds and process CPU seconds of one call (the mean of `repeats`), and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        result = None  # what a call returned is given back before the next one asks for memory
        result = call()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats, result


def pairs(w: Tensor) -> dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]]:
    """Return (ours, bitsandbytes') for each operation, each giving the tensor in which the two must agree."""
    settings = {"quant_type": "nf4", "blocksize": 64}
    packed, state = bnb.quantize_4bit(w, **settings)
    flat, absmax = packed.view(-1), state.absmax
    nested_packed, nested = bnb.quantize_4bit(w, **settings, compress_statistics=True)
    double = DoubleQuant(w)
    double.absmax_codes.copy_(nested.absmax)  # bitsandbytes' CPU code is not always the nearest
    return {
        "quantise": (lambda: quantise(w)[0], lambda: bnb.quantize_4bit(w, **settings)[0].view(-1)),
        "quantise, double": (
            lambda: DoubleQuant(w).packed,
            lambda: bnb.quantize_4bit(w, **settings, compress_statistics=True)[0].view(-1),
        ),
        "dequantise": (
            lambda: dequantise(flat, absmax, w.shape, w.dtype),
            lambda: bnb.dequantize_4bit(packed, state),
        ),
        "dequantise, double": (double.dense, lambda: bnb.dequantize_4bit(nested_packed, nested)),
    }


def compare(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], rounds: int, repeats: int) -> str:
    """Return a line of a table: medians over interleaved rounds."""
    times = []
    for round_ in range(rounds + 1):
        first, second = (ours, theirs) if round_ % 2 else (theirs, ours)
        one, other = timed(first, repeats), timed(second, repeats)
        mine, peer = (one, other) if round_ % 2 else (other, one)
        if not torch.equal(mine[2], peer[2]):
            raise AssertionError("the two sides differ: a ratio of their times would mean nothing")
        if round_:  # the first round warms up
            times.append((mine[0], peer[0], mine[1], peer[1]))
    wall = statistics.median(peer / mine for mine, peer, _, _ in times)
    cpu = statistics.median(peer / mine for _, _, mine, peer in times)
    mine, peer = (1e3 * statistics.median(t[i] for t in times) for i in (2, 3))
    return f"{mine:9.2f} {peer:9.2f} {cpu:9.2f} {wall:9.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 1024])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'n × n':>6} {'dtype':9} {'':19} {'ours ms':>9} {'bnb ms':>9} {'CPU ×':>9} {'wall ×':>9}")
    for size in arguments.sizes:
        for dtype in DTYPES:
            w = torch.randn(size, size, generator=torch.Generator().manual_seed(0)).to(dtype)
            for name, (ours, theirs) in pairs(w).items():
                repeats = max(1, 2048**2 // size**2)
                print(f"{size:6} {str(dtype)[6:]:9} {name:19} {compare(ours, theirs, arguments.rounds, repeats)}")


if __name__ == "__main__":
    main()
