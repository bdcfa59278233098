"""What is true of LongLoRA's shifted groups, and what is often said instead."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lorabook.adapted import inject
from lorabook.attention.full import full
from lorabook.attention.shifted import LongLoRA, Shifted, in_groups
from lorabook.cases import Case
from lorabook.claims import claim, foil
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.update.low_rank import LoRA

PAPER = "Chen et al. 2023 (2309.12307)"
QKVO = r"[qkvo]_proj"


def tokens(case: Case, length: int) -> list[Tensor]:
    """Return q, k, v of r + 1 heads (an odd number among the cases), with gradients."""
    return [case.randn(2, case.r + 1, length, 3, stream=name).requires_grad_() for name in "qkv"]


@claim(
    statement=r"\text{folding into groups} = \text{dense attention under the mask } [h, i, j],"
    r"\text{ in value and gradient}",
    source=f"{PAPER}, section 3.2; lengths that the group divides and lengths that it does not",
)
def groups_are_dense_attention_under_a_mask(case: Case) -> tuple[Tensor, Tensor]:
    qkv, attend = tokens(case, case.d_out + case.d_in), Shifted(4)
    weights = case.randn(*qkv[0].shape, stream="weights")

    def value_and_gradient(out: Tensor) -> Tensor:
        return torch.cat([t.flatten() for t in (out, *torch.autograd.grad((weights * out).sum(), qkv))])

    return value_and_gradient(attend.dense(*qkv)), value_and_gradient(attend(*qkv))


def rolled(q: Tensor, k: Tensor, v: Tensor, group: int) -> Tensor:
    """The authors' path without flash attention: half of the heads rolled by g/2 *with wrap-around*, causal in groups."""
    half, shift = q.shape[1] // 2, group // 2

    def turned(t: Tensor, by: int) -> Tensor:
        return torch.cat([t[:, :half], t[:, half:].roll(by, dims=2)], dim=1)

    return turned(in_groups(*(turned(t, -shift) for t in (q, k, v)), group), shift)


def influence(attend, qkv: list[Tensor]) -> Tensor:
    """Return |∂ out_i / ∂ input_j|, summed over q, k, v, heads and entries: positions × positions."""
    out = attend(*qkv).square().sum((0, 1, 3))
    rows = [torch.autograd.grad(out_i, qkv, retain_graph=True) for out_i in out]
    return torch.stack([sum(g.abs().sum((0, 1, 3)) for g in row) for row in rows])


@claim(
    statement=r"\partial\, \text{out}_i / \partial\, \text{in}_j = 0 \text{ exactly, for every } j > i",
    source="groups without wrap-around; the authors' flash path cuts the wrapped group in two to the same end",
    tol=0.0,
)
def nobody_sees_the_future(case: Case) -> tuple[Tensor, Tensor]:
    seen = influence(Shifted(4), tokens(case, 16))
    return seen, seen.tril()


@foil(
    of=nobody_sees_the_future,
    statement=r"\text{causal inside every group after the roll} \Rightarrow \text{causal}",
    source="the authors' path without flash attention; they call the leak acceptable (LongLoRA issue 15)",
)
def a_roll_stays_causal(case: Case) -> tuple[Tensor, Tensor]:
    seen = influence(lambda *qkv: rolled(*qkv, 4), tokens(case, 16))
    return seen, seen.tril()


class Scores(TorchFunctionMode):
    """Counts the entries of q kᵀ that attention calls compute."""

    count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.scaled_dot_product_attention:
            q, k = args[:2]
            self.count += q.shape[:-1].numel() * k.shape[-2]
        return function(*args, **(kwargs or {}))


def scores(attend, qkv: list[Tensor]) -> Tensor:
    """Return how many scores one call computes, per head and text."""
    with Scores() as counted:
        attend(*qkv)
    return torch.tensor(counted.count / qkv[0].shape[:2].numel())


@claim(
    statement=r"\text{scores in groups} = L \cdot g = \tfrac14 L^2 \text{ at } g = L/4",
    source=f"{PAPER}, section 3.2; counted in the calls, for heads whose groups are not shifted",
)
def a_quarter_of_the_scores(case: Case) -> tuple[Tensor, Tensor]:
    g = case.d_out
    qkv = tokens(case, 4 * g)
    return scores(lambda *t: in_groups(*t, g), qkv), scores(full, qkv) / 4


@foil(
    of=a_quarter_of_the_scores,
    statement=r"\text{10 to 20 times less compute}",
    source="summaries of LongLoRA; at the paper's g = L/4 attention alone is 4 times cheaper and the rest is not",
)
def ten_times_fewer_scores(case: Case) -> tuple[Tensor, Tensor]:
    g = case.d_out
    qkv = tokens(case, 4 * g)
    return scores(lambda *t: in_groups(*t, g), qkv), scores(full, qkv) / 10


def speed_up(length: Tensor) -> Tensor:
    """Return FLOPs of full fine-tuning / FLOPs of LongLoRA at g = L/4, for LLaMA-2-7B (backward = 2 × forward).

    LoRA needs no gradient of the frozen weights, so its linear layers cost 2 units, not 3; attention always costs 3.
    """
    d, ffn, layers = 4096, 11008, 32
    linear, attention = 2 * length * (4 * d**2 + 3 * d * ffn) * layers, 4 * length**2 * d * layers
    return 3 * (linear + attention) / (2 * linear + 3 * attention / 4)


LENGTHS = torch.tensor([8192.0, 32768.0, 65536.0, 102400.0, 1048576.0], dtype=torch.float64)


@claim(
    statement=r"\text{FLOPs of full fine-tuning} / \text{FLOPs of LongLoRA} \le 4 \text{ at every length}",
    source="operation counts of LLaMA-2-7B; attention gains 4, linear layers 3/2, and a mean lies between",
    relation="<=",
)
def never_more_than_four_times(case: Case) -> tuple[Tensor, Tensor]:
    return speed_up(LENGTHS * case.r), torch.full_like(LENGTHS, 4.0)


@foil(
    of=never_more_than_four_times,
    statement=r"\text{5 to 8 times faster than fine-tuning with full attention}",
    source="summaries of LongLoRA; the paper's clock says 1.8 times at 65k tokens, against LoRA with full attention",
)
def five_times_faster(case: Case) -> tuple[Tensor, Tensor]:
    return torch.full_like(LENGTHS, 5.0), speed_up(LENGTHS * case.r)


def reach(heads_seen: Tensor, layers: int) -> Tensor:
    """Return who can be influenced by whom after that many layers, if any head of a layer will do."""
    one = heads_seen.any(0).double()
    return torch.linalg.matrix_power(one, layers).clamp_max(1.0)


def _everything_before(length: int) -> Tensor:
    return torch.ones(length, length, dtype=torch.float64).tril()


@claim(
    statement=r"\text{after } 2L/g \text{ layers every token has heard from every earlier one}",
    source=f"{PAPER}, section 3.2: 'the information flow between groups'; each layer reaches half a group further",
)
def the_shift_connects_the_groups(case: Case) -> tuple[Tensor, Tensor]:
    g = 2 * case.r
    return reach(Shifted(g).mask(2, 4 * g, torch.device("cpu")), 8), _everything_before(4 * g)


@foil(
    of=the_shift_connects_the_groups,
    statement=r"\text{local groups are enough: layers carry information across them}",
    source="the shift left out; a group boundary at one place in every layer is never crossed",
)
def depth_alone_connects_the_groups(case: Case) -> tuple[Tensor, Tensor]:
    g = 2 * case.r
    return reach(Shifted(g).mask(2, 4 * g, torch.device("cpu"))[:1], 8), _everything_before(4 * g)


def trained_numbers(case: Case, recipe) -> Tensor:
    """Return how many numbers train in a small decoder under a recipe of this case's rank."""
    model = Decoder(DecoderConfig(vocab=32, hidden=16, layers=2, heads=2, kv_heads=1, d_head=8, ffn=24, context=8))
    inject(model, replace(recipe, r=case.r), QKVO)
    return torch.tensor(sum(p.numel() for p in model.parameters() if p.requires_grad))


@claim(
    statement=r"\text{LongLoRA trains LoRA's numbers} + |V|\,d + (2 n_\text{layers} + 1)\,d",
    source=f"{PAPER}, section 3.3: without embedding and norms LoRA misses; for LLaMA-2-7B at r = 8 it is 17 times LoRA",
)
def embedding_and_norms_train_as_well(case: Case) -> tuple[Tensor, Tensor]:
    return trained_numbers(case, LongLoRA(4)), trained_numbers(case, LoRA()) + 32 * 16 + 5 * 16


@foil(
    of=embedding_and_norms_train_as_well,
    statement=r"\text{extra parameters: none}",
    source="tables that compare variants by their adapters alone",
)
def no_extra_parameters(case: Case) -> tuple[Tensor, Tensor]:
    return trained_numbers(case, LongLoRA(4)), trained_numbers(case, LoRA())
