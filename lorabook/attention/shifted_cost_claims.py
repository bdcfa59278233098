"""What LongLoRA saves and what it costs, and what is often said instead."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lorabook.adapted import inject
from lorabook.attention.full import full
from lorabook.attention.shifted import LongLoRA, in_groups
from lorabook.attention.shifted_claims import PAPER, tokens
from lorabook.cases import Case
from lorabook.claims import claim, foil
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.recipe import Recipe
from lorabook.update.low_rank import LoRA

ABOUT = "LongLoRA"

QKVO = r"[qkvo]_proj"


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
    statement=r"Groups compute $L\cdot g$ scores, not $L^2$: at $g=L/4$ exactly a quarter.",
    source=f"{PAPER}, section 3.2; counted in the calls, for heads whose groups are not shifted",
)
def a_quarter_of_the_scores(case: Case) -> tuple[Tensor, Tensor]:
    g = case.d_out
    qkv = tokens(case, 4 * g)
    return scores(lambda *t: in_groups(*t, g), qkv), scores(full, qkv) / 4


@foil(
    of=a_quarter_of_the_scores,
    statement=r"Groups compute 10 to 20 times less.",
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
    statement=r"FLOPs of full fine-tuning over FLOPs of LongLoRA with $g=L/4$: at most 4, at every length.",
    source="operation counts of LLaMA-2-7B; attention gains 4, linear layers 3/2, and a mean lies between",
    relation="<=",
)
def never_more_than_four_times(case: Case) -> tuple[Tensor, Tensor]:
    return speed_up(LENGTHS * case.r), torch.full_like(LENGTHS, 4.0)


@foil(
    of=never_more_than_four_times,
    statement=r"LongLoRA trains 5 to 8 times faster than full attention does.",
    source="summaries of LongLoRA; the paper's clock says 1.8 times at 65k tokens, against LoRA with full attention",
)
def five_times_faster(case: Case) -> tuple[Tensor, Tensor]:
    return torch.full_like(LENGTHS, 5.0), speed_up(LENGTHS * case.r)


def trained_numbers(case: Case, recipe: Recipe) -> Tensor:
    """Return how many numbers train in a small decoder under a recipe of this case's rank."""
    model = Decoder(DecoderConfig(vocab=32, hidden=16, layers=2, heads=2, kv_heads=1, d_head=8, ffn=24, context=8))
    inject(model, replace(recipe, r=case.r), QKVO)
    return torch.tensor(sum(p.numel() for p in model.parameters() if p.requires_grad))


@claim(
    statement=r"LongLoRA trains LoRA's numbers, $|V|\,d$ of the embedding and $(2n+1)\,d$ of the norms in $n$ "
    r"layers.",
    source=f"{PAPER}, section 3.3; for LLaMA-2-7B at r = 8 these are 17 times LoRA's own",
)
def embedding_and_norms_train_as_well(case: Case) -> tuple[Tensor, Tensor]:
    return trained_numbers(case, LongLoRA(4)), trained_numbers(case, LoRA()) + 32 * 16 + 5 * 16


@foil(
    of=embedding_and_norms_train_as_well,
    statement=r"LongLoRA trains no more parameters than LoRA.",
    source="tables that compare variants by their adapters alone",
)
def no_extra_parameters(case: Case) -> tuple[Tensor, Tensor]:
    return trained_numbers(case, LongLoRA(4)), trained_numbers(case, LoRA())
