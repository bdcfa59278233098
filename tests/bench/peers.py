"""For every form of the update, the same training step as somebody else writes it: what bench_step.py compares with."""

from collections.abc import Callable
from dataclasses import dataclass, field

import peft
import torch
from lycoris.modules.dylora import DyLoraModule
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
R, ALPHA, VOCAB, LENGTH = 8, 16.0, 512, 128


def base(hidden: int) -> LlamaForCausalLM:
    """Return the same random model on every call."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=hidden * 43 // 16,
        num_hidden_layers=4 if hidden < 512 else 1, num_attention_heads=8, num_key_value_heads=8,
        max_position_embeddings=LENGTH, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def targets(model: nn.Module) -> dict[str, nn.Linear]:
    """Return the seven matrices of every block by name."""
    return {name: module for name, module in model.named_modules() if name.split(".")[-1] in TARGETS}


def nothing_more() -> None:
    """The step is over when the optimiser's is."""


@dataclass(frozen=True)
class Peer:
    """Who, and how to build their model for a width and a dropout; `after` gives what they do after each step."""

    who: str
    build: Callable[[int, float], nn.Module]
    after: Callable[[nn.Module], Callable[[], None]] = field(default=lambda model: nothing_more)


def lora(hidden: int, dropout: float, **options) -> nn.Module:
    config = peft.LoraConfig(r=R, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=TARGETS, **options)
    return peft.get_peft_model(base(hidden), config)


def lora_of_twice_the_rank(hidden: int, dropout: float) -> nn.Module:
    """Two mini LoRAs of rank r on slices have rank 2r together, and half of this one's parameters."""
    config = peft.LoraConfig(r=2 * R, lora_alpha=2 * ALPHA, lora_dropout=dropout, target_modules=TARGETS)
    return peft.get_peft_model(base(hidden), config)


def lora_with_frozen_a(hidden: int, dropout: float) -> nn.Module:
    model = lora(hidden, dropout)
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter.requires_grad_(False)
    return model


def three_loras(hidden: int, dropout: float) -> nn.Module:
    model = lora(hidden, dropout)
    names = ["default", "second", "third"]
    for name in names[1:]:
        model.add_adapter(name, model.peft_config["default"])
    model.base_model.set_adapter(names)
    return model


def moving_w0(model: nn.Module) -> Callable[[], None]:
    """Delta-LoRA's loop: after every step W₀ += λs(BA − what it was)."""
    layers = [m for m in model.modules() if isinstance(m, peft.tuners.lora.LoraLayer)]

    def product(layer: nn.Module) -> torch.Tensor:
        return layer.lora_B["default"].weight @ layer.lora_A["default"].weight

    with torch.no_grad():
        held = [product(layer) for layer in layers]

    @torch.no_grad()
    def move() -> None:
        for i, layer in enumerate(layers):
            now = product(layer)
            layer.base_layer.weight.add_(now - held[i], alpha=2 * ALPHA / R)
            held[i] = now

    return move


def lycoris_dylora(hidden: int, dropout: float) -> nn.Module:
    model = base(hidden).requires_grad_(False)
    made = []
    for name, layer in targets(model).items():
        made.append(DyLoraModule(name.replace(".", "_"), layer, lora_dim=R, alpha=ALPHA, dropout=dropout, block_size=1))
        made[-1].apply_to()
    model.lycoris = nn.ModuleList(made).requires_grad_(True)
    return model


def of_peft(config: type[peft.PeftConfig], dropout: str, **options) -> Callable[[int, float], nn.Module]:
    """Return a builder for one of PEFT's configurations; `dropout` is its name there, "" where it has none."""

    def build(hidden: int, p: float) -> nn.Module:
        given = options | ({dropout: p} if p else {})
        return peft.get_peft_model(base(hidden), config(target_modules=TARGETS, **given))

    return build


_ADALORA = {"init_r": R, "target_r": 4, "total_step": 10_000, "tinit": 9_000, "tfinal": 500, "lora_alpha": ALPHA}
PEERS = {
    "LowRankForm": Peer("PEFT LoRA", lora),
    "LoRAFAForm": Peer("PEFT LoRA, A frozen", lora_with_frozen_a),
    "DoRAForm": Peer("PEFT DoRA", lambda hidden, dropout: lora(hidden, dropout, use_dora=True)),
    "AdaLoRAForm": Peer("PEFT AdaLoRA", of_peft(peft.AdaLoraConfig, "lora_dropout", **_ADALORA)),
    "LoHaForm": Peer("PEFT LoHa", of_peft(peft.LoHaConfig, "rank_dropout", r=R, alpha=ALPHA)),
    "LoKrForm": Peer("PEFT LoKr", of_peft(peft.LoKrConfig, "rank_dropout", r=R, alpha=ALPHA)),
    "HiRAForm": Peer("PEFT HiRA", of_peft(peft.HiraConfig, "hira_dropout", r=R)),
    "VeRAForm": Peer("PEFT VeRA", of_peft(peft.VeraConfig, "vera_dropout", r=R)),
    "GLoRAForm": Peer("PEFT GLoRA", of_peft(peft.GloraConfig, "", r=R)),
    "GLoRASupernetForm": Peer("PEFT GLoRA", of_peft(peft.GloraConfig, "", r=R)),
    "MELoRAForm": Peer("PEFT LoRA of the same rank", lora_of_twice_the_rank),
    "MultiLoRAForm": Peer("PEFT, 3 LoRAs at once", three_loras),
    "DyLoRAForm": Peer("LyCORIS DyLoRA", lycoris_dylora),
    "FrozenDyLoRAForm": Peer("LyCORIS DyLoRA", lycoris_dylora),
    "DeltaLoRAForm": Peer("PEFT LoRA, the paper's loop", lora, moving_w0),
}
"""By the form's name. MELoRA has no other implementation, and is held against LoRA of the same rank. LoHa and LoKr
of PEFT drop rows of ΔW instead of inputs; of the DyLoRAs LyCORIS has the one that trains the last row only."""
