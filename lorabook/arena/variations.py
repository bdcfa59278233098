"""Contenders of single experiments: LoRA itself, with one thing changed."""

from lorabook.arena.method import Adapter, Method
from lorabook.arena.methods import NONE
from lorabook.core.lora import LoRA

VARIATIONS: tuple[Method, ...] = (
    *(Adapter(f"LoRA r={r}", lambda r: LoRA(r, 2 * r), NONE, own=r) for r in (1, 4, 16, 64)),
    *(Adapter(f"LoRA r={r} α=16", lambda r: LoRA(r, 16), NONE, own=r) for r in (2, 32, 64)),
    Adapter("LoRA α=4", lambda r: LoRA(r, 4), NONE, own=8),
    Adapter("LoRA α=64", lambda r: LoRA(r, 64), NONE, own=8),
    Adapter("LoRA α=16√8", lambda r: LoRA(r, 16 * 8**0.5), NONE, own=8),
    Adapter("LoRA on attention", lambda r: LoRA(r, 2 * r), within="self_attn"),
    Adapter("LoRA on MLP", lambda r: LoRA(r, 2 * r), within="mlp"),
)
