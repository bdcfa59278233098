"""Prefix tuning: n trained keys and values in front of every layer's own; no weight changes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.core.unmergeable import Unmergeable
from lorabook.core.whole_number import refuse_unless_whole
from lorabook.models.decoder import Attention, full

SPREAD = 0.02
"""Deviation of the first keys and values; GPT-2's. (PEFT draws N(0, 1); the paper starts from those of real words.)"""


class Prefix(Unmergeable):
    """softmax(q·[P_k; K]ᵀ/√d_head + mask)·[P_v; V]: every position also looks at n trained keys and values.

    The prefix has no position: P_k is not rotated, and K keeps the positions it had. (Behind a prefix of n, PEFT counts
    K's positions from n. Rotated by −n its keys do the same as ours.) The paper trains P through a second network,
    which is thrown away afterwards; here P itself trains.

    Source: Li, Liang 2021 (2101.00190), section 4.
    """

    def __init__(self, n: int, kv_heads: int, d_head: int, like: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.P_k, self.P_v = (
            nn.Parameter((SPREAD * torch.randn(kv_heads, n, d_head, generator=generator)).to(like)) for _ in "kv"
        )

    def mask(self, length: int) -> Bool[Tensor, "length seen"]:
        """Return who looks at whom: all at the prefix, and each at itself and what came before it."""
        n = self.P_k.shape[1]
        return torch.ones(length, n + length, dtype=torch.bool, device=self.P_k.device).tril(n)

    def forward(
        self, q: Float[Tensor, "batch heads length d_head"], k: Float[Tensor, "batch heads length d_head"],
        v: Float[Tensor, "batch heads length d_head"],
    ) -> Float[Tensor, "batch heads length d_head"]:  # fmt: skip
        batch, heads, length, _ = q.shape
        p_k, p_v = (self._for_all(p, batch, heads) for p in (self.P_k, self.P_v))
        k, v = torch.cat([p_k, k], dim=2), torch.cat([p_v, v], dim=2)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask(length))

    def _for_all(self, p: Tensor, batch: int, heads: int) -> Tensor:
        return p.repeat_interleave(heads // len(p), dim=0).expand(batch, -1, -1, -1)

    @property
    def why(self) -> str:
        return "it adds keys and values, and changes no matrix that could be replaced"

    @staticmethod
    def count(n: int, layers: int, kv_heads: int, d_head: int) -> int:
        """Return the number of trained parameters of a model: 2·n·layers·kv_heads·d_head."""
        return 2 * n * layers * kv_heads * d_head


def insert_prefix(model: nn.Module, *, n: int, generator: torch.Generator | None = None) -> dict[str, Prefix]:
    """Put a trained prefix of n keys and values in every attention, freeze the rest; return the prefixes by name.

    Args:
        generator: source of randomness for the prefixes; seed 0 on the CPU if None.

    Raises:
        ValueError: n is below 1, the model has no lorabook Attention, or its attention is replaced already.
    """
    refuse_unless_whole("prefix: n", n, 1, " (the paper uses 10 to 200)")
    heads = {name: part for name, part in model.named_modules() if isinstance(part, Attention)}
    if not heads:
        raise ValueError(
            f"{type(model).__name__} has no lorabook.models.decoder.Attention to put a prefix in: load the model with "
            "lorabook.load"
        )
    taken = [name for name, head in heads.items() if head.attend is not full]
    if taken:
        raise ValueError(
            f"{taken[0]}.attend is {type(heads[taken[0]].attend).__name__}, and a prefix is defined for full causal "
            "attention: use the one or the other"
        )
    generator = generator or torch.Generator().manual_seed(0)
    model.requires_grad_(False)
    for head in heads.values():
        like = next(head.k_proj.parameters())
        head.attend = Prefix(n, head.kv_heads, head.d_head, like, generator).train(head.training)
    return {f"{name}.attend": head.attend for name, head in heads.items()}
