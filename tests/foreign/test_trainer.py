"""transformers' Trainer with what `for_trainer` gives it: trains as `fit` does, saves what opens, and goes on."""

import copy
import itertools
from pathlib import Path

import peft
import pytest
import torch
import transformers
from small import TOKENS, gap, llama, logits, shake
from torch import Tensor, nn

import lorabook as lb
from lorabook.core.adapted_layer import adapted
from lorabook.saving.trainer import for_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

STEPS, LR = 4, 0.02
RECIPES = {
    "LoRA": lb.LoRA(r=3),
    "LoRA+": lb.LoRAPlus(8) | lb.LoRA(r=3),
    "PiSSA": lb.PiSSA(r=3),
    "AdaLoRA": lb.AdaLoRA(r=3, target_r=2, warm_up=1, final=1, every=1, orthogonality=0.1),
    "DyLoRA": lb.DyLoRA(r=3),
    "Delta-LoRA": lb.DeltaLoRA(r=3, start=1),
    "VeRA": lb.VeRA(r=3),
}


ELSEWHERE = {"DyLoRA": "lorabook", "Delta-LoRA": "lorabook", "VeRA": "does not support PeftType.VERA"}
"""Our own format, which PEFT does not know, and PEFT's VeRA, which opens through AutoPeftModel… alone."""


class OneText(torch.utils.data.Dataset):
    """The same text at every place, so that no order matters."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return {"input_ids": TOKENS[0], "labels": TOKENS[0]}


def adapted_llama(recipe: lb.Recipe, base: Path | None = None) -> nn.Module:
    model = llama() if base is None else transformers.AutoModelForCausalLM.from_pretrained(base)
    lb.inject(model, recipe, "q_proj|down_proj")
    return model


def trainer(model: nn.Module, folder: Path, steps: int = STEPS, **parts) -> transformers.Trainer:
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=2, lr_scheduler_type="constant", max_grad_norm=0.0,
        report_to="none", use_cpu=True, save_steps=2, logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    return transformers.Trainer(model, arguments, train_dataset=OneText(), **parts)


def said_of(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return model(batch[0], labels=batch[1]).loss


def trained_by_fit(recipe: lb.Recipe) -> nn.Module:
    model = adapted_llama(recipe)
    batch = (TOKENS[:1].expand(2, -1), TOKENS[:1].expand(2, -1))
    lb.fit(model, itertools.repeat(batch), steps=STEPS, lr=LR, loss=said_of, progress=False)
    return model


@pytest.mark.parametrize("name", RECIPES)
def test_trainer_trains_as_fit_does(name: str, tmp_path: Path) -> None:
    model = adapted_llama(RECIPES[name])
    trainer(model, tmp_path, **for_trainer(model, LR)).train()
    assert gap(logits(model.eval()), logits(trained_by_fit(RECIPES[name]))) < 1e-5
    assert gap(logits(model), logits(llama())) > 1e-3


@pytest.mark.parametrize("name", ["LoRA+", "AdaLoRA", "DyLoRA"])
def test_trainer_alone_trains_something_else(name: str, tmp_path: Path) -> None:
    """So there is something to give it."""
    model = adapted_llama(RECIPES[name])
    alone = trainer(model, tmp_path)
    alone.args.learning_rate, alone.args.save_strategy = LR, "no"
    alone.train()
    assert gap(logits(model.eval()), logits(trained_by_fit(RECIPES[name]))) > 1e-4


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_goes_on_from_a_checkpoint(name: str, tmp_path: Path) -> None:
    whole = adapted_llama(RECIPES[name])
    trainer(whole, tmp_path, **for_trainer(whole, LR)).train()
    again = adapted_llama(RECIPES[name])
    trainer(again, tmp_path, **for_trainer(again, LR)).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert gap(logits(again.eval()), logits(whole.eval())) < 1e-6


@pytest.mark.parametrize("name", RECIPES)
def test_a_checkpoint_opens_on_top_of_its_base_or_not_at_all(name: str, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path / "base")
    model = adapted_llama(RECIPES[name], tmp_path / "base")
    trainer(model, tmp_path / "run", **for_trainer(model, LR)).train()
    folder = tmp_path / "run" / "checkpoint-4"
    if name in ELSEWHERE:
        with pytest.raises((KeyError, ValueError), match=ELSEWHERE[name]):
            transformers.AutoModelForCausalLM.from_pretrained(folder)
        opened = llama()
        lb.load_adapter(opened, folder)
    else:
        opened = transformers.AutoModelForCausalLM.from_pretrained(folder)
        assert any(isinstance(part, peft.tuners.tuners_utils.BaseTunerLayer) for part in opened.modules())
    assert gap(logits(opened.eval()), logits(model.eval())) < 1e-4


@pytest.mark.parametrize("reach", [lambda model: model, lambda model: model.model], ids=["whole", "a part"])
def test_save_pretrained_is_refused_while_there_are_adapters_and_only_then(reach, tmp_path: Path) -> None:
    model = adapted_llama(RECIPES["LoRA"])
    shake(model)
    with pytest.raises(ValueError, match="save_adapter"):
        reach(model).save_pretrained(tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    with lb.merged(model):
        said = logits(model)
        model.save_pretrained(tmp_path / "merged")
    assert gap(logits(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")), said) < 1e-6
    lb.merge(model)
    reach(model).save_pretrained(tmp_path / "after")
    assert (tmp_path / "after" / "config.json").exists()


def test_trainer_alone_is_told_what_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="for_trainer"):
        trainer(adapted_llama(RECIPES["LoRA"]), tmp_path).train()


def test_the_copy_of_a_model_saves_the_copy(tmp_path: Path) -> None:
    model = adapted_llama(RECIPES["LoRA"])
    other = copy.deepcopy(model)
    lb.merge(other)
    other.save_pretrained(tmp_path)
    assert adapted(model)
    with pytest.raises(ValueError, match="from_pretrained cannot open"):
        model.save_pretrained(tmp_path)
