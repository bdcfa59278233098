"""What is true of serving many adapters in one batch, and what is often said instead."""

import torch
from torch import Tensor, nn

from lorabook.axes.base.double_quant import DoubleQuantStorage
from lorabook.axes.base.qlora import QLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.cost.count import measured_flops
from lorabook.many.bank import bank, serving
from lorabook.many.pair import Pair, pairs_of
from lorabook.many.products import Products, gathered, segmented

ROWS = ("anna", None, "ben", "carl", "anna", "ben")
SOURCE = "Sheng et al. 2023 (S-LoRA, 2311.03285), section 3"


def ranks(case: Case) -> dict[str, int]:
    """Return the ranks of three adapters, all different unless r is 1."""
    return {"anna": case.r, "ben": case.r + 2, "carl": 1}


def served(case: Case, products: Products = gathered) -> tuple[nn.Module, dict[str, Pair], Adapted, Tensor]:
    """Return a banked model of one layer, its adapters (each with s = α/its rank), the layer, and a batch of six."""
    pairs = {}
    for name, r in ranks(case).items():
        a, b = case.randn(r, case.d_in, stream=f"A{name}"), case.randn(case.d_out, r, stream=f"B{name}")
        pairs[name] = Pair(a, b, case.alpha / r)
    base = case.linear()
    model = nn.Sequential(base.to_layer(base.matrix, base.bias))
    layer = bank(model, {name: {"0": pair} for name, pair in pairs.items()}, products=products).layers["0"]
    return model, pairs, layer, case.randn(len(ROWS), 4, case.d_in, stream="x")


def merged_rows(case: Case, pairs: dict[str, Pair], x: Tensor) -> Tensor:
    """Return each row's output with one merged weight per row, from the adapters themselves: no pool, no pages."""
    base, w0 = case.linear(), case.w0()
    merged = {name: w0 + pair.scale * pair.B @ pair.A for name, pair in pairs.items()}
    return torch.stack(
        [base.apply_matrix(row, merged.get(name, w0), base.bias) for row, name in zip(x, ROWS, strict=True)]
    )


@claim(
    statement=r"One pass gives every row $n$ of a batch its own $y_n=(W_0+s_{i(n)}B_{i(n)}A_{i(n)})\,x_n+b$.",
    source=f"{SOURCE}; against one merged weight per row",
)
def a_batch_is_its_rows_merged(case: Case) -> tuple[Tensor, Tensor]:
    model, pairs, _, x = served(case)
    with serving(model, ROWS):
        return model(x), merged_rows(case, pairs, x)


@misconception(
    of=a_batch_is_its_rows_merged,
    statement=r"Filled up to one rank, all adapters share one scale $\alpha/r_{\max}$.",
    source="reading s = α/r off the padded shapes; zeros change no product, and a scale stays its adapter's own",
)
def false_padding_changes_the_scale(case: Case) -> tuple[Tensor, Tensor]:
    model, pairs, layer, x = served(case)
    with serving(model, ROWS):
        for name, r in ranks(case).items():
            layer.update.sA[layer.update.bank.rows(name)] *= r / (case.r + 2)
        return model(x), merged_rows(case, pairs, x)


@misconception(
    of=a_batch_is_its_rows_merged,
    statement=r"$H=W_0X+\sum_tB_tA_tX$: every row of the batch gets the sum of all adapters in it.",
    source="the batched equation that is in circulation, taken at its word",
)
def false_a_batch_is_the_sum_of_its_adapters(case: Case) -> tuple[Tensor, Tensor]:
    _, pairs, layer, x = served(case)
    every = sum(layer.base.apply_matrix(x, pair.scale * pair.B @ pair.A) for pair in pairs.values())
    return layer.base(x) + every, merged_rows(case, pairs, x)


@claim(
    statement="Rows sorted by adapter and multiplied segment by segment (SGMV) give what gathered factors (BGMV) give.",
    source="Chen et al. 2023 (Punica, 2310.18547), section 4; both are computed",
)
def segments_are_the_gathered_products(case: Case) -> tuple[Tensor, Tensor]:
    results = []
    for products in (gathered, segmented):
        model, _, _, x = served(case, products)
        with serving(model, ROWS):
            results.append(model(x))
    return results[0], results[1]


@claim(
    statement=r"Serving unmerged adds $r(d_{in}+d_{out})$ multiply-adds per position, with $r$ the adapter's own rank "
    "(segments), or the largest in the batch (gathered, which multiplies by the zeros that fill up the rest).",
    source=f"{SOURCE}: the price of not merging; counted in the products that run",
)
def serving_unmerged_costs_two_small_products(case: Case) -> tuple[Tensor, Tensor]:
    own = sum(ranks(case).get(name, 0) for name in ROWS) / len(ROWS)
    counted = [_added(case, products) for products in (segmented, gathered)]
    return torch.stack(counted), torch.tensor([own, case.r + 2.0]) * (case.d_in + case.d_out)


@misconception(
    of=serving_unmerged_costs_two_small_products,
    statement=r"LoRA has no added latency, so neither has serving many adapters.",
    source="a property of one merged adapter, said of many unmerged ones",
)
def false_serving_is_free(case: Case) -> tuple[Tensor, Tensor]:
    return torch.stack([_added(case, products) for products in (segmented, gathered)]), torch.zeros(2)


@claim(
    statement=r"On a base in NF4, each row gets what its own QLoRA model computes, "
    r"$y_n=\hat W x_n+s_{i(n)}B_{i(n)}A_{i(n)}x_n$: one $\hat W$ serves all.",
    source="Dettmers et al. 2023 (2305.14314), equation 5, row by row; against QLoRA models made one by one",
)
def one_quantised_base_serves_all(case: Case) -> tuple[Tensor, Tensor]:
    rows, states, expected = case.x(len(ROWS)), {}, {}
    for name, r in {name: min(r, case.d_out, case.d_in) for name, r in ranks(case).items()}.items():
        own = _plain(case)
        inject(own, QLoRA(r, case.alpha), "0", case.generator(name))
        with torch.no_grad():
            own[0].update.B.copy_(case.randn(case.d_out, r, stream=f"B{name}"))
        states[name], expected[name] = pairs_of(own), own(rows)
    names = [name or "anna" for name in ROWS]
    shared = _plain(case)
    bank(shared, states, base=DoubleQuantStorage())
    with serving(shared, names):
        return shared(rows), torch.stack([expected[name][n] for n, name in enumerate(names)])


@misconception(
    of=one_quantised_base_serves_all,
    statement="Adapters trained with QLoRA may be served on the full-precision base: it is the better one.",
    source="the adapter was fitted beside Ŵ, and what it learned includes the quantisation error",
)
def false_the_base_in_full_precision_gives_the_same(case: Case) -> tuple[Tensor, Tensor]:
    own, plain, rows = _plain(case), _plain(case), case.x()
    inject(own, QLoRA(1, case.alpha), "0", case.generator("anna"))
    bank(plain, {"anna": pairs_of(own)})
    with serving(plain, ["anna"] * len(rows)):
        return plain(rows), own(rows)


def _plain(case: Case) -> nn.Sequential:
    base = case.linear()
    return nn.Sequential(base.to_layer(base.matrix, base.bias))


def _added(case: Case, products: Products) -> Tensor:
    """Return multiply-adds per position beyond those of the base."""
    model, _, layer, x = served(case, products)
    with serving(model, ROWS):
        added = measured_flops(lambda: model(x)) - measured_flops(lambda: layer.base(x))
        return torch.tensor(added / 2 / x.shape[:-1].numel())


THOUSANDS_ON_ONE_GPU = Unchecked(
    statement="Thousands of adapters are served from one GPU, at up to four times the throughput of PEFT and vLLM.",
    source="Sheng et al. 2023 (2311.03285), abstract",
    reason="The numbers are those of the paper's GPUs, kernels and 7B to 70B models; the benchmark of this book "
    "measures 512 adapters on a CPU instead.",
)
FUSED_KERNELS = Unchecked(
    statement="Custom CUDA kernels read factors from pages that do not adjoin, at no cost over contiguous ones.",
    source="Sheng et al. 2023 (2311.03285), section 5.3 (MBGMM and MBGMV)",
    reason="No kernel of ours and no GPU here: what the kernels compute is checked (gathered and segmented products), "
    "their speed is not.",
)
