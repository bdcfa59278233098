"""LongLoRA: while training, look only inside short groups of tokens, half of the heads in shifted groups."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe
from lorabook.core.unmergeable import Unmergeable
from lorabook.core.whole_number import refuse_unless_whole
from lorabook.models.decoder import Attention, Decoder, full


class Shifted(nn.Module):
    """S²-Attn in training mode, full causal attention in eval mode.

    In the first half of the heads token i looks at group ⌊i/g⌋; in the others, at group ⌊(i + ⌊g/2⌋)/g⌋, so that one
    half sees across the borders of the other. Always causal, for any length: the first shifted group and the last ones
    are shorter, and none is empty, since 2 ≤ g. (The paper rolls the tokens round instead, and in the authors' path
    without flash attention the first tokens then see the last ones; their flash path cuts that group in two, which is
    what happens here.)
    With an odd number of heads the larger half is shifted, as in the authors' code.

    Source: Chen et al. 2023 (2309.12307), section 3.2.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        _refuse_small_group(group)
        self.group = group

    def mask(self, heads: int, length: int, device: torch.device) -> Bool[Tensor, "heads length length"]:
        """Return who looks at whom: mask[h, i, j] is True if in head h token i sees token j. This is the definition."""
        i = torch.arange(length, device=device)
        shift = torch.zeros(heads, 1, dtype=torch.long, device=device)
        shift[heads // 2 :] = self.group // 2
        home = (i + shift) // self.group
        return (home[:, :, None] == home[:, None, :]) & (i[None, :, None] >= i)

    def dense(
        self,
        q: Float[Tensor, "batch heads length d_head"],
        k: Float[Tensor, "batch heads length d_head"],
        v: Float[Tensor, "batch heads length d_head"],
    ) -> Float[Tensor, "batch heads length d_head"]:
        """Return softmax(q kᵀ / √d_head + log mask) v: L² scores, most of them thrown away."""
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(*q.shape[1:3], q.device))

    def forward(
        self,
        q: Float[Tensor, "batch heads length d_head"],
        k: Float[Tensor, "batch heads length d_head"],
        v: Float[Tensor, "batch heads length d_head"],
    ) -> Float[Tensor, "batch heads length d_head"]:
        if not self.training:
            return full(q, k, v)
        # Split, not sliced: the backward pass of one split is one copy, that of every slice fills a whole tensor.
        heads, length = q.shape[1:3]
        short = min(length, self.group - self.group // 2)
        halves = [t.split([heads // 2, heads - heads // 2], dim=1) for t in (q, k, v)]
        straight = in_groups(*(half for half, _ in halves), self.group)
        cut = [half.split([short, length - short], dim=2) for _, half in halves]
        first, rest = full(*(t for t, _ in cut)), in_groups(*(t for _, t in cut), self.group)
        return torch.cat([straight, torch.cat([first, rest], dim=2)], dim=1)

    def extra_repr(self) -> str:
        return f"group={self.group}"


def in_groups(q: Tensor, k: Tensor, v: Tensor, group: int) -> Float[Tensor, "batch heads length d_head"]:
    """Return causal attention inside groups of consecutive tokens, the last of them perhaps shorter: L·g scores."""
    batch, _, length, _ = q.shape
    whole = length - length % group

    def folded(t: Tensor) -> Tensor:
        return t.unflatten(2, (-1, group)).transpose(1, 2).flatten(0, 1)

    cut = [t.split([whole, length - whole], dim=2) for t in (q, k, v)]
    parts = []
    if whole:
        inside = full(*(folded(t) for t, _ in cut))
        parts.append(inside.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3))
    if whole < length or not length:
        parts.append(full(*(t for _, t in cut)))
    return torch.cat(parts, dim=2)


@dataclass(frozen=True)
class ShiftedGroups:
    """LongLoRA's value on the attention axis: one `Shifted` for each attention module of a decoder."""

    group: int

    def __post_init__(self) -> None:
        _refuse_small_group(self.group)

    def build(self, model: nn.Module) -> None:
        for attention in _attention_modules(model):
            attention.attend = Shifted(self.group).train(attention.training)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Check that the longest text of the model falls into more than one group.

        Raises:
            ValueError: it does not, so that the unshifted heads would train with full attention, and not say so; or the
                model has no attention of ours, or one that was trained.
        """
        _attention_modules(model)
        for decoder in model.modules():
            if isinstance(decoder, Decoder) and self.group >= decoder.config.context:
                longest = decoder.config.context
                raise ValueError(
                    f"LongLoRA: group is {self.group}, and the model reads at most {longest} tokens, so no text would "
                    f"be cut into groups; interpolate(model, context) first to read longer texts, or take a group "
                    f"below {longest}, such as {max(2, longest // 4)}"
                )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def _refuse_small_group(group: int) -> None:
    refuse_unless_whole("LongLoRA: group", group, 2, " (a quarter of the text)", unit="tokens")


def _attention_modules(model: nn.Module) -> list[Attention]:
    attentions = [module for module in model.modules() if isinstance(module, Attention)]
    if not attentions:
        raise ValueError(
            f"the recipe replaces attention, and {type(model).__name__} has no lorabook.models.decoder.Attention: "
            "load the model with lorabook.load, or drop that recipe"
        )
    trained = [attention.attend for attention in attentions if isinstance(attention.attend, Unmergeable)]
    if trained:
        raise ValueError(
            f"the recipe replaces attention, and with it a trained {type(trained[0]).__name__}: use one of the two"
        )
    return attentions


def LongLoRA(group: int, r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """LoRA for longer texts: S²-Attn in groups of `group` tokens while training, and norms and embedding train as well.

    Put it on q, k, v and o. The paper takes group = L/4, so attention costs a quarter. To reach beyond the length of
    pretraining, call interpolate(model, L) first, and then inject(model, LongLoRA(L // 4), …). In training mode
    attention runs in groups; after `fit`, or model.eval(), it is full. A tied output head trains with its embedding.

    A text may have any length: where `group` does not divide it, the last groups are shorter, exactly as defined. A
    text of at most `group` tokens is one group in the unshifted heads, so short texts save little or nothing.

    Raises:
        ValueError: `group` is no whole number ≥ 2; at injection, if it is not below the model's longest text.

    Source: Chen et al. 2023 (2309.12307), sections 3.2 and 3.3.
    """
    attention = ShiftedGroups(group)
    return Recipe(r, alpha, dropout, attention=attention, also_train=r"norm|embed", names=frozenset({"LongLoRA"}))
