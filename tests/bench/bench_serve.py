"""Serving N adapters from one bank: against one adapter, against swapping merged weights, and against PEFT.

    python tests/bench/bench_serve.py [--hidden 1024] [--rows 64] [--length 1] [--rounds 9] [--threads 1] [--page 1]

One step of a LLaMA-style model on `rows` requests of `length` positions each (1: a step of generation, as S-LoRA's
decoding is; more: prompts). Each request uses one of N adapters of rank 8 on all seven matrices, in turn; with N above
`rows` a round serves several batches until all N had their turn. Sides run in turn within a round, and a ratio is the
median over rounds of the ratio within a round, in process CPU time. Every side's logits are compared first. Not a test.

Predicted: floating-point operations of the products, and bytes of weights and factors read or copied, relative to one
adapter's.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import peft
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import lorabook as lb
from lorabook.many.bank import Bank
from lorabook.many.pair import Pair, State
from lorabook.many.products import Products, gathered, segmented, whichever_is_cheaper

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
R, ALPHA, VOCAB = 8, 16.0, 512


def base(hidden: int) -> LlamaForCausalLM:
    """Return the same random model on every call."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=hidden * 43 // 16, num_hidden_layers=1,
        num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=256, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def adapters(model: nn.Module, count: int) -> dict[str, State]:
    """Return `count` random adapters of rank R on every target of a model."""
    g = torch.Generator().manual_seed(1)
    layers = {name: m for name, m in model.named_modules() if name.split(".")[-1] in TARGETS}

    def pair(layer: nn.Linear) -> Pair:
        d_out, d_in = layer.weight.shape
        return Pair(torch.randn(R, d_in, generator=g) / d_in, torch.randn(d_out, R, generator=g) / R, ALPHA / R)

    return {f"a{i}": {name: pair(layer) for name, layer in layers.items()} for i in range(count)}


class Side:
    """One way to serve: a name and a call that takes the adapters of a batch and its tokens and gives logits."""

    def __init__(self, name: str, call: Callable[[list[str], Tensor], Tensor]) -> None:
        self.name, self.call = name, call

    def seconds(self, batches: list[tuple[list[str], Tensor]]) -> float:
        began = time.process_time()
        for names, tokens in batches:
            self.call(names, tokens)
        return (time.process_time() - began) / len(batches)


def logits(model: nn.Module, tokens: Tensor) -> Tensor:
    return model(input_ids=tokens, use_cache=False).logits


def banked(hidden: int, states: dict[str, State], page: int, products: Products) -> tuple[Callable, Bank]:
    """Return a side that serves from a bank with room for all."""
    model = base(hidden)
    held = lb.bank(model, states, page=page, products=products)

    def call(names: list[str], tokens: Tensor) -> Tensor:
        with lb.serving(model, names):
            return logits(model, tokens)

    return call, held


def swapped(hidden: int, states: dict[str, State]) -> Callable[[list[str], Tensor], Tensor]:
    """Return a side that merges each adapter in turn, serves its rows, and puts the exact base back."""
    model = base(hidden)
    layers = {name: model.get_submodule(name) for name in next(iter(states.values()))}
    whole = {name: layer.weight.clone() for name, layer in layers.items()}

    def call(names: list[str], tokens: Tensor) -> Tensor:
        out = torch.empty(*tokens.shape, VOCAB)
        for name in dict.fromkeys(names):
            for layer_name, layer in layers.items():
                pair = states[name][layer_name]
                torch.addmm(whole[layer_name], pair.B, pair.A, alpha=pair.scale, out=layer.weight)
            rows = [n for n, other in enumerate(names) if other == name]
            out[rows] = logits(model, tokens[rows])
        return out

    return call


def pefts(hidden: int, states: dict[str, State]) -> Callable[[list[str], Tensor], Tensor]:
    """Return a side that gives PEFT the batch and one adapter name per row."""
    config = peft.LoraConfig(r=R, lora_alpha=ALPHA, target_modules=TARGETS)
    model = peft.get_peft_model(base(hidden), config, adapter_name=next(iter(states)))
    for name in itertools.islice(states, 1, None):
        model.add_adapter(name, config)
    model.eval().requires_grad_(False)
    for name, state in states.items():
        for layer_name, pair in state.items():
            layer = model.base_model.model.get_submodule(layer_name)
            layer.lora_A[name].weight.copy_(pair.A)
            layer.lora_B[name].weight.copy_(pair.B)
    return lambda names, tokens: model(input_ids=tokens, use_cache=False, adapter_names=names).logits


def batches(states: dict[str, State], rows: int, length: int) -> list[tuple[list[str], Tensor]]:
    """Return batches in which every adapter has had its turn, as evenly as `rows` allows."""
    turns: Iterator[str] = itertools.cycle(states)
    g = torch.Generator().manual_seed(2)
    count = -(-len(states) // rows)
    return [
        ([next(turns) for _ in range(rows)], torch.randint(VOCAB, (rows, length), generator=g)) for _ in range(count)
    ]


def predicted(hidden: int, rows: int, length: int, present: int) -> tuple[float, float]:
    """Return (FLOPs, bytes) of a mixed batch by gathered products, relative to a batch that shares one adapter.

    Bytes: W₀ once; the factors read once for each adapter of the batch by segments, and by gathering three times for
    each row (read, written, read). The cheaper of the two is taken, as the bank does.
    """
    shapes = [(hidden, hidden)] * 4 + [(hidden * 43 // 16, hidden)] * 3
    whole = sum(d_out * d_in for d_out, d_in in shapes) + VOCAB * hidden
    factors = sum(R * (d_out + d_in) for d_out, d_in in shapes)
    moved = factors * (present if rows >= 4 * present else 3 * rows)
    return 1.0, (whole + moved) / (whole + factors)


def measured(sides: list[Side], work: list, rounds: int) -> list[list[float]]:
    """Return seconds per batch of each side, round by round, the order turning from round to round."""
    times = []
    for turn in range(rounds + 1):
        order = sides[turn % len(sides) :] + sides[: turn % len(sides)]
        taken = {side.name: side.seconds(work[side.name]) for side in order}
        if turn:  # the first round warms up
            times.append([taken[side.name] for side in sides])
    return times


def ratio(times: list[list[float]], one: int, other: int) -> str:
    values = sorted(t[one] / t[other] for t in times)
    quarter = len(values) // 4
    return f"{statistics.median(values):.2f} ({values[quarter]:.2f}–{values[-1 - quarter]:.2f})"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=64, help="requests in a batch (64)")
    parser.add_argument("--length", type=int, default=1, help="positions of each request (1)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=int, default=1, help="ranks in a page (1)")
    parser.add_argument("--adapters", type=int, nargs="+", default=[1, 8, 64, 512])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    hidden, rows, length = options.hidden, options.rows, options.length
    print(
        f"torch {torch.__version__}, peft {peft.__version__}, hidden {hidden}, one layer, {rows} rows × {length}, "
        f"rank {R}, page {options.page}, {options.threads} thread(s), {options.rounds} rounds\n"
    )
    print("| N | bank, ms a batch | / one | predicted bytes | gathered / segmented | merged / bank | PEFT / bank |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    everyone = adapters(base(hidden), max(options.adapters))
    for count in options.adapters:
        states = dict(itertools.islice(everyone.items(), count))
        sides = [
            Side("bank", banked(hidden, states, options.page, whichever_is_cheaper)[0]),
            Side("one", banked(hidden, dict(itertools.islice(everyone.items(), 1)), options.page, segmented)[0]),
            Side("gathered", banked(hidden, states, options.page, gathered)[0]),
            Side("segmented", banked(hidden, states, options.page, segmented)[0]),
        ]
        if 1 < count <= 64:  # beyond, one round of either takes minutes
            sides += [Side("merged", swapped(hidden, states)), Side("PEFT", pefts(hidden, states))]
        mixed = batches(states, rows, length)
        work = {side.name: mixed for side in sides} | {"one": [(["a0"] * rows, tokens) for _, tokens in mixed]}
        expected = sides[0].call(*mixed[0])
        for side in sides[2:]:
            torch.testing.assert_close(side.call(*mixed[0]), expected, rtol=1e-3, atol=1e-3)
        times = measured(sides, work, options.rounds)
        others = [ratio(times, 4, 0), ratio(times, 5, 0)] if len(sides) > 4 else ["", ""]
        milliseconds = 1e3 * statistics.median(t[0] for t in times)
        _, moved = predicted(hidden, rows, length, min(count, rows))
        print(
            f"| {count} | {milliseconds:.1f} | {ratio(times, 0, 1)} | {moved:.2f} | {ratio(times, 2, 3)} | "
            f"{others[0]} | {others[1]} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
