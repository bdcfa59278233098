"""What chapter 25 stands on: the recorded federations, the two attacks, the table of ε, the explorer's tasks."""

import dataclasses
import itertools
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import federated_runs

import lorabook as lb
from lorabook.arena import epsilons, member_runs, one_round
from lorabook.arena import federated_runs as recorder
from lorabook.arena.federated_losses import Losses, gathered
from lorabook.arena.federated_runs import (
    CHECKS,
    CLIPS,
    COHORT,
    DYLORA,
    NOISES,
    RANKS,
    ROUNDS,
    SEEDS,
    SIDES,
    TUNING_SEED,
    FederatedRun,
    read,
)
from lorabook.arena.member_runs import MemberRun
from lorabook.book.explore.privacy import NONE, Result, State, compute, recorded_noise
from lorabook.book.figures import attack
from lorabook.book.figures import federated as drawn


@pytest.fixture(scope="module")
def runs() -> list[FederatedRun]:
    return read()


@pytest.fixture(scope="module")
def losses(runs: list[FederatedRun]) -> Losses:
    return gathered(runs)


@pytest.fixture(scope="module")
def spent() -> epsilons.Epsilons:
    return epsilons.read()


# The record


def test_the_record_is_whole_and_each_best_c_was_compared_with_its_neighbours(runs: list[FederatedRun]) -> None:
    assert list(recorder.asked(runs)) == []
    assert len({run.key for run in runs}) == len(runs)
    for side, z in itertools.product(SIDES, NOISES):
        of = [run for run in runs if (run.side, run.z) == (side, z)]
        tried = {run.C: run.end for run in of if run.seed == TUNING_SEED}
        best = min(tried, key=tried.__getitem__)
        assert {run.C for run in of if run.seed in SEEDS} == {best}
        place = CLIPS.index(best)
        assert set(CLIPS[max(0, place - 1) : place + 2]) <= set(tried)
    assert all(len(run.scores) == len(ROUNDS) and len(run.scores[0]) == len(SIDES[run.side].ranks) for run in runs)


def test_a_recorded_run_is_what_the_code_gives_today(runs: list[FederatedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the looks of one noisy run: a fifth of its rounds."""
    (asked,) = [run for run in runs if run.key == (DYLORA, 2.0**-6, run.C, 0, COHORT)]
    monkeypatch.setattr(recorder, "ROUNDS", ROUNDS[:1])
    again = recorder.run(*asked.key)
    assert again.start == pytest.approx(asked.start, abs=1e-3)
    assert again.scores[0] == pytest.approx(asked.scores[0], abs=3e-3)


def test_what_is_missing_is_run_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked_for = {run.key: run for run in federated_runs()}, []

    def run(*key: object) -> FederatedRun:
        asked_for.append(key)
        return made[key]

    monkeypatch.setattr(recorder, "run", run)
    path = tmp_path / "federated.jsonl"
    recorder.record(path)
    assert {run.key for run in read(path)} == set(made)
    assert {run.C for run in read(path) if run.seed in SEEDS} == {0.5}
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    last = asked_for[-1]
    asked_for.clear()
    recorder.record(path)
    assert asked_for == [last]


def test_a_record_that_lacks_a_seed_is_refused(runs: list[FederatedRun]) -> None:
    one = next(run for run in runs if run.seed == SEEDS[0] and run.cohort == COHORT)
    with pytest.raises(ValueError, match=rf"{one.side} at z = .* the record has the seeds \[1, 2, 3, 4\]"):
        gathered([run for run in runs if run is not one])


def test_more_clients_with_the_same_ratio_of_noise_do_not_learn_less(runs: list[FederatedRun]) -> None:
    """Why few clients may stand for many: their mean is only less steady."""
    for side, z in CHECKS:
        few, many = (
            [run.end for run in runs if (run.side, run.z, run.cohort) == (side, z, size) and run.seed in SEEDS]
            for size in (COHORT, 4 * COHORT)
        )
        assert len(few) == len(many) == len(SEEDS)
        assert statistics.mean(many) < statistics.mean(few) + 0.01


def test_a_nested_adapter_is_served_at_a_rank_for_one_look_only() -> None:
    model = lb.load("tiny").model
    layers = lb.inject(model, lb.DyLoRA(r=4), "layers.0.mlp.up_proj", torch.Generator().manual_seed(0))
    (update,) = [layer.update for layer in layers.values()]
    torch.nn.init.normal_(update.B, std=0.1)
    lb.truncate(model, 3)
    looks = {b: recorder.score(model, b) for b in (1, 4)}
    assert looks[1] != looks[4]
    assert update.b == 3


# ε


def test_every_stored_epsilon_is_the_accountants(spent: epsilons.Epsilons) -> None:
    assert list(spent) == epsilons.keys()
    for key in list(spent)[:: len(spent) // 3]:
        assert spent[key] == pytest.approx(epsilons.computed(*key), rel=1e-3)
    assert all(row == sorted(row) for row in spent.values()), "ε grows with the rounds"


def test_epsilons_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "epsilons.json"
    epsilons.record(path, lambda n, cohort, sigma: [n + sigma, float(cohort)])
    assert epsilons.read(path)[512, 128, 0.5] == [512.5, 128.0]


# The attacks


def test_an_area_is_the_chance_that_one_inside_scores_higher() -> None:
    assert member_runs.area([3, 1], [2, 0]) == 0.75
    assert member_runs.area([1, 1], [1, 1]) == 0.5
    assert one_round.area(torch.tensor([3.0, 1]), torch.tensor([2.0, 0])) == 0.75
    assert one_round.area(torch.ones(2), torch.ones(2)) == 0.5


def test_one_who_knows_all_others_has_the_area_of_two_gaussians() -> None:
    g = torch.Generator().manual_seed(0)
    for sigma in (0.5, 2.0):
        scores = [torch.randn(3000, generator=g) * sigma + inside for inside in (1.0, 0.0)]
        assert one_round.most(sigma) == pytest.approx(one_round.area(*scores), abs=0.02)
    assert one_round.most(0) == 1


def test_a_change_is_what_one_local_step_sends() -> None:
    base = lb.load("tiny").model
    lb.inject(base, lb.LoRA(r=2), "layers.3.mlp", torch.Generator().manual_seed(0))
    (client,) = one_round.people(1)
    trained = [p for p in base.parameters() if p.requires_grad]
    before = torch.cat([p.detach().flatten().clone() for p in trained])
    sent = one_round.change(base, client)
    optimizer = torch.optim.SGD(trained, lr=0.1)
    recorder.text.language_loss(base, next(client())).backward()
    optimizer.step()
    torch.testing.assert_close(torch.cat([p.detach().flatten() for p in trained]), before + 0.1 * sent)


def test_noise_hides_who_was_in_one_round() -> None:
    rows = torch.randn(40, 3000, generator=torch.Generator().manual_seed(0))
    means = [one_round.spread(one_round.areas(rows, sigma, 12))[0] for sigma in (0.0, 1.0, 4.0, 50.0)]
    assert means[0] > 0.99
    assert means == sorted(means, reverse=True)
    assert abs(means[-1] - 0.5) < 0.06
    for sigma, mean in zip((1.0, 4.0), means[1:3], strict=True):
        assert abs(mean - one_round.most(sigma)) < 0.08


def test_the_record_of_members_is_whole_and_what_the_code_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {(run.sigma, run.seed): run for run in member_runs.read()}
    assert sorted(found) == sorted(itertools.product(member_runs.SIGMAS, member_runs.SEEDS))
    assert all(len(run.members) + len(run.outsiders) == member_runs.TEXTS for run in found.values())
    monkeypatch.setattr(member_runs, "ROUNDS", (1,))
    short = member_runs.run(0.5, 0)
    assert (len(short.members), len(short.outsiders)) == tuple(
        len(side) for side in (found[0.5, 0].members, found[0.5, 0].outsiders)
    )
    assert abs(short.end - 4.32) < 0.2


def test_members_are_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def run(sigma: float, seed: int) -> MemberRun:
        made.append((sigma, seed))
        return MemberRun(sigma, seed, [1.0], [0.5, 2.0], 4.2, "CPU", "torch", "2026-11-27")

    monkeypatch.setattr(member_runs, "run", run)
    path = tmp_path / "members.jsonl"
    member_runs.record(path)
    member_runs.record(path)
    assert made == list(itertools.product(member_runs.SIGMAS, member_runs.SEEDS))
    assert {one.auc for one in member_runs.read(path)} == {0.5}


# The explorer


def shown(losses: Losses, spent: epsilons.Epsilons, **moves: object) -> Result:
    return compute(dataclasses.replace(State(), **moves), losses, spent)


def test_noise_is_that_of_the_next_louder_record() -> None:
    assert recorded_noise(0.0) == 0
    assert recorded_noise(2.0**-12) == 2.0**-8
    assert recorded_noise(2.0**-6) == 2.0**-6
    assert recorded_noise(2.0**-7) == 2.0**-7
    loudest = max(epsilons.SIGMAS) / min(epsilons.COHORTS)
    assert loudest <= max(NOISES), "every setting has a record that is at least as loud"


def test_every_setting_is_recorded_or_says_that_it_is_not(losses: Losses, spent: epsilons.Epsilons) -> None:
    for cohort, sigma in itertools.product(epsilons.COHORTS, epsilons.SIGMAS):
        sentence = shown(losses, spent, cohort=cohort, sigma=sigma).sentence
        assert ("recorded with more noise" in sentence) == (sigma / cohort not in NOISES)
        assert ("recorded with more noise" in sentence) == (sigma / cohort < 2.0**-8)


def test_the_losses_know_nothing_of_n_and_epsilon_nothing_of_the_rank(losses: Losses, spent: epsilons.Epsilons) -> None:
    start = shown(losses, spent)
    wider, lower = shown(losses, spent, clients=32768), shown(losses, spent, r=8)
    np.testing.assert_array_equal(start.dylora, wider.dylora)
    assert wider.epsilon[-1] < start.epsilon[-1]
    np.testing.assert_array_equal(start.epsilon, lower.epsilon)


def test_without_noise_no_epsilon_is_finite(losses: Losses, spent: epsilons.Epsilons) -> None:
    result = shown(losses, spent, sigma=0.0)
    assert not result.private
    assert set(result.epsilon) == {NONE}
    assert "no finite ε" in result.sentence
    np.testing.assert_array_equal(result.dylora[0], result.quiet_dylora)


def test_a_round_has_no_more_clients_than_there_are(losses: Losses, spent: epsilons.Epsilons) -> None:
    few = shown(losses, spent, clients=512, cohort=2048)
    np.testing.assert_array_equal(few.epsilon, shown(losses, spent, clients=512, cohort=512).epsilon)
    assert "16 rounds of 512 clients out of 512" in few.sentence


def test_the_table_and_the_picture_show_the_record(losses: Losses) -> None:
    lines = drawn.at_every_noise(losses).text.splitlines()
    ends = drawn.ends(losses)
    assert len(lines) == 2 + len(ends) + 1
    quiet = ends[DYLORA, 4][0.0]
    assert f"| {DYLORA} | 4 | {quiet.mean():.2f} ±{np.ptp(quiet) / 2:.2f} |" in "\n".join(lines)
    assert [r for name, r in ends if name == DYLORA] == list(RANKS)
    picture = attack.by_noise({0.0: [1.0, 0.9], 2.0: [0.6, 0.7]})
    (axes,) = picture.figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "2"]
    rows = attack.by_model(member_runs.read()).text.splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [f"{sigma:g}" for sigma in member_runs.SIGMAS]


def test_the_second_task_2048_clients_allow_what_512_do_not(losses: Losses, spent: epsilons.Epsilons) -> None:
    fits: dict[int, list[tuple[float, int]]] = {}
    for n, cohort, sigma in itertools.product(epsilons.CLIENTS, epsilons.COHORTS, epsilons.SIGMAS):
        result = shown(losses, spent, clients=n, cohort=cohort, sigma=sigma)
        if result.lora[0, 0] - result.quiet_lora[0] < 0.05 and result.epsilon[-1] < 3:
            fits.setdefault(n, []).append((sigma, cohort))
    assert min(fits) == 2048
    assert fits[2048] == [(1.0, 128), (2.0, 512)]
    assert shown(losses, spent, clients=2048, cohort=128, sigma=1.0).epsilon[-1] == pytest.approx(2.0, abs=0.05)
    least = min(
        shown(losses, spent, clients=512, cohort=cohort, sigma=sigma).epsilon[-1]
        for cohort, sigma in itertools.product(epsilons.COHORTS, epsilons.SIGMAS)
        if recorded_noise(sigma / min(512, cohort)) < 2.0**-6
    )
    assert least == pytest.approx(5.9, abs=0.05)
    louder = shown(losses, spent, clients=512, cohort=128, sigma=2.0)
    assert louder.epsilon[-1] == pytest.approx(1.9, abs=0.05)
    assert louder.lora[0, 0] - louder.quiet_lora[0] == pytest.approx(0.07, abs=0.005)
    assert (State().sigma, State().cohort) not in fits[2048], "it does not open on the answer"


def test_what_the_text_says_of_ranks_under_noise(losses: Losses, runs: list[FederatedRun]) -> None:
    ends = {key: {z: seeds.mean() for z, seeds in found.items()} for key, found in drawn.ends(losses).items()}
    assert 0.13 < ends["LoRA", 1][0.0] - ends["LoRA", 8][0.0] < 0.16
    assert abs(ends["LoRA", 1][2.0**-6] - ends["LoRA", 8][2.0**-6]) < 0.02
    assert losses.clips["LoRA r=8", 0.0] > losses.clips["LoRA r=8", 2.0**-6]
    for z in NOISES:
        assert ends[DYLORA, 1][z] > ends["LoRA", 1][z]
        assert ends[DYLORA, 8][z] > ends["LoRA", 8][z]
    assert losses.start - 0.1 > max(ends[DYLORA, r][z] for r in (4, 8) for z in NOISES)
    seeds = drawn.ends(losses)
    assert all(max(seeds[DYLORA, r][0.0]) > losses.start > min(seeds[DYLORA, r][0.0]) for r in (1, 2))
    few, many = (
        statistics.mean(run.end for run in runs if run.key[:2] == CHECKS[0] and run.cohort == n and run.seed in SEEDS)
        for n in (COHORT, 4 * COHORT)
    )
    assert few - many == pytest.approx(0.02, abs=0.005)


def test_with_a_dozen_clients_noise_ruins_the_model_before_it_hides_anyone() -> None:
    by_noise = {s: [run for run in member_runs.read() if run.sigma == s] for s in member_runs.SIGMAS}
    start = read()[0].start
    assert min(run.auc for run in by_noise[0.0]) > 0.97
    assert statistics.mean(run.auc for run in by_noise[0.5]) > 0.95
    assert min(run.end for run in by_noise[0.5]) > start > max(run.end for run in by_noise[0.0])
