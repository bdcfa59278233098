"""A bank of adapters against one merged model per request, and against PEFT's mixed batches."""

import copy
import gc

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

import lorabook as lb
from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.layer_types import freeze
from lorabook.many.bank import bank, serving
from lorabook.many.banked import Banked
from lorabook.many.pages import PoolFull
from lorabook.many.pair import Pair, pairs_of
from lorabook.many.products import gathered, segmented
from lorabook.models.decoder import Decoder, DecoderConfig, initialise

RANKS, ALPHAS = (2, 5, 1), (7.0, 3.0, 4.0)


NAMES = ("anna", "ben", "carl")


def decoder() -> Decoder:
    model = Decoder(DecoderConfig(vocab=19, hidden=24, layers=2, heads=3, kv_heads=1, d_head=8, ffn=32, context=16))
    initialise(model, torch.Generator().manual_seed(0))
    return model.double().eval()


def shaken(model: nn.Module, seed: int) -> nn.Module:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in lb.adapted(model).values():
            for p in layer.update.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return model


def requests() -> dict[str, nn.Module]:
    """Return three models with an adapter each, by name: different ranks, scales and layers."""
    targets = (r"[qv]_proj", r"q_proj|mlp", r"0.*o_proj|lm_head_")
    models = []
    for i, (r, alpha) in enumerate(zip(RANKS, ALPHAS, strict=True)):
        model = decoder()
        lb.inject(model, lb.LoRA(r, alpha), targets[i], generator=torch.Generator().manual_seed(i))
        models.append(shaken(model, i))
    return dict(zip(NAMES, models, strict=True))


def states() -> dict[str, dict[str, Pair]]:
    """Return the three adapters."""
    return {name: pairs_of(model) for name, model in requests().items()}


WHICH = ("ben", None, "anna", "carl", "anna", None)
TOKENS = torch.randint(19, (len(WHICH), 9), generator=torch.Generator().manual_seed(5))


def test_a_mixed_batch_equals_one_merged_model_per_request():
    models, served = requests(), decoder()
    layers = bank(served, {name: pairs_of(model) for name, model in models.items()}).layers
    assert len(layers) == 2 * 3 + 2 * 2 + 1  # q, v, and the mlp's three in both layers, o in one
    merged = {name: lb.merge(copy.deepcopy(model)) for name, model in models.items()}
    with serving(served, WHICH), torch.no_grad():
        together = served(TOKENS)
    for row, i in enumerate(WHICH):
        alone = decoder() if i is None else merged[i]
        with torch.no_grad():
            torch.testing.assert_close(together[row], alone(TOKENS[row, None])[0], rtol=1e-11, atol=1e-12)
    assert not torch.allclose(together[2], together[4])


def test_rows_do_not_touch_each_other():
    served = decoder()
    bank(served, states())
    with torch.no_grad():
        with serving(served, WHICH):
            together = served(TOKENS)
        order = [4, 2, 0, 5, 3, 1]
        with serving(served, [WHICH[i] for i in order]):
            torch.testing.assert_close(served(TOKENS[order]), together[order], rtol=1e-12, atol=1e-13)


def test_it_equals_pefts_mixed_batch():
    from peft import LoraConfig, get_peft_model

    def plain() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 6)).double().eval()

    g = torch.Generator().manual_seed(1)
    names = ("first", "second")
    sizes = list(zip(RANKS, ALPHAS, strict=True))[:2]
    configs = [LoraConfig(r=r, lora_alpha=alpha, target_modules=["0", "2"]) for r, alpha in sizes]
    theirs = get_peft_model(plain(), configs[0], adapter_name="first")
    theirs.add_adapter("second", configs[1])
    theirs.eval()
    adapters = {}
    for name, (r, alpha) in zip(names, sizes, strict=True):
        state = {}
        for target in ("0", "2"):
            layer = theirs.base_model.model[int(target)]
            shapes = layer.lora_A[name].weight.shape, layer.lora_B[name].weight.shape
            a, b = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes)
            with torch.no_grad():
                layer.lora_A[name].weight.copy_(a)
                layer.lora_B[name].weight.copy_(b)
            state[target] = Pair(a, b, alpha / r)
        adapters[name] = state
    ours = plain()
    bank(ours, adapters)
    x = torch.randn(5, 8, generator=g, dtype=torch.float64)
    with torch.no_grad(), serving(ours, ["second", "first", None, "second", "first"]):
        expected = theirs(x, adapter_names=["second", "first", "__base__", "second", "first"])
        torch.testing.assert_close(ours(x), expected, rtol=1e-12, atol=1e-13)


LAYERS = [
    (nn.Linear(6, 5), (5, 6)),
    (nn.Linear(6, 5, bias=False), (5, 2, 3, 6)),
    (Conv1D(5, 6), (5, 3, 6)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, padding_mode="reflect"), (5, 4, 9, 9)),
    (nn.Conv2d(4, 6, 3, dilation=2), (5, 4, 9, 9)),
    (nn.Embedding(7, 5, padding_idx=0), (5, 3)),
    (nn.Embedding(7, 5), (5,)),
]


@pytest.mark.parametrize("products", [gathered, segmented], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=str)
def test_path_equals_definition_on_every_kind_of_layer(layer, shape, products):
    g = torch.Generator().manual_seed(0)
    layer = copy.deepcopy(layer).double()
    if isinstance(layer, nn.Embedding):
        x = torch.randint(7, shape, generator=g)
    else:
        x = torch.randn(shape, generator=g, dtype=torch.float64).requires_grad_()
    d_out, d_in = freeze(layer).store.shape

    def pair(r: int) -> Pair:
        a = torch.randn(r, d_in, generator=g, dtype=torch.float64)
        return Pair(a, torch.randn(d_out, r, generator=g, dtype=torch.float64), 0.7)

    model = nn.Sequential(layer)
    adapters = {name: {"0": pair(r)} for name, r in zip(NAMES, (2, 3, 1), strict=True)}
    banked = bank(model, adapters, products=products).layers["0"]
    with serving(model, ["anna", None, "carl", "ben", "anna"]):
        path, definition = model(x), banked.update.by_row(banked.base, x)
        torch.testing.assert_close(path, definition, rtol=1e-12, atol=1e-12)
        if x.requires_grad:
            of = [torch.autograd.grad(y.sin().sum(), x)[0] for y in (path, definition)]
            torch.testing.assert_close(*of, rtol=1e-10, atol=1e-12)


def test_in_half_precision_one_adapter_is_what_its_own_model_computes():
    single = nn.Sequential(nn.Linear(16, 12)).bfloat16()
    served = copy.deepcopy(single)
    lb.inject(single, lb.LoRA(3, 5.0), "0")
    shaken(single, 0)
    bank(served, {"anna": pairs_of(single)})
    x = torch.randn(4, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.no_grad(), serving(served, ["anna"] * 4):
        torch.testing.assert_close(served(x), single(x), rtol=1e-2, atol=1e-2)


def test_pissa_is_banked_against_the_original_weights():
    model, served = decoder(), decoder()
    lb.inject(model, lb.PiSSA(2, 5.0), r"q_proj")
    shaken(model, 3)
    bank(served, {"anna": pairs_of(model)})
    with torch.no_grad(), serving(served, ["anna", "anna"]):
        torch.testing.assert_close(served(TOKENS[:2]), model(TOKENS[:2]), rtol=1e-10, atol=1e-11)


def test_the_choice_ends_with_the_block():
    served = decoder()
    layer = next(iter(bank(served, states()).layers.values()))
    with pytest.raises(RuntimeError, match=r"with serving\(model, names\)"):
        served(TOKENS)
    with serving(served, ["anna"] * 6):
        with pytest.raises(ZeroDivisionError), serving(served, ["ben"] * 6):
            raise ZeroDivisionError
        assert layer.update.batch.names == ("anna",) * 6, "the outer choice is back"
        assert [layer.update.bank.pages.is_pinned(name) for name in NAMES] == [True, False, False]
    assert layer.update.batch is None
    assert not any(layer.update.bank.pages.is_pinned(name) for name in NAMES)


def test_two_models_keep_their_own_choice():
    one, two = decoder(), decoder()
    bank(one, states())
    bank(two, states())
    with torch.no_grad(), serving(one, ["anna"]), serving(two, ["ben"]):
        assert not torch.allclose(one(TOKENS[:1]), two(TOKENS[:1]))


def test_a_single_adapter_can_be_merged_and_the_base_is_still_there():
    served = decoder()
    bank(served, states())
    with torch.no_grad(), serving(served, ["ben"] * 6):
        expected = served(TOKENS)
        with lb.merged(served):
            torch.testing.assert_close(served(TOKENS), expected, rtol=1e-11, atol=1e-12)
    with torch.no_grad(), lb.disabled(served):
        torch.testing.assert_close(served(TOKENS), decoder()(TOKENS), rtol=0, atol=0)
    with serving(served, ["anna", "ben"]), pytest.raises(ValueError, match="no one W"):
        lb.merge(served)


def test_nothing_trains_and_the_base_is_shared():
    model = nn.Sequential(nn.Linear(64, 64))
    memory = model[0].weight.data_ptr()
    bank(model, {"anna": {"0": Pair(torch.zeros(2, 64), torch.zeros(64, 2), 1.0)}})
    gc.collect()
    assert not any(p.requires_grad for p in model.parameters())
    assert model[0].base.matrix.data_ptr() == memory
    assert model[0].update.sA.shape == (3, 64), "two ranks, and row 0, which stays zero"


@pytest.mark.parametrize("unknown", ["zoe", "Anna", ""])
def test_an_unknown_adapter_is_named_and_the_known_are_listed(unknown):
    served = decoder()
    held = bank(served, states())
    message = rf"adapter {unknown!r} is not in this bank, which has 3: 'anna', 'ben', 'carl'"
    with pytest.raises(ValueError, match=message), serving(served, ["anna", unknown]):
        pass
    assert held.pages.owners == (), "nothing was copied into the pool"


def test_one_adapter_per_row():
    served = decoder()
    bank(served, states())
    with serving(served, ["anna", "ben"]), pytest.raises(ValueError, match="has 6 rows and serving was given 2"):
        served(TOKENS)


GOOD = Pair(torch.zeros(2, 3), torch.zeros(4, 2), 1.0)


@pytest.mark.parametrize(
    ("adapters", "message"),
    [
        ({}, "the bank is empty"),
        ({"anna": {"0": GOOD}, "ben": {}}, "adapter 'ben' has no layer"),
        ({"anna": {"1": GOOD}}, "adapter 'anna' is for the layer '1', which this model does not have"),
        ({"anna": {"0": GOOD}, "ben": {"0": Pair(GOOD.B, GOOD.A, 1.0)}}, r"adapter 'ben' on 0: A is \(4, 2\)"),
        ({"anna": {"0": GOOD._replace(A=torch.full((2, 3), torch.nan))}}, "adapter 'anna' on 0 has NaN"),
    ],
)
def test_a_bad_bank_is_refused_and_the_model_is_untouched(adapters, message):
    model = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(ValueError, match=message):
        bank(model, adapters)
    assert isinstance(model[0], nn.Linear)
    assert model[0].weight.requires_grad


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"page": 0}, ValueError, "page size is 0"),
        ({"page": True}, ValueError, "page size is True"),
        ({"pages": 0}, ValueError, "pages is 0"),
        ({"pages": -1}, ValueError, "pages is -1"),
        ({"pages": 1}, PoolFull, "adapter 'anna' has rank 2 and needs 2 pages of 1, and the pool has 1"),
    ],
)
def test_a_bad_pool_is_refused_and_the_model_is_untouched(options, error, message):
    model = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(error, match=message):
        bank(model, {"anna": {"0": GOOD}}, **options)
    assert isinstance(model[0], nn.Linear)


def test_other_forms_and_layers_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    with pytest.raises(UnsupportedLayer, match="LayerNorm"):
        bank(model, {"anna": {"1": GOOD}})
    lb.inject(model, lb.DoRA(r=2), "0")
    with pytest.raises(ValueError, match="0 is a RowScaled"):
        pairs_of(model)
    with pytest.raises(ValueError, match="has an adapter already"):
        bank(model, {"anna": {"0": GOOD}})
    with pytest.raises(ValueError, match="no bank of adapters"), serving(model, ["anna"]):
        pass


def test_a_layer_held_twice_is_banked_in_both_places():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    bank(model, {"anna": {"0": Pair(torch.ones(1, 4), torch.ones(4, 1), 0.5)}})
    assert isinstance(model[0].update, Banked)
    assert model[2] is model[0]
