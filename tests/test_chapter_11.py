"""What chapter 11 stands on: the explorer's tasks, the record of rows that turn and stretch, what differs from DoRA."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.arena import length_runs
from lorabook.arena.dora_parts import FixedLengths, NormInGraph
from lorabook.arena.experiment import FULL, at
from lorabook.arena.job import REPORT_SEEDS, TUNING_SEEDS
from lorabook.arena.length_patterns import RELATIVE, Pattern, recorded
from lorabook.arena.length_runs import FAR, FIXED, IN_GRAPH, SIDES, LengthRun, asked, read, record
from lorabook.arena.plan import grouped
from lorabook.arena.record import Record
from lorabook.arena.summary import reported
from lorabook.book.explore.one_row import W0, State, compute
from lorabook.book.figures import lengths
from lorabook.core.recipe import Recipe
from lorabook.cost.lengths import stretch, together, turn, with_lengths_of


@pytest.fixture(scope="module")
def sides() -> dict[str, Pattern]:
    return recorded()


def test_the_tasks_of_the_explorer_have_the_answers_that_the_chapter_gives() -> None:
    start = State()
    assert (start.wanted, start.b, start.m, start.angle) == ("longer", 0.0, 1.0, 90)
    longer = compute(replace(start, m=1.5))
    assert (longer.dora, longer.lora, longer.lora_reach) == pytest.approx((0, 0.5, 0.5), abs=1e-6)
    near = {b: compute(State("turned", b, 1.0)) for b in (0.5, 0.6, 0.7)}
    assert min(near, key=lambda b: near[b].lora) == 0.6
    assert near[0.6].lora == pytest.approx(0.18, abs=5e-3)
    assert near[0.7].dora == pytest.approx(0, abs=1e-6)
    aside = compute(replace(start, angle=60))
    assert (aside.push, aside.push_in_graph) == pytest.approx((0.25, 0), abs=1e-6)
    assert np.allclose(aside.across, 0, atol=1e-6), "all of it lies along V"
    there = compute(replace(start, angle=60, m=1.5))
    assert (there.push, there.push_in_graph) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize("angle", [60, 90, 120])
def test_what_the_explorer_calls_out_of_reach_is_reached_by_no_state(angle: int) -> None:
    for wanted in ("longer", "turned", "turned and longer", "turned round"):
        seen = [compute(State(wanted, b / 10, m / 10, angle)) for b in range(-12, 13) for m in range(4, 19)]
        assert all(one.lora >= one.lora_reach - 1e-6 and one.dora >= one.dora_reach - 1e-6 for one in seen)
        assert all(np.dot(one.across, one.v) == pytest.approx(0, abs=1e-3) for one in seen)
    assert np.linalg.norm(W0) == 1


def test_rows_that_turn_and_rows_that_stretch_are_told_apart() -> None:
    w0 = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)
    w = torch.tensor([[6.0, 8.0], [2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(stretch(w, w0), torch.tensor([5.0, 0.0, 2**0.5 - 1], dtype=torch.float64))
    torch.testing.assert_close(turn(w, w0), torch.tensor([0.0, 1.0, 1 - 0.5**0.5], dtype=torch.float64))
    back = with_lengths_of(w0, w)
    torch.testing.assert_close(back.norm(dim=1), w0.norm(dim=1))
    torch.testing.assert_close(turn(back, w), torch.zeros(3, dtype=torch.float64))
    assert together(torch.tensor([1.0, 2, 3]), torch.tensor([3.0, 2, 1])).item() == pytest.approx(-1)


def moved(recipe: Recipe) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5, dtype=torch.float64))
    lb.inject(model, recipe, "0", torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model[0].update.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return model


def test_with_the_norm_in_the_graph_the_weight_is_doras_and_the_gradient_has_no_part_along_v() -> None:
    ours, dora = moved(Recipe(2, 4, form=NormInGraph())), moved(lb.DoRA(2, 4))
    x = torch.randn(7, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), dora(x))
    for model in (ours, dora):
        model(x).square().sum().backward()
    update = ours[0].update
    assert update.B.grad.shape == dora[0].update.B.grad.shape
    assert not torch.allclose(update.B.grad, dora[0].update.B.grad)
    torch.testing.assert_close(update.m.grad, dora[0].update.m.grad)
    w0 = ours[0].base.matrix.clone().requires_grad_()
    (update.weight(w0) * torch.randn(5, 6, dtype=torch.float64)).sum().backward()
    v = ours[0].base.matrix + update.s * update.B @ update.A
    torch.testing.assert_close((w0.grad * v).sum(1), torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0)


def test_fixed_lengths_train_directions_alone() -> None:
    model = nn.Sequential(nn.Linear(6, 5))
    FixedLengths().prepare(model, "0", 2, torch.Generator().manual_seed(0))
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"0.update.A", "0.update.B"}
    assert model[0].update.s == 2


def test_the_record_is_whole_and_the_runs_are_the_arenas() -> None:
    runs = read()
    keys = [run.key for run in runs]
    assert sorted(keys) == sorted(asked(runs))
    groups = grouped(Record().rows())
    for name in ("LoRA", "DoRA", FULL):
        arena = {row.seed: row for row in reported(groups[at(name, "kjv")])}
        mine = {run.seed: run for run in runs if run.side == name}
        assert set(mine) == set(REPORT_SEEDS)
        assert {run.lr for run in mine.values()} == {row.lr for row in arena.values()}
        assert [mine[s].score for s in REPORT_SEEDS] == pytest.approx([arena[s].score for s in REPORT_SEEDS], abs=2e-3)


@pytest.mark.parametrize("name", [FIXED, IN_GRAPH])
def test_a_tuned_rate_lies_inside_those_that_were_tried(sides: dict[str, Pattern], name: str) -> None:
    rates = SIDES[name].rates
    assert rates[0] < sides[name].lr < rates[-1]


def test_what_is_missing_is_trained_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def train(name: str, lr: float, seed: int) -> LengthRun:
        trained.append((name, lr, seed))
        score = abs(lr - 8e-3 * 2**0.5)
        return LengthRun(name, lr, seed, score, None, None, [], [], None, [], "", "", "")

    monkeypatch.setattr(length_runs, "train", train)
    path = tmp_path / "lengths.jsonl"
    record(path)
    assert len(trained) == 6 * len(REPORT_SEEDS) + 2 * 4 * len(TUNING_SEEDS)
    assert {lr for name, lr, seed in trained if name == FIXED and seed in REPORT_SEEDS} == {8e-3 * 2**0.5}
    trained.clear()
    record(path)
    assert trained == []
    with pytest.raises(ValueError, match="the record of lengths has no reported run of LoRA"):
        recorded(read(path)[len(REPORT_SEEDS) :])


def test_the_record_says_what_the_chapter_says_in_words(sides: dict[str, Pattern]) -> None:
    lora, dora, full, far = (sides[name] for name in ("LoRA", "DoRA", FULL, FAR))
    assert lora.longer.min() > 0.8
    assert 1 - lora.longer.mean() == pytest.approx(0.15, abs=5e-3)
    assert dora.longer.max() < 0.5 < full.longer.min()
    assert far.longer.min() > 0.9, "most rows, as does full fine-tuning at LoRA's rate"
    most = {side: sides[side].turned_rows()[0].max() for side in lengths.PANELS}
    assert most[FULL] < 0.15 * min(most["LoRA"], most["DoRA"]), "full fine-tuning hardly turns any"
    for side in (dora, full, far):
        assert abs(side.over_rows).max() < 0.15 < 0.55 < lora.over_rows.min(), "LoRA alone ties stretch to turn"
    assert abs(full.over_matrices("q_proj", RELATIVE).mean()) < 0.2, "over its length, the sign is gone"
    assert far.over_matrices("q_proj").min() > 0
    turned, stretched = lora.turned_rows()
    at_right_angles = 1 / (1 - turned) - 1
    assert stretched.mean() == pytest.approx(at_right_angles.mean(), rel=0.15), "the points lie about the dashed line"
    assert np.polyfit(at_right_angles, stretched, 1)[0] == pytest.approx(1, abs=0.25)


def test_lengths_are_worth_a_hundredth_and_directions_nearly_everything(sides: dict[str, Pattern]) -> None:
    lora, dora, fixed, in_graph = (sides[name] for name in lengths.ADAPTERS)
    base = 4.448
    assert 0.005 < (fixed.scores - dora.scores).mean() < 0.015
    assert abs((dora.scores - lora.scores).mean()) < 0.01
    assert abs((in_graph.scores - dora.scores).mean()) < 0.01
    assert (base - dora.lengths).mean() == pytest.approx(0.11, abs=5e-3)
    assert (base - dora.scores).mean() == pytest.approx(0.64, abs=5e-3)
    assert fixed.directions == pytest.approx(fixed.scores, abs=1e-3)
    assert fixed.lengths == pytest.approx(base, abs=1e-3), "with m fixed there is nothing to put back"


def test_the_pictures_and_tables_show_the_record(sides: dict[str, Pattern]) -> None:
    for picture in (lengths.of_rows(sides, "one"), lengths.of_matrices(sides, "q_proj", "two")):
        assert picture._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")
    assert f"| {sides['DoRA'].over_rows.mean():+.2f}" in lengths.correlations(sides).text
    text, adapters = lengths.worth(sides).text, {name: sides[name] for name in lengths.ADAPTERS}
    assert all(f"| {name} | {side.lr:.4f} | {side.scores.mean():.3f} |" in text for name, side in adapters.items())
