"""Leaving: another adapter as a LoRA, and q and k in llama.cpp's order."""

import torch
from torch import Tensor, nn

from lorabook.axes.form.dora import DoRA
from lorabook.axes.init.pissa import PiSSA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.models.decoder import rotate, rotations
from lorabook.models.gguf_file import rows_in_pairs
from lorabook.saving.convert import to_lora

SHAPES = (Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 4))


def moved(case: Case, recipe: Recipe) -> nn.Sequential:
    """Return a model of one adapted layer, after all that trains has moved."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64))
    model[0].weight.data = case.w0()
    layer = inject(model, recipe, "0", case.generator("A"))["0"]
    for letter, p in layer.update.named_parameters():
        p.data += 0.3 * case.randn(*p.shape, stream=letter)
    return model


def effective(model: nn.Sequential) -> Tensor:
    """Return W as the model has it."""
    layer = adapted(model)["0"]
    return layer.update.weight(layer.base.matrix).detach()


@claim(
    statement=r"The LoRA of rank $r$ nearest to an adapter misses $\sqrt{\sum_{i>r}\sigma_i^2/\sum_i\sigma_i^2}$ of "
    r"its $\Delta W$ (here DoRA).",
    source="Eckart, Young 1936",
    cases=SHAPES,
)
def converting_loses_the_tail(case: Case):
    model = moved(case, DoRA(case.r, case.alpha))
    before = effective(model)
    lost = to_lora(model, case.r)["0"]
    measured = (effective(model) - before).norm() / (before - case.w0()).norm()
    return measured, torch.tensor(lost, dtype=torch.float64)


@misconception(
    of=converting_loses_the_tail,
    statement=r"Leave $m$ out, and $A$ and $B$ are the LoRA that a DoRA stands for, with no more error than that.",
    source="adapters whose extra key a loader skips; m turns a low-rank change into one of full rank",
)
def false_a_dora_without_m_is_its_lora(case: Case):
    model = moved(case, DoRA(case.r, case.alpha))
    update, before = adapted(model)["0"].update, effective(model)
    skipped = case.w0() + case.s * (update.B @ update.A).detach()
    lost = to_lora(model, case.r)["0"]
    return (skipped - before).norm() / (before - case.w0()).norm(), torch.tensor(lost, dtype=torch.float64)


@claim(
    statement=r"A PiSSA of rank $r$ is a LoRA of rank $2r$ against $W_0$, exactly.",
    source="Meng, Wang, Zhang 2024 (2404.02948), on conversion; here by the SVD of W − W₀",
    cases=SHAPES,
)
def a_pissa_converts_at_twice_its_rank(case: Case):
    model = moved(case, PiSSA(case.r, case.alpha))
    before = effective(model)
    to_lora(model, 2 * case.r)
    return effective(model) - case.w0(), before - case.w0()


HEADS, LENGTH = 2, 5


def projected(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of q and k, two heads of 2r entries, and some inputs."""
    rows = HEADS * 2 * case.r
    return case.randn(rows, case.d_in, stream="q"), case.randn(rows, case.d_in, stream="k"), case.x(LENGTH)


def in_heads(x: Tensor, w: Tensor) -> Tensor:
    """Return Wx of every head: (1, heads, length, d_head)."""
    return (x @ w.T).view(1, len(x), HEADS, -1).transpose(1, 2)


def angles(case: Case) -> tuple[Tensor, Tensor]:
    """Return cos and sin of every place, in float64."""
    cos, sin = rotations(LENGTH, 2 * case.r, 100.0, torch.device("cpu"))
    return cos.double(), sin.double()


def scores(case: Case) -> Tensor:
    """Return qkᵀ with entry i and entry i + d/2 turned together: transformers' order, and ours."""
    w_q, w_k, x = projected(case)
    q, k = (rotate(in_heads(x, w), *angles(case)) for w in (w_q, w_k))
    return q @ k.mT


def neighbours_turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn entry 2i and entry 2i + 1 together: llama.cpp's order."""
    half = cos.shape[-1] // 2
    a, b, c, s = x[..., ::2], x[..., 1::2], cos[:, :half], sin[:, :half]
    return torch.stack([a * c - b * s, b * c + a * s], dim=-1).flatten(-2)


@claim(
    statement=r"With each head's rows interleaved, $(a_0,b_0,a_1,b_1,\ldots)$, rotating neighbours gives every score "
    r"$qk^\top$ as before.",
    source="llama.cpp, convert_hf_to_gguf.py: LlamaModel.permute",
)
def interleaved_rows_score_the_same(case: Case):
    w_q, w_k, x = projected(case)
    q, k = (neighbours_turned(in_heads(x, rows_in_pairs(w, HEADS)), *angles(case)) for w in (w_q, w_k))
    return q @ k.mT, scores(case)


@misconception(
    of=interleaved_rows_score_the_same,
    statement=r"$q$ and $k$ of a checkpoint go into a GGUF file as they are: rotating neighbours gives every score "
    r"$qk^\top$ as before.",
    source="an export without the permutation: it loads, and writes nonsense",
)
def false_rows_go_over_as_they_are(case: Case):
    w_q, w_k, x = projected(case)
    q, k = (neighbours_turned(in_heads(x, w), *angles(case)) for w in (w_q, w_k))
    return q @ k.mT, scores(case)
