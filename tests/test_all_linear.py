"""`inject` without targets: every linear layer but the output head, as PEFT's "all-linear" finds them."""

import copy

import peft
import pytest
import torch
import transformers
from torch import nn

import lorabook as lb
from lorabook.core.all_linear import all_linear
from lorabook.models.decoder import Decoder, DecoderConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning"),
]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
MODELS = {
    "Llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZE, vocab_size=40)),
    "Llama, tied": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZE, vocab_size=40,
        tie_word_embeddings=True)),
    "Llama without a head": (transformers.LlamaModel, transformers.LlamaConfig(**SIZE, vocab_size=40)),
    "GPT-2": (transformers.GPT2LMHeadModel, transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=40)),
    "BERT, masked": (transformers.BertForMaskedLM, transformers.BertConfig(**SIZE, vocab_size=40)),
    "BERT, classes": (transformers.BertForSequenceClassification, transformers.BertConfig(**SIZE, vocab_size=40)),
    "RoBERTa, classes": (transformers.RobertaForSequenceClassification,
        transformers.RobertaConfig(**SIZE, vocab_size=40)),
    "T5": (transformers.T5ForConditionalGeneration, transformers.T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=2,
        num_heads=2, vocab_size=40)),
    "ViT, classes": (transformers.ViTForImageClassification, transformers.ViTConfig(**SIZE, image_size=8,
        patch_size=4)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_it_finds_what_peft_finds(name: str) -> None:
    make, config = MODELS[name]
    model = make(config)
    task = peft.TaskType.SEQ_CLS if "classes" in name else None
    theirs = peft.get_peft_model(
        copy.deepcopy(model), peft.LoraConfig(target_modules="all-linear", task_type=task)
    ).targeted_module_names
    layers = lb.inject(model, lb.LoRA(r=2))
    assert set(layers) == set(theirs) - {f"{n}.modules_to_save" for n in theirs}
    assert set(layers) == set(lb.adapted(model))


def test_the_books_model_has_the_seven_projections_of_each_layer() -> None:
    model = Decoder(DecoderConfig(vocab=32, hidden=16, layers=2, heads=2, kv_heads=1, d_head=8, ffn=24, context=16))
    assert all_linear(model) == [name for name, _ in model.named_modules() if name.endswith("_proj")]
    assert len(all_linear(model)) == 14


def test_a_plain_network_is_adapted_whole_but_for_a_head_by_name() -> None:
    assert list(lb.inject(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), lb.LoRA(r=2))) == ["0", "2"]
    net = nn.Sequential()
    net.add_module("body", nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6)))
    net.add_module("fc", nn.Linear(6, 3))
    assert all_linear(net) == ["body.0", "body.2"]
    only_head = nn.Sequential()
    only_head.add_module("fc", nn.Linear(6, 3))
    assert all_linear(only_head) == ["fc"]


def test_a_model_without_a_linear_layer_is_told_what_it_has() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(ValueError, match=r"no linear layer inside it; it has 2 × Conv2d, 1 × BatchNorm2d"):
        lb.inject(net, lb.LoRA(r=1))


def test_a_second_time_is_refused_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    lb.inject(net, lb.LoRA(r=2), targets="^0$")
    with pytest.raises(ValueError, match="0 is adapted already: merge"):
        lb.inject(net, lb.LoRA(r=2))
    assert list(lb.adapted(net)) == ["0"]


def test_the_vera_of_the_paper_has_more_rows_than_the_layer() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
    theirs = peft.get_peft_model(
        copy.deepcopy(net), peft.VeraConfig(r=20, target_modules=["0", "2"], d_initial=0.1, init_weights=True)
    )
    layers = lb.inject(net, lb.VeRA(20))
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == theirs.get_nb_trainable_parameters()[0]
    projections = layers["0"].update.pair
    with torch.no_grad():
        theirs.base_model.vera_A["default"].copy_(projections.A)
        theirs.base_model.vera_B["default"].copy_(projections.B)
        for name, layer in layers.items():
            layer.update.b.normal_()
            their_layer = theirs.base_model.model.get_submodule(name)
            their_layer.vera_lambda_b["default"].copy_(layer.update.b)
            their_layer.vera_lambda_d["default"].copy_(layer.update.d)
    x = torch.randn(5, 6)
    torch.testing.assert_close(net(x), theirs(x))


@pytest.mark.parametrize("recipe", [lb.VeRA(20), lb.LoKr(20)], ids=str)
def test_a_rank_that_bounds_nothing_may_be_larger_than_the_layer(recipe: lb.Recipe) -> None:
    net = nn.Sequential(nn.Linear(6, 8))
    layer = lb.inject(net, recipe)["0"]
    x = torch.randn(5, 6)
    torch.testing.assert_close(net(x), lb.merge(net)(x))
    assert layer.r == 20


@pytest.mark.parametrize("recipe", [lb.LoRA(7), lb.DoRA(7), lb.LoHa(7), lb.HiRA(7), lb.PiSSA(7)], ids=str)
def test_a_rank_above_what_a_layer_allows_is_refused(recipe: lb.Recipe) -> None:
    with pytest.raises(ValueError, match="rank r = 7 is larger than 0 allows: its matrix is 8 × 6, so r ≤ 6"):
        lb.inject(nn.Sequential(nn.Linear(6, 8)), recipe)
