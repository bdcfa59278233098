"""What adding adapters up gives, what each way of writing the sum down loses, and who else can be in it."""

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.form.delta_lora import Drifting
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.merge import merge
from lorabook.many.combine import Truncated, concatenated, factors_summed, weighted_sum
from lorabook.many.pair import Pair
from lorabook.many.stacking import attach, stack

CODE = "PEFT 0.21.2, add_weighted_adapter"
WEIGHTS = (0.8, -0.6, 1.1)
SHAPES = (Case(12, 5, 1), Case(7, 16, 3), Case(9, 13, 4))
"""r is below min(d_out, d_in) in all three, so that a rank can be too small."""


def three(case: Case) -> list[Pair]:
    """Return three adapters on one layer, of one rank and of scales that differ."""
    a = [case.randn(case.r, case.d_in, stream=f"A{i}") / case.d_in**0.5 for i in range(3)]
    return [Pair(a[i], case.randn(case.d_out, case.r, stream=f"B{i}"), case.s * (1 + i / 2)) for i in range(3)]


def delta(pair: Pair) -> Tensor:
    """Return ΔW."""
    return pair.scale * pair.B @ pair.A


def layer(case: Case) -> nn.Sequential:
    """Return a model of one layer that has the case's W₀."""
    base = case.linear()
    return nn.Sequential(base.to_layer(base.matrix, base.bias))


@claim(
    statement=r"$[B_1\dots B_n]\,[w_1s_1A_1;\dots;w_ns_nA_n]=\sum_iw_is_iB_iA_i$: side by side, adapters of any ranks "
    r"are added exactly, at rank $\sum_ir_i$.",
    source=f"blocks multiplied out; {CODE}, 'cat'",
)
def side_by_side_is_the_sum(case: Case) -> tuple[Tensor, Tensor]:
    extra = Pair(case.randn(2, case.d_in, stream="A4"), case.randn(case.d_out, 2, stream="B4"), 0.7)
    pairs, weights = [*three(case), extra], [*WEIGHTS, 0.3]
    terms = sum(w * p.scale * torch.einsum("or,ri->oi", p.B, p.A) for w, p in zip(weights, pairs, strict=True))
    return delta(concatenated(pairs, weights)), terms


@misconception(
    of=side_by_side_is_the_sum,
    statement=r"To add adapters, add their factors: $(\sum_iw_iB_i)(\sum_iA_i)$ or a like product is "
    r"$\sum_iw_iB_iA_i$.",
    source="averaging the files of two adapters entry by entry; cross terms B_iA_j come in",
)
def false_adding_factors_adds_adapters(case: Case) -> tuple[Tensor, Tensor]:
    return delta(factors_summed(three(case), WEIGHTS)), weighted_sum(three(case), WEIGHTS)


@misconception(
    of=side_by_side_is_the_sum,
    statement=r"Adapters of different $\alpha$ or $r$ are added as $\sum_iw_iB_iA_i$.",
    source="reading B and A from two files and forgetting the scale that stands in neither",
)
def false_scales_may_be_left_out(case: Case) -> tuple[Tensor, Tensor]:
    bare = [pair._replace(scale=1.0) for pair in three(case)]
    return delta(concatenated(bare, WEIGHTS)), weighted_sum(three(case), WEIGHTS)


@claim(
    statement=r"At rank $r$ the sum $S$ can be kept up to $\sum_{i>r}\sigma_i^2(S)$, and the truncated SVD of the "
    r"small core $R_bR_a^\top$ does it without building $S$.",
    source=f"Eckart, Young 1936; {CODE}, 'svd', which builds S",
    cases=SHAPES,
)
def a_smaller_rank_loses_the_tail(case: Case) -> tuple[Tensor, Tensor]:
    whole = weighted_sum(three(case), WEIGHTS)
    lost = (delta(Truncated(case.r)(three(case), WEIGHTS)) - whole).square().sum()
    return lost, linalg.svdvals(whole)[case.r :].square().sum()


@misconception(
    of=a_smaller_rank_loses_the_tail,
    statement="Combining by SVD is exact at the largest rank among the adapters (PEFT's default).",
    source=f"{CODE}: 'cat and svd are precise methods'; svd is only where the sum has no more rank",
)
def false_truncating_loses_nothing(case: Case) -> tuple[Tensor, Tensor]:
    lost, _ = a_smaller_rank_loses_the_tail(case)
    return lost, torch.zeros_like(lost)


@claim(
    statement=r"PEFT's 'linear' is the sum and, for $i\ne j$, "
    r"$\pm\sqrt{|w_is_i\,w_js_j|}\,B_iA_j$, with the sign of $w_js_j$.",
    source=f"{CODE}, 'linear': √|w_is_i| on both factors, the sign on A's",
)
def pefts_linear_has_cross_terms(case: Case) -> tuple[Tensor, Tensor]:
    pairs, total = three(case), torch.zeros(case.d_out, case.d_in, dtype=torch.float64)
    sizes = torch.tensor([w * pair.scale for pair, w in zip(pairs, WEIGHTS, strict=True)], dtype=torch.float64)
    for i, one in enumerate(pairs):
        for j, other in enumerate(pairs):
            total += sizes[j].sign() * (sizes[i] * sizes[j]).abs().sqrt() * one.B @ other.A
    return delta(factors_summed(pairs, WEIGHTS)), total


@misconception(
    of=pefts_linear_has_cross_terms,
    statement=r"PEFT's 'linear' weights the factors: $(\sum_iw_is_iB_i)(\sum_iw_is_iA_i)$.",
    source="the name; then one adapter alone would get the weight w²s²",
)
def false_pefts_linear_weights_the_factors(case: Case) -> tuple[Tensor, Tensor]:
    a = sum(w * p.scale * p.A for p, w in zip(three(case), WEIGHTS, strict=True))
    b = sum(w * p.scale * p.B for p, w in zip(three(case), WEIGHTS, strict=True))
    return delta(factors_summed(three(case), WEIGHTS)), b @ a


@claim(
    statement=r"Stacked at once or merged one after the other, in either order: "
    r"$W=W_0+\sum_iw_is_iB_iA_i$.",
    source="addition is associative and commutative; in floating point to rounding",
)
def stacking_is_merging_one_by_one(case: Case) -> tuple[Tensor, Tensor]:
    pairs = three(case)
    names = [f"adapter {i}" for i in range(3)]
    together = layer(case)
    stack(together, {n: {"0": p} for n, p in zip(names, pairs, strict=True)}, dict(zip(names, WEIGHTS, strict=True)))
    merge(together)
    in_turn = [_one_by_one(case, order) for order in ([0, 1, 2], [2, 0, 1])]
    return torch.stack([together[0].weight] * 2), torch.stack(in_turn)


def _one_by_one(case: Case, order: list[int]) -> Tensor:
    model = layer(case)
    for i in order:
        pair = three(case)[i]
        attach(model, {"0": pair._replace(scale=WEIGHTS[i] * pair.scale)})
        merge(model)
    return model[0].weight


@misconception(
    of=stacking_is_merging_one_by_one,
    statement="Of several adapters on one layer, the last one counts.",
    source="how a loader works that has one slot for an adapter; merged or stacked, all of them are there",
)
def false_the_last_adapter_counts(case: Case) -> tuple[Tensor, Tensor]:
    together, _ = stacking_is_merging_one_by_one(case)
    last = case.w0() + WEIGHTS[2] * delta(three(case)[2])
    return together, torch.stack([last, last])


def drifted(case: Case) -> tuple[Drifting, Tensor]:
    """Return what a task leaves behind that Delta-LoRA trained, started to follow after K steps, and W₀."""
    base = case.linear()
    update = Drifting(base, case.factors(), case.spec(), rate=2.0)
    update.start()
    with torch.no_grad():
        update.A += case.randn(case.r, case.d_in, stream="later A")
        update.B += case.randn(case.d_out, case.r, stream="later B")
    return update, case.w0()


@claim(
    statement=r"Delta-LoRA's task is $W_0$ and a pair of rank $2r$, "
    r"$W=W_0+(1+\lambda)s\,B_TA_T-\lambda s\,B_KA_K$: tasks go on sharing $W_0$, and stack as others do.",
    source="Zi et al. 2023 (2309.02411), algorithm 1, its moves added up",
    when=r"$\lambda$ is constant, and what is kept are $B_TA_T$ and $B_KA_K$ in place of the moved $W$",
)
def delta_lora_shares_w0(case: Case) -> tuple[Tensor, Tensor]:
    update, w0 = drifted(case)
    last = Pair(update.A.detach(), update.B.detach(), update.s)
    first = Pair(update.A_K, update.B_K, update.s)
    return update.weight(w0), w0 + delta(concatenated([last, first], [1 + update.rate, -update.rate]))


@misconception(
    of=delta_lora_shares_w0,
    statement=r"$W_0$ and the trained $BA$ give the task back, as with LoRA: $W=W_0+s\,B_TA_T$.",
    source="saving a Delta-LoRA run as a LoRA; what W₀ moved by is lost then",
)
def false_delta_lora_saves_as_lora(case: Case) -> tuple[Tensor, Tensor]:
    update, w0 = drifted(case)
    return update.weight(w0), w0 + update.s * update.B @ update.A
