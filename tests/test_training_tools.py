"""What chapters on training measure with: comparison, drift, peak of memory, checkpointing, the parts of a score."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.axes.attention.score_terms import score_terms
from lorabook.cost.peak import peak_bytes
from lorabook.models.decoder import Decoder, DecoderConfig, initialise, rotations
from lorabook.models.loaded import Loaded
from lorabook.models.paths import data_file
from lorabook.models.recompute import recomputed
from lorabook.models.vocabulary import read_vocabulary
from lorabook.tasks.drift import branch_output, kl_from_base, layer_outputs
from lorabook.tasks.study import Outcome, recovered, study, tune
from lorabook.tasks.text import Corpus
from lorabook.tasks.train import Contender, Run, Setting, train

CONFIG = DecoderConfig(vocab=17, hidden=16, layers=3, heads=4, kv_heads=2, d_head=4, ffn=24, context=32)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model() -> Decoder:
    made = Decoder(CONFIG)
    initialise(made, seeded(0))
    return made.eval()


@pytest.fixture
def adapted(model: Decoder) -> Decoder:
    """The model with adapters that have left their start."""
    for layer in lb.inject(model, lb.LoRA(2, 4.0), "_proj", seeded(0)).values():
        layer.update.B.data.normal_(generator=seeded(1))
    return model


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randint(17, (2, 8), generator=seeded(seed))


def setting(model: Decoder) -> Setting:
    text = torch.randint(17, (400,), generator=seeded(3))
    small = Loaded(model, read_vocabulary(data_file("tokenizer.json")), "small", torch.device("cpu"), 32)
    return Setting(small, Corpus("noise", text, text, 400), 2, 8, 4)


def test_a_study_gives_every_contender_the_same_batches_and_leaves_the_base_alone(model: Decoder) -> None:
    world, before = setting(model), {name: p.clone() for name, p in model.named_parameters()}
    lora = Contender("LoRA", lb.LoRA(2, 4.0), 1e-2)
    one, other, full = study(world, [lora, lora, Contender("full fine-tuning", None, 1e-3)], (0, 1))
    assert one.finals == other.finals
    assert one.curves[0][0] == full.curves[0][0], "the first loss is the base's, on the first batch of the seed"
    assert one.curves[0] != one.curves[1]
    assert [len(curve) for curve in full.curves] == [4, 4]
    assert full.trained == sum(p.numel() for p in model.parameters())
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_one_training_says_what_it_costs_and_can_be_watched_and_stopped(model: Decoder) -> None:
    lora, steps = Contender("LoRA", lb.LoRA(2, 4.0), 1e-2), []
    _, whole = train(setting(model), lora, seed=0)
    assert (whole.state, len(whole.losses)) == ("finished", 4)
    assert whole.backward_bytes > 0
    assert whole.trained == sum(2 * sum(layer.weight.shape) for layer in projections(model))

    def stop_after_two(run: Run) -> bool:
        steps.append(list(run.losses))
        return len(steps) == 2

    _, part = train(setting(model), lora, seed=0, on_step=stop_after_two)
    assert (part.state, part.final) == ("stopped", None)
    assert part.losses == whole.losses[:2] == steps[-1]


def projections(model: Decoder) -> list[nn.Linear]:
    return [layer for name, layer in model.named_modules() if name.endswith("_proj")]


def test_a_training_that_cannot_begin_says_so_in_its_record(model: Decoder) -> None:
    run = Run()
    with pytest.raises(ValueError, match="nothing_here"):
        train(setting(model), Contender("LoRA", lb.LoRA(2, 4.0), 1e-2, "nothing_here"), seed=0, run=run)
    assert run.state == "failed"


def test_a_setting_has_a_schedule(model: Decoder) -> None:
    still = replace(setting(model), schedule=lambda step, steps: 0.0)
    _, run = train(still, Contender("LoRA", lb.LoRA(2, 4.0), 1e-2), seed=0)
    assert run.final == pytest.approx(still.start)


def test_tuning_says_infinity_where_training_diverges(model: Decoder) -> None:
    found = tune(setting(model), Contender("full fine-tuning", None, 1.0), (1e-3, 1e30), seed=0)
    assert found[1e-3] < 10
    assert found[1e30] == float("inf")


def test_the_share_of_the_gain_is_paired_by_seed() -> None:
    def outcome(*finals: float) -> Outcome:
        return Outcome(Contender("", None, 1.0), tuple(Run(final=final) for final in finals))

    assert recovered(outcome(3.0, 3.5), outcome(2.0, 3.0), start=4.0) == (0.5, 0.0)
    assert outcome(1.0, 3.0).mean == 2.0
    assert outcome(1.0, 3.0).spread == pytest.approx(2**0.5)


def test_drift_is_zero_at_the_start_and_positive_after_it(model: Decoder) -> None:
    layers = lb.inject(model, lb.LoRA(2, 4.0), "_proj", seeded(0))
    assert kl_from_base(model, tokens()) == 0
    assert branch_output(model, tokens()) == 0
    for layer in layers.values():
        layer.update.B.data.normal_(generator=seeded(1))
    p = model(tokens()).log_softmax(-1)
    with lb.disabled(model):
        q = model(tokens()).log_softmax(-1)
    expected = nn.functional.kl_div(p, q, log_target=True, reduction="none").sum(-1).mean()
    assert kl_from_base(model, tokens()) == pytest.approx(expected.item(), rel=1e-4)
    assert branch_output(model, tokens()) > 0


def test_what_each_adapter_adds_is_read_at_its_own_layer(adapted: Decoder) -> None:
    kept, layer = [], adapted.layers[1].mlp.down_proj
    hook = layer.register_forward_hook(lambda _layer, inputs, _output: kept.append(inputs[0]))
    adapted(tokens())
    hook.remove()
    by_hand = layer.update.s * kept[0] @ layer.update.A.T @ layer.update.B.T
    sizes, place = layer_outputs(adapted, tokens()), list(lb.adapted(adapted)).index("layers.1.mlp.down_proj")
    assert sizes.shape == (21,)
    assert sizes[place].item() == pytest.approx(by_hand.square().mean().sqrt().item(), rel=1e-4)
    assert not any(one._forward_hooks for one in lb.adapted(adapted).values())


def test_drift_needs_an_adapter(model: Decoder) -> None:
    with pytest.raises(ValueError, match="no adapted layer"):
        kl_from_base(model, tokens())


def test_the_peak_counts_what_lives_at_once() -> None:
    x = torch.randn(1000)

    def one_after_another() -> None:
        for _ in range(5):
            x + 1

    assert peak_bytes(one_after_another) == 4000
    assert peak_bytes(lambda: [x + 1 for _ in range(5)]) == 20_000
    assert peak_bytes(lambda: x.view(10, 100).T) == 0
    assert peak_bytes(lambda: x.mul_(1.0)) == 0


def gradients(model: Decoder) -> list[torch.Tensor]:
    model.zero_grad()
    model(tokens()).square().mean().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_checkpointing_gives_the_same_gradients_for_less_memory(adapted: Decoder) -> None:
    plain, most = gradients(adapted), peak_bytes(lambda: gradients(adapted))
    kept = adapted.layers
    with recomputed(adapted):
        again, less = gradients(adapted), peak_bytes(lambda: gradients(adapted))
    assert adapted.layers is kept
    assert len(again) == len(plain) == 2 * 21
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert less < 0.8 * most


def test_checkpointing_ends_when_the_block_fails(adapted: Decoder) -> None:
    kept = adapted.layers
    with pytest.raises(KeyError), recomputed(adapted):
        raise KeyError
    assert adapted.layers is kept


def test_the_parts_of_a_score_need_both_adapters(model: Decoder) -> None:
    lb.inject(model, lb.LoRA(2, 4.0), "q_proj", seeded(0))
    cos, sin = rotations(8, 4, 10000.0, torch.device("cpu"))
    with pytest.raises(TypeError, match="k_proj is not adapted"):
        score_terms(model.layers[0].self_attn, torch.randn(1, 8, 16), cos, sin)


def test_at_the_start_all_of_a_score_is_frozen(model: Decoder) -> None:
    lb.inject(model, lb.LoRA(2, 4.0), "q_proj|k_proj", seeded(0))
    cos, sin = rotations(8, 4, 10000.0, torch.device("cpu"))
    frozen, first, second = score_terms(model.layers[0].self_attn, torch.randn(1, 8, 16), cos, sin).sizes()
    assert frozen > 0
    assert first == second == 0
