"""The training loop: what it optimises, when it stops, and that it can go on."""

import itertools

import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.axes.optim.lora_plus import LoRAPlusAdamW
from lorabook.core.optimizer import optimizer
from lorabook.core.schedule import constant, warmup_cosine


def world() -> tuple[nn.Module, list]:
    """A small classifier and its batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    generator = torch.Generator().manual_seed(1)
    data = [(torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)) for _ in range(8)]
    return model, data


def fit(model, data, **options):
    return lb.fit(model, itertools.cycle(data), **{"steps": 12, "lr": 1e-2, "progress": False} | options)


def test_full_fine_tuning_is_the_same_loop():
    model, data = world()
    history = fit(model, data, steps=60)
    assert history.steps == 60
    assert history.final() < history.losses[0]
    assert history.seconds > 0
    assert not model.training


def test_it_is_adamw_on_the_mean_loss():
    model, data = world()
    lb.inject(model, lb.LoRA(r=2), r"\d")
    twin, _ = world()
    lb.inject(twin, lb.LoRA(r=2), r"\d")
    history = fit(model, data, steps=5)
    optimizer = torch.optim.AdamW([p for p in twin.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    for step in range(5):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(twin(data[step][0]), data[step][1])
        loss.backward()
        optimizer.step()
        assert history.losses[step] == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_accumulation_averages_gradients():
    model, data = world()
    twin, _ = world()
    both = (torch.cat([data[0][0], data[1][0]]), torch.cat([data[0][1], data[1][1]]))
    fit(model, data[:2], steps=1, accumulate=2)
    fit(twin, [both], steps=1)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_lora_plus_gives_b_its_own_step_size():
    model, _ = world()
    layers = lb.inject(model, lb.LoRAPlus(16, r=2), r"\d")
    rates = {id(p): group["lr"] for group in optimizer(model, lr=1e-3).param_groups for p in group["params"]}
    for layer in layers.values():
        assert rates[id(layer.update.A)] == pytest.approx(1e-3)
        assert rates[id(layer.update.B)] == pytest.approx(16e-3)


def test_a_reversed_ratio_is_refused():
    with pytest.raises(ValueError, match=r"ratio η_B/η_A is 0.1"):
        LoRAPlusAdamW(0.1)


def test_a_non_finite_loss_stops_before_the_step():
    model, data = world()
    poisoned = [data[0], (data[1][0] * torch.inf, data[1][1])]
    seen = []
    before = None
    with pytest.raises(lb.Diverged, match=r"the loss is nan at step 1 with lr = 0.01; .*Lower lr"):
        fit(model, poisoned, on_step=lambda step, loss: seen.append([p.detach().clone() for p in model.parameters()]))
    before = seen[0]
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_a_run_can_be_stopped_and_go_on(tmp_path):
    whole, data = world()
    fit(whole, data, steps=10)
    parts, _ = world()
    fit(parts, data, steps=10, checkpoint=tmp_path / "run", on_step=lambda step, loss: step == 3)
    assert fit(parts, data, steps=10, checkpoint=tmp_path / "run").steps == 10
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("recipe", [lb.LoRAFA(r=2), lb.VeRA(r=2), lb.LoRA(r=2)], ids=lambda recipe: recipe.label)
def test_a_run_goes_on_beside_the_numbers_that_were_drawn_for_it(tmp_path, recipe):
    def drawn(seed: int):
        model, data = world()
        lb.inject(model, recipe, ".", torch.Generator().manual_seed(seed))
        return model, data

    whole, data = drawn(1)
    fit(whole, data, steps=10)
    fit(drawn(1)[0], data, steps=10, checkpoint=tmp_path / "run", on_step=lambda step, loss: step == 3)
    other, _ = drawn(2)
    fit(other, data, steps=10, checkpoint=tmp_path / "run")
    x = next(iter(data))[0]
    assert torch.equal(other(x), whole(x))


def test_an_interrupted_run_keeps_its_checkpoint(tmp_path):
    def interrupt(step: int, loss: float) -> None:
        if step == 4:
            raise KeyboardInterrupt

    whole, data = world()
    fit(whole, data, steps=10)
    model, _ = world()
    with pytest.raises(KeyboardInterrupt):
        fit(model, data, steps=10, checkpoint=tmp_path / "run", on_step=interrupt)
    again, _ = world()
    fit(again, data, steps=10, checkpoint=tmp_path / "run")
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_step_rule_goes_on_too(tmp_path):
    def adapted():
        model, data = world()
        recipe = lb.AdaLoRA(r=3, target_r=1, total_steps=12, warm_up=2, final=4, every=1)
        return model, data, lb.inject(model, recipe, r"\d")

    whole, data, _ = adapted()
    fit(whole, data)
    first, _, _ = adapted()
    fit(first, data, checkpoint=tmp_path / "run", on_step=lambda step, loss: step == 4)
    again, _, _ = adapted()
    fit(again, data, checkpoint=tmp_path / "run")
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_rule_planned_for_another_length_is_refused():
    model, data = world()
    lb.inject(model, lb.AdaLoRA(r=3, target_r=1, total_steps=30), r"\d")
    with pytest.raises(ValueError, match="total_steps = 30 and the run has 12"):
        fit(model, data)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    model, data = world()
    fit(model, data, steps=2, checkpoint=tmp_path / "run")
    other = nn.Sequential(nn.Linear(6, 3))
    with pytest.raises(ValueError, match=r"run belongs to another run"):
        fit(other, data, steps=4, checkpoint=tmp_path / "run")


def test_mixed_precision_keeps_the_weights_dtype():
    model, data = world()
    lb.inject(model, lb.LoRA(r=2), r"\d")
    history = fit(model, data, steps=30, autocast=torch.bfloat16)
    assert history.final(5) < history.losses[0]
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_batches_that_run_out_say_so():
    model, data = world()
    with pytest.raises(ValueError, match="ran out at step 8"):
        lb.fit(model, data, steps=9, lr=1e-2, progress=False)


def test_a_model_that_does_not_train_says_so():
    model, data = world()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter of this model trains"):
        fit(model, data)


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_a_step_size_that_is_none(lr):
    model, data = world()
    with pytest.raises(ValueError, match="lr is"):
        fit(model, data, lr=lr)


def test_layers_that_ask_for_different_optimisers():
    model, _ = world()
    lb.inject(model, lb.LoRA(r=2), "0")
    lb.inject(model, lb.LoRAPlus(4, r=2), "2")
    with pytest.raises(lb.AxisConflict, match=r"0 \(LoRA\) and 2 \(LoRA\+\)"):
        optimizer(model, lr=1e-3)


def test_schedules():
    assert constant(3, 10) == 1
    curve = [warmup_cosine(step, 100) for step in range(100)]
    assert max(curve) == curve[9] == 1
    assert curve[0] == pytest.approx(0.1)
    assert curve[-1] < 0.01
