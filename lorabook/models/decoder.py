"""A LLaMA-style decoder: the model that every chapter adapts.

    h ← h + o(attend(rope(q(x)), rope(k(x)), v(x))),   x = RMSNorm(h)
    h ← h + down(silu(gate(x)) ⊙ up(x)),               x = RMSNorm(h)

Each weight matrix is its own Linear under the name that Hugging Face's LLaMA uses, so checkpoints map one to one and a
regular expression over names can pick what is adapted. How positions look at each other is a value, `attend`.

Source: Touvron et al. 2023 (arXiv 2302.13971), section 2.2; Su et al. 2021 (arXiv 2104.09864) for the rotations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.core.whole_number import refuse_unless_whole

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a decoder; the defaults are the base that ships with the book."""

    vocab: int = 1024
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    d_head: int = 32
    ffn: int = 512
    context: int = 256
    tied: bool = True
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    dropout: float = 0.0
    position_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("vocab", "hidden", "layers", "heads", "kv_heads", "d_head", "ffn", "context"):
            refuse_unless_whole(f"DecoderConfig: {name}", getattr(self, name))
        if self.heads % self.kv_heads:
            raise ValueError(
                f"DecoderConfig: {self.heads} heads cannot share {self.kv_heads} kv_heads evenly; "
                f"choose kv_heads that divides heads."
            )
        if self.d_head % 2:
            raise ValueError(f"DecoderConfig: d_head = {self.d_head}; rotations pair entries, so make it even.")
        if not 0 < self.position_scale <= 1:
            raise ValueError(
                f"DecoderConfig: position_scale = {self.position_scale!r}; expected a number in (0, 1], the pretrained "
                f"length over the length to read. lorabook.axes.attention.interpolation.interpolate sets it."
            )


def rotations(
    length: int, d_head: int, theta: float, device: torch.device, position_scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Give cos and sin of the angles of every position m, each (length, d_head), in float32.

    m · position_scale · theta^(−2i/d_head); a scale below 1 puts positions nearer to each other than they were trained.
    """
    i = torch.arange(0, d_head, 2, device=device, dtype=torch.float32)
    m = torch.arange(length, device=device, dtype=torch.float32) * position_scale
    angle = m[:, None] * theta ** (-i / d_head)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(
    x: Float[Tensor, "batch heads length d_head"],
    cos: Float[Tensor, "length d_head"],
    sin: Float[Tensor, "length d_head"],
) -> Float[Tensor, "batch heads length d_head"]:
    """Turn entry i and entry i + d_head/2 of every head by its position's angle (Hugging Face's pairing)."""
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


def full(
    q: Float[Tensor, "batch heads length d_head"],
    k: Float[Tensor, "batch heads length d_head"],
    v: Float[Tensor, "batch heads length d_head"],
) -> Float[Tensor, "batch heads length d_head"]:
    """Attend from every position to all earlier ones and to itself.

    softmax(q kᵀ / √d_head + mask) v, where mask is −∞ above the diagonal.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Attention(nn.Module):
    """Grouped-query attention; set `attend` to change who looks at whom."""

    def __init__(self, config: DecoderConfig, attend: Attend):
        super().__init__()
        c = config
        self.heads, self.kv_heads, self.d_head = c.heads, c.kv_heads, c.d_head
        self.q_proj = nn.Linear(c.hidden, c.heads * c.d_head, bias=False)
        self.k_proj = nn.Linear(c.hidden, c.kv_heads * c.d_head, bias=False)
        self.v_proj = nn.Linear(c.hidden, c.kv_heads * c.d_head, bias=False)
        self.o_proj = nn.Linear(c.heads * c.d_head, c.hidden, bias=False)
        self.attend = attend

    def forward(self, x: Float[Tensor, "batch length hidden"], cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape

        def split(y: Tensor, heads: int) -> Tensor:
            return y.view(batch, length, heads, self.d_head).transpose(1, 2)

        q = rotate(split(self.q_proj(x), self.heads), cos, sin)
        k = rotate(split(self.k_proj(x), self.kv_heads), cos, sin)
        v = split(self.v_proj(x), self.kv_heads)
        group = self.heads // self.kv_heads
        out = self.attend(q, k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1))
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) ⊙ up(x))."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.hidden, bias=False)

    def forward(self, x: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows hidden"]:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One residual block: attention, then the SwiGLU network, each on a normalised copy of the stream."""

    def __init__(self, config: DecoderConfig, attend: Attend):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.self_attn = Attention(config, attend)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, h: Float[Tensor, "batch length hidden"], cos: Tensor, sin: Tensor) -> Tensor:
        h = h + self.dropout(self.self_attn(self.input_layernorm(h), cos, sin))
        return h + self.dropout(self.mlp(self.post_attention_layernorm(h)))


class Decoder(nn.Module):
    """A causal language model: token numbers in, logits out."""

    def __init__(self, config: DecoderConfig, attend: Attend = full):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab, config.hidden)
        self.layers = nn.ModuleList(Layer(config, attend) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.lm_head = nn.Linear(config.hidden, config.vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length vocab"]:
        if tokens.shape[-1] > self.config.context:
            raise ValueError(
                f"Decoder: {tokens.shape[-1]} tokens, but this model's context is {self.config.context}; "
                f"cut the text into shorter pieces, or interpolate(model, context) and train on long ones."
            )
        if tokens.device != self.norm.weight.device:
            raise ValueError(
                f"Decoder: the tokens are on {tokens.device} and the model on {self.norm.weight.device}; "
                f"move the tokens with tokens.to({str(self.norm.weight.device)!r})."
            )
        c = self.config
        cos, sin = rotations(tokens.shape[-1], c.d_head, c.rope_theta, tokens.device, c.position_scale)
        h = self.embed_tokens(tokens)
        cos, sin = cos.to(h.dtype), sin.to(h.dtype)
        for layer in self.layers:
            h = layer(h, cos, sin)
        return self.lm_head(self.norm(h))


@torch.no_grad()
def initialise(model: Decoder, generator: torch.Generator) -> None:
    """Draw every matrix from N(0, 0.02²), and what writes to the residual stream from N(0, 0.02² / 2·layers).

    Source: Radford et al. 2019 (GPT-2), section 2.3.
    """
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            weight.normal_(0.0, 0.02 / (2 * model.config.layers) ** 0.5 if writes else 0.02, generator=generator)
