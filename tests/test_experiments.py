"""The nine questions: each answers yes where the rows say yes, something else where they do not, nothing too early."""

import math
import random
from collections.abc import Callable

import pytest

from lorabook.arena import plan
from lorabook.arena.budget import task_named
from lorabook.arena.experiment import FULL, Experiment, Unanswered, at, rate
from lorabook.arena.experiments import EXPERIMENTS
from lorabook.arena.experiments.batch_size import BATCH_SIZE
from lorabook.arena.experiments.best_rate import BEST_RATE
from lorabook.arena.experiments.capacity import CAPACITY_OF_RANK
from lorabook.arena.experiments.carries_over import CARRIES_OVER, WHO
from lorabook.arena.experiments.differ import DIFFER
from lorabook.arena.experiments.first_steps import FIRST_STEPS
from lorabook.arena.experiments.forgetting import FORGETTING
from lorabook.arena.experiments.intruders import INTRUDER_DIRECTIONS
from lorabook.arena.experiments.where import WHERE
from lorabook.arena.job import Job, Row
from lorabook.arena.on_intruders import SCALED, SHRUNK
from lorabook.book.cli import main

START = 4.0
Measures = dict[str, object]
World = Callable[[Job], Measures]


def noise(job: Job) -> float:
    """Return a small number that is another one for every contender, task and seed, and always the same one."""
    return random.Random(f"{job.method} {job.task} {job.seed}").uniform(-1, 1) / 1000


def row(job: Job, world: World) -> Row:
    """Return a row as the world has it; lowest at the rate `best`, where the score is `lowest`."""
    has = {"best": 0.008, "lowest": 3.0, "forgets": 0.5, "curve": (4.0,) * 13, "more": {}} | world(job)
    score = has["lowest"] + 0.02 * math.log2(job.lr / has["best"]) ** 2 + noise(job)
    return Row(
        *job, state="finished", size=8, trained=has.get("trained", 100), start=START, score=score,
        forgotten=has["forgets"] * (START - score), backward_bytes=1, optimizer_bytes=1, step_ratio=1.0, seconds=2.0,
        loss10=1.5, norm10=3.25, base="abc", curve=has["curve"], more=has["more"],
    )  # fmt: skip


def answered(experiment: Experiment, world: World):
    """Run the plan of an experiment to its end in a world, and ask."""
    rows: list[Row] = []
    for _ in range(100):
        jobs = plan.next_jobs(rows, experiment.places, experiment.curves)
        if not jobs:
            assert sum(plan.left(rows, experiment.places, experiment.curves).values()) == 0
            return experiment.answer(rows)
        rows += [row(job, world) for job in jobs]
    raise AssertionError("the plan does not end")


def alike(job: Job) -> Measures:
    """Nobody differs from anybody."""
    return {
        "more": {
            "bits": 100.0,
            "intruders": 1.0,
            "unchanged: old": 3.0,
            **{f"shrunk {f}: {what}": 3.0 for f in SHRUNK for what in ("score", "old")},
            **{f"scaled {f}: {what}": 3.0 for f in SCALED for what in ("score", "old")},
        }
    }


def tenfold(job: Job) -> Measures:
    return {"best": 0.0009 if job.method == FULL else 0.009}


def rate_follows_rank(job: Job) -> Measures:
    ranks = {"LoRA r=2 α=16": 2, "LoRA r=32 α=16": 32, "LoRA r=64 α=16": 64}
    return {"best": 0.001 * ranks.get(job.method, 8)} if job.method != FULL else {"best": 0.008}


def same_first_steps(job: Job) -> Measures:
    first = (4.0, 3.9, 3.8)
    return {"curve": first + (3.5 - 0.01 * len(job.method),) * 10}


def other_first_steps(job: Job) -> Measures:
    return {"curve": (4.0, *(3.9 - 0.05 * len(job.method) for _ in range(12)))}


def attention_is_worse(job: Job) -> Measures:
    return {"lowest": 3.1 if job.method == "LoRA on attention" else 3.0}


def small_ranks_fill(job: Job) -> Measures:
    task = task_named(job.task)
    if not hasattr(task, "n"):
        return {}
    r = int(job.method.removeprefix("LoRA r="))
    return {"more": {"bits": min(6.0 * task.n, 1000.0 * r)}, "trained": 704 * r}


def large_batches_cost_lora(job: Job) -> Measures:
    return {"lowest": 3.2 if job.method != FULL and job.task == "kjv-batch-16" else 3.0}


def lora_forgets_less(job: Job) -> Measures:
    return {"forgets": 0.5 if job.method == FULL else 0.3, "lowest": 2.9 if job.method == FULL else 3.0}


def lora_forgets_more(job: Job) -> Measures:
    return {"forgets": 0.3 if job.method == FULL else 0.5, "lowest": 2.9 if job.method == FULL else 3.0}


def intruders_hold_what_was_forgotten(job: Job) -> Measures:
    score, lora = 3.0 + noise(job), job.method != FULL
    more = {"intruders": (2.0 if lora else 0.0) + noise(job), "unchanged: old": 3.0}
    for factor in SHRUNK:
        more |= {f"shrunk {factor}: score": score + 0.05, f"shrunk {factor}: old": 2.6 + noise(job)}
    for factor in SCALED:
        more |= {f"scaled {factor}: score": score + 1 - factor, f"scaled {factor}: old": 2.9}
    return {"more": more}


def dora_is_better(job: Job) -> Measures:
    return {"lowest": 2.9 if job.method == "DoRA" else 3.0}


def same_order(job: Job) -> Measures:
    return {"lowest": 3.0 + 0.1 * WHO.index(job.method)} if job.method in WHO else {}


def scrambled_order(job: Job) -> Measures:
    order = WHO if job.task == "kjv" else (*WHO[1::2], *WHO[::2])
    return {"lowest": 3.0 + 0.1 * order.index(job.method)} if job.method in WHO else {}


@pytest.mark.parametrize(
    ("experiment", "world", "verdict"),
    [
        (BEST_RATE, tenfold, "yes"),
        (BEST_RATE, rate_follows_rank, "no"),
        (FIRST_STEPS, same_first_steps, "yes"),
        (FIRST_STEPS, other_first_steps, "no"),
        (WHERE, attention_is_worse, "yes"),
        (WHERE, alike, "not at this size"),
        (CAPACITY_OF_RANK, small_ranks_fill, "yes"),
        (CAPACITY_OF_RANK, alike, "not at this size"),
        (BATCH_SIZE, large_batches_cost_lora, "yes"),
        (BATCH_SIZE, alike, "not at this size"),
        (FORGETTING, lora_forgets_less, "yes"),
        (FORGETTING, lora_forgets_more, "no"),
        (FORGETTING, alike, "not at this size"),
        (INTRUDER_DIRECTIONS, intruders_hold_what_was_forgotten, "yes"),
        (INTRUDER_DIRECTIONS, alike, "no"),
        (DIFFER, dora_is_better, "yes"),
        (DIFFER, alike, "no"),
        (CARRIES_OVER, same_order, "yes"),
        (CARRIES_OVER, scrambled_order, "not at this size"),
    ],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", value)),
)
def test_an_experiment_answers_what_its_rows_say(experiment, world, verdict):
    if experiment is DIFFER:
        world = _coincident(world)
    assert answered(experiment, world).verdict == verdict


def _coincident(world: World) -> World:
    return lambda job: world(job._replace(method="rsLoRA")) if job.method == "LoRA α=16√8" else world(job)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.name)
def test_an_experiment_does_not_answer_too_early(experiment):
    with pytest.raises(Unanswered):
        experiment.answer([])


@pytest.mark.parametrize("best", [0.005, 0.008, 0.011])
def test_a_best_rate_is_found_between_the_points_of_the_grid(best):
    def quadratic(job: Job) -> Row:
        found = row(job, lambda _: {"best": best})
        return Row(**{**vars(found), "score": found.score - noise(job)})

    rows: list[Row] = []
    place = at("LoRA", "digits")
    while jobs := plan.next_jobs(rows, [place]):
        rows += map(quadratic, jobs)
    assert rate(rows, place) == pytest.approx(best)


def test_names_and_places_of_experiments_exist():
    assert len({each.name for each in EXPERIMENTS}) == len(EXPERIMENTS) == 9
    for experiment in EXPERIMENTS:
        assert set(experiment.curves) <= set(experiment.places)
        for place in experiment.places:
            assert at(place.method, place.task).task == task_named(place.task).name


def test_the_command_answers_and_names_what_it_lacks(tmp_path, capsys):
    assert main(["arena", "--answers", "--record", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("not yet: ") == 9
    assert main(["arena", "--experiment", "chess", "--dry-run", "--record", str(tmp_path)]) == 2
    assert "no experiment is called 'chess'; they are best-rate" in capsys.readouterr().err
    assert main(["arena", "--experiment", "where", "--dry-run", "--record", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "LoRA on MLP on facts-512, equal budget" in said
    assert "capitals" not in said
