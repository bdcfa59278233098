"""Training steps against PEFT's, on one LLaMA-style model, in one process and in turn.

    python tests/bench/bench_step.py [--rounds 15] [--hidden 256] [--threads 2]

Ratios are medians over rounds of the ratio within a round, of process CPU time: absolute times say little on a shared
machine. Bytes kept are the unique storages that autograd saves for backward, parameters excluded. Not a test.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import peft
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import lorabook as lb

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
R, ALPHA, BATCH, LENGTH = 8, 16.0, 8, 128


def base(hidden: int) -> LlamaForCausalLM:
    """Return the same random model on every call."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=hidden, intermediate_size=hidden * 43 // 16,
        num_hidden_layers=4 if hidden < 512 else 1, num_attention_heads=8, num_key_value_heads=8,
        max_position_embeddings=LENGTH, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def ours(hidden: int, recipe: lb.Recipe) -> nn.Module:
    model = base(hidden)
    lb.inject(model, recipe, targets="_proj")
    return model


def theirs(hidden: int, config: peft.PeftConfig) -> nn.Module:
    return peft.get_peft_model(base(hidden), config)


def pairs(hidden: int) -> dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]]:
    """Return builders of (our model, PEFT's model) for each variant."""
    lora = {"r": R, "lora_alpha": ALPHA, "target_modules": TARGETS}
    adalora = {"init_r": 12, "target_r": 4, "total_step": 10_000, "tinit": 9_000, "tfinal": 500, "lora_alpha": ALPHA}
    return {
        "LoRA": (lambda: ours(hidden, lb.LoRA(R, ALPHA)), lambda: theirs(hidden, peft.LoraConfig(**lora))),
        "rsLoRA": (
            lambda: ours(hidden, lb.rsLoRA(R, ALPHA)),
            lambda: theirs(hidden, peft.LoraConfig(**lora, use_rslora=True)),
        ),
        "PiSSA": (
            lambda: ours(hidden, lb.PiSSA(R, ALPHA)),
            lambda: theirs(hidden, peft.LoraConfig(**lora, init_lora_weights="pissa")),
        ),
        "DoRA": (
            lambda: ours(hidden, lb.DoRA(R, ALPHA)),
            lambda: theirs(hidden, peft.LoraConfig(**lora, use_dora=True)),
        ),
        "AdaLoRA": (
            lambda: ours(hidden, lb.AdaLoRA(12, ALPHA, total_steps=10_000)),
            lambda: theirs(hidden, peft.AdaLoraConfig(**adalora, target_modules=TARGETS)),
        ),
        "LoHa": (
            lambda: ours(hidden, lb.LoHa(R, ALPHA)),
            lambda: theirs(hidden, peft.LoHaConfig(r=R, alpha=ALPHA, target_modules=TARGETS)),
        ),
    }


class Stepper:
    """One model, its optimiser and its batch; `step` trains once."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4)
        self.tokens = torch.randint(512, (BATCH, LENGTH), generator=torch.Generator().manual_seed(1))

    def loss(self) -> Tensor:
        logits = self.model(input_ids=self.tokens, use_cache=False).logits
        return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), self.tokens[:, 1:].flatten())

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def kept(self) -> int:
        """Return the bytes that the forward pass keeps for backward, without parameters and buffers."""
        own = {t.untyped_storage().data_ptr() for t in (*self.model.parameters(), *self.model.buffers())}
        saved: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            storage = t.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = storage.nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = self.loss()
        kept = sum(saved.values())
        del loss
        return kept


class FrozenStepper(Stepper):
    """The frozen base's own forward and backward: every input gradient, no weight gradient."""

    def __init__(self, model: nn.Module) -> None:
        model.requires_grad_(False)
        model.enable_input_require_grads()
        self.model, self.tokens = model.train(), torch.randint(512, (BATCH, LENGTH))

    def step(self) -> None:
        self.loss().backward()


def seconds(step: Callable[[], None]) -> float:
    """Return the process CPU seconds of one call: immune to what else the machine does."""
    began = time.process_time()
    step()
    return time.process_time() - began


def compare(name: str, rounds: int, steppers: list[Stepper]) -> None:
    """Step ours, PEFT's and the frozen base in turn and print the median ratios."""
    for stepper in steppers:
        stepper.step()
        stepper.step()
    times = [[seconds(stepper.step) for stepper in steppers] for _ in range(rounds)]
    against_peft = sorted(t[0] / t[1] for t in times)
    against_frozen = statistics.median(t[0] / t[2] for t in times)
    quarter = len(times) // 4
    kept = [stepper.kept() / 2**20 for stepper in steppers[:2]]
    print(
        f"{name:8s} {statistics.median(against_peft):5.2f} of PEFT ({against_peft[quarter]:.2f}–"
        f"{against_peft[-1 - quarter]:.2f})   {against_frozen:5.2f} of the frozen base   "
        f"kept {kept[0]:6.1f} MiB, PEFT {kept[1]:6.1f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds after two warm-up steps (15)")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model (256)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--only", default="", help="variants whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, peft {peft.__version__}, hidden {options.hidden}, {options.threads} threads")
    for name, (our, their) in pairs(options.hidden).items():
        if options.only.lower() in name.lower():
            compare(name, options.rounds, [Stepper(our()), Stepper(their()), FrozenStepper(base(options.hidden))])
            gc.collect()


if __name__ == "__main__":
    main()
