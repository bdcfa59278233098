"""Faults of the core, and what their messages say to do instead, done."""

import itertools

import accelerate
import peft
import safetensors.torch
import torch
import torch.distributed.fsdp
from advice import TOLD, obey, options, told
from small import llama, logits
from torch import nn
from torch.nn.utils import parametrizations, prune

import lorabook as lb
from lorabook.axes.optim.any_optimizer import AnyOptimizer
from lorabook.axes.optim.paged import Paged
from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.schedule import warmup_cosine
from lorabook.saving.trainer import for_trainer

IDS, LABELS = torch.randint(2, 10, (2, 8, 6), generator=torch.Generator().manual_seed(1))


def world() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 10))


def adapted(recipe: lb.Recipe | None = None) -> nn.Module:
    model = world()
    lb.inject(model, recipe or lb.LoRA(r=2), "1")
    return model


def fit(model: nn.Module, batches: object, **more) -> list[float]:
    return lb.fit(model, batches, **{"steps": 3, "lr": 1e-2, "progress": False} | more).losses


def causal() -> nn.Module:
    model = llama()
    lb.inject(model, lb.LoRA(r=2), "q_proj")
    return model


def case_a_dictionary_for_a_model_of_transformers() -> None:
    model, batches = causal(), [{"input_ids": IDS, "labels": LABELS}] * 3
    message = told(TypeError, lambda: fit(model, batches))

    def full(model, batches, *, loss):
        return fit(model, batches, loss=loss)

    assert len(obey(message, "fit(model, lb.transformers_pairs(batches), loss=lb.transformers_loss)",
                    fit=full, model=model, batches=batches)) == 3  # fmt: skip


def case_a_dictionary_of_ones_own() -> None:
    batches = [{"inputs": IDS, "targets": LABELS}] * 3
    message = told(TypeError, lambda: fit(adapted(), batches))
    fit(adapted(), obey(message, "((b['inputs'], b['targets']) for b in batches)", batches=batches))


def case_one_pair_again_and_again() -> None:
    message = told(TypeError, lambda: fit(adapted(), (IDS, LABELS)))
    names = {"itertools": itertools, "inputs": IDS, "targets": LABELS}
    fit(adapted(), obey(message, "itertools.repeat((inputs, targets))", **names))
    message = told(TypeError, lambda: fit(adapted(), None))
    fit(adapted(), obey(message, "itertools.repeat((inputs, targets))", **names))


def case_one_dictionary_in_place_of_batches() -> None:
    message = told(TypeError, lambda: fit(causal(), {"input_ids": IDS, "labels": LABELS}))
    pairs = obey(message, "lb.transformers_pairs")
    fit(causal(), pairs([{"input_ids": IDS, "labels": LABELS}] * 3), loss=lb.transformers_loss)


def case_arrays() -> None:
    batches = [(IDS.numpy(), LABELS.numpy())] * 3
    message = told(TypeError, lambda: fit(adapted(), batches))
    fit(adapted(), obey(message, "((torch.as_tensor(x), torch.as_tensor(y)) for x, y in batches)",
                        batches=batches, torch=torch))  # fmt: skip


def case_a_mask_in_the_middle() -> None:
    batches = [(IDS, torch.ones_like(IDS), LABELS)] * 3
    message = told(TypeError, lambda: fit(adapted(), batches))
    named = obey(message, "(({'x': x, 'mask': mask}, y) for x, mask, y in batches)", batches=batches)

    def loss(model, batch):
        x, y = batch
        return nn.functional.cross_entropy(model(x["x"])[x["mask"] > 0], y[x["mask"] > 0])

    fit(adapted(), named, loss=loss)
    assert "mark targets that do not count with −100" in message
    fit(adapted(), ((x, y.masked_fill(mask == 0, -100)) for x, mask, y in batches))


def case_no_pair_at_all() -> None:
    message = told(TypeError, lambda: fit(adapted(), [1, 2, 3]))
    fit(adapted(), obey(message, "zip(inputs, targets)", inputs=[IDS] * 3, targets=[LABELS] * 3))
    data = obey(message, "torch.utils.data.TensorDataset(inputs, targets)", torch=torch, inputs=IDS, targets=LABELS)
    fit(adapted(), torch.utils.data.DataLoader(data, batch_size=2))


def case_empty_and_unlabelled_batches() -> None:
    whole = [(IDS, LABELS)] * 3
    batches = [(IDS[:0], LABELS[:0]), *whole]
    message = told(ValueError, lambda: fit(adapted(), batches))
    fit(adapted(), obey(message, "(b for b in batches if len(b[1]))", batches=batches))
    batches = [(IDS, torch.full_like(LABELS, -100)), *whole]
    message = told(ValueError, lambda: fit(adapted(), batches))
    fit(adapted(), obey(message, "(b for b in batches if (b[1] != -100).any())", batches=batches))


def case_several_inputs_for_the_default_loss() -> None:
    batches = [({"input_ids": IDS}, LABELS)] * 3
    message = told(TypeError, lambda: fit(causal(), batches))
    fit(causal(), batches, **options(message, "loss=lb.transformers_loss"))

    def loss(model, batch):
        return obey(message, "model(**inputs)", model=model, inputs=batch[0]).logits.square().mean()

    fit(causal(), batches, loss=loss)


def case_a_model_that_answers_in_more_than_logits() -> None:
    message = told(TypeError, lambda: fit(causal(), [(IDS, LABELS)] * 3))
    more = options(message, "loss=lb.transformers_loss")
    pairs = obey(message, "lb.transformers_pairs")([{"input_ids": IDS, "labels": LABELS}] * 3)
    fit(causal(), pairs, **more)


def case_labels_are_missing() -> None:
    batch = {"input_ids": IDS}
    message = told(ValueError, lambda: next(lb.transformers_pairs([batch])))
    fit(causal(), lb.transformers_pairs([obey(message, "batch | {'labels': batch['input_ids']}", batch=batch)] * 3),
        loss=lb.transformers_loss)  # fmt: skip


def case_nothing_trains() -> None:
    model = world().requires_grad_(False)
    message = told(ValueError, lambda: fit(model, [(IDS, LABELS)] * 3))
    fit(obey(message, "model.requires_grad_(True)", model=model), [(IDS, LABELS)] * 3)


def case_a_loss_past_the_adapters() -> None:
    model = adapted()

    def loss(model, batch):
        with torch.no_grad():
            return nn.functional.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())

    message = told(ValueError, lambda: fit(model, [(IDS, LABELS)] * 3, loss=loss))
    obey(message, "torch.no_grad()", torch=torch)  # the cause that is named; without it
    fit(model, [(IDS, LABELS)] * 3)


def case_no_recipe() -> None:
    message = told(TypeError, lambda: lb.inject(world(), lb.LoRA, "1"))
    lb.inject(world(), obey(message, "LoRA(r=8)", LoRA=lb.LoRA), "1")
    lb.inject(world(), obey(message, "Recipe(optim=Paged())", Recipe=lb.Recipe, Paged=Paged), "1")


def case_a_class_for_a_value() -> None:
    message = told(TypeError, lambda: lb.Recipe(optim=torch.optim.SGD))
    assert "an instance, not a class" in message
    TOLD.append(message)
    fit(adapted(lb.Recipe(optim=AnyOptimizer(torch.optim.SGD))), [(IDS, LABELS)] * 3)


def case_adapted_already() -> None:
    model = adapted()
    message = told(ValueError, lambda: lb.inject(model, lb.LoRA(r=2), "1"))
    obey(message, "merge(model)", merge=lb.merge, model=model)
    lb.inject(model, lb.LoRA(r=2), "1")


def case_adapted_already_and_no_layers_named() -> None:
    model = adapted()
    message = told(ValueError, lambda: lb.inject(model, lb.LoRA(r=2)))
    obey(message, "merge(model)", merge=lb.merge, model=model)
    assert list(lb.inject(model, lb.LoRA(r=2))) == ["1"]


def case_saving_as_if_it_were_plain(tmp_path) -> None:
    model = causal()
    message = told(ValueError, lambda: model.save_pretrained(tmp_path / "plain"))
    obey(message, "save_adapter(model, folder)", save_adapter=lb.save_adapter, model=model, folder=tmp_path / "adapter")
    assert obey(message, "dict(**for_trainer(model, lr))".removeprefix("dict(").removesuffix(")").removeprefix("**"),
                for_trainer=for_trainer, model=model, lr=1e-3)  # fmt: skip
    obey(message, "merge(model)", merge=lb.merge, model=model)
    model.save_pretrained(tmp_path / "whole")


def case_merging_shards(tmp_path) -> None:
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        plain = world()
        model = adapted()
        torch.distributed.fsdp.fully_shard(model)
        message = told(ValueError, lambda: lb.merge(model))
        folder = tmp_path / "adapter"
        obey(message, "save_adapter(model, folder)", save_adapter=lb.save_adapter, model=model, folder=folder)
        lb.load_adapter(plain, folder)
        lb.merge(plain)
    finally:
        torch.distributed.destroy_process_group()


def case_tied() -> None:
    model = llama(tied=True)
    before = logits(model)
    message = told(ValueError, lambda: lb.inject(model, lb.LoRA(r=2), "lm_head"))
    line = message[message.index("layer = model.get_submodule(") :]
    obey(message, line, model=model, torch=torch)
    model.config.tie_word_embeddings = False
    lb.inject(model, lb.LoRA(r=2), "lm_head")
    assert torch.equal(logits(model), before)


def case_diverged() -> None:
    message = told(lb.Diverged, lambda: fit(adapted(), [(IDS, LABELS)] * 60, steps=60, lr=1e20,
                                            loss=lambda m, b: m(b[0]).pow(4).mean()))  # fmt: skip
    more = options(message, "schedule=warmup_cosine", warmup_cosine=warmup_cosine) | options(message, "clip=1.0")
    assert "Lower lr" in message
    fit(adapted(), [(IDS, LABELS)] * 60, steps=60, lr=1e-2, loss=lambda m, b: m(b[0]).pow(4).mean(), **more)


def case_half_precision() -> None:
    model, x = nn.Sequential(nn.Linear(8, 10)).half(), torch.randn(4, 8)
    batches = [(x.half(), torch.arange(4))] * 60
    message = told(lb.Diverged, lambda: fit(model, batches, steps=60, lr=1e-2))
    model = nn.Sequential(nn.Linear(8, 10)).half()
    fit(obey(message, "model.float()", model=model), [(x, torch.arange(4))] * 60, steps=60)


def case_a_base_in_half_precision() -> None:
    x = 3e4 * torch.ones(4, 8)

    def build() -> nn.Module:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 10))
        model[0].weight.data.fill_(1.0)
        return model.half()

    def loss(model, batch):
        return model(batch[0]).float().mean()

    model = build()
    lb.inject(model, lb.LoRA(r=2), "0")
    message = told(lb.Diverged, lambda: fit(model, [(x.half(), x.half())], steps=1, loss=loss))
    model = obey(message, "model.bfloat16()", model=build())
    lb.inject(model, lb.LoRA(r=2), "0")
    fit(model, [(x.bfloat16(), x.bfloat16())], steps=1, loss=loss)


def case_a_loss_of_many_numbers() -> None:
    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten(), reduction="none")

    message = told(TypeError, lambda: fit(adapted(), [(IDS, LABELS)] * 3, loss=loss))
    fit(adapted(), [(IDS, LABELS)] * 3, loss=lambda m, b: obey(message, "value.mean()", value=loss(m, b)))


def case_a_schedule_of_rates() -> None:
    message = told(ValueError, lambda: fit(adapted(), [(IDS, LABELS)] * 3, schedule=lambda step, steps: -1e-3))
    fit(adapted(), [(IDS, LABELS)] * 3, **options(message, "schedule=warmup_cosine", warmup_cosine=warmup_cosine))


def case_another_device_and_another_dtype() -> None:
    model = nn.Sequential(nn.Linear(8, 10))
    lb.inject(model, lb.LoRA(r=2), "0")
    x = torch.randn(2, 8, device="meta")
    message = told(RuntimeError, lambda: model(x))
    assert obey(message, "model.to(x.device)", model=model, x=x)(x).shape == (2, 10)
    model = nn.Sequential(nn.Linear(8, 10))
    lb.inject(model, lb.LoRA(r=2), "0")
    x = torch.randn(2, 8).bfloat16()
    message = told(TypeError, lambda: model(x))
    assert model(obey(message, "x.to(torch.float32)", x=x, torch=torch)).dtype == torch.float32


class Reads(nn.Module):
    """A model that reads a layer's weight and never calls the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.layer.weight, self.layer.bias)


def case_a_weight_that_is_read_with_dropout() -> None:
    model, x = Reads(), torch.randn(4, 8)
    lb.inject(model, lb.LoRA(r=2, dropout=0.5), "layer")
    message = told(RuntimeError, lambda: model.train()(x))
    with obey(message, "torch.no_grad()", torch=torch):
        model(x)
    model = Reads()
    lb.inject(model, lb.LoRA(r=2, **options(message, "dropout=0")), "layer")
    model.train()(x)


def case_a_table_that_rewrites_itself() -> None:
    message = told(
        UnsupportedLayer, lambda: lb.inject(nn.Sequential(nn.Embedding(9, 4, max_norm=1.0)), lb.LoRA(r=2), "0")
    )
    lb.inject(nn.Sequential(nn.Embedding(9, 4, **options(message, "max_norm=None"))), lb.LoRA(r=2), "0")


def case_what_no_adapter_file_can_hold(folder) -> None:
    model = lb.load("tiny").model
    lb.inject(model, lb.QLoRA(r=2), "q_proj|v_proj")
    lb.insert_prefix(model, n=4)
    message = told(ValueError, lambda: lb.save_adapter(model, folder / "adapter"))
    obey(message, "safetensors.torch.save_model(model, 'model.safetensors')", safetensors=safetensors, model=model)


def _made_plain(layer: nn.Module, advice: str) -> None:
    model = nn.Sequential(layer)
    x = torch.randn(2, 8)
    message = told(ValueError, lambda: lb.inject(model, lb.LoRA(r=2), "^0$"))
    obey(message, advice, layer=layer, torch=torch, accelerate=accelerate, model=model)
    before = model.eval()(x)
    lb.inject(model, lb.LoRA(r=2), "^0$")
    torch.testing.assert_close(model(x), before)


def case_pruned() -> None:
    _made_plain(prune.l1_unstructured(nn.Linear(8, 6), "weight", 0.5), "torch.nn.utils.prune.remove(layer, 'weight')")
    _made_plain(prune.l1_unstructured(nn.Linear(8, 6), "bias", 0.5), "torch.nn.utils.prune.remove(layer, 'bias')")


def case_normed() -> None:
    weight = torch.nn.utils.weight_norm(nn.Linear(8, 6))
    _made_plain(weight, "torch.nn.utils.remove_weight_norm(layer)")
    _made_plain(torch.nn.utils.spectral_norm(nn.Linear(8, 6)), "torch.nn.utils.remove_spectral_norm(layer)")


def case_parametrized() -> None:
    layer = parametrizations.weight_norm(nn.Linear(8, 6))
    _made_plain(layer, "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')")


def case_a_hook_on_its_state() -> None:
    layer = nn.Linear(8, 6)
    layer.register_state_dict_pre_hook(lambda *given: None)
    _made_plain(layer, "layer._state_dict_pre_hooks.clear()")


def case_a_hook_of_accelerate() -> None:
    layer = nn.Linear(8, 6)
    accelerate.hooks.add_hook_to_module(layer, accelerate.hooks.ModelHook())
    _made_plain(layer, "accelerate.hooks.remove_hook_from_submodules(model)")


def case_adapted_by_peft() -> None:
    model = peft.get_peft_model(llama(), peft.LoraConfig(target_modules=["q_proj"]))
    message = told(ValueError, lambda: lb.inject(model, lb.LoRA(r=2), "q_proj"))
    space = {"model": model}
    advice = "model = model.merge_and_unload()"
    assert advice in message
    TOLD.append(message)
    exec(advice, space)
    lb.inject(space["model"], lb.LoRA(r=2), "q_proj")


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]
