"""What LongLoRA computes, counted where it is computed, and what is often said instead."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from lorabook.axes.attention.longlora import LongLoRA, Shifted, in_groups
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.longlora.shifted import PAPER, tokens
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.cost import longer
from lorabook.cost.count import LLAMA, measured_flops
from lorabook.models.decoder import Layer, full

QKVO = r"[qkvo]_proj"


class Scores(TorchFunctionMode):
    """Counts the entries of q kᵀ that attention calls compute."""

    count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.scaled_dot_product_attention:
            q, k = args[:2]
            self.count += q.shape[:-1].numel() * k.shape[-2]
        return function(*args, **(kwargs or {}))


def scores(attend: Callable, qkv: list[Tensor]) -> Tensor:
    """Return how many scores one call computes, per head and text."""
    with Scores() as counted:
        attend(*qkv)
    return torch.tensor(counted.count / qkv[0].shape[:2].numel())


@claim(
    statement=r"Groups compute $L\cdot g$ scores, not $L^2$: at $g=L/4$ exactly a quarter.",
    source=f"{PAPER}, section 3.2; counted in the calls, for heads whose groups are not shifted",
)
def a_quarter_of_the_scores(case: Case) -> tuple[Tensor, Tensor]:
    g = case.d_out
    qkv = tokens(case, 4 * g)
    return scores(lambda *t: in_groups(*t, g), qkv), scores(full, qkv) / 4


@misconception(
    of=a_quarter_of_the_scores,
    statement=r"Groups compute 10 to 20 times less.",
    source="summaries of LongLoRA; at the paper's g = L/4 attention alone is 4 times cheaper and the rest is not",
)
def false_ten_times_fewer_scores(case: Case) -> tuple[Tensor, Tensor]:
    g = case.d_out
    qkv = tokens(case, 4 * g)
    return scores(lambda *t: in_groups(*t, g), qkv), scores(full, qkv) / 10


def _exponent(case: Case, group: int, group_of_twice: int) -> Tensor:
    """Return log₂ of how much more is computed for a text twice as long."""
    short, long = tokens(case, 4 * case.d_out), tokens(case, 8 * case.d_out)
    grown = scores(lambda *t: in_groups(*t, group_of_twice), long) / scores(lambda *t: in_groups(*t, group), short)
    return grown.log2()


@claim(
    statement=r"Attention in windows of $g$ tokens costs $O(L\cdot g)$: twice the text, twice the scores.",
    source="each of L tokens meets at most g",
    when=r"$g$ stays what it is while $L$ grows; with the paper's $g=L/4$ it is $L^2/4$, as quadratic as before",
)
def linear_at_a_fixed_group(case: Case) -> tuple[Tensor, Tensor]:
    return _exponent(case, case.d_out, case.d_out), torch.tensor(1.0)


@misconception(
    of=linear_at_a_fixed_group,
    statement=r"LongLoRA makes attention linear in the length of the text.",
    source="the O(L·g) of summaries, read with the paper's g = L/4",
)
def false_linear_at_a_quarter(case: Case) -> tuple[Tensor, Tensor]:
    return _exponent(case, case.d_out, 2 * case.d_out), torch.tensor(1.0)


@claim(
    statement=r"What long texts cost in training is attention itself: twice the text, four times the scores.",
    source="L² scores, and no cache of keys and values: all positions are computed at once",
)
def training_is_quadratic(case: Case) -> tuple[Tensor, Tensor]:
    return scores(full, tokens(case, 2 * case.d_out)), 4 * scores(full, tokens(case, case.d_out))


@misconception(
    of=training_is_quadratic,
    statement=r"LoRA struggles with long texts because the cache of keys and values grows linearly.",
    source="a teaching text; that cache belongs to generation, and nothing of it is there in training",
)
def false_training_pays_for_a_cache(case: Case) -> tuple[Tensor, Tensor]:
    return scores(full, tokens(case, 2 * case.d_out)), 2 * scores(full, tokens(case, case.d_out))


def _both_halves(case: Case) -> tuple[Tensor, Tensor]:
    """Return FLOPs of attention in groups of L/4 and of full attention, without a fused kernel, for 2r heads."""
    g = 2 * case.d_out
    qkv = [case.randn(1, 2 * case.r, 4 * g, 4, stream=name) for name in "qkv"]
    with sdpa_kernel(SDPBackend.MATH):
        return tuple(torch.tensor(float(measured_flops(lambda a=a: a(*qkv)))) for a in (Shifted(g), full))


@claim(
    statement=r"All heads together compute $\frac{15}{64}$ of full attention at $g=L/4$, and need no fused kernel and "
    r"no shared key heads for it.",
    source="a shifted head cuts one group in two, and saves g²/2 of L·g; counted with torch's plain kernel",
)
def the_cut_group_saves_a_sixteenth_more(case: Case) -> tuple[Tensor, Tensor]:
    ours, whole = _both_halves(case)
    return ours, whole * 15 / 64


@misconception(
    of=the_cut_group_saves_a_sixteenth_more,
    statement=r"All heads together compute exactly a quarter.",
    source="true of the roll with wrap-around, which pays for its last group with a leak of the future",
)
def false_every_head_computes_a_quarter(case: Case) -> tuple[Tensor, Tensor]:
    ours, whole = _both_halves(case)
    return ours, whole / 4


@misconception(
    of=the_cut_group_saves_a_sixteenth_more,
    statement=r"Without FlashAttention and grouped key heads nothing is saved.",
    source="a teaching text that calls them necessary; the authors ship a path without, and LLaMA-2-7B shares no keys",
)
def false_nothing_is_saved_without_a_fused_kernel(case: Case) -> tuple[Tensor, Tensor]:
    return _both_halves(case)


def step_flops(length: int, recipe: Recipe | None) -> int:
    """Return FLOPs of forward and backward through one layer of LLaMA-2-7B; None is full fine-tuning.

    The gradient reaches the layer's input, as the trained embedding needs. On torch's meta device nothing is computed.
    """
    shape = replace(LLAMA["7B"], layers=1, context=length)
    with torch.device("meta"):
        layer, h = Layer(shape, full).train(), torch.empty(1, length, shape.hidden, requires_grad=True)
        turns = torch.empty(length, shape.d_head)
    if recipe is not None:
        inject(layer, recipe, QKVO)
    with sdpa_kernel(SDPBackend.MATH):
        return measured_flops(lambda: layer(h, turns, turns).sum().backward())


def speed_up(length: int) -> Tensor:
    """Return FLOPs of full fine-tuning / FLOPs of LongLoRA at g = L/4 and r = 8."""
    recipe = replace(LongLoRA(length // 4, r=8), also_train="norm")
    return torch.tensor(step_flops(length, None) / step_flops(length, recipe))


GROUPED = longer.share_of_scores(1 / 4, shift=True)
LONG = tuple(Case(1, 1, 1, seed=length) for length in (8192, 65536, 1048576))
"""Texts of so many tokens: the seed is the length, since nothing is drawn."""


@claim(
    statement=r"FLOPs of full fine-tuning over those of LongLoRA at $g=L/4$: a mean of the linear layers' $\frac32$ "
    r"and attention's $\frac{64}{15}$, so below 4.27 at every length; 1.8 at 8k, 2.8 at 65k.",
    source="counted in one layer of LLaMA-2-7B; a frozen matrix needs no gradient (2 products, not 3), attention all",
    tol=1e-3,
    cases=LONG,
)
def the_speed_up_is_a_mean_of_two(case: Case) -> tuple[Tensor, Tensor]:
    length = case.seed
    predicted = longer.step_flops(length, 1.0, adapted=False) / longer.step_flops(length, GROUPED, adapted=True)
    return speed_up(length), torch.tensor(predicted)


@misconception(
    of=the_speed_up_is_a_mean_of_two,
    statement=r"LongLoRA trains 5 to 8 times faster than full attention does.",
    source="summaries of LongLoRA; the paper's clock says 1.8 times at 65k tokens, against LoRA with full attention",
)
def false_five_times_faster(case: Case) -> tuple[Tensor, Tensor]:
    return speed_up(case.seed), torch.tensor(5.0)


@misconception(
    of=the_speed_up_is_a_mean_of_two,
    statement=r"LongLoRA needs 10 to 20 times less compute than full training on long texts.",
    source="summaries of LongLoRA; above the ceiling at any length",
)
def false_ten_times_less_compute(case: Case) -> tuple[Tensor, Tensor]:
    return speed_up(case.seed), torch.tensor(10.0)
