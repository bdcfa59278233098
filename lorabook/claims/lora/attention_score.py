"""What is true of an attention score under LoRA, and what is only often said."""

import torch
from torch import Tensor, nn

from lorabook.axes.attention.score_terms import ScoreTerms, score_terms
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.models.decoder import Attention, DecoderConfig, full, rotations

LENGTH = 5
CASES = (Case(16, 16, 1), Case(16, 16, 3), Case(16, 16, 8))
CONFIG = DecoderConfig(vocab=8, hidden=16, layers=1, heads=4, kv_heads=2, d_head=4, ffn=16)


def world(case: Case, grow: float = 1.0) -> tuple[Attention, Tensor, Tensor, Tensor]:
    """Return an attention module whose q and k have trained adapters, inputs, and the rotations; `grow` "
    "multiplies s."""
    attention = Attention(CONFIG, full).double()
    for name, layer in attention.named_children():
        nn.init.normal_(layer.weight, std=0.25, generator=case.generator(name))
    recipe = LoRA(case.r, case.alpha * grow)
    for name, layer in inject(attention, recipe, "q_proj|k_proj", case.generator("A")).items():
        layer.update.B.data.normal_(generator=case.generator("B" + name))
    x = case.randn(1, LENGTH, CONFIG.hidden, stream="x")
    cos, sin = rotations(LENGTH, CONFIG.d_head, CONFIG.rope_theta, torch.device("cpu"))
    return attention, x, cos.double(), sin.double()


def terms(case: Case, grow: float = 1.0) -> ScoreTerms:
    """Return the parts of the scores of that module."""
    return score_terms(*world(case, grow))


def used(case: Case) -> Tensor:
    """Return the scores that the module really uses, caught where it attends."""
    attention, x, cos, sin = world(case)
    caught = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        caught.append(q @ k.transpose(-1, -2) / CONFIG.d_head**0.5)
        return v

    attention.attend = attend
    with torch.no_grad():
        attention(x, cos, sin)
    return caught[0]


@claim(
    statement=r"$q^\top k=q_0^\top k_0+(q_0^\top\Delta k+\Delta q^\top k_0)+\Delta q^\top\Delta k$, each of the four "
    r"rotated to its position.",
    source="bilinearity of the product, linearity of the rotation",
    tol=1e-6,
    cases=CASES,
)
def a_score_has_three_parts(case: Case):
    return used(case), terms(case).total


@misconception(
    of=a_score_has_three_parts,
    statement=r"The same with the projections as they leave the layer: rotation may be left out of the sum.",
    source="the decomposition as texts print it, for models that have rotary positions",
)
def false_rotation_may_be_left_out(case: Case):
    attention, x, cos, sin = world(case)
    return used(case), score_terms(attention, x, torch.ones_like(cos), torch.zeros_like(sin)).total


@claim(
    statement=r"Doubling $s$ doubles the first-order part and makes the second four times as large.",
    source="Δq and Δk are each proportional to s",
    cases=CASES,
)
def the_parts_grow_as_s_and_s_squared(case: Case):
    once, twice = terms(case), terms(case, 2.0)
    return torch.stack([twice.first, twice.second]), torch.stack([2 * once.first, 4 * once.second])


@misconception(
    of=the_parts_grow_as_s_and_s_squared,
    statement=r"All that LoRA adds to a score is proportional to $\alpha$.",
    source="true of one layer's output, and not of a product of two of them",
)
def false_the_whole_change_is_proportional_to_alpha(case: Case):
    once, twice = terms(case), terms(case, 2.0)
    return twice.first + twice.second, 2 * (once.first + once.second)
