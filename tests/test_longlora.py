"""LongLoRA's groups against a dense reference written out here, in training and in use."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.attention.full import full
from lorabook.attention.shifted import LongLoRA, Shifted
from lorabook.attention.shifted_claims import influence, rolled
from lorabook.models.decoder import Decoder, DecoderConfig, initialise

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


def test_full_attention_is_what_it_falls_back_to():
    inputs = qkv(2, 9)
    assert torch.equal(Shifted(4).eval()(*inputs), full(*inputs))
