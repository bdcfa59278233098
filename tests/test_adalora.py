"""AdaLoRA against PEFT's allocator over whole runs, and what the budget does on a task whose ranks are known."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.rule.allocator import Allocator
from lorabook.axes.rule.schedule import CubicBudget
from lorabook.core.schedule import constant

STEPS, R, TARGET, ALPHA = 80, 4, 2, 7.0
SETTINGS = {"total_steps": STEPS, "target_r": TARGET, "warm_up": 10, "final": 20}


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 5)).double()


def batch(t: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randn(16, 13, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    return drawn[:, :8], 3 * drawn[:, 8:] + drawn[:, :5].sin()


def ours(every: int = 3, **changes) -> tuple[nn.Module, Allocator]:
    model = plain()
    recipe = AdaLoRA(R, ALPHA, every=every, **SETTINGS | {"orthogonality": 0.1} | changes)
    lb.inject(model, recipe, r"\d", generator=torch.Generator().manual_seed(1))
    return model, recipe.rule.build(model)


def peft_twin(model: nn.Module, every: int):
    """Return PEFT's AdaLoRA of the same base with our start, its scale set to ours, and its allocator."""
    from peft import AdaLoraConfig, get_peft_model

    config = AdaLoraConfig(
        target_modules=["0", "2", "4"], init_r=R, target_r=TARGET, lora_alpha=ALPHA, total_step=STEPS, deltaT=every,
        tinit=SETTINGS["warm_up"], tfinal=SETTINGS["final"],
    )  # fmt: skip
    twin = get_peft_model(plain(), config)
    layers = [twin.base_model.model[int(name)] for name in lb.adapted(model)]
    with torch.no_grad():
        for layer, mine in zip(layers, lb.adapted(model).values(), strict=True):
            layer.lora_A["default"].copy_(mine.update.A)
            layer.lora_B["default"].copy_(mine.update.B)
            layer.ranknum["default"].fill_(R - 1e-5)  # PEFT divides α by ranknum + 1e-5
    return twin, layers


def paper_penalty(layers) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for layer in layers:
        p, q = layer.lora_B["default"], layer.lora_A["default"]
        total = total + ((p.T @ p - torch.eye(R)) ** 2).sum() + ((q @ q.T - torch.eye(R)) ** 2).sum()
    return 0.1 * total


def in_the_papers_order(rule: Allocator, step, theirs, twin, their_step, t: int) -> None:
    """PEFT's own functions, called where algorithm 1 calls them: scores before the step, masks after it."""
    rule.before_step(t)
    if t < STEPS - SETTINGS["final"]:
        theirs.update_ipt(twin)
    step()
    their_step()
    rule.after_step(t)
    budget, masks = theirs.budget_schedule(t)
    if t < STEPS - SETTINGS["final"] and masks or t == STEPS - SETTINGS["final"]:
        twin.peft_config["default"].rank_pattern = theirs.mask_to_budget(twin, budget)
    elif t > STEPS - SETTINGS["final"]:
        theirs.mask_using_rank_pattern(twin, twin.peft_config["default"].rank_pattern)


def in_the_authors_order(rule: Allocator, step, theirs, twin, their_step, t: int) -> None:
    """PEFT as its documentation says, and our rule with both halves after the step."""
    step()
    their_step()
    rule.before_step(t)
    rule.after_step(t)
    twin.base_model.update_and_allocate(t)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("order", [in_the_papers_order, in_the_authors_order])
def test_a_whole_run_equals_peft(order, every):
    model, rule = ours(every)
    twin, layers = peft_twin(model, every)
    trained = [p for layer in layers for p in (one["default"] for one in (layer.lora_A, layer.lora_B, layer.lora_E))]
    mine = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-2)
    theirs = torch.optim.AdamW(trained, lr=3e-2)
    budgets = set()
    for t in range(STEPS):
        x, y = batch(t)
        mine.zero_grad()
        theirs.zero_grad()
        ((model(x) - y).square().mean() + rule.penalty()).backward()
        ((twin(x) - y).square().mean() + paper_penalty(layers)).backward()
        order(rule, mine.step, twin.base_model.rankallocator, twin, theirs.step, t)
        for layer, one in zip(lb.adapted(model).values(), layers, strict=True):
            assert torch.equal(layer.update.E == 0, one.lora_E["default"] == 0), f"masks differ after step {t}"
            torch.testing.assert_close(layer.update.E, one.lora_E["default"], rtol=1e-7, atol=1e-10)
            torch.testing.assert_close(layer.update.A, one.lora_A["default"], rtol=1e-7, atol=1e-10)
        masked_now = rule.schedule.reallocates(t)
        if masked_now:
            budget = twin.base_model.rankallocator.budget_schedule(t)[0]
            assert sum(rule.ranks().values()) == budget == rule.schedule.budget(t, rule.start, rule.target)
            budgets.add(budget)
    assert len(budgets) >= 5, "the run never moved its budget: it compares nothing"
    assert sum(rule.ranks().values()) == TARGET * len(layers) == sum(int((p != 0).sum()) for p in trained[2::3])


def test_pefts_scale_differs_by_its_epsilon():
    model, _ = ours()
    _, layers = peft_twin(model, every=1)
    for layer, theirs in zip(lb.adapted(model).values(), layers, strict=True):
        with torch.no_grad():
            layer.update.E.normal_()
            theirs.lora_E["default"].copy_(layer.update.E)
            theirs.ranknum["default"].fill_(R)
        delta = layer.update.weight(layer.base.matrix) - layer.base.matrix
        torch.testing.assert_close(theirs.get_delta_weight("default"), delta * R / (R + 1e-5), rtol=1e-12, atol=1e-13)


def test_the_penalty_is_the_papers_sum_of_squares_and_not_pefts_mean_of_norms():
    model, rule = ours()
    squares = []
    for layer in lb.adapted(model).values():
        for gram in (layer.update.B.T @ layer.update.B, layer.update.A @ layer.update.A.T):
            squares.append((gram - torch.eye(R)).square().sum())
    torch.testing.assert_close(rule.penalty(), 0.1 * sum(squares))
    assert rule.penalty() > 5 * 0.1 * torch.stack(squares).sqrt().mean()


@pytest.mark.parametrize("t_final", [1, 30])
def test_the_schedule_equals_pefts(t_final):
    from peft.tuners.adalora.layer import RankAllocator

    schedule = CubicBudget(total_steps=101, warm_up=7, final=t_final, every=4)

    class Settings:
        tinit, tfinal, total_step, deltaT = 7, t_final, 101, 4

    theirs = object.__new__(RankAllocator)
    theirs.peft_config, theirs.init_bgt, theirs.target_bgt = Settings, 97, 31
    for t in range(schedule.last + 1):
        budget, masks = theirs.budget_schedule(t)
        assert schedule.budget(t, 97, 31) == budget
        assert schedule.reallocates(t) == (masks or t == schedule.last)
    falling = [schedule.budget(t, 97, 31) for t in range(101)]
    assert all(a >= b for a, b in pairwise(falling))
    assert (falling[0], falling[-1]) == (97, 31)


class MultiLoRAForm(nn.Module):
    """Layers side by side, each with its own input, so that each has a rank of its own to learn."""

    def __init__(self, count: int, d: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(d, d, bias=False) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([layer(x[:, i]) for i, layer in enumerate(self.layers)], dim=1)


NEEDED = (5, 2, 1, 0)


def planted_run(seed: int, steps: int, schedule=constant) -> tuple[list[int], float, float]:
    """Train on W₀ + ΔW with ΔW of rank 5, 2, 1 and 0, as much as the budget is.

    Return how many λ each layer keeps, the ‖W − W₀ − ΔW‖² that is left over all layers, and the least that LoRA of
    the uniform rank 2 could leave (Eckart and Young), so that no learning rate of LoRA's can be blamed.
    """
    g, d = torch.Generator().manual_seed(seed), 16
    model = MultiLoRAForm(len(NEEDED), d)
    deltas = []
    for layer, rank in zip(model.layers, NEEDED, strict=True):
        with torch.no_grad():
            layer.weight.copy_(torch.randn(d, d, generator=g) / d**0.5)
        deltas.append(torch.randn(d, rank, generator=g) @ torch.randn(rank, d, generator=g) / d)
    targets = torch.stack([layer.weight.detach() + delta for layer, delta in zip(model.layers, deltas, strict=True)])
    recipe = AdaLoRA(5, 16.0, total_steps=steps, target_r=2, every=5)
    layers = lb.inject(model, recipe, "layers", generator=g).values()

    def batches():
        while True:
            x = torch.randn(64, len(NEEDED), d, generator=g)
            yield x, torch.einsum("bni,noi->bno", x, targets)

    def loss(model: nn.Module, batch) -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().sum((1, 2)).mean()

    lb.fit(model, batches(), steps=steps, lr=2e-2, loss=loss, schedule=schedule, progress=False)
    with torch.no_grad():
        misses = [layer.update.weight(layer.base.matrix) - w for layer, w in zip(layers, targets, strict=True)]
    left = sum(miss.square().sum().item() for miss in misses)
    uniform = sum(torch.linalg.svdvals(delta)[2:].square().sum().item() for delta in deltas)
    return [int((layer.update.E != 0).sum()) for layer in layers], left, uniform


def test_the_budget_moves_to_the_layers_that_need_it():
    kept = torch.tensor([planted_run(seed, 100)[0] for seed in range(6)], dtype=torch.float64)
    mean, error = kept.mean(0), kept.std(0) / 6**0.5
    assert (kept.sum(1) == sum(NEEDED)).all(), "the budget is spent exactly"
    # Uniform allocation would be 2, 2, 2, 2: the neediest layer is above and the idle one below it, by 5 errors.
    assert mean[0] - 5 * error[0] > 2, (mean, error)
    assert mean[3] + 5 * error[3] < 2, (mean, error)
    distance = (kept - torch.tensor(NEEDED)).abs().sum(1)
    assert distance.mean() + 5 * distance.std() / 6**0.5 < 6, "uniform allocation is 6 triplets away from the need"


def test_it_leaves_less_than_any_lora_of_the_uniform_rank_could():
    """As many triplets in the end: 8. It trained 20 of them on the way, which is more than that LoRA has."""
    for seed in range(3):
        _, left, uniform = planted_run(seed, 150, schedule=lambda t, steps: 1 - t / steps)
        assert left < 0.1 * uniform, (seed, left, uniform)


def spectrum_gap(orthogonality: float, seed: int) -> float:
    """Train one layer on a ΔW of rank 3 and return the relative distance of s·|λ|, in order, from ΔW's spectrum."""
    g = torch.Generator().manual_seed(seed)
    model, w0 = nn.Sequential(nn.Linear(16, 12, bias=False)), torch.randn(12, 16, generator=g) / 4
    with torch.no_grad():
        model[0].weight.copy_(w0)
    target = w0 + torch.randn(12, 3, generator=g) @ torch.randn(3, 16, generator=g) / 4
    recipe = AdaLoRA(4, 8.0, total_steps=300, target_r=3, orthogonality=orthogonality)
    layer = lb.inject(model, recipe, "0", generator=g)["0"]

    def loss(model: nn.Module, pair) -> torch.Tensor:
        return (model(pair[0]) - pair[1]).square().sum(1).mean()

    drawn = (torch.randn(32, 16, generator=g) for _ in range(300))
    lb.fit(model, ((x, x @ target.T) for x in drawn), steps=300, lr=2e-2, loss=loss, progress=False)
    with torch.no_grad():
        spectrum = torch.linalg.svdvals(layer.update.weight(layer.base.matrix) - layer.base.matrix)[:4]
        lambdas = layer.scale * layer.update.E.flatten().abs().sort(descending=True).values
    return ((spectrum - lambdas).norm() / spectrum.norm()).item()


def test_only_the_penalty_makes_lambda_singular_values():
    """Without it λ has little to do with the spectrum: P and Q take up the size of ΔW as well."""
    with_penalty, without = ([spectrum_gap(gamma, seed) for seed in range(2)] for gamma in (5.0, 0.0))
    assert max(with_penalty) < 0.2
    assert min(without) > 0.4


def after_the_need_moved(every: int, seed: int) -> list[int]:
    """Train two layers; only the first needs rank for 40 steps, only the second after that. Return the λ each keeps."""
    g, d, steps = torch.Generator().manual_seed(seed), 8, 100
    model = MultiLoRAForm(2, d)
    w0 = torch.stack([layer.weight.detach() for layer in model.layers])
    delta = torch.randn(d, 2, generator=g) @ torch.randn(2, d, generator=g) / d
    recipe = AdaLoRA(3, 16.0, total_steps=steps, target_r=1, warm_up=5, final=10, every=every)
    lb.inject(model, recipe, "layers", generator=g)

    def batches():
        for t in range(steps):
            x, w = torch.randn(64, 2, d, generator=g), w0.clone()
            w[0 if t < 40 else 1] += delta
            yield x, torch.einsum("bni,noi->bno", x, w)

    def loss(model: nn.Module, pair) -> torch.Tensor:
        return (model(pair[0]) - pair[1]).square().sum((1, 2)).mean()

    lb.fit(model, batches(), steps=steps, lr=2e-2, loss=loss, progress=False)
    return [int((layer.update.E != 0).sum()) for layer in model.layers]


@pytest.mark.parametrize("seed", range(3))
def test_a_masked_triplet_comes_back_if_it_has_time_to_grow(seed):
    assert after_the_need_moved(5, seed) == [0, 2]
    assert after_the_need_moved(1, seed) == [2, 0], "masked after every step, λ is 0 whenever scores are read"


def test_a_budget_is_spent_exactly_when_scores_tie():
    model, rule = ours(every=1, warm_up=0, final=1)
    for layer in lb.adapted(model).values():
        for p in layer.update.parameters():
            p.grad = torch.zeros_like(p)  # every score is 0; PEFT's threshold would mask them all
    rule.before_step(40)
    rule.after_step(40)
    assert sum(rule.ranks().values()) == rule.schedule.budget(40, rule.start, rule.target)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    def batches():
        yield from (batch(t) for t in range(STEPS))

    def loss(model: nn.Module, pair) -> torch.Tensor:
        return (model(pair[0]) - pair[1]).square().mean()

    def run(model: nn.Module, stop_at: int | None) -> None:
        lb.fit(
            model, batches(), steps=STEPS, lr=1e-2, loss=loss, progress=False,
            checkpoint=tmp_path / "run.pt" if stop_at is not None else None, on_step=lambda t, _: t == stop_at,
        )  # fmt: skip

    whole, _ = ours(orthogonality=0.0)
    halved = deepcopy(whole)
    run(whole, None)
    run(halved, 41)
    run(halved, -1)
    for one, other in zip(whole.parameters(), halved.parameters(), strict=True):
        assert torch.equal(one, other)


def test_its_state_belongs_to_its_model():
    _, rule = ours()
    with pytest.raises(ValueError, match="differ in '0.A.sensitivity'"):
        rule.load_state_dict({name: t for name, t in rule.state_dict().items() if name != "0.A.sensitivity"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": 0}, "total_steps is 0"),
        ({"warm_up": 60, "final": 20}, "60 \\+ 20 steps leave nothing of total_steps = 80"),
        ({"final": 0}, "final is 0"),
        ({"every": 0}, "every is 0"),
        ({"target_r": 0}, "target_r is 0"),
        ({"beta1": 1.0}, "beta1 and beta2 are"),
        ({"orthogonality": -1.0}, "orthogonality is -1.0"),
    ],
)
def test_bad_numbers_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        AdaLoRA(R, **{"every": 3} | SETTINGS | changes)


def test_a_target_above_the_rank_is_named():
    with pytest.raises(ValueError, match="target_r = 5 is more than r = 4"):
        ours(target_r=5)


def test_the_rule_needs_its_form():
    model = plain()
    lb.inject(model, lb.LoRA(r=2), r"\d")
    with pytest.raises(ValueError, match="no layer of the form PΛQ"):
        AdaLoRA(R, **SETTINGS).rule.build(model)


def test_scores_need_gradients():
    _, rule = ours()
    with pytest.raises(RuntimeError, match="between backward and the step"):
        rule.before_step(0)


@pytest.mark.parametrize("other", [lb.PiSSA(), lb.DoRA()])
def test_two_forms_or_two_starts_conflict(other):
    with pytest.raises(lb.AxisConflict, match="AdaLoRA"):
        AdaLoRA(R, **SETTINGS) | other
