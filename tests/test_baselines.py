"""Bottleneck adapters and prefix tuning: the formulas, PEFT's prefix, the common loop, and what is refused."""

import copy
import itertools

import pytest
import torch
from small import TOKENS, gpt2, llama, logits
from torch import Tensor, nn
from torch.nn import functional as F

import lorabook as lb
from lorabook.baselines.bottleneck import Bottleneck, insert_bottlenecks
from lorabook.baselines.prefix import Prefix, insert_prefix
from lorabook.core.frozen import UnsupportedLayer
from lorabook.cost.count import trainable
from lorabook.models.decoder import Decoder, DecoderConfig, rotate, rotations

SMALL = DecoderConfig(
    vocab=11, hidden=16, layers=2, heads=4, kv_heads=2, d_head=4, ffn=24, context=16, tied=False, norm_eps=1e-6
)
N, BOUND = 3, 1e-8


def net(dtype: torch.dtype = torch.float64) -> Decoder:
    torch.manual_seed(1)
    return Decoder(SMALL).to(dtype).eval()


def batches():
    return itertools.repeat((TOKENS[:, :-1], TOKENS[:, 1:]))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def moved(model: nn.Module) -> nn.Module:
    g = torch.Generator().manual_seed(3)
    for p in model.parameters():
        if p.requires_grad:
            p.data += 0.3 * torch.randn(p.shape, generator=g, dtype=p.dtype)
    return model


def test_a_bottleneck_is_its_formula_in_value_and_gradient():
    torch.manual_seed(0)
    layer = nn.Linear(5, 7).double()
    made = moved(Bottleneck(layer, 3, torch.tanh, torch.Generator().manual_seed(0)))
    x = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    down, b_down, up, b_up = made.W_down, made.b_down, made.W_up, made.b_up
    h = x @ layer.weight.T + layer.bias
    by_hand = h + torch.tanh(h @ down.T + b_down) @ up.T + b_up
    close(made(x), by_hand)
    probe = torch.randn_like(by_hand)
    wanted = [x, down, b_down, up, b_up]
    ours, theirs = (torch.autograd.grad((y * probe).sum(), wanted) for y in (made(x), by_hand))
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    ("model", "targets", "width"), [(net(), "o_proj|down_proj", 16), (llama(), "o_proj|down_proj", 16),
                                    (gpt2(), "attn.c_proj|mlp.c_proj", 16)]
)  # fmt: skip
def test_bottlenecks_start_at_the_base_and_only_they_train(model, targets, width):
    model = copy.deepcopy(model)
    before = logits(model)
    made = insert_bottlenecks(model, targets, m=N)
    assert torch.equal(logits(model), before)
    assert len(made) == 4
    assert trainable(model) == 4 * Bottleneck.count(width, N)
    assert {id(p) for p in model.parameters() if p.requires_grad} == {
        id(p) for one in made.values() for p in one.parameters(recurse=False)
    }
    assert not torch.equal(logits(moved(model)), before)


def test_one_generator_one_baseline():
    def states(insert) -> list[dict]:
        found = []
        for seed in (7, 7, 8):
            model = net()
            insert(model, torch.Generator().manual_seed(seed))
            found.append({name: p for name, p in model.named_parameters() if p.requires_grad})
        return found

    for insert in (
        lambda model, g: insert_bottlenecks(model, "o_proj", m=2, generator=g),
        lambda model, g: insert_prefix(model, n=2, generator=g),
    ):
        one, same, other = states(insert)
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert any(not torch.equal(one[name], other[name]) for name in one)


def turned_back(keys: Tensor, n: int) -> Tensor:
    """Keys of a prefix, turned back by n positions."""
    cos, sin = rotations(n + 1, SMALL.d_head, SMALL.rope_theta, keys.device)
    return rotate(keys[None], *(angle[n:].expand(n, -1).double() for angle in (cos, -sin)))[0]


def with_peft(n: int) -> tuple[nn.Module, Decoder, dict[str, Prefix], Tensor]:
    """PEFT's prefix on transformers' LLaMA, and ours with the same numbers on our decoder with the same weights.

    PEFT counts the words' positions from n, so its keys do what ours do when they are turned back by n positions.
    """
    from peft import PrefixTuningConfig, get_peft_model

    theirs = llama(torch.float64)
    for parent in list(theirs.modules()):
        for name, norm in parent.named_children():
            if type(norm).__name__ == "LlamaRMSNorm":  # computes in float32, whatever the model's dtype
                setattr(parent, name, nn.RMSNorm(SMALL.hidden, eps=SMALL.norm_eps, dtype=torch.float64))
    ours = Decoder(SMALL).double().eval()
    ours.load_state_dict({name.removeprefix("model."): w for name, w in theirs.state_dict().items()})
    close(ours(TOKENS), theirs(TOKENS).logits)
    wrapped = get_peft_model(theirs, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=n))
    table = wrapped.prompt_encoder["default"].double().embedding.weight
    prefixes = insert_prefix(ours, n=n)
    shape = (n, SMALL.layers, 2, SMALL.kv_heads, SMALL.d_head)
    for i, made in enumerate(prefixes.values()):
        before, values = table.detach().view(shape)[:, i].permute(1, 2, 0, 3)
        made.P_k.data.copy_(turned_back(before, n))
        made.P_v.data.copy_(values)
    return wrapped, ours, prefixes, table


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_prefix_is_pefts_in_value_gradient_and_step():
    """Angles are float32 in both models, where turning by i and by n is turning by i + n to 10⁻⁷ only."""
    theirs, ours, prefixes, table = with_peft(N)
    torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, rtol=0, atol=BOUND)
    assert trainable(ours) == trainable(theirs) == Prefix.count(N, SMALL.layers, SMALL.kv_heads, SMALL.d_head)
    for logit in (ours(TOKENS), theirs(TOKENS).logits):
        F.cross_entropy(logit.flatten(0, 1), TOKENS.flatten()).backward()
    values = table.grad.view(N, SMALL.layers, 2, SMALL.kv_heads, SMALL.d_head)[:, :, 1]
    of_keys = table.grad.view(N, SMALL.layers, 2, SMALL.kv_heads, SMALL.d_head)[:, :, 0]
    for i, made in enumerate(prefixes.values()):
        torch.testing.assert_close(made.P_v.grad, values[:, i].transpose(0, 1), rtol=0, atol=BOUND)
        turned = turned_back(of_keys[:, i].transpose(0, 1), N)
        torch.testing.assert_close(made.P_k.grad, turned, rtol=0, atol=BOUND)
        assert turned.abs().max() > 1e-4
    torch.optim.SGD([p for p in ours.parameters() if p.requires_grad], lr=0.5).step()
    torch.optim.SGD([table], lr=0.5).step()
    torch.testing.assert_close(ours(TOKENS), theirs(TOKENS).logits, rtol=0, atol=BOUND)


def test_a_prefix_is_its_formula_and_no_one_sees_the_future():
    torch.manual_seed(0)
    made = moved(Prefix(N, 2, 4, torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(0)))
    q, k, v = (torch.randn(2, 4, 5, 4, dtype=torch.float64) for _ in range(3))
    out = made(q, k, v)
    for h, i in itertools.product(range(4), range(5)):
        keys = torch.cat([made.P_k[h // 2].expand(2, -1, -1), k[:, h, : i + 1]], dim=1)
        values = torch.cat([made.P_v[h // 2].expand(2, -1, -1), v[:, h, : i + 1]], dim=1)
        weights = (torch.einsum("bd,bjd->bj", q[:, h, i], keys) / 2).softmax(-1)
        close(out[:, h, i], torch.einsum("bj,bjd->bd", weights, values))


@pytest.mark.parametrize(
    "insert",
    [lambda m: insert_bottlenecks(m, "o_proj|down_proj", m=4), lambda m: insert_prefix(m, n=4)],
    ids=["bottleneck", "prefix"],
)
def test_a_baseline_trains_in_the_common_loop(insert):
    model = net(torch.float32)
    before = {name: p.clone() for name, p in model.named_parameters()}
    insert(model)
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    losses = lb.fit(model, batches(), steps=30, lr=0.05, progress=False).losses
    assert losses[-1] < losses[0] - 0.1
    for name, p in frozen.items():
        assert torch.equal(p, before[name.replace(".layer.weight", ".weight")]), name


@pytest.mark.parametrize("insert", [lambda m: insert_bottlenecks(m, "o_proj", m=4), lambda m: insert_prefix(m, n=4)])
def test_lora_trains_beside_a_baseline_and_cannot_be_merged_with_it(insert):
    model = net()
    lb.inject(model, lb.LoRA(r=2, alpha=3.0), "q_proj")
    insert(model)
    said = model(TOKENS).detach()
    for act in (lb.merge, lambda m: lb.merged(m).__enter__()):
        with pytest.raises(ValueError, match=r"cannot be merged: .* low-rank update"):
            act(model)
    assert torch.equal(model(TOKENS), said)
    assert lb.adapted(model)


def test_each_baseline_says_why_it_is_not_mergeable():
    bottlenecks, prefixes = net(), net()
    insert_bottlenecks(bottlenecks, "o_proj", m=2)
    insert_prefix(prefixes, n=2)
    with pytest.raises(ValueError, match="o_proj holds a Bottleneck, .* nonlinearity"):
        lb.merge(bottlenecks)
    with pytest.raises(ValueError, match="attend holds a Prefix, .* adds keys and values"):
        lb.merge(prefixes)


def test_a_trained_prefix_is_not_thrown_away():
    model = net()
    insert_prefix(model, n=2)
    with pytest.raises(ValueError, match="trained Prefix: use one of the two"):
        lb.inject(model, lb.LongLoRA(group=4), "q_proj")
    with pytest.raises(ValueError, match="attend is Prefix"):
        insert_prefix(model, n=2)
    shifted = net()
    lb.inject(shifted, lb.LongLoRA(group=4), "q_proj")
    with pytest.raises(ValueError, match="attend is Shifted, .* full causal"):
        insert_prefix(shifted, n=2)


@pytest.mark.parametrize("bad", [0, -1, True])
def test_a_width_or_length_below_one_is_refused(bad):
    model = net()
    with pytest.raises(ValueError, match=r"m is .* whole number ≥ 1"):
        insert_bottlenecks(model, "o_proj", m=bad)
    with pytest.raises(ValueError, match=r"n is .* whole number ≥ 1"):
        insert_prefix(model, n=bad)
    assert all(p.requires_grad for p in model.parameters())


def test_places_that_cannot_hold_a_baseline_are_refused_before_anything_changes():
    model = nn.Sequential(nn.Linear(3, 4), nn.Embedding(5, 3))
    with pytest.raises(UnsupportedLayer, match="1 is a Embedding; .* after a Linear"):
        insert_bottlenecks(model, "0|1", m=2)
    assert isinstance(model[0], nn.Linear)
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match="matches no layer"):
        insert_bottlenecks(model, "nothing", m=2)
    insert_bottlenecks(model, "0", m=2)
    with pytest.raises(ValueError, match="0 has a bottleneck adapter already"):
        insert_bottlenecks(model, "0", m=2)
    with pytest.raises(ValueError, match=r"no lorabook.models.decoder.Attention"):
        insert_prefix(model, n=2)
