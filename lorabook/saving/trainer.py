"""A recipe under transformers' Trainer: its optimiser, its step rule, and checkpoints that open.

Trainer knows nothing of a recipe: by itself it takes its own AdamW, no step rule, and cannot save. So

    Trainer(model, args, train_dataset=…, **for_trainer(model, lr=1e-3))
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lorabook.core.adapted_layer import adapted
from lorabook.core.optimizer import optimizer
from lorabook.core.plain_saving import METHOD
from lorabook.core.recipe import Rule
from lorabook.core.step_rule import StepRule
from lorabook.saving.save import save_adapter

RULE, NUMBERS = "lorabook_rule.safetensors", "model.safetensors"


def for_trainer(model: nn.Module, lr: float) -> dict[str, Any]:
    """Return what Trainer needs to train as `fit` does: `optimizers` and `callbacks`.

    The optimiser is the recipe's, with its own rates and weight decay: TrainingArguments' are not looked at; its
    schedule, clipping and accumulation are. A checkpoint holds the adapter's files, which AutoModel opens on top of the
    base, and what trained, under its names here, from which Trainer goes on.

    Raises:
        ValueError: nothing trains, lr is not a positive number, or two step rules are asked for.
    """
    rules = {layer.recipe.rule for layer in adapted(model).values()} - {None}
    if len(rules) > 1:
        raise ValueError(f"the adapted layers ask for {len(rules)} different step rules: inject them with one recipe")
    if METHOD in dir(type(model)):
        vars(model)[METHOD] = AdapterSaving(model)
    callbacks = [StepRuleCallback(rule, model) for rule in rules]
    return {"optimizers": (optimizer(model, lr), None), "callbacks": callbacks}


class AdapterSaving:
    """Stands in an adapted model for `save_pretrained`: writes the adapter, and what Trainer resumes from.

    No config.json is written beside them, so that `from_pretrained` looks for the base by its name and never takes this
    folder for a whole model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, folder: str, is_main_process: bool = True, **named: Any) -> None:
        if not adapted(self.model):
            getattr(type(self.model), METHOD)(self.model, folder, is_main_process=is_main_process, **named)
        elif is_main_process:
            save_adapter(self.model, folder)
            save_file(_numbers(self.model), Path(folder) / NUMBERS, metadata={"format": "pt"})


def _numbers(model: nn.Module) -> dict[str, Tensor]:
    """Return what of a model's state a run can have changed: all but frozen parameters and the stores of W₀."""
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    updates = tuple(f"{name}.update.".removeprefix(".") for name in adapted(model))
    stores = tuple(f"{name}.{part}.".removeprefix(".") for name in adapted(model) for part in ("base", "start"))
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
        if name.startswith(updates) or (name not in frozen and not name.startswith(stores))
    }


class StepRuleCallback(TrainerCallback):
    """Calls a recipe's step rule where `fit` calls it.

    The penalty's gradient is added before the batches' own, at the same parameters: the same sum, clipped as a whole.
    """

    rule: StepRule

    def __init__(self, value: Rule, model: nn.Module) -> None:
        self.value, self.model = value, model

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        if args.fp16:
            raise ValueError("a step rule reads gradients, which fp16 scales: train in bf16 or float32")
        self.rule = self.value.build(self.model)
        self.rule.begin(state.max_steps)
        if state.global_step:
            self.rule.load_state_dict(load_file(_rule_file(args, state)))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        penalty = self.rule.penalty()
        if penalty.requires_grad:
            penalty.backward()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        self.rule.before_step(state.global_step)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        self.rule.after_step(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any) -> None:
        kept = {name: tensor.detach().clone() for name, tensor in self.rule.state_dict().items()}
        save_file(kept, _rule_file(args, state))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any) -> None:
        self.rule.end()


def _rule_file(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / RULE
