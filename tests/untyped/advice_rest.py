"""Faults of variants, models and files, and what their messages say to do instead, done."""

import copy

import peft
import torch
import transformers
from advice import TOLD, obey, options, told
from small import llama
from torch import nn

import lorabook as lb
from lorabook.axes.attention.interpolation import interpolate
from lorabook.axes.optim.paged import Paged
from lorabook.core.adapted_layer import adapted
from lorabook.models.loaded import check_device, check_dtype
from lorabook.saving.adapter_file import BadAdapter

X, Y = torch.randn(4, 8, generator=torch.Generator().manual_seed(1)), torch.arange(4)


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 10))


def fit(model: nn.Module) -> None:
    lb.fit(model, [(X, Y)] * 3, steps=3, lr=1e-2, progress=False)


def case_biases_that_trained(tmp_path) -> None:
    def written(bias: str) -> None:
        config = peft.LoraConfig(r=2, target_modules=["0"], bias=bias)
        peft.get_peft_model(plain(), config).save_pretrained(tmp_path)

    written("all")
    message = told(BadAdapter, lambda: lb.load_adapter(plain(), tmp_path))
    written(**options(message, "bias='none'"))
    lb.load_adapter(plain(), tmp_path)


def case_no_decoder_of_ours() -> None:
    message = told(TypeError, lambda: interpolate(plain(), 1024))
    model = obey(message, "lorabook.load('tiny')").model
    interpolate(model, 2 * model.config.context)


def case_a_group_that_is_too_large() -> None:
    model = lb.load("tiny").model
    context = model.config.context
    recipe = lb.LongLoRA(group=context)
    message = told(ValueError, lambda: lb.inject(model, recipe, "q_proj"))
    obey(message, "interpolate(model, context)", interpolate=interpolate, model=model, context=4 * context)
    lb.inject(model, recipe, "q_proj")


def case_a_text_that_is_too_long() -> None:
    model = lb.load("tiny").model
    tokens = torch.zeros(1, model.config.context + 1, dtype=torch.long)
    message = told(ValueError, lambda: model(tokens))
    longer = 2 * model.config.context
    obey(message, "interpolate(model, context)", interpolate=interpolate, model=model, context=longer)
    model(tokens)


def case_tokens_elsewhere() -> None:
    model = lb.load("tiny").model
    tokens = torch.zeros(1, 4, dtype=torch.long, device="meta")
    message = told(ValueError, lambda: copy.deepcopy(model)(tokens))
    assert "tokens.to('cpu')" in message
    model, tokens = model.to("meta"), torch.zeros(1, 4, dtype=torch.long)
    message = told(ValueError, lambda: model(tokens))
    model(obey(message, "tokens.to('meta')", tokens=tokens))


def case_delta_lora_with_dropout() -> None:
    message = told(lb.AxisConflict, lambda: lb.inject(plain(), lb.DeltaLoRA(r=2) | lb.Recipe(dropout=0.1), "0"))
    lb.inject(plain(), lb.DeltaLoRA(r=2) | lb.Recipe(**options(message, "dropout=0")), "0")


def case_a_copy_of_a_paged_optimiser() -> None:
    model = plain()
    optimizer = Paged().build(dict(model.named_parameters()), 1e-2)
    model(X).sum().backward()
    optimizer.step()
    message = told(TypeError, lambda: copy.deepcopy(optimizer))
    other = Paged().build(dict(copy.deepcopy(model).named_parameters()), 1e-2)
    other.load_state_dict(obey(message, "state_dict()", state_dict=optimizer.state_dict))


def case_a_sparse_gradient() -> None:
    def step(table: nn.Embedding) -> None:
        optimizer = Paged().build(dict(table.named_parameters()), 1e-2)
        table(Y).sum().backward()
        optimizer.step()

    message = told(RuntimeError, lambda: step(nn.Embedding(9, 4, sparse=True)))
    step(nn.Embedding(9, 4, **options(message, "sparse=False")))


def case_a_run_of_unknown_length() -> None:
    model = plain()
    recipe = lb.AdaLoRA(r=3, target_r=1)
    lb.inject(model, recipe, "0")
    rule = recipe.complete(lb.LoRA()).rule.build(model)
    message = told(RuntimeError, lambda: rule.before_step(0))
    obey(message, "begin(steps)", begin=rule.begin, steps=40)
    model(X).sum().backward()
    rule.before_step(0)


def case_a_device_and_a_dtype() -> None:
    message = told(ValueError, lambda: check_device("cuda:99"))
    assert check_device(**options(message, "device='cpu'")) == torch.device("cpu")
    message = told(ValueError, lambda: check_dtype(torch.int8))
    lb.inject(plain(), obey(message, "lb.QLoRA()"), "0")


def case_no_tokenizer(folder) -> None:
    path = str(folder / "checkpoint")
    model = llama()
    model.save_pretrained(path)
    message = told(ValueError, lambda: lb.load(path))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=lb.load("tiny").tokenizer.tokenizer)
    obey(message, f"tokenizer.save_pretrained({path!r})", tokenizer=tokenizer)
    lb.load(path)


def case_a_pickle(folder) -> None:
    model = peft.get_peft_model(llama(), peft.LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(folder)
    weights = folder / "adapter_model.safetensors"
    torch.save({}, folder / "adapter_model.bin")
    weights.unlink()
    message = told(BadAdapter, lambda: lb.load_adapter(llama(), folder))
    obey(
        message,
        "save_pretrained(folder, safe_serialization=True)",
        save_pretrained=model.save_pretrained,
        folder=folder,
    )
    lb.load_adapter(llama(), folder)


def case_an_init_that_changes_the_base(folder) -> None:
    config = peft.LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights="pissa_niter_4")
    model = peft.get_peft_model(llama(), config)
    model.save_pretrained(folder / "start")
    model.save_pretrained(folder / "moved")
    text = (folder / "moved/adapter_config.json").read_text()
    (folder / "moved/adapter_config.json").write_text(text.replace('"pissa_niter_4"', '"corda"'))
    message = told(BadAdapter, lambda: lb.load_adapter(llama(), folder / "moved"))

    def save_pretrained(*_, path_initial_model_for_weight_conversion):
        assert path_initial_model_for_weight_conversion is ...
        start = str(folder / "start")
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(folder / "plain", path_initial_model_for_weight_conversion=start)

    obey(message, "save_pretrained(..., path_initial_model_for_weight_conversion=...)", save_pretrained=save_pretrained)
    lb.load_adapter(llama(), folder / "plain")


def case_a_projection_that_was_not_saved(folder) -> None:
    def saved(**more) -> None:
        config = peft.VeraConfig(target_modules=["q_proj"], r=2, **more)
        peft.get_peft_model(llama(), config).save_pretrained(folder)

    saved(save_projection=False)
    message = told(BadAdapter, lambda: lb.load_adapter(llama(), folder))
    saved(**options(message, "save_projection=True"))
    lb.load_adapter(llama(), folder)


def case_a_recipe_that_comes_too_late(folder) -> None:
    model = plain()
    lb.inject(model, lb.LoRA(r=2), "0")
    lb.save_adapter(model, folder / "adapter")
    message = told(ValueError, lambda: lb.load_adapter(model, folder / "adapter", recipe=lb.QLoRA()))
    assert "leave `recipe` out" in message
    TOLD.append(message)
    assert lb.load_adapter(model, folder / "adapter") == adapted(model)


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]
