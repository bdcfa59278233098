"""What a prefix does to attention, what it trains, and what it costs."""

import torch
from torch import Tensor

from lorabook.baselines.prefix import Prefix, insert_prefix
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.cost.count import trainable
from lorabook.models.decoder import Decoder, DecoderConfig, full

LI_LIANG = "Li, Liang 2021 (2101.00190), section 4"
BATCH, HEADS, KV_HEADS, D_HEAD, LENGTH, LAYERS = 2, 4, 2, 6, 5, 3


def heads(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values of every head."""
    return tuple(case.randn(BATCH, HEADS, LENGTH, D_HEAD, stream=name) for name in "qkv")


def prefix(case: Case) -> Prefix:
    """Return a prefix of r + 1 keys and values that have moved."""
    vectors = Prefix(case.r + 1, KV_HEADS, D_HEAD, case.w0(), case.generator("prefix"))
    with torch.no_grad():
        for name, p in vectors.named_parameters():
            p.copy_(case.randn(*p.shape, stream=name))
    return vectors


def mass(case: Case, vectors: Prefix) -> tuple[Tensor, Tensor]:
    """Return λ, the attention that each query pays to the prefix, and what it reads there: softmax(q·P_kᵀ)·P_v."""
    q, k, _ = heads(case)
    p_k, p_v = (p.repeat_interleave(HEADS // KV_HEADS, dim=0) for p in (vectors.P_k, vectors.P_v))
    to_prefix = (q @ p_k.mT / D_HEAD**0.5).exp()
    to_words = (q @ k.mT / D_HEAD**0.5).exp().tril()
    share = to_prefix.sum(-1) / (to_prefix.sum(-1) + to_words.sum(-1))
    return share[..., None], to_prefix / to_prefix.sum(-1, keepdim=True) @ p_v


@claim(
    statement=r"A prefix mixes: $(1-\lambda)\,\mathrm{Attn}(q,K,V)+\lambda\,\mathrm{Attn}(q,P_k,P_v)$, where "
    r"$\lambda(q)$ is the attention that $q$ pays to the prefix.",
    source="He et al. 2021 (2110.04366), equation 7: the softmax's denominator is a sum over both parts",
)
def a_prefix_mixes_two_attentions(case: Case):
    vectors = prefix(case)
    share, read = mass(case, vectors)
    return vectors(*heads(case)), (1 - share) * full(*heads(case)) + share * read


@misconception(
    of=a_prefix_mixes_two_attentions,
    statement=r"A prefix adds to what attention gives: $\mathrm{Attn}(q,K,V)+\lambda\,\mathrm{Attn}(q,P_k,P_v)$.",
    source="it takes attention from the words as well: their part shrinks by 1 − λ",
)
def false_a_prefix_only_adds(case: Case):
    vectors = prefix(case)
    share, read = mass(case, vectors)
    return vectors(*heads(case)), full(*heads(case)) + share * read


@misconception(
    of=a_prefix_mixes_two_attentions,
    statement=r"A prefix of zeros leaves the model as it was, as $B=0$ does in LoRA.",
    source="a key of zeros has the score 0, not −∞: it takes its share of every query's attention",
)
def false_a_prefix_of_zeros_changes_nothing(case: Case):
    vectors = prefix(case)
    with torch.no_grad():
        vectors.P_k.zero_()
        vectors.P_v.zero_()
    return vectors(*heads(case)), full(*heads(case))


def decoder(case: Case) -> Decoder:
    """Return a small decoder."""
    return Decoder(
        DecoderConfig(vocab=7, hidden=4 * case.d_in, layers=LAYERS, heads=HEADS, kv_heads=KV_HEADS, d_head=D_HEAD,
                      ffn=8, context=8)
    )  # fmt: skip


@claim(
    statement=r"A prefix of $n$ trains $2n\cdot\text{layers}\cdot\text{kv\_heads}\cdot d_{head}$ numbers: keys and "
    r"values in every layer.",
    source=LI_LIANG,
)
def a_prefix_trains_keys_and_values_in_every_layer(case: Case):
    model = decoder(case)
    insert_prefix(model, n=case.r)
    formula = 2 * case.r * LAYERS * KV_HEADS * D_HEAD
    counted = [trainable(model), Prefix.count(case.r, LAYERS, KV_HEADS, D_HEAD)]
    return torch.tensor(counted), torch.tensor([formula] * 2)


@misconception(
    of=a_prefix_trains_keys_and_values_in_every_layer,
    statement=r"Prefix tuning trains $n$ vectors at the input: $n\cdot\text{hidden}$ numbers.",
    source="that is prompt tuning (Lester et al. 2021, 2104.08691); a comparison table in circulation mixes the two",
)
def false_a_prefix_is_n_vectors_at_the_input(case: Case):
    model = decoder(case)
    insert_prefix(model, n=case.r)
    return torch.tensor([trainable(model)]), torch.tensor([case.r * model.config.hidden])


@claim(
    statement=r"A prefix of $n$ costs $n$ more scores for each of $L$ positions: $Ln+\tfrac12L(L+1)$ in all.",
    source="the prefix is looked at and does not look: it has keys and values, and no queries",
    when=r"$n$ is small beside $L$ it is cheap; unlike a merged update it is paid at every inference",
)
def a_prefix_costs_n_scores_a_position(case: Case):
    seen, n = prefix(case).mask(LENGTH).sum(), case.r + 1
    return seen[None], torch.tensor([LENGTH * n + LENGTH * (LENGTH + 1) // 2])


@misconception(
    of=a_prefix_costs_n_scores_a_position,
    statement=r"Attention grows from $L$ to $L+n$ positions: $\tfrac12(L+n)(L+n+1)$ scores.",
    source="right where the prefix runs through the layers as extra words; as keys and values it asks nothing",
)
def false_a_prefix_lengthens_the_text(case: Case):
    seen, n = prefix(case).mask(LENGTH).sum(), case.r + 1
    return seen[None], torch.tensor([(LENGTH + n) * (LENGTH + n + 1) // 2])
