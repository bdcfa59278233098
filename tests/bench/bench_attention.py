"""LongLoRA's attention against full attention: how time grows with the text, forward and backward.

    python tests/bench/bench_attention.py [--lengths 1024 2048 4096 8192 16384] [--rounds 5] [--heads 8] [--d-head 32]
        [--group 512] [--threads 1]

Three ways to attend, in one process and in turn: full, in groups of L/4 (the paper's), and in groups of a fixed size.
Times are process CPU seconds, medians over rounds, for the machine may be shared; a ratio is the median over rounds of
the ratio within a round, with the quartiles. Predicted is the number of pairs that the causal mask leaves, counted in
the mask itself where that is small and by its formula above; a kernel that skips what the mask hides does no more. The
exponent p of time ∝ Lᵖ is a least-squares line through logarithms. Not a test.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lorabook.axes.attention.longlora import Shifted
from lorabook.models.decoder import full

CHECKED = 2048
"""Up to this length the formula is compared with the mask, entry by entry."""


def triangle(n: int) -> int:
    """Return how many pairs n tokens in a row make with themselves and each other."""
    return n * (n + 1) // 2


def parts(length: int, first: int, group: int) -> list[int]:
    """Return the lengths of the groups of a text whose first one holds `first` tokens."""
    cut = [min(first, length)]
    while sum(cut) < length:
        cut.append(min(group, length - sum(cut)))
    return cut


def pairs(length: int, group: int, heads: int) -> int:
    """Return how many (query, key) pairs S² looks at in all heads together."""
    straight = sum(map(triangle, parts(length, group, group)))
    shifted = sum(map(triangle, parts(length, group - group // 2, group)))
    found = heads // 2 * straight + (heads - heads // 2) * shifted
    if length <= CHECKED:
        counted = int(Shifted(group).mask(heads, length, torch.device("cpu")).sum())
        if counted != found:
            raise AssertionError(f"{found} pairs by the formula, {counted} in the mask: L = {length}, g = {group}")
    return found


def seconds(attend: Callable[..., Tensor], qkv: list[Tensor]) -> float:
    """Return process CPU seconds of one call, forward and backward."""
    began = time.process_time()
    out = attend(*qkv)
    torch.autograd.grad(out.sum(), qkv)
    return time.process_time() - began


def measure(length: int, options: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Return seconds by round, and pairs, of every way to attend to a text of this length."""
    g = torch.Generator().manual_seed(length)
    qkv = [torch.randn(1, options.heads, length, options.d_head, generator=g, requires_grad=True) for _ in "qkv"]
    ways = {"full": full, "g = L/4": Shifted(length // 4), f"g = {options.group}": Shifted(options.group)}
    looked_at = {"full": options.heads * triangle(length)}
    looked_at |= {name: pairs(length, way.group, options.heads) for name, way in ways.items() if name != "full"}
    times = {name: [] for name in ways}
    repeats = max(1, 8192 // length)
    for i in range(options.rounds + 1):
        order = list(ways)[i % 3 :] + list(ways)[: i % 3]
        for name in order:
            taken = sum(seconds(ways[name], qkv) for _ in range(repeats)) / repeats
            if i:  # the first round warms up
                times[name].append(taken)
    return times, looked_at


def exponent(lengths: list[int], amounts: list[float]) -> float:
    """Return p of amount ∝ Lᵖ."""
    x, y = [math.log(n) for n in lengths], [math.log(a) for a in amounts]
    middle, mean = statistics.fmean(x), statistics.fmean(y)
    return sum((a - middle) * (b - mean) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--d-head", type=int, default=32)
    parser.add_argument("--group", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.heads} heads of {options.d_head}, {options.threads} threads, "
        f"{options.rounds} rounds; process CPU time\n\n"
        "| L | groups | full, ms | groups, ms | full / groups (quartiles) | predicted | measured / predicted |\n"
        "| --: | --- | --: | --: | --: | --: | --: |"
    )
    medians: dict[str, list[float]] = {}
    counted: dict[str, list[float]] = {}
    for length in options.lengths:
        times, looked_at = measure(length, options)
        for name, taken in times.items():
            medians.setdefault(name, []).append(statistics.median(taken))
            counted.setdefault(name, []).append(looked_at[name])
            if name == "full":
                continue
            ratios = sorted(whole / part for whole, part in zip(times["full"], taken, strict=True))
            quarter, middle = len(ratios) // 4, statistics.median(ratios)
            predicted = looked_at["full"] / looked_at[name]
            whole, part = (1e3 * medians[way][-1] for way in ("full", name))
            print(
                f"| {length} | {name} | {whole:.1f} | {part:.1f} | "
                f"{middle:.2f} ({ratios[quarter]:.2f}–{ratios[-1 - quarter]:.2f}) | {predicted:.2f} | "
                f"{middle / predicted:.2f} |",
                flush=True,
            )
    print("\n| attention | time ∝ Lᵖ, p | pairs ∝ Lᵖ, p |\n| --- | --: | --: |")
    for name, taken in medians.items():
        print(f"| {name} | {exponent(options.lengths, taken):.2f} | {exponent(options.lengths, counted[name]):.2f} |")


if __name__ == "__main__":
    main()
