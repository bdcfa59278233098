"""What chapter 17 stands on: the recorded allocations, the choices that are not AdaLoRA's, the explorer's tasks."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import allocation_runs, cut_runs
from torch import linalg, nn

import lorabook as lb
from lorabook.arena import allocation_runs as recorder
from lorabook.arena.allocation_runs import LOW, REPORT_SEEDS, AllocationRun, asked_for, read, record, tuned
from lorabook.arena.allocation_trace import TIMES, Tracer, packed
from lorabook.arena.allocation_ways import (
    CUT,
    LAMBDA,
    RANDOM,
    RATES,
    RETRAINED,
    SCORE,
    Asked,
    R,
    keep_largest,
    prepare,
    ranks,
)
from lorabook.arena.budget import method_named
from lorabook.arena.choices import ChosenBy, drawn, largest
from lorabook.arena.cut_runs import read as recorded_cuts
from lorabook.arena.experiment import at
from lorabook.arena.plan import best_rate, grouped
from lorabook.arena.plan import tuned as tuned_at
from lorabook.arena.record import Record
from lorabook.arena.summary import reported as reported_at
from lorabook.arena.tasks import KJV
from lorabook.axes.rule.allocator import Allocator
from lorabook.book.explore.allocation import Recorded, Result, State, compute, gathered
from lorabook.book.figures.allocation import ended, uniform, uniform_low


@pytest.fixture(scope="module")
def runs() -> list[AllocationRun]:
    return read()


@pytest.fixture(scope="module")
def recorded(runs: list[AllocationRun]) -> Recorded:
    return gathered(runs, recorded_cuts())


def allocator(steps: int = 12, every: int = 2, target: int = 1) -> tuple[nn.Module, Allocator]:
    """Two small layers under AdaLoRA, ready for its rule to be called."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 6, bias=False), nn.Linear(6, 8, bias=False))
    recipe = lb.AdaLoRA(3, 6.0, total_steps=steps, target_r=target, warm_up=2, final=4, every=every)
    lb.inject(model, recipe, r"\d", torch.Generator().manual_seed(0))
    return model, recipe.rule.build(model)


def test_other_choices_spend_the_same_budget_and_differ_in_whom_they_keep() -> None:
    model, own = allocator()
    for layer in own.layers.values():
        nn.init.normal_(layer.E)
    sizes = torch.cat([layer.E.detach().abs().flatten() for layer in own.layers.values()])
    rule = ChosenBy(own, largest)
    for t in range(12):
        rule.before_step(t)
        rule.after_step(t)
        if own.schedule.reallocates(t):
            assert sum(own.ranks().values()) == own.schedule.budget(t, 6, 2)
    kept = torch.cat(list(own.kept.values()))
    assert set(kept.nonzero().flatten().tolist()) == set(sizes.topk(2).indices.tolist())
    assert all(((layer.E != 0).flatten() == own.kept[name]).all() for name, layer in own.layers.items())
    assert rule.penalty().item() == own.penalty().item() > 0


def test_a_drawn_order_stands_for_the_whole_run_and_follows_from_its_seed() -> None:
    _, own = allocator()
    orders = {seed: drawn(seed)(own) for seed in range(3)}
    assert torch.equal(orders[0], drawn(0)(own))
    assert not torch.equal(orders[0], orders[1])
    rule, before = ChosenBy(own, drawn(0)), torch.ones(6, dtype=torch.bool)
    for t in range(12):
        rule.after_step(t)
        kept = torch.cat(list(own.kept.values()))
        assert not (kept & ~before).any(), "what is dropped by a fixed order does not come back"
        before = kept
    assert set(before.nonzero().flatten().tolist()) == set(orders[0].topk(2).indices.tolist())


def test_a_tracer_keeps_what_the_allocator_saw() -> None:
    _, own = allocator()
    tracer = Tracer(own)
    own.kept["1"][:] = torch.tensor([True, False, False])
    tracer.look(1)
    own.kept["1"][:] = torch.tensor([True, True, False])
    tracer.look(2)
    tracer.look(5)
    assert tracer.back == {4}
    trace = tracer.trace()
    assert trace.lives.tolist() == [[[True] * 3, [True, False, False]], [[True] * 3, [True, True, False]]]
    scores = 10 ** torch.linspace(-12, -3, 12).reshape(2, 2, 3)
    back = packed(scores, scores > 0)
    np.testing.assert_allclose(back.log_scores, scores.log10(), atol=0.026)
    assert back.lives.all()


def test_the_distance_of_lambda_from_the_spectrum_is_zero_for_orthonormal_factors() -> None:
    _, own = allocator()
    tracer = Tracer(own)
    for layer in own.layers.values():
        nn.init.normal_(layer.E)
        layer.A.data.copy_(linalg.qr(torch.randn(layer.A.shape[1], 3))[0].T)
        layer.B.data.copy_(linalg.qr(torch.randn(len(layer.B), 3))[0])
    assert tracer.off() < 1e-4
    own.layers["0"].B.data.mul_(2)
    assert tracer.off() > 0.2


def test_lora_is_cut_to_the_largest_singular_values_of_the_whole_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 6, bias=False), nn.Linear(6, 8, bias=False))
    layers = lb.inject(model, lb.LoRA(3, 6), r"\d")
    for layer in layers.values():
        nn.init.normal_(layer.update.B)
    changes = [layer.plain().weight - layer.base.matrix for layer in layers.values()]
    spectra = [linalg.svd(change, full_matrices=False) for change in changes]
    least = torch.cat([sigma[:3] for _, sigma, _ in spectra]).sort(descending=True).values[3]
    keep_largest(model, 2)
    for layer, (u, sigma, vt) in zip(layers.values(), spectra, strict=True):
        k = int((sigma >= least - 1e-6).sum())
        due = (u[:, :k] * sigma[:k]) @ vt[:k]
        torch.testing.assert_close(layer.plain().weight - layer.base.matrix, due, atol=1e-5, rtol=1e-4)


def test_lora_takes_over_ranks_and_leaves_out_what_has_none() -> None:
    model, found = copy.deepcopy(KJV.base), tuple(i % 3 for i in range(28))
    rule, tracer = prepare(model, Asked(RETRAINED, 0.016, 0), found, torch.Generator().manual_seed(0))
    assert (rule, tracer) == (None, None)
    for layer in lb.adapted(model).values():
        nn.init.normal_(layer.update.B)
        assert layer.scale == 2
    assert ranks(model) == found


def test_the_record_is_whole_and_no_best_rate_lies_at_an_edge(runs: list[AllocationRun]) -> None:
    assert {run.asked for run in runs} == set(asked_for(runs))
    assert len(runs) == len({run.asked for run in runs})
    for way, rates in RATES.items():
        assert rates[0] < tuned(runs, way) < rates[-1], way
    for run in runs:
        assert sum(run.ranks) == 28 * run.asked.target, run.asked


def test_every_way_has_the_batches_of_its_seed_and_starts_as_the_base(runs: list[AllocationRun]) -> None:
    for seed in sorted({run.asked.seed for run in runs}):
        with torch.no_grad():
            first = KJV.loss(KJV.base, next(KJV.stream(seed))).item()
        found = [run.losses[0] for run in runs if run.asked.seed == seed]
        assert found == pytest.approx([first] * len(found), abs=2e-3)
    before = [run for run in runs if run.asked[:3] == (SCORE, tuned(runs, SCORE), 0) and run.asked.warm_up == 20]
    assert len({run.losses[:20] for run in before}) == 1, "runs that differ in their plan alone part at the first cut"


def test_what_is_missing_is_trained_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = {run.asked: run for run in allocation_runs()}, []

    def train(key: Asked, _runs: object) -> AllocationRun:
        asked.append(key)
        return made[key]

    monkeypatch.setattr(recorder, "train", train)
    path = tmp_path / "allocation.jsonl"
    record(path)
    written = read(path)
    assert {run.asked for run in written} == set(made)
    assert all(run == made[run.asked] for run in written)
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    last = asked[-1]
    asked.clear()
    record(path)
    assert asked == [last]


def test_a_record_that_lacks_a_run_is_refused() -> None:
    made = allocation_runs()
    traced = next(run for run in made if run.trace)
    with pytest.raises(ValueError, match="no traced run has the target, warm-up and final phase"):
        gathered([run for run in made if run is not traced], cut_runs())
    lr = tuned(made, SCORE)
    with pytest.raises(KeyError, match=SCORE):
        ended(SCORE, runs=[run for run in made if run.asked != Asked(SCORE, lr, REPORT_SEEDS[-1])])


def seen(recorded: Recorded, **moves: int) -> Result:
    """What the explorer shows after some moves from where it opens."""
    return compute(replace(State(), **moves), recorded)


def test_the_cut_lies_between_those_that_live_and_those_that_do_not(recorded: Recorded) -> None:
    for plan, run in recorded.runs.items():
        for t in TIMES:
            result = seen(recorded, t=t, **dict(zip(("target", "warm_up", "final"), plan, strict=True)))
            lives = result.lives > 0
            assert lives.sum() == result.living[t]
            if result.cut is not None:
                assert result.scores[lives].min() >= result.cut - 0.06
                assert result.scores[~lives].max() <= result.cut + 0.06
        assert result.ranks == run.ranks
        assert (result.living[-1], result.living[0]) == (28 * plan[0], 28 * R)


def by_kind(result: Result, kind: str) -> list[int]:
    """The ranks of one kind of matrix, layer by layer."""
    return [k for name, k in zip(result.matrices, result.ranks, strict=True) if name.endswith(f"{kind}_proj")]


def test_the_first_task_has_the_answers_that_the_chapter_gives(recorded: Recorded) -> None:
    end = seen(recorded, t=TIMES[-1])
    full = [name for name, k in zip(end.matrices, end.ranks, strict=True) if k == R]
    assert full == ["layers.0.mlp.down_proj"]
    layers = np.reshape(end.ranks, (4, 7)).sum(1)
    assert layers[2:].sum() == 41 > 56 / 2
    assert layers[2:].min() > layers[:2].max()
    at_most_one = {kind for kind in ("q", "k", "v", "o", "gate", "up", "down") if max(by_kind(end, kind)) <= 1}
    assert at_most_one == {"q", "k"}
    first = seen(recorded)
    assert first.cut is not None, "where it opens one cut has been made"
    assert first.ranks.count(0) == 2, "and the answers are not seen yet"


def test_the_second_task_has_the_answers_that_the_chapter_gives(recorded: Recorded) -> None:
    ends = sorted(run.score for (target, *_), run in recorded.runs.items() if target == 1)
    assert [f"{score:.2f}" for score in (ends[0], ends[-1])] == ["3.87", "3.91"]
    assert f"{recorded.lora[1]:.2f}" == "4.01"
    assert recorded.lora[1] - ends[-1] == pytest.approx(0.10, abs=0.005)
    assert len(ends) == 6
    assert ends[-1] - ends[0] == pytest.approx(0.04, abs=0.005)


def test_masked_triplets_live_again_without_a_warm_up_where_the_chapter_says(recorded: Recorded) -> None:
    assert (seen(recorded, t=10, warm_up=0).lives == 2).sum() >= 3
    assert not (seen(recorded, t=10).lives == 2).any()


def test_states_that_should_differ_do(recorded: Recorded) -> None:
    ends = [seen(recorded, t=59, target=target).ranks for target in (1, 2, 4)]
    ends += [seen(recorded, t=59, warm_up=0).ranks, seen(recorded, t=59, final=5).ranks]
    assert len(set(ends)) == len(ends)


def test_the_record_says_what_the_chapter_says_in_words() -> None:
    score, largest_, random, cut, retrained = (ended(way) for way in (SCORE, LAMBDA, RANDOM, CUT, RETRAINED))
    lora, low_lora = uniform(), uniform_low()
    assert random.scores.mean() - score.scores.mean() == pytest.approx(0.07, abs=0.005), "to choose at all"
    assert (largest_.scores < score.scores).sum() == 2, "not decided: two of the five seeds"
    assert (largest_.ranks != score.ranks).any(axis=1).all(), "they keep other triplets"
    assert (retrained.ranks == score.ranks).all(), "LoRA with the ranks of the same seed"
    gains = [(lora.scores - each.scores).mean() for each in (score, retrained, cut)]
    assert all(0.02 < gain < 0.04 for gain in gains), "with its ranks LoRA gains as much, cut at the end does as well"
    low, low_cut = ended(SCORE, LOW), ended(CUT, LOW)
    assert abs((low_cut.scores - low_lora.scores).mean()) < 0.01, "the cut falls back to rank 1 everywhere"
    assert low_lora.scores.mean() - low.scores.mean() > 0.05
    assert R == 3 * 2 == 6 * LOW, "how many times as many numbers are trained"
    empty = (score.ranks == 0).sum(1)
    assert (empty.min(), empty.max()) == (9, 12)


def test_the_arena_says_what_the_chapter_says_of_equal_numbers_and_of_the_rate() -> None:
    rows = Record().rows()
    best = {name: best_rate(grouped(rows)[at(name, "kjv")]) for name in ("LoRA", "AdaLoRA")}
    assert best["AdaLoRA"] == pytest.approx(4 * best["LoRA"])
    tried = tuned_at(grouped(rows)[at("AdaLoRA", "kjv")])
    assert tried[best["LoRA"]] > tried[best["AdaLoRA"]] + 0.2, "far behind at LoRA's rate"
    forgotten = {
        name: np.mean([row.forgotten for row in reported_at(grouped(rows)[at(name, "kjv")])])
        for name in ("LoRA", "AdaLoRA")
    }
    assert forgotten["AdaLoRA"] < 0.8 * forgotten["LoRA"]
    sizes = {row.size for row in grouped(rows)[at("AdaLoRA", "kjv")].values()}
    recipes = [method_named("AdaLoRA").recipe(size) for size in sizes]
    assert [(recipe.r, recipe.rule.target_r) for recipe in recipes] == [(7, 5)]
