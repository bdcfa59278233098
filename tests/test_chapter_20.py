"""What chapter 20 stands on: the recorded choices of who keeps an adapter, the answers of the explorer's tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import Counting, cut_runs, drop_runs

from lorabook.arena import drop_runs as recorder
from lorabook.arena import drop_ways
from lorabook.arena.drop_losses import STOPS, Recorded, gathered, recorded
from lorabook.arena.drop_runs import ALL, PLACES, REPORT_SEEDS, THRESHOLDS, DropRun, asked, rate, read, record, tuned
from lorabook.arena.drop_ways import ALONE, CHANCE, EFFECT, SIZE, WAYS, Brief, chosen
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.axes.rule.lora_drop import important
from lorabook.book.explore.drop import LAYERS, NONE, OWN, SHARES, Result, State, compute
from lorabook.core.adapted_layer import adapted
from lorabook.cost.count import trainable

SHAPES = {"q": (4, 6), "k": (2, 6), "v": (2, 6), "gate": (9, 6), "up": (9, 6)}
EFFECTS = {"q": 0.1, "k": 0.05, "v": 0.05, "gate": 0.3, "up": 0.5}
SIZES = {"q": 0.3, "k": 0.2, "v": 0.1, "gate": 0.25, "up": 0.15}
FOUND = Brief(torch.nn.Identity(), EFFECTS, SIZES, SHAPES)


@pytest.fixture(scope="module")
def found() -> Recorded:
    return recorded()


def test_the_record_is_whole_and_every_best_rate_has_a_worse_one_on_either_side() -> None:
    runs = read()
    assert sorted(run.key for run in runs) == sorted(asked(runs))
    assert len(PLACES) == len(THRESHOLDS) * len(WAYS) + 1
    for way, t in PLACES:
        assert tuned(runs, way, t) is not None


def test_who_keeps_in_the_record_follows_from_what_was_measured(found: Recorded) -> None:
    for (way, t, seed), run in found.runs.items():
        effect, size = (dict(enumerate(shares[seed])) for shares in (found.effect, found.size))
        assert sum(effect.values()) == pytest.approx(1, abs=1e-4)
        if way in (EFFECT, ALONE):
            assert run.kept == tuple(sorted(sorted(effect, key=effect.get)[-len(run.kept) :]))
        if way == SIZE and t < ALL:
            assert run.kept == tuple(sorted(sorted(size, key=size.get)[-len(run.kept) :]))
        if way == EFFECT:
            assert run.kept == tuple(sorted(map(int, important({str(i): share for i, share in effect.items()}, t))))
        drop = found.runs[EFFECT, t, seed].trained
        assert abs(run.trained - drop) <= drop_ways.R * (192 + 512) / 2, "half an adapter of the largest layer"


def test_the_papers_threshold_is_the_arenas_lora_drop() -> None:
    arena = {row.seed: row for row in Record().rows() if (row.method, row.task, row.lr) == ("LoRA-drop", "kjv", 8e-3)}
    runs = [run for run in read() if run.key in {(EFFECT, 0.9, 6, seed) for seed in arena}]
    assert len(runs) >= 5
    for run in runs:
        assert rate(6) == pytest.approx(8e-3)
        assert run.score == pytest.approx(arena[run.seed].score, abs=2e-3)


def test_choices_train_a_number_nearest_to_that_of_lora_drop() -> None:
    assert chosen(EFFECT, 0.5, FOUND, 0) == ["up"]
    goal = FOUND.trained(["up"], sharing=True)
    assert goal == drop_ways.R * (15 + 15 + 10 + 8)
    for way in (SIZE, CHANCE, ALONE):
        kept, off = chosen(way, 0.5, FOUND, 0), []
        order = {SIZE: ["q", "gate", "k", "up", "v"], ALONE: ["up", "gate", "q", "k", "v"]}.get(way, kept)
        assert kept == order[: len(kept)]
        for many in range(len(order) + 1):
            off.append(abs(FOUND.trained(order[:many], way != ALONE) - goal))
        assert off.index(min(off)) == len(kept)
    assert chosen(ALONE, 0.5, FOUND, 0) == ["up", "gate", "q", "k"]
    assert len({tuple(chosen(CHANCE, 0.9, FOUND, seed)) for seed in range(6)}) > 1


def test_a_run_trains_what_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Counting()
    monkeypatch.setattr(drop_ways, "KJV", task)
    monkeypatch.setattr(drop_ways, "BRIEF", 3)
    drop_ways.brief.cache_clear()
    try:
        found = drop_ways.brief(0)
        assert list(found.effect) == list(adapted(found.model))
        for way in WAYS:
            model, kept = drop_ways.second_phase(way, 0.6, 1e-3, 0)
            assert trainable(model) == found.trained(kept, way != ALONE)
            owners = {id(layer.update): name for name, layer in adapted(model).items()}
            assert len(owners) < len(found.effect) or way == ALONE
            for name, layer in adapted(model).items():
                if way == ALONE and name not in kept:
                    assert not layer.update.B.any()
                if name in kept:
                    before = adapted(found.model)[name].update.B
                    assert not torch.equal(layer.update.B, before)
                    assert sum(other.update is layer.update for other in adapted(model).values()) == 1
    finally:
        drop_ways.brief.cache_clear()


def test_what_is_missing_is_trained_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked_for = {run.key: run for run in drop_runs()}, []

    def train(*key: object) -> DropRun:
        asked_for.append(key)
        return made[key]

    monkeypatch.setattr(recorder, "train", train)
    path = tmp_path / "drops.jsonl"
    record(path)
    assert {run.key: run for run in read(path)} == made
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    last = asked_for[-1]
    asked_for.clear()
    record(path)
    assert asked_for == [last]


def test_a_record_that_lacks_a_run_is_refused_by_name() -> None:
    runs = drop_runs()
    gone = next(run for run in runs if run.seed == REPORT_SEEDS[-1] and run.way == CHANCE)
    with pytest.raises(ValueError, match=f"lacks by chance at T = {gone.t}, seed {gone.seed}"):
        gathered([run for run in runs if run is not gone], cut_runs())


def at(found: Recorded, **moves: object) -> Result:
    return compute(replace(State(), **moves), found)


def kept(result: Result) -> list[str]:
    return [f"{LAYERS[i]} {i // 7}" for i in np.flatnonzero(result.kept == OWN)]


def test_the_first_task_has_the_answers_that_the_chapter_gives(found: Recorded) -> None:
    alone = [t for t in STOPS if len({name[-1] for name in kept(at(found, t=t))}) == 1]
    assert max(alone) == 0.5 != State().t
    result = at(found, t=0.5)
    assert kept(result) == ["gate 3", "up 3", "down 3"]
    assert "with 52% of the effect" in result.sentence
    by_size = at(found, t=0.5, way=SIZE)
    assert set(kept(by_size)) ^ set(kept(result)) == {"up 0", "down 3"}
    np.testing.assert_allclose(by_size.shares.reshape(4, 7).sum(1), 0.25, atol=0.04)


def test_the_second_task_has_the_answers_that_the_chapter_gives(found: Recorded) -> None:
    result = at(found, t=0.7)
    means = dict(zip(WAYS, result.losses[:, STOPS.index(0.7)], strict=True))
    said = {EFFECT: "3.860", SIZE: "3.897", CHANCE: "3.890", ALONE: "3.852"}
    assert {way: f"{mean:.3f}" for way, mean in means.items()} == said
    for way in WAYS:
        assert said[way] + " over 5 seeds" in at(found, t=0.7, way=way).sentence
    numbers, loss = result.lora[:, 2]
    assert f"{loss:.3f}" == "3.831"
    assert numbers == pytest.approx(result.numbers[:, STOPS.index(0.7)].mean(), rel=0.02)


def test_the_prediction_has_the_answer_that_the_chapter_gives(found: Recorded) -> None:
    last = [sum(found.effect[seed][21:]) for seed in REPORT_SEEDS]
    assert min(last[:1]) > 0.55
    assert min(last) > 0.49
    half = found.numbers(EFFECT, ALL) / 2
    assert found.lora[4].mean() < min(found.losses(way, 0.7)[:3].mean() for way in WAYS)
    for way in WAYS:
        assert found.numbers(way, 0.7) == pytest.approx(half, rel=0.03)


def test_states_that_should_differ_do(found: Recorded) -> None:
    assert {*at(found).kept} == {OWN, SHARES}
    assert {*at(found, way=ALONE).kept} == {OWN, NONE}
    assert {*at(found, t=ALL).kept} == {OWN}
    means = at(found).losses[:, :-1]
    for i, one in enumerate(means):
        for other in means[:i]:
            assert abs(one - other).max() > 0.01
    drawn = {tuple(at(found, way=way, t=0.7, seed=seed).kept) for way in WAYS for seed in REPORT_SEEDS}
    assert len(drawn) == len(WAYS) * len(REPORT_SEEDS)


def test_the_second_start_costs_what_the_text_says(found: Recorded) -> None:
    assert (found.losses(EFFECT, ALL)[:3] - found.lora[8]).mean() == pytest.approx(0.01, abs=0.005)
    assert found.numbers(EFFECT, 0.9) / found.numbers(EFFECT, ALL) == pytest.approx(0.75, abs=0.02)
    assert KJV.steps == 60
