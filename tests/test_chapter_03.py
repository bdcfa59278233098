"""What chapter 03 stands on: the recorded choices, the answers of the explorer's tasks, what merging costs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import SHAPE, Counting

import lorabook as lb
from lorabook.arena import where_runs
from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.methods import BASELINE
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.arena.where_losses import Losses, gathered, recorded
from lorabook.arena.where_runs import (
    ATTENTION,
    CHOICES,
    EVERYWHERE,
    FIRST,
    MATRICES,
    MLP,
    WhereRun,
    asked,
    rank_for,
    read,
)
from lorabook.book.explore import where
from lorabook.book.explore.state import Some, controls
from lorabook.book.explore.where import OURS, SHAPES, State, compute, mask
from lorabook.book.figures.where import ScoreParts, ended
from lorabook.core.adapted_layer import adapted
from lorabook.cost.count import lora_parameters
from lorabook.cost.memory import BF16, MIXED, Adapters, layer_activations

WORTH = {"q": 1, "k": 2, "v": 3, "o": 4, "gate": 5, "up": 6, "down": 7}


@pytest.fixture(scope="module")
def losses() -> Losses:
    return recorded()


def pretended(choice: str, step: int, seed: int) -> WhereRun:
    """A run whose loss is the lower the more its matrices are worth; the best rate is three steps above the first."""
    score = 4.4 - sum(WORTH[name] for name in choice.split(", ")) / 100 + abs(step - FIRST - 3) / 50 + seed / 1e4
    return WhereRun(choice, 8, step, seed, 4.4, score, "CPU", "torch", "2026-11-27")


def test_the_record_is_whole_and_every_best_rate_has_a_worse_one_on_either_side(losses: Losses) -> None:
    runs = read()
    assert set(asked(runs)) <= {run.key for run in runs}
    assert len({run.key for run in runs}) == len(runs)
    assert list(losses.of) == list(CHOICES)
    assert len(CHOICES) == len(set(CHOICES)) == 38
    for run in runs:
        assert run.r == rank_for(run.where, KJV.base.config)
    for choice in CHOICES:
        assert where_runs.tuned(runs, choice) is not None


def test_all_seven_is_the_arenas_lora() -> None:
    arena = {(row.lr, row.seed): row.score for row in Record().rows() if (row.method, row.task) == (BASELINE, KJV.name)}
    runs = [run for run in read() if run.where == EVERYWHERE and (where_runs.rate(run.step), run.seed) in arena]
    assert len(runs) >= 2
    for run in runs:
        assert run.score == pytest.approx(arena[where_runs.rate(run.step), run.seed], abs=2e-3)


def test_a_rate_is_searched_until_its_neighbours_are_worse_and_then_reported(tmp_path: Path, monkeypatch) -> None:
    choice, ran = "q, v", []

    def train(*key: object) -> WhereRun:
        ran.append(key)
        return pretended(*key)

    monkeypatch.setattr(where_runs, "CHOICES", (choice,))
    monkeypatch.setattr(where_runs, "train", train)
    file = tmp_path / "where.jsonl"
    where_runs.record(file)
    tuning = [(choice, FIRST + i, TUNING_SEEDS[0]) for i in (0, -1, 1, 2, 3, 4)]
    assert ran == tuning + [(choice, FIRST + 3, seed) for seed in where_runs.REPORT_SEEDS]
    assert [run.key for run in read(file)] == ran
    where_runs.record(file)
    assert len(ran) == len(read(file)), "what is there is not run again"


def test_a_run_trains_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = Counting(), []

    def score(model: torch.nn.Module) -> float:
        seen.append({name.rpartition(".")[2]: layer.update.A.shape[0] for name, layer in adapted(model).items()})
        return 2.0

    monkeypatch.setattr(task, "score", score)
    monkeypatch.setattr(where_runs, "KJV", task)
    where_runs._start.cache_clear()
    run = where_runs.train("q, down", 8, 0)
    where_runs._start.cache_clear()
    r = rank_for("q, down", SHAPE)
    assert (run.r, run.key) == (r, ("q, down", 8, 0))
    assert seen.count({"q_proj": r, "down_proj": r}) == 1
    assert where_runs.rate(8) == pytest.approx(0.016)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_choice_trains_as_many_numbers_as_its_matrices_have_room_for(shape: str) -> None:
    config = SHAPES[shape]
    budget = lora_parameters(config, 8, "_proj")
    for choice in Some("", MATRICES).points():
        found = where.cost(choice, config)
        full = shape == OURS and choice in ("k", "v")
        assert full or found.trained == pytest.approx(budget, rel=0.06), choice
        targets = where_runs.targets_of(choice)
        assert found.kept == layer_activations(config, Adapters(found.r, targets, BF16), MIXED) / 1024
        assert found.products == 2 * len(choice.split(", "))


def test_a_choice_without_a_run_is_refused_by_name_and_one_that_was_not_asked_for_shows_its_cost() -> None:
    runs = [pretended(c, FIRST + i, TUNING_SEEDS[0]) for c in CHOICES for i in (2, 3, 4)]
    runs += [pretended(c, FIRST + 3, seed) for c in CHOICES for seed in where_runs.REPORT_SEEDS]
    losses = gathered(runs)
    assert losses.of[EVERYWHERE] == pytest.approx(4.4 - 0.28 + 1e-4)
    assert losses.share("q, down") == pytest.approx(8 / 28, abs=1e-3)
    result = compute(State("q, k, v", "LLaMA 7B"), losses)
    assert result.loss is None
    assert result.sentence == (
        "Adapters on q, k, v (rank 30): not one of the 38 choices that were trained; below is what it would cost."
    )
    assert result.here == mask("q, k, v") == 7
    assert "rank 64, all it has room for, 60% of the budget" in compute(State("k", OURS), losses).sentence
    with pytest.raises(ValueError, match="the record lacks a run of adapters on down: arena.where_runs"):
        gathered([run for run in runs if run.where != "down"])


def test_the_boxes_name_every_choice_once() -> None:
    boxes = controls(State(), {})["where"]
    points = boxes.points()
    assert len(points) == len(set(points)) == 127
    assert set(CHOICES) <= set(points)
    assert boxes.spec()["names"] == list(MATRICES)
    with pytest.raises(ValueError, match="v, q"):
        boxes.parse("v, q")


def test_the_tasks_of_the_explorer_have_the_answers_that_the_chapter_gives(losses: Losses) -> None:
    first = compute(State("q, v", OURS), losses)
    assert "58% of what all seven gain" in first.sentence
    better = {name for name in MATRICES if compute(State(name, OURS), losses).loss < first.loss}
    assert better == {"o", "gate", "up", "down"}
    singles = {name: where.cost(name, SHAPES["LLaMA 7B"]) for name in MATRICES}
    assert {f"{cost.added:.2%}" for cost in singles.values()} == {"0.46%"}, "the column that does not move"
    kept = sorted(singles, key=lambda name: singles[name].kept)
    assert (kept[0], kept[-1]) == ("o", "down")
    assert singles["o"].kept < singles[kept[1]].kept - 1
    assert singles[kept[-2]].kept < singles["down"].kept - 1


def test_the_records_say_what_the_chapter_says_in_words(losses: Losses) -> None:
    assert min(MATRICES, key=losses.of.get) == "down"
    facts = ended("facts-512")
    assert np.mean(facts["LoRA on attention"]) > 4, "it learns none of them"
    assert np.ptp(facts[BASELINE]) > 2, "with some seeds, and not with others"
    assert losses.of[MLP] < losses.of[ATTENTION]


def test_the_parts_of_a_score_are_measured_while_it_trains() -> None:
    model = Counting().base
    lb.inject(model, lb.LoRA(2, 4), "q_proj|k_proj", torch.Generator().manual_seed(0))
    parts = ScoreParts(model, 0, torch.arange(32).view(2, 16) % SHAPE.vocab)
    parts(0, 1.0)
    for layer in adapted(model).values():
        torch.nn.init.normal_(layer.update.B, generator=torch.Generator().manual_seed(1))
    parts(1, 1.0)
    (frozen, first, second), (same, later, both) = parts.sizes
    assert frozen == same > 0
    assert (first, second) == (0, 0)
    assert min(later, both) > 0
    assert not model.layers[0].self_attn._forward_pre_hooks
    picture = parts.picture("They grow.")
    assert picture._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")
