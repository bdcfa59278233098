"""What is true of LongLoRA's shifted groups, and what is often said instead."""

from collections.abc import Callable

import torch
from torch import Tensor

from lorabook.axes.attention.longlora import Shifted, in_groups
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.models.decoder import full

PAPER = "Chen et al. 2023 (2309.12307)"


def tokens(case: Case, length: int) -> list[Tensor]:
    """Return q, k, v of r + 1 heads (an odd number among the cases), with gradients."""
    return [case.randn(2, case.r + 1, length, 3, stream=name).requires_grad_() for name in "qkv"]


@claim(
    statement=r"Folding tokens into groups gives dense attention under the mask $[h,i,j]$, in value and gradient.",
    source=f"{PAPER}, section 3.2; lengths that the group divides and lengths that it does not",
)
def groups_are_dense_attention_under_a_mask(case: Case) -> tuple[Tensor, Tensor]:
    qkv, attend = tokens(case, case.d_out + case.d_in), Shifted(4)
    weights = case.randn(*qkv[0].shape, stream="weights")

    def value_and_gradient(out: Tensor) -> Tensor:
        return torch.cat([t.flatten() for t in (out, *torch.autograd.grad((weights * out).sum(), qkv))])

    return value_and_gradient(attend.dense(*qkv)), value_and_gradient(attend(*qkv))


@claim(
    statement=r"A head's attention is that of its groups, side by side along the text.",
    source=f"{PAPER}, section 3.2; the halves of the heads lie side by side along the heads",
    when=r"the head is not shifted; in a shifted one the first group holds $\lceil g/2\rceil$ tokens",
)
def a_head_is_its_groups_side_by_side(case: Case) -> tuple[Tensor, Tensor]:
    g, qkv = case.r + 1, tokens(case, 4 * (case.r + 1))
    straight = qkv[0].shape[1] // 2
    alone = [full(*(t[:, :straight, start : start + g] for t in qkv)) for start in range(0, 4 * g, g)]
    return Shifted(g)(*qkv)[:, :straight], torch.cat(alone, dim=2)


def _written_out(heads: int, length: int, group: int, shifted: int) -> Tensor:
    """Return who sees whom if the last `shifted` heads have their groups moved by half a group, as ones and zeros."""
    seen = torch.zeros(heads, length, length, dtype=torch.float64)
    for head in range(heads):
        first = group // 2 if head >= heads - shifted else 0
        for i in range(length):
            seen[head, i, max(0, i - (i + first) % group) : i + 1] = 1
    return seen


def _mask(case: Case) -> tuple[int, int, int, Tensor]:
    """Return a number of heads, a length, a group, and the library's mask for them."""
    heads, group = 2 * case.r + 2, case.r + 2
    length = 3 * group + 1
    return heads, length, group, Shifted(group).mask(heads, length, torch.device("cpu")).double()


@claim(
    statement=r"Half of the heads look inside groups of $g$ tokens in a row; the other half inside the same groups "
    r"moved by $\lfloor g/2\rfloor$.",
    source=f"{PAPER}, section 3.2 and figure 2",
    tol=0.0,
)
def half_of_the_heads_are_shifted(case: Case) -> tuple[Tensor, Tensor]:
    heads, length, group, mask = _mask(case)
    return mask, _written_out(heads, length, group, heads // 2)


@misconception(
    of=half_of_the_heads_are_shifted,
    statement=r"Most heads are shifted: all but one.",
    source="a teaching text, which also gives the shift a stride; there is no stride to choose",
)
def false_most_heads_are_shifted(case: Case) -> tuple[Tensor, Tensor]:
    heads, length, group, mask = _mask(case)
    return mask, _written_out(heads, length, group, heads - 1)


@misconception(
    of=half_of_the_heads_are_shifted,
    statement=r"It is dilated attention: a token looks at every second one before it, $g$ of them.",
    source="a teaching text; the paper compares with dilated attention, and finds it worse",
)
def false_it_is_dilated_attention(case: Case) -> tuple[Tensor, Tensor]:
    heads, length, group, mask = _mask(case)
    gap = torch.arange(length)[:, None] - torch.arange(length)
    return mask, ((gap >= 0) & (gap % 2 == 0) & (gap < 2 * group)).double().expand(heads, -1, -1)


def rolled(q: Tensor, k: Tensor, v: Tensor, group: int) -> Tensor:
    """The authors' path without flash attention: half of the heads rolled by g/2 *and round*, causal in groups."""
    half, shift = q.shape[1] // 2, group // 2

    def turned(t: Tensor, by: int) -> Tensor:
        return torch.cat([t[:, :half], t[:, half:].roll(by, dims=2)], dim=1)

    return turned(in_groups(*(turned(t, -shift) for t in (q, k, v)), group), shift)


def influence(attend: Callable, qkv: list[Tensor]) -> Tensor:
    """Return |∂ out_i / ∂ input_j|, summed over q, k, v, heads and entries: positions × positions."""
    out = attend(*qkv).square().sum((0, 1, 3))
    rows = [torch.autograd.grad(out_i, qkv, retain_graph=True) for out_i in out]
    return torch.stack([sum(g.abs().sum((0, 1, 3)) for g in row) for row in rows])


@claim(
    statement=r"$\partial\,\mathrm{out}_i/\partial\,\mathrm{in}_j=0$ exactly, for every $j>i$.",
    source="groups without wrap-around; the authors' flash path cuts the wrapped group in two to the same end",
    tol=0.0,
)
def nobody_sees_the_future(case: Case) -> tuple[Tensor, Tensor]:
    seen = influence(Shifted(4), tokens(case, 16))
    return seen, seen.tril()


@misconception(
    of=nobody_sees_the_future,
    statement=r"Roll the tokens round by $g/2$, be causal inside every group, and the whole is causal.",
    source="the authors' path without flash attention; they call the leak acceptable (LongLoRA issue 15)",
)
def false_a_roll_stays_causal(case: Case) -> tuple[Tensor, Tensor]:
    seen = influence(lambda *qkv: rolled(*qkv, 4), tokens(case, 16))
    return seen, seen.tril()


def reach(heads_seen: Tensor, layers: int) -> Tensor:
    """Return who can be influenced by whom after that many layers, if any head of a layer will do."""
    one = heads_seen.any(0).double()
    return torch.linalg.matrix_power(one, layers).clamp_max(1.0)


def _everything_before(length: int) -> Tensor:
    return torch.ones(length, length, dtype=torch.float64).tril()


@claim(
    statement=r"After $2L/g$ layers every token has heard from every earlier one.",
    source=f"{PAPER}, section 3.2: 'the information flow between groups'; each layer reaches half a group further",
)
def the_shift_connects_the_groups(case: Case) -> tuple[Tensor, Tensor]:
    g = 2 * case.r
    return reach(Shifted(g).mask(2, 4 * g, torch.device("cpu")), 8), _everything_before(4 * g)


@misconception(
    of=the_shift_connects_the_groups,
    statement=r"Local groups are enough: depth carries information across them.",
    source="the shift left out; a group boundary at one place in every layer is never crossed",
)
def false_depth_alone_connects_the_groups(case: Case) -> tuple[Tensor, Tensor]:
    g = 2 * case.r
    return reach(Shifted(g).mask(2, 4 * g, torch.device("cpu"))[:1], 8), _everything_before(4 * g)
