"""LongLoRA's groups against a dense reference written out here; interpolated positions against transformers."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
import transformers
from torch import nn

import lorabook as lb
from lorabook.axes.attention.interpolation import interpolate
from lorabook.axes.attention.longlora import LongLoRA, Shifted
from lorabook.claims.longlora.shifted import influence, rolled
from lorabook.models.decoder import Decoder, DecoderConfig, full, initialise
from lorabook.models.generate import generate
from lorabook.tasks.pretrain import export

QKVO = r"[qkvo]_proj"


def small(context: int = 64) -> Decoder:
    config = DecoderConfig(vocab=19, hidden=24, layers=2, heads=3, kv_heads=1, d_head=8, ffn=32, context=context)
    model = Decoder(config)
    initialise(model, torch.Generator().manual_seed(0))
    return model


def qkv(heads: int, length: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(length)
    return [torch.randn(2, heads, length, 5, generator=g, dtype=dtype).requires_grad_() for _ in range(3)]


def by_hand(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, group: int) -> torch.Tensor:
    """One head, one token at a time: which tokens share its group, and a softmax over those up to itself."""
    out = torch.zeros_like(q)
    for h in range(q.shape[1]):
        shift = 0 if h < q.shape[1] // 2 else group // 2
        for i in range(q.shape[2]):
            first = max(0, (i + shift) // group * group - shift)
            score = (q[:, h, i, None] * k[:, h, first : i + 1]).sum(-1) / math.sqrt(q.shape[-1])
            out[:, h, i] = (score.softmax(-1)[..., None] * v[:, h, first : i + 1]).sum(1)
    return out


@pytest.mark.parametrize("heads", [1, 2, 5])
@pytest.mark.parametrize(
    ("length", "group"), [(16, 4), (17, 4), (15, 5), (3, 4), (2, 4), (1, 4), (1, 2), (9, 64), (33, 6)]
)
def test_groups_equal_a_loop_over_tokens(length, group, heads):
    inputs, attend = qkv(heads, length), Shifted(group)
    expected = by_hand(*[t.detach().clone() for t in inputs], group)
    torch.testing.assert_close(attend(*inputs), expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(attend.dense(*inputs), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("length", "group"), [(16, 4), (17, 4), (15, 5), (3, 8)])
def test_gradients_equal_those_of_dense_attention(length, group):
    inputs, attend = qkv(4, length), Shifted(group)
    for ours, dense in zip(
        torch.autograd.grad(attend(*inputs).sin().sum(), inputs),
        torch.autograd.grad(attend.dense(*inputs).sin().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, dense, rtol=1e-11, atol=1e-13)


def test_away_from_the_ends_it_is_the_authors_roll():
    """They differ for the tokens of the wrapped group only, and there because the roll leaks."""
    group, (q, k, v) = 4, qkv(4, 16)
    ours, theirs = Shifted(group)(q, k, v), rolled(q, k, v, group)
    torch.testing.assert_close(ours[:, :, 2:-2], theirs[:, :, 2:-2], rtol=1e-12, atol=1e-13)
    leak = influence(lambda *t: rolled(*t, group), [q, k, v]).triu(1)
    # Rolled by two, the last group reads 14, 15, 0, 1: tokens 0 and 1 see the two that come last.
    assert {tuple(pair) for pair in leak.nonzero().tolist()} == {(0, 14), (0, 15), (1, 14), (1, 15)}
    assert not influence(Shifted(group), [q, k, v]).triu(1).any()


def test_a_decoder_in_training_never_sees_the_future():
    model = small()
    lb.inject(model, LongLoRA(8, r=2), QKVO)
    model.train()
    tokens = torch.randint(19, (1, 32), generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[0, 20] = (tokens[0, 20] + 1) % 19
    a, b = model(tokens), model(changed)
    assert torch.equal(a[:, :20], b[:, :20])
    assert not torch.equal(a[:, 20:], b[:, 20:])


def test_inference_is_full_attention_and_changes_no_weight():
    model, plain = small().eval(), small().eval()
    lb.inject(model, LongLoRA(8, r=2), QKVO)
    tokens = torch.randint(19, (2, 32), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(model(tokens), plain(tokens)), "injected into a model in eval mode, it stays in eval mode"
        weights = copy.deepcopy(model.state_dict())
        grouped = model.train()(tokens)
        torch.testing.assert_close(grouped[:, :4], plain(tokens)[:, :4])  # both halves of the heads see all of these
        assert not torch.allclose(grouped, plain(tokens), atol=1e-4)
        assert torch.equal(model.eval()(tokens), plain(tokens))
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_what_trains():
    model = small()
    lb.inject(model, LongLoRA(8, r=2), QKVO)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name in trained if ".update." not in name} == {
        "embed_tokens.weight", "norm.weight",
        *(f"layers.{i}.{norm}_layernorm.weight" for i in range(2) for norm in ("input", "post_attention")),
    }  # fmt: skip
    assert sum(".update." in name for name in trained) == 2 * 4 * 2


def test_fit_trains_in_groups_and_leaves_full_attention_behind():
    model = small()
    lb.inject(model, LongLoRA(8, r=4), QKVO)
    x = torch.randint(19, (4, 30), generator=torch.Generator().manual_seed(0))
    seen = []
    model.layers[0].self_attn.attend.register_forward_hook(lambda attend, _, out: seen.append(attend.training))
    history = lb.fit(model, ((x, x) for _ in range(12)), steps=12, lr=2e-2, progress=False)
    assert history.losses[-1] < 0.8 * history.losses[0]
    assert seen == [True] * 12
    assert not any(layer.self_attn.attend.training for layer in model.layers)


def test_it_survives_copying_pickling_and_moving_to_another_dtype():
    model = small()
    lb.inject(model, LongLoRA(8, r=2), QKVO)
    twin = copy.deepcopy(model).double()
    assert twin.layers[0].self_attn.attend is not model.layers[0].self_attn.attend
    assert pickle.loads(pickle.dumps(Shifted(6).eval())).group == 6
    tokens = torch.zeros(1, 20, dtype=torch.long)
    torch.testing.assert_close(twin.train()(tokens).float(), model.train()(tokens), rtol=1e-4, atol=1e-5)


def test_bfloat16():
    inputs = qkv(2, 13, torch.bfloat16)
    with torch.no_grad():
        assert Shifted(4)(*inputs).dtype == torch.bfloat16


@pytest.mark.parametrize("group", [0, 1, -4, True])
def test_a_bad_group_is_named(group):
    with pytest.raises(ValueError, match="LongLoRA: group is"):
        LongLoRA(group)


def test_two_group_sizes_conflict():
    with pytest.raises(lb.AxisConflict, match="attention"):
        LongLoRA(4) | LongLoRA(8)
    assert (LongLoRA(4) | LongLoRA(4, r=3)).r == 3


def test_a_model_without_replaceable_attention_is_refused_unchanged():
    model = nn.ModuleDict({"layer": nn.Linear(3, 3), "norm": nn.LayerNorm(3)})
    with pytest.raises(ValueError, match="replaces attention"):
        lb.inject(model, LongLoRA(4, r=2), "layer")
    assert isinstance(model["layer"], nn.Linear)


@pytest.mark.parametrize("group", [64, 65, 1000])
def test_a_group_that_cuts_no_text_of_the_model_is_refused_before_anything_changes(group):
    model = small(context=64)
    kept = {name: id(module) for name, module in model.named_modules()}
    with pytest.raises(ValueError, match=f"group is {group}, and the model reads at most 64 .* below 64, such as 16"):
        lb.inject(model, LongLoRA(group, r=2), QKVO)
    assert {name: id(module) for name, module in model.named_modules()} == kept
    assert all(p.requires_grad for p in model.parameters())
    assert all(layer.self_attn.attend is full for layer in model.layers)
    lb.inject(interpolate(model, 4 * group), LongLoRA(group, r=2), QKVO)


@pytest.mark.parametrize(("length", "group"), [(37, 8), (64, 63), (64, 2), (5, 8), (1, 8)])
def test_a_decoder_trains_on_texts_of_any_length_as_under_the_dense_mask(length, group):
    """Lengths that the group does not divide, a last group of one token, and texts shorter than a group."""
    model = small(context=64)
    lb.inject(model, LongLoRA(group, r=2), QKVO)
    tokens = torch.randint(19, (2, length), generator=torch.Generator().manual_seed(length))
    model.double().train()
    grouped = model(tokens)
    for layer in model.layers:
        attend = layer.self_attn.attend
        del layer.self_attn.attend
        layer.self_attn.attend = attend.dense
    torch.testing.assert_close(grouped, model(tokens), rtol=1e-10, atol=1e-12)


def llama(config: DecoderConfig, rope: dict) -> transformers.LlamaForCausalLM:
    shape = transformers.LlamaConfig(
        vocab_size=config.vocab, hidden_size=config.hidden, num_hidden_layers=config.layers,
        num_attention_heads=config.heads, num_key_value_heads=config.kv_heads, head_dim=config.d_head,
        intermediate_size=config.ffn, max_position_embeddings=config.context, rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_theta": config.rope_theta} | rope, tie_word_embeddings=config.tied,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(shape).eval()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_interpolation_is_linear_rope_scaling_in_transformers(factor):
    ours = small(context=16).eval()
    with torch.no_grad():
        for p in ours.parameters():
            p.mul_(5).add_(0.01)
    theirs = llama(ours.config, {"rope_type": "linear", "factor": float(factor)})
    plain = llama(ours.config, {"rope_type": "default"})
    state = {k if k.startswith("lm_head") else f"model.{k}": v for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    plain.load_state_dict(state)
    assert interpolate(ours, 16 * factor) is ours
    tokens = torch.randint(19, (3, 16 * factor), generator=torch.Generator().manual_seed(factor))
    with torch.no_grad():
        mine, other, extrapolated = ours(tokens), theirs(tokens).logits, plain(tokens).logits
    assert (mine - other).abs().max() <= 1e-5 * other.abs().max()
    assert (extrapolated - other).abs().max() > 0.01 * other.abs().max(), "the factor matters to this model"


def test_interpolating_twice_is_interpolating_once():
    once, twice = interpolate(small(16), 64), interpolate(interpolate(small(16), 32), 64)
    assert once.config == twice.config
    assert (once.config.context, once.config.position_scale) == (64, 0.25)
    assert small(16).config.position_scale == 1.0


@pytest.mark.parametrize("context", [16, 15, 0, -4, True])
def test_a_context_that_is_no_longer_is_refused(context):
    model = small(16)
    with pytest.raises(ValueError, match=r"context is .* ≥ 17, such as 64: the model reads 16 tokens already"):
        interpolate(model, context)
    assert model.config == small(16).config


def test_a_model_that_is_no_decoder_is_refused_with_what_to_do():
    with pytest.raises(TypeError, match="Linear is no lorabook Decoder; .* rope_type 'linear'"):
        interpolate(nn.Linear(3, 3), 8)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5, float("nan")])
def test_a_scale_of_positions_out_of_range_is_refused(scale):
    with pytest.raises(ValueError, match=r"position_scale = .* expected a number in \(0, 1\]"):
        dataclasses.replace(small().config, position_scale=scale)


def test_the_scale_of_positions_is_saved_with_the_base_and_survives_copies(tmp_path):
    base = lb.load("tiny")
    model = interpolate(base.model, 512)
    tokens = torch.randint(1024, (1, 400), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        said = model(tokens)
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(twin(tokens), said)
        export(model.state_dict(), model.config, {}, tmp_path, "long")
        again = lb.load(tmp_path / "long.safetensors")
        torch.testing.assert_close(again.model(tokens), said, rtol=1e-3, atol=1e-2)  # written as fp16
    assert again.context == 512
    assert again.model.config == model.config
    seen = []
    again.model.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    for reader in (again, dataclasses.replace(again, context=256)):
        generate(reader, "It is " * 400, 1, 0.0)
    assert seen == [512, 256], "how far `generate` looks back is said by what `load` returned"


def test_an_adapter_for_long_texts_comes_back_onto_an_interpolated_base(tmp_path):
    model = interpolate(small(16), 64)
    lb.inject(model, LongLoRA(16, r=2), QKVO)
    x = torch.randint(19, (2, 64), generator=torch.Generator().manual_seed(0))
    lb.fit(model, ((x[:, :-1], x[:, 1:]) for _ in range(3)), steps=3, lr=1e-2, progress=False)
    lb.save_adapter(model, tmp_path)
    fresh = interpolate(small(16), 64)
    lb.load_adapter(fresh, tmp_path)
    assert torch.equal(fresh.eval()(x), model(x)), "in use both attend in full"


def test_full_attention_is_what_it_falls_back_to():
    inputs = qkv(2, 9)
    assert torch.equal(Shifted(4).eval()(*inputs), full(*inputs))
