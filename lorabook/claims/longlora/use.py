"""What LongLoRA trains, what is there at inference, and what no run here can settle."""

from dataclasses import replace

import torch
from torch import Tensor

from lorabook.axes.attention.longlora import LongLoRA, Shifted
from lorabook.axes.attention.score_terms import ScoreTerms, score_terms
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.longlora.cost import QKVO
from lorabook.claims.longlora.shifted import PAPER
from lorabook.claims.unchecked import Unchecked
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merged
from lorabook.core.recipe import Recipe
from lorabook.cost.count import LLAMA, lora_parameters, trainable
from lorabook.models.decoder import Decoder, DecoderConfig, full, rotations

SHAPE = DecoderConfig(vocab=32, hidden=16, layers=2, heads=2, kv_heads=1, d_head=8, ffn=24, context=16)


def decoder(case: Case, recipe: Recipe) -> Decoder:
    """Return a small decoder adapted with this case's rank, in training mode, every number moved from its start."""
    model = Decoder(SHAPE).double()
    _draw(case, model)  # before injection, since a frozen matrix is no parameter any more
    inject(model, replace(recipe, r=case.r), QKVO)
    _draw(case, model)
    return model.train()


def _draw(case: Case, model: Decoder) -> None:
    for name, parameter in model.named_parameters():
        parameter.data = 0.3 * case.randn(*parameter.shape, stream=name)


def _logits(case: Case, model: Decoder) -> Tensor:
    with torch.no_grad():
        return model(torch.randint(SHAPE.vocab, (1, SHAPE.context), generator=case.generator("text")))


def _merged_in_full(case: Case) -> Tensor:
    """Return what plain layers with the merged weights say under full attention."""
    model = decoder(case, LongLoRA(4))
    with merged(model):
        plain = Decoder(SHAPE, full).double()
        plain.load_state_dict(model.state_dict())
    return _logits(case, plain)


@claim(
    statement=r"At inference LongLoRA is the merged model under full attention.",
    source=f"{PAPER}, section 3.2; groups are for training, and no weight knows of them",
)
def inference_is_full_attention(case: Case) -> tuple[Tensor, Tensor]:
    return _logits(case, decoder(case, LongLoRA(4)).eval()), _merged_in_full(case)


@misconception(
    of=inference_is_full_attention,
    statement=r"A model that was trained in groups answers in groups.",
    source="the forward pass of training, taken for the model's own",
)
def false_inference_stays_in_groups(case: Case) -> tuple[Tensor, Tensor]:
    return _logits(case, decoder(case, LongLoRA(4))), _merged_in_full(case)


def _far_scores(case: Case) -> tuple[Tensor, ScoreTerms]:
    """Return the scores that a trained first layer computes at inference, and the parts they are made of."""
    model = decoder(case, LongLoRA(4)).eval()
    attention, caught = model.layers[0].self_attn, []
    x = case.randn(1, SHAPE.context, SHAPE.hidden, stream="x")
    turns = [t.double() for t in rotations(SHAPE.context, SHAPE.d_head, SHAPE.rope_theta, x.device)]
    attention.attend.register_forward_pre_hook(lambda _, qkv: caught.append(qkv[0] @ qkv[1].mT / SHAPE.d_head**0.5))
    with torch.no_grad():
        attention(x, *turns)
    return caught[0], score_terms(attention, x, *turns)


def _far(scores: Tensor) -> Tensor:
    """Return the scores of tokens that were never in one group."""
    return scores[0][:, ~Shifted(4).mask(SHAPE.heads, SHAPE.context, scores.device).any(0)]


@claim(
    statement=r"Tokens that never met in a group are compared with adapted queries and keys too.",
    source="there is one q_proj and one k_proj for near and far: the mask is what training changes, not the weights",
)
def far_scores_are_adapted_too(case: Case) -> tuple[Tensor, Tensor]:
    used, parts = _far_scores(case)
    return _far(used), _far(parts.total)


@misconception(
    of=far_scores_are_adapted_too,
    statement=r"Only short-range attention gets LoRA; what is far apart stays with the frozen weights.",
    source="a teaching text",
)
def false_far_scores_stay_frozen(case: Case) -> tuple[Tensor, Tensor]:
    used, parts = _far_scores(case)
    return _far(used), _far(parts.frozen)


def _numbers(case: Case, recipe: Recipe) -> Tensor:
    return torch.tensor(trainable(decoder(case, recipe)))


@claim(
    statement=r"LongLoRA trains LoRA's numbers, $|V|\,d$ of the embedding and $(2n+1)\,d$ of the norms in $n$ layers.",
    source=f"{PAPER}, section 3.3",
)
def embedding_and_norms_train_as_well(case: Case) -> tuple[Tensor, Tensor]:
    return _numbers(case, LongLoRA(4)), _numbers(case, LoRA()) + 32 * 16 + 5 * 16


@misconception(
    of=embedding_and_norms_train_as_well,
    statement=r"LongLoRA trains no more parameters than LoRA.",
    source="tables that compare variants by their adapters alone",
)
def false_no_extra_parameters(case: Case) -> tuple[Tensor, Tensor]:
    return _numbers(case, LongLoRA(4)), _numbers(case, LoRA())


@misconception(
    of=embedding_and_norms_train_as_well,
    statement=r"Each group has a LoRA of its own.",
    source="a teaching text that takes groups of tokens for groups of heads with adapters, as in grouped queries",
)
def false_each_group_has_its_own_lora(case: Case) -> tuple[Tensor, Tensor]:
    return _numbers(case, LongLoRA(4)), _numbers(case, LoRA()) * SHAPE.context // 4 + 32 * 16 + 5 * 16


def _against_lora_at_7b() -> Tensor:
    """Return how many times LoRA's numbers LongLoRA trains in LLaMA-2-7B at r = 8, by building one layer of it."""
    shape = LLAMA["7B"]
    with torch.device("meta"):
        model = Decoder(replace(shape, layers=1))
    inject(model, LongLoRA(512, r=8), QKVO)
    lora, layer = lora_parameters(shape, 8, QKVO), 2 * shape.hidden + lora_parameters(replace(shape, layers=1), 8, QKVO)
    return torch.tensor((trainable(model) + (shape.layers - 1) * layer) / lora, dtype=torch.float64)


@claim(
    statement=r"In LLaMA-2-7B at $r=8$ LongLoRA trains 16.7 times LoRA's numbers.",
    source="8.4 million of LoRA on q, k, v, o; 131.1 million of the embedding; 0.27 million of the norms",
    tol=0.001,
    cases=(Case(4096, 4096, 8),),
)
def seventeen_times_lora_at_7b(case: Case) -> tuple[Tensor, Tensor]:
    return _against_lora_at_7b(), torch.tensor(16.66)


@misconception(
    of=seventeen_times_lora_at_7b,
    statement=r"LongLoRA trains 120 to 150% of what LoRA does.",
    source="a teaching text; the upper end is compared here",
)
def false_half_as_many_again(case: Case) -> tuple[Tensor, Tensor]:
    return _against_lora_at_7b(), torch.tensor(1.5)


LONGLORA_YEAR = Unchecked(
    statement="LongLoRA is of 2023; LongLoRA is of 2024.",
    source="teaching texts",
    reason="a matter of bibliography: on arXiv in September 2023 and at ICLR in 2024, so that both are right",
)
LLAMA_TO_100K = Unchecked(
    statement="LongLoRA takes LLaMA-7B from 4k to 100k tokens.",
    source=f"{PAPER}, table 4",
    reason="a run of days on eight large GPUs; it was LLaMA-2, with positions interpolated by 25, and the 100k weights "
    "that the authors gave out are listed as fully fine-tuned",
)
NEEDLE_IN_A_HAYSTACK = Unchecked(
    statement="LongLoRA is near the best on needle-in-a-haystack at 100k tokens after one or two days on eight A100.",
    source="a teaching text",
    reason="needs the large model and the GPUs; the paper reports retrieval of a pass key and of topics, no such test",
)
BASE_OF_MANY_MODELS = Unchecked(
    statement="Many open long-context models are built on LongLoRA.",
    source="a teaching text",
    reason="a statement about who uses what, which nothing here can count",
)
STRIDE_TOO_LARGE = Unchecked(
    statement="Quality drops if the stride of the shift is too large.",
    source="a teaching text",
    reason="there is no stride to vary; the paper varies the group, on a model too large for this machine",
)
AS_GOOD_AS_FULL_ATTENTION = Unchecked(
    statement="Quality comes near that of fine-tuning with full attention.",
    source=f"{PAPER}, table 2",
    reason="perplexity of large models on long books; the small base here is compared in an experiment among the tests",
)
