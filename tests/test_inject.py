"""Injection: what it changes, what it refuses, and that a refusal changes nothing."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import lorabook as lb
from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.lora import ORIGIN
from lorabook.models.decoder import Decoder, DecoderConfig

SMALL = DecoderConfig(vocab=32, hidden=16, layers=2, heads=2, kv_heads=1, d_head=8, ffn=24, context=16)


@pytest.fixture
def model() -> Decoder:
    torch.manual_seed(0)
    return Decoder(SMALL)


def tokens() -> torch.Tensor:
    return torch.arange(10).view(1, -1)


def refused(model: nn.Module, recipe, targets: str, error: type, match: str) -> None:
    """Expect a refusal that names what is wrong, and a model that is bit for bit as before."""
    before = {k: v.clone() for k, v in model.state_dict().items()}
    asks = {name: p.requires_grad for name, p in model.named_parameters()}
    modules = {name: id(m) for name, m in model.named_modules()}
    with pytest.raises(error, match=match):
        lb.inject(model, recipe, targets)
    assert modules == {name: id(m) for name, m in model.named_modules()}
    assert asks == {name: p.requires_grad for name, p in model.named_parameters()}
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("r", [0, -1, True])
def test_a_rank_that_is_no_rank(r):
    with pytest.raises(ValueError, match=r"rank r is .*≥ 1"):
        lb.LoRA(r=r)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_an_alpha_that_is_no_alpha(alpha):
    with pytest.raises(ValueError, match=r"alpha is .*> 0"):
        lb.LoRA(alpha=alpha)


def test_a_dropout_that_is_no_probability():
    with pytest.raises(ValueError, match="dropout is 1.5"):
        lb.LoRA(dropout=1.5)


def test_a_rank_too_large(model):
    refused(model, lb.LoRA(r=9), "k_proj", ValueError, r"r = 9 is larger than layers.0.self_attn.k_proj allows.*8 × 16")


def test_targets_that_match_nothing(model):
    refused(model, lb.LoRA(r=2), "query", ValueError, r"'query' matches no layer.*layers.0.self_attn.q_proj")


def test_empty_targets(model):
    refused(model, lb.LoRA(r=2), "", ValueError, "targets is empty")


def test_an_unsupported_layer(model):
    refused(model, lb.LoRA(r=2), "layernorm", UnsupportedLayer, r"input_layernorm is a .*RMSNorm.*leave it out")


def test_an_embedding_that_rewrites_itself():
    refused(nn.Sequential(nn.Embedding(9, 4, max_norm=1.0)), lb.LoRA(r=2), "0", UnsupportedLayer, "max_norm=1.0")


def test_dropout_on_an_embedding():
    refused(nn.Sequential(nn.Embedding(9, 4)), lb.LoRA(r=2, dropout=0.1), "0", ValueError, "0 is an Embedding.*dropout")


def test_a_layer_adapted_already(model):
    lb.inject(model, lb.LoRA(r=2), "q_proj")
    refused(model, lb.LoRA(r=2), "q_proj", ValueError, r"q_proj is adapted already.*merge\(model\)")


def test_tied_weights_name_both(model):
    refused(model, lb.LoRA(r=2), "lm_head", ValueError, r"lm_head.weight and embed_tokens.weight are one tied matrix")
    refused(model, lb.LoRA(r=2), "embed_tokens", ValueError, r"embed_tokens.weight and lm_head.weight")


def test_a_weight_that_no_quantised_store_can_keep(model):
    with torch.no_grad():
        model.layers[1].self_attn.q_proj.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"layers.1.self_attn.q_proj.weight has NaN"):
        lb.inject(model, lb.QLoRA(r=2), "q_proj")
    assert not lb.adapted(model)


def test_two_forms_conflict_and_both_are_named():
    with pytest.raises(lb.AxisConflict, match=r"DoRA and LoHa both set the axis 'form'.*DoRAForm.*LoHaForm"):
        lb.DoRA() | lb.LoHa()


def test_two_ranks_conflict():
    with pytest.raises(lb.AxisConflict, match="axis 'r': LoRA to 4, rsLoRA to 8"):
        lb.LoRA(r=4) | lb.rsLoRA(r=8)


def test_a_form_that_cannot_start_from_an_init(model):
    refused(model, lb.LoHa(r=2) | lb.PiSSA(), "q_proj", lb.AxisConflict, r"LoHa cannot start .*PiSSA.*q_proj")


def test_the_order_of_merging_never_matters():
    one, other = lb.QLoRA(r=4) | lb.rsLoRA() | lb.LoRAPlus(8), lb.LoRAPlus(8) | lb.QLoRA(r=4) | lb.rsLoRA()
    assert one == other
    assert one.label == other.label == "LoRA+ | QLoRA | rsLoRA"
    assert set(one.changes(ORIGIN)) == {"base", "scale", "optim"}
    assert lb.LoRA().changes(ORIGIN) == {}


def test_injection_shares_the_memory_of_the_base(model):
    before = model.layers[0].self_attn.q_proj.weight.data_ptr()
    layer = lb.inject(model, lb.LoRA(r=2), "q_proj")["layers.0.self_attn.q_proj"]
    assert layer.base.matrix.data_ptr() == before


def test_a_shared_module_is_adapted_in_every_place_it_has():
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"first": shared, "second": nn.Sequential(shared)})
    layers = lb.inject(model, lb.LoRA(r=2), "first")
    assert model["first"] is model["second"][0] is layers["first"]
    lb.merge(model)
    assert model["first"] is model["second"][0]


def test_a_module_held_twice_by_one_parent_is_adapted_in_both_places():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    layer = lb.inject(model, lb.LoRA(r=2), "0")["0"]
    assert model[0] is model[2] is layer
    with lb.merged(model):
        assert model[0] is model[2]
    assert model[0] is model[2] is layer


def test_also_train_by_name(model):
    from dataclasses import replace

    lb.inject(model, replace(lb.LoRA(r=2), also_train="layernorm"), "q_proj")
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert sum("layernorm" in name for name in trained) == 4
    assert all("layernorm" in name or ".update." in name for name in trained)


def test_a_wrong_dtype_and_a_wrong_device_say_what_to_do():
    model = nn.Sequential(nn.Linear(4, 4))
    lb.inject(model, lb.LoRA(r=2), "0")
    with pytest.raises(TypeError, match=r"input is torch.float64 and this adapted layer torch.float32.*autocast"):
        model(torch.ones(1, 4, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=r"input is on meta and this adapted layer on cpu"):
        model(torch.ones(1, 4, device="meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert model(torch.ones(1, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


RECIPES = {
    "LoRA": lb.LoRA(r=2), "DoRA": lb.DoRA(r=2), "LoHa": lb.LoHa(r=2), "PiSSA": lb.PiSSA(r=2), "QLoRA": lb.QLoRA(r=2),
    "QDoRA": lb.QLoRA(r=2) | lb.DoRA(), "QPiSSA": lb.QLoRA(r=2) | lb.PiSSA(),
    "all": lb.QLoRA(r=2) | lb.DoRA() | lb.PiSSA() | lb.rsLoRA() | lb.LoRAPlus(4),
}  # fmt: skip
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


@every_recipe
def test_copying_pickling_and_state_dicts_keep_the_model(model, recipe):
    lb.inject(model, recipe, "_proj")
    before = model(tokens())
    assert torch.equal(copy.deepcopy(model)(tokens()), before)
    assert torch.equal(pickle.loads(pickle.dumps(model))(tokens()), before)
    torch.manual_seed(0)
    twin = Decoder(SMALL)
    lb.inject(twin, recipe, "_proj", torch.Generator().manual_seed(5))
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(tokens()), before)


@every_recipe
def test_moving_to_another_dtype_keeps_the_model(model, recipe):
    lb.inject(model, recipe, "_proj")
    before = model(tokens())
    torch.testing.assert_close(model.double()(tokens()).float(), before, rtol=1e-3, atol=1e-4)


@every_recipe
def test_it_trains_and_merges(model, recipe):
    generator = torch.Generator().manual_seed(0)
    layers = lb.inject(model, recipe, "_proj")
    batch = (torch.randint(32, (4, 10), generator=generator), torch.randint(32, (4, 10), generator=generator))
    history = lb.fit(model, [batch] * 20, steps=20, lr=1e-2, progress=False)
    assert history.losses[-1] < history.losses[0]
    trained = model(tokens()).detach()
    with lb.merged(model):
        torch.testing.assert_close(model(tokens()), trained, rtol=1e-4, atol=1e-4)
    assert torch.equal(model(tokens()), trained)
    assert lb.adapted(model) == layers
    lb.merge(model)
    assert not lb.adapted(model)
    torch.testing.assert_close(model(tokens()), trained, rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_replays_dropout(model):
    layer = lb.inject(model, lb.LoRA(r=2, dropout=0.5), "q_proj")["layers.0.self_attn.q_proj"].train()
    with torch.no_grad():
        layer.update.B.normal_(generator=torch.Generator().manual_seed(1))
    x = torch.randn(3, 16, requires_grad=True)
    torch.manual_seed(3)
    direct = torch.autograd.grad(layer(x).sum(), layer.update.A)[0]
    torch.manual_seed(3)
    assert torch.equal(torch.autograd.grad(checkpoint(layer, x, use_reentrant=False).sum(), layer.update.A)[0], direct)


def test_merging_and_disabling_need_an_adapter(model):
    with pytest.raises(ValueError, match="no adapted layer"):
        lb.merge(model)


def test_the_adapter_on_multihead_attention_is_used():
    torch.manual_seed(0)
    attention, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 3, 8)
    layer = lb.inject(attention, lb.LoRA(r=2), "out_proj")["out_proj"]
    plain = attention(x, x, x)[0].detach()
    with torch.no_grad():
        layer.update.B.fill_(0.5)
    adapted = attention(x, x, x)[0]
    assert not torch.allclose(adapted, plain)
    torch.testing.assert_close(attention.eval()(x, x, x)[0], adapted)
    with lb.merged(attention):
        torch.testing.assert_close(attention(x, x, x)[0], adapted)


def test_asking_for_dtype_builds_no_weight(model):
    layer = lb.inject(model, lb.LoRA(r=2), "q_proj")["layers.0.self_attn.q_proj"]
    layer.update.weight = None  # building W would now fail
    assert layer.weight.dtype == torch.float32
    assert layer.weight.device == torch.device("cpu")
    assert layer.weight.shape == (16, 16)


def test_dora_names_a_row_without_a_direction():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].weight.data[1] = 0
    refused(model, lb.DoRA(r=1), "0", ValueError, r"row 1 of 0 is all zeros \(1 of 3 rows are\)")
