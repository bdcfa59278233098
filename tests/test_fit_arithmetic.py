"""What `fit` computes, number by number, with plain SGD: one step of Adam is blind to a gradient's scale.

The loss is ⟨B, G⟩ for the G that a batch brings, so that G is the gradient, and B moves by −rate·G.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.axes.optim.any_optimizer import AnyOptimizer
from lorabook.core.adapted_layer import Adapted
from lorabook.core.schedule import warmup_cosine
from lorabook.core.step_rule import AfterStep

LR, PULL = 0.25, 0.5


class Pull(AfterStep):
    """A penalty ½λ‖B‖², whose gradient is λB; it counts how often it was asked."""

    def __init__(self, b: Tensor) -> None:
        self.b, self.asked = b, torch.zeros(())

    def begin(self, steps: int) -> None:
        return None

    def penalty(self) -> Tensor:
        return 0.5 * PULL * self.b.square().sum()

    def after_step(self, t: int) -> None:
        self.asked += 1

    def end(self) -> None:
        return None

    def state_dict(self) -> dict[str, Tensor]:
        return {"asked": self.asked}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.asked = state["asked"]


@dataclass(frozen=True)
class PullRule:
    """The value on the rule axis."""

    def build(self, model: nn.Module) -> Pull:
        return Pull(model[0].update.B)

    def refuse(self, *given: object) -> None:
        return None

    def count(self, *given: object) -> int:
        return 0


def world(*more: lb.Recipe) -> tuple[nn.Module, Adapted]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4)).double()
    recipe = lb.LoRA(r=2) | lb.Recipe(optim=AnyOptimizer(torch.optim.SGD))
    for other in more:
        recipe |= other
    return model, lb.inject(model, recipe, "0")["0"]


def gradients(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [(10 + i) * torch.randn(4, 2, generator=generator, dtype=torch.float64) for i in range(count)]


def product(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model[0].update.B * batch[0]).sum()


def fit(model: nn.Module, gs: list[Tensor], **options) -> list[float]:
    return lb.fit(model, [(g, g) for g in gs], **{"lr": LR, "loss": product, "progress": False} | options).losses


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one.detach(), other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_step_is_the_mean_of_its_batches(accumulate):
    model, layer = world()
    gs = gradients(accumulate)
    fit(model, gs, steps=1, accumulate=accumulate)
    close(layer.update.B, -LR * sum(gs) / accumulate)


def test_the_rate_of_every_step_is_the_schedule_of_that_step():
    model, layer = world()
    (g,) = gradients(1)
    seen = [torch.zeros(4, 2, dtype=torch.float64)]
    fit(model, [g] * 20, steps=20, schedule=warmup_cosine,
        on_step=lambda step, loss: seen.append(layer.update.B.detach().clone()))  # fmt: skip
    for step in range(20):
        close(seen[step + 1] - seen[step], -LR * warmup_cosine(step, 20) * g)


def test_a_schedule_is_not_applied_to_what_it_gave_before():
    model, layer = world()
    (g,) = gradients(1)
    fit(model, [g] * 3, steps=3, schedule=lambda step, steps: 0.5)
    close(layer.update.B, -3 * 0.5 * LR * g)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_step_is_taken_with_the_clipped_gradient(accumulate):
    model, layer = world()
    gs = gradients(accumulate)
    mean = sum(gs) / accumulate
    assert mean.norm() > 2
    fit(model, gs, steps=1, accumulate=accumulate, clip=0.5)
    torch.testing.assert_close(layer.update.B.detach(), -LR * 0.5 * mean / mean.norm(), rtol=1e-5, atol=0)


def test_a_gradient_within_the_bound_is_left_alone():
    model, layer = world()
    (g,) = gradients(1)
    fit(model, [g], steps=1, clip=1.01 * float(g.norm()))
    close(layer.update.B, -LR * g)


@pytest.mark.parametrize(("autocast", "dtype"), [(None, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_logits_come_in_the_dtype_of_autocast(autocast, dtype):
    model = nn.Sequential(nn.Linear(6, 4))
    lb.inject(model, lb.LoRA(r=2), "0")
    seen = []

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = model(batch[0])
        seen.append(logits.dtype)
        return logits.float().square().mean()

    x = torch.randn(3, 6)
    lb.fit(model, [(x, x)] * 4, steps=2, accumulate=2, lr=LR, loss=loss, autocast=autocast, progress=False)
    assert seen == [dtype] * 4


def by_hand(gs: list[Tensor], accumulate: int) -> Tensor:
    b = torch.zeros(4, 2, dtype=torch.float64)
    for at in range(0, len(gs), accumulate):
        b = b - LR * (sum(gs[at : at + accumulate]) / accumulate + PULL * b)
    return b


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_penalty_counts_once_a_step(accumulate):
    model, layer = world(lb.Recipe(rule=PullRule()))
    gs = gradients(2 * accumulate)
    fit(model, gs, steps=2, accumulate=accumulate)
    close(layer.update.B, by_hand(gs, accumulate))


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_stop_and_go_on_with_accumulation_and_a_penalty(tmp_path, stop):
    gs, options = gradients(10), {"steps": 5, "accumulate": 2, "checkpoint": tmp_path / "run"}
    first, _ = world(lb.Recipe(rule=PullRule()))
    fit(first, gs, on_step=lambda step, loss: step == stop, **options)
    again, layer = world(lb.Recipe(rule=PullRule()))
    losses = fit(again, gs, **options)
    close(layer.update.B, by_hand(gs, 2))
    assert len(losses) == 5


def test_the_loss_of_a_step_is_the_mean_of_its_batches_without_the_penalty():
    model, layer = world(lb.Recipe(rule=PullRule()))
    layer.update.B.data = gradients(1)[0]
    start, gs = layer.update.B.detach().clone(), gradients(3)
    losses = fit(model, gs, steps=1, accumulate=3)
    assert losses == [pytest.approx(float(sum((start * g).sum() for g in gs)) / 3, rel=1e-12)]


def test_each_batch_of_a_step_counts_alike_however_many_targets_it_has():
    """As the docstring says, and with its way out: a sum over targets, divided by a fixed number."""
    torch.manual_seed(0)
    x, y = torch.randn(8, 6), torch.randint(4, (8,))
    parts = [(x[:2], y[:2]), (x[2:], y[2:])]
    alike, by_target, whole = (_trained(parts, None), _trained(parts, 4.0), _trained([(x, y)], None))
    torch.testing.assert_close(by_target, whole)
    assert (alike - whole).abs().max() > 0.05 * whole.abs().max()


def _trained(batches: list[tuple[Tensor, Tensor]], fixed: float | None) -> Tensor:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 4))
    layer = lb.inject(model, lb.LoRA(r=2) | lb.Recipe(optim=AnyOptimizer(torch.optim.SGD)), "0")["0"]

    def fixed_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum") / fixed

    more = {} if fixed is None else {"loss": fixed_loss}
    lb.fit(model, batches, steps=1, lr=LR, accumulate=len(batches), progress=False, **more)
    return layer.update.B.detach()
