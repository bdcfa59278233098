"""LoRAHub: the authors' scores, weights that are known, a task that no one adapter solves, and when it must refuse."""

import itertools
import math
from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np
import peft
import pytest
import torch
from peft.utils.save_and_load import get_peft_model_state_dict, set_peft_model_state_dict
from small import TOKENS, EveryKind, assert_untouched, every_kind, gap, logits, state
from torch import Tensor, nn

import lorabook as lb
from lorabook.many.bank import bank, serving
from lorabook.many.combine import Combine, concatenated
from lorabook.many.hub import Composed, compose, minimise, product_of_sums
from lorabook.many.pair import Pair, pairs_of
from lorabook.many.stacking import attach, attached, stack

# PEFT notices Conv1D's transposed weight by itself, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")

TARGETS, NAMES = "table|conv|up|out", ("anna", "ben", "carl")


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def models(ranks=(2, 2, 2), targets: Sequence[str] = (TARGETS,) * 3) -> dict[str, EveryKind]:
    """Three models with an adapter each, all of one scale, and all numbers moved."""
    made = {}
    for i, name in enumerate(NAMES):
        made[name], generator = every_kind(), drawn(i)
        for layer in lb.inject(made[name], lb.LoRA(ranks[i], 5.0), targets[i], generator).values():
            for parameter in layer.update.parameters():
                parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return made


def adapters(ranks=(2, 2, 2), targets: Sequence[str] = (TARGETS,) * 3) -> dict[str, dict[str, Pair]]:
    return {name: pairs_of(model) for name, model in models(ranks, targets).items()}


def recording(seen: list[list[float]]) -> Combine:
    """LoRAHub's composition; the weights it is asked for on the first layer are kept."""

    def how(pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
        if pairs[0].A.shape[1] == 11:
            seen.append(list(weights))
        return product_of_sums(pairs, weights)

    return how


WANTED = torch.randn(3, 7, generator=drawn(9), dtype=torch.float64)


def distance(model: nn.Module) -> Tensor:
    return (model(TOKENS) - WANTED).square().mean()


def found(**options) -> Composed:
    return compose(every_kind(), adapters(), distance, **{"budget": 20, "progress": False} | options)


def test_each_try_is_the_authors_score(tmp_path):
    """Their get_score on a PEFT model: state dicts summed key by key, loaded into the first adapter's model."""
    seen: list[list[float]] = []
    held = models()
    ours = found(how=recording(seen))
    for name, model in held.items():
        lb.save_adapter(model, tmp_path / name)
    files = {
        name: get_peft_model_state_dict(peft.PeftModel.from_pretrained(every_kind(), tmp_path / name)) for name in held
    }
    theirs = peft.PeftModel.from_pretrained(every_kind(), tmp_path / "anna").eval()
    scores = []
    for weights in seen[1:-1]:  # the first call sizes the layers, the last makes the result
        final = {}
        for i, name in enumerate(held):
            for key, tensor in files[name].items():
                final[key] = final.get(key, 0) + weights[i] * tensor
        set_peft_model_state_dict(theirs, final)
        with torch.no_grad():
            scores.append(distance(theirs).item() + 0.05 * sum([abs(x) for x in weights]) / len(weights))
    assert scores == pytest.approx(ours.objectives, rel=1e-12)
    assert seen[1] == [0, 0, 0]
    assert len({tuple(weights) for weights in seen[1:-1]}) == 20
    assert max(abs(w) for weights in seen for w in weights) <= 1.5
    best = seen[1:-1][scores.index(min(scores))]
    assert list(ours.weights.values()) == best == seen[-1]
    assert ours.loss + 0.05 * sum(map(abs, best)) / 3 == pytest.approx(min(scores), rel=1e-12)


def test_what_is_found_is_an_adapter_like_any_other(tmp_path):
    ours = found()
    model, served = every_kind(), every_kind()
    stack(model, adapters(), ours.weights, product_of_sums)
    said = logits(model)
    assert distance(model).item() == pytest.approx(ours.loss, rel=1e-12)
    again = every_kind()
    assert {layer.r for layer in attach(again, ours.adapter).values()} == {2}
    assert gap(logits(again), said) < 1e-14
    lb.save_adapter(again, tmp_path)
    assert gap(logits(peft.PeftModel.from_pretrained(every_kind(), tmp_path).eval()), said) < 1e-12
    lb.merge(again)
    assert gap(logits(again), said) < 1e-13
    bank(served, {"new": ours.adapter})
    with serving(served, ["new"] * 3):
        assert gap(logits(served), said) < 1e-13


def test_it_begins_with_the_base_and_is_never_worse_on_the_examples():
    assert found(budget=1).weights == dict.fromkeys(NAMES, 0.0)
    ours = found()
    assert ours.objectives[0] == found(budget=1).loss == distance(every_kind()).item()
    assert ours.loss < ours.objectives[0]
    assert len(ours.objectives) == 20


def test_one_generator_one_result():
    one, again, other = (found(generator=drawn(seed)) for seed in (3, 3, 4))
    assert one.objectives == again.objectives
    assert one.weights == again.weights
    assert one.objectives != other.objectives


def known(how: Combine, weights: Sequence[float], seed: int) -> tuple[dict[str, float], Tensor]:
    """Compose for the very outputs of known weights; return what was found and the least squares solution in w."""
    held, target, plain = adapters(), every_kind(), every_kind()
    held = {name: {"out": state["out"]} for name, state in held.items()}  # the last layer: outputs are linear in ΔW
    with torch.no_grad():
        base = plain(TOKENS)
        stack(target, held, dict(zip(NAMES, weights, strict=True)), how)
        wanted = target(TOKENS)
        effects = []
        for pairs in held.values():
            with attached(plain, pairs):
                effects.append((plain(TOKENS) - base).flatten())
    ours = compose(
        plain, held, lambda model: (model(TOKENS) - wanted).square().mean(), how=how, budget=400, penalty=0.0,
        generator=drawn(seed), progress=False,
    )  # fmt: skip
    return ours.weights, torch.linalg.lstsq(torch.stack(effects, 1), (wanted - base).flatten()).solution


@pytest.mark.parametrize("seed", range(3))
def test_weights_of_a_sum_are_found_as_least_squares_finds_them(seed):
    weights, solved = known(concatenated, (0.9, -0.4, 0.2), seed)
    assert solved.tolist() == pytest.approx([0.9, -0.4, 0.2], abs=1e-10)
    assert list(weights.values()) == pytest.approx(solved.tolist(), abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_weights_of_a_composition_are_found_up_to_their_common_sign(seed):
    weights, _ = known(product_of_sums, (0.9, -0.4, 0.6), seed)
    sign = math.copysign(1.0, weights["anna"])
    assert [sign * w for w in weights.values()] == pytest.approx([0.9, -0.4, 0.6], abs=0.02)


@pytest.mark.parametrize("dimensions", [1, 2, 5, 20])
def test_the_search_finds_the_bottom_of_a_bowl(dimensions):
    for seed in range(3):
        bottom = 2 * torch.rand(dimensions, generator=drawn(seed)).numpy() - 1
        bowl = np.linspace(1, 10, dimensions)
        point, values = minimise(
            lambda w: float((bowl * (w - bottom) ** 2).sum()), dimensions,  # noqa: B023 - called at once
            bound=1.5, budget=150 * dimensions, generator=drawn(seed), progress=False,
        )  # fmt: skip
        assert np.abs(point - bottom).max() < 0.02
        assert min(values) == (bowl * (point - bottom) ** 2).sum()


def test_the_penalty_pulls_weights_to_zero_as_soft_thresholding_does():
    bottom, strength = np.array([1.0, 0.05, -0.6]), 0.6

    def penalised(w: np.ndarray) -> float:
        return float(((w - bottom) ** 2).sum() + strength * np.abs(w).mean())

    point, _ = minimise(penalised, 3, bound=1.5, budget=400, progress=False)
    expected = np.sign(bottom) * np.maximum(np.abs(bottom) - strength / 3 / 2, 0)
    assert np.abs(point - expected).max() < 0.02
    assert expected[1] == 0


def test_the_search_stops_where_all_points_are_one():
    _, values = minimise(lambda w: 0.0, 2, bound=1.5, budget=10_000, progress=False)
    assert 6 < len(values) < 1000
    many, few = (minimise(lambda w: float((w**2).sum()), 3, bound=b, budget=50, progress=False)[0] for b in (1.5, 1e-9))
    assert np.abs(few).max() <= 1e-9
    assert np.abs(many).max() <= 1.5


# Four tasks W₀ + R_i with a LoRA for each, and a new task between two of them, of which 12 examples are known.
D_IN, D_OUT, R, FEW, SEEDS = 24, 8, 3, 12, range(4)


def error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def mixture(seed: int) -> dict[str, float]:
    """Return the errors on unseen examples of the new task, as a share of the base's."""
    g = drawn(1000 + seed)
    w0 = torch.randn(D_OUT, D_IN, generator=g) / D_IN**0.5
    factors = [(torch.randn(D_OUT, R, generator=g), torch.randn(R, D_IN, generator=g)) for _ in range(4)]
    shifts = [b @ a / (R * D_IN) ** 0.5 for b, a in factors]

    def plain() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(D_IN, D_OUT, bias=False))
        model[0].weight.data.copy_(w0)
        return model

    def batch(shift: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(rows, D_IN, generator=g)
        return x, x @ (w0 + shift).T + 0.05 * torch.randn(rows, D_OUT, generator=g)

    held = {}
    for i, shift in enumerate(shifts):
        model = plain()
        lb.inject(model, lb.LoRA(R, 6.0), "0", drawn(70 + 10 * seed + i))
        lb.fit(model, (batch(shift, 64) for _ in itertools.count()), steps=150, lr=0.02, loss=error, progress=False)
        held[f"task {i}"] = pairs_of(model)
    between = 0.6 * shifts[0] + 0.5 * shifts[2]
    few, exam, model = batch(between, FEW), batch(between, 2000), plain()
    base = error(model, exam).item()

    def examined(adapter: dict[str, Pair]) -> float:
        with attached(model, adapter), torch.no_grad():
            return error(model, exam).item() / base

    def searched(how: Combine) -> float:
        made = compose(model, held, lambda m: error(m, few), how=how, budget=150, generator=drawn(seed), progress=False)
        return examined(made.adapter)

    single = min(examined(adapter) for adapter in held.values())
    return {"best single": single, "LoRAHub": searched(product_of_sums), "sum": searched(concatenated)}


def test_a_task_between_others_is_served_better_than_by_any_one_of_their_adapters():
    """Against the best single adapter, chosen on the exam itself. The task is a sum by construction: the sum wins."""
    runs = [mixture(seed) for seed in SEEDS]
    gains = [run["best single"] - run["LoRAHub"] for run in runs]
    assert min(gains) > 0, "on every seed"
    assert mean(gains) > 3 * stdev(gains) / len(gains) ** 0.5
    assert all(run["sum"] < run["LoRAHub"] < 1 for run in runs)
    assert mean(run["sum"] for run in runs) < 0.1


def test_adapters_may_touch_different_layers():
    held = adapters((2, 2, 3), ("up", "up|out", "table"))
    ours = compose(every_kind(), held, distance, budget=30, progress=False)
    assert {name: len(pair.A) for name, pair in ours.adapter.items()} == {"up": 2, "out": 2, "table": 3}
    assert ours.loss < ours.objectives[0]


def test_ranks_may_differ_where_the_sum_is_searched():
    ours = compose(every_kind(), adapters((1, 2, 3)), distance, how=concatenated, budget=10, progress=False)
    assert {len(pair.A) for pair in ours.adapter.values()} == {6}


class Stop(BaseException):
    """As from the keyboard."""


@pytest.mark.parametrize("what", [None, RuntimeError("no"), Stop()])
def test_the_model_is_what_it_was_whatever_happens(what):
    model = every_kind()
    model.up.weight.requires_grad_(False)
    model.train()
    model.conv.eval()
    before, modes = state(model), [module.training for module in model.modules()]
    calls = []

    def loss(inside: nn.Module) -> Tensor:
        assert not any(module.training for module in inside.modules())
        assert not torch.is_grad_enabled()
        calls.append(len(lb.adapted(inside)))
        if len(calls) == 5 and what is not None:
            raise what
        return distance(inside)

    def run() -> None:
        compose(model, adapters(), loss, budget=9, progress=False)

    if what is None:
        run()
        assert calls == [4] * 9
    else:
        with pytest.raises(type(what)):
            run()
    assert_untouched(model, before)
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_the_adapters_are_left_alone():
    held, twin = adapters(), adapters()
    compose(every_kind(), held, distance, budget=5, progress=False)
    for name, layers in held.items():
        for layer, pair in layers.items():
            assert torch.equal(pair.A, twin[name][layer].A)
            assert torch.equal(pair.B, twin[name][layer].B)


def test_a_loss_that_is_not_finite_says_where():
    model = every_kind()
    before = state(model)
    with pytest.raises(lb.Diverged, match=r"loss is nan with .*'anna': 0, .*the base alone: look at the examples"):
        compose(model, adapters(), lambda m: distance(m) * float("nan"), progress=False)
    calls = itertools.count()
    with pytest.raises(lb.Diverged, match=r"loss is inf with the weights \{'anna': .*a smaller bound"):
        compose(model, adapters(), lambda m: distance(m) if next(calls) < 3 else float("inf"), progress=False)
    with pytest.raises(ValueError, match=r"few_shot_loss gave a tensor of shape \(3, 7\); expected one number"):
        compose(model, adapters(), lambda m: m(TOKENS), progress=False)
    assert_untouched(model, before)


def never(model: nn.Module) -> float:
    raise AssertionError("nothing may be computed")


@pytest.mark.parametrize(
    ("held", "options", "message"),
    [
        ({}, {}, "there is no adapter"),
        ({"anna": {}}, {}, "adapter 'anna' has no layer"),
        (adapters((2, 3, 2)), {}, r"table \('anna', 'ben', 'carl'\): the adapters have the ranks 2, 3, 2"),
        (adapters(), {"budget": 0}, "budget is 0; it must be a whole number of evaluations ≥ 1"),
        (adapters(), {"bound": 0.0}, "bound is 0.0; it must be a finite number > 0"),
        (adapters(), {"bound": -1.5}, "bound is -1.5"),
        (adapters(), {"bound": float("inf")}, "bound is inf"),
        (adapters(), {"penalty": -0.1}, "penalty is -0.1; it must be a finite number ≥ 0"),
        (adapters(), {"penalty": float("nan")}, "penalty is nan"),
        ({"anna": {"down": Pair(torch.ones(1, 2), torch.ones(2, 1), 1.0)}}, {}, "layer 'down', which this model"),
        ({"anna": {"up": Pair(torch.ones(1, 2), torch.ones(2, 1), 1.0)}}, {}, r"A is \(1, 2\) .* expected r × 20"),
    ],
)
def test_bad_input_is_refused_before_any_work(held, options, message):
    model = every_kind()
    before = state(model)
    with pytest.raises(ValueError, match=message):
        compose(model, held, never, progress=False, **options)
    assert_untouched(model, before)


def test_a_model_that_has_an_adapter_already():
    with pytest.raises(ValueError, match="table has an adapter already"):
        compose(models()["anna"], adapters(), never, progress=False)
    with pytest.raises(ValueError, match="budget is 0"):
        minimise(lambda w: 0.0, 2, bound=1.5, budget=0)


def test_progress_is_shown_or_not(capsys):
    found(progress=True, budget=4)
    assert "composing" in capsys.readouterr().err
    found(budget=4)
    assert capsys.readouterr().err == ""
