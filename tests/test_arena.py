"""The arena: its plan is complete and ends, its record survives what can happen to a file, its rows repeat."""

import errno
import math
import os
from dataclasses import replace

import pytest
import torch

from lorabook.arena import answers, decide, plan, recheck, record, summary
from lorabook.arena import run as running
from lorabook.arena import sweep as sweeping
from lorabook.arena.budget import BUDGETS, budgets_of, count, method_named, size_of, task_named
from lorabook.arena.job import VERSION, Job, Row
from lorabook.arena.methods import BASELINE, METHODS
from lorabook.arena.plan import REPORT_SEEDS, TUNING_SEEDS, Place
from lorabook.arena.record import Record, RecordError
from lorabook.arena.sweep import SweepError, sweep
from lorabook.arena.table import export, table
from lorabook.arena.tasks import TASKS
from lorabook.book.cli import main
from lorabook.core.lora import AlphaOverR
from lorabook.cost.spectrum import effective_rank
from lorabook.tasks import facts

DIGITS = [task_named("digits")]
TWO = [method_named("LoRA"), method_named("DoRA")]


def pretended(job: Job, best: float = 0.032) -> Row:
    """Return a row as if the loss were lowest at `best`, and a little better for LoRA than for the others."""
    score = 1.0 + abs(job.lr / best - 1) + job.seed / 1000 + (0.0 if job.method == BASELINE else 0.5)
    return Row(
        *job, state="finished", size=8, trained=100, start=9.0, score=score, forgotten=0.1, backward_bytes=1,
        optimizer_bytes=1, step_ratio=1.0, seconds=2.0, loss10=1.5, norm10=3.25, base="abc", curve=(3.0, 2.0),
    )  # fmt: skip


def swept(methods, budgets=BUDGETS, answer=pretended) -> list[Row]:
    """Run the plan to its end with an answer to every job."""
    rows: list[Row] = []
    for _ in range(100):
        jobs = plan.next_jobs(rows, plan.places(methods, DIGITS, budgets))
        if not jobs:
            return rows
        rows += [answer(job) for job in jobs]
    raise AssertionError("the plan does not end")


# The plan.


def test_the_first_run_of_a_contender_goes_alone():
    jobs = plan.next_jobs([], plan.places(TWO, DIGITS, BUDGETS))
    assert [(job.method, job.seed) for job in jobs] == [("LoRA", TUNING_SEEDS[0]), ("DoRA", TUNING_SEEDS[0])]


@pytest.mark.parametrize("best", [0.001, 0.008, 0.256])
def test_the_best_rate_ends_inside_the_grid(best):
    rows = swept(TWO, answer=lambda job: pretended(job, best))
    group = plan.grouped(rows)[Place("DoRA", "digits", "equal")]
    assert plan.best_rate(group) == pytest.approx(best)
    rates = sorted(plan.tuned(group))
    assert rates[0] < plan.best_rate(group) < rates[-1]


def test_a_finished_plan_has_every_report_seed_at_the_best_rate_and_the_rate_of_lora():
    rows = swept(TWO, answer=lambda job: pretended(job, 0.032 if job.method == BASELINE else 0.004))
    done = {row.job for row in rows}
    place = Place("DoRA", "digits", "equal")
    assert {place.job(0.004, seed) for seed in REPORT_SEEDS} <= done
    assert {place.job(0.032, seed) for seed in TUNING_SEEDS} <= done
    assert plan.left(rows, plan.places(TWO, DIGITS, BUDGETS)) == {"digits": 0}


def test_a_rate_that_diverges_is_never_the_best():
    def answer(job):
        row = pretended(job, 0.064)
        return replace(row, state="diverged", score=None) if job.lr > 0.02 else row

    group = plan.grouped(swept(TWO, answer=answer))[plan.baseline("digits")]
    assert plan.best_rate(group) == 0.016


def test_what_is_refused_is_asked_once():
    rows = swept([method_named("prefix")], answer=lambda job: Row(*job, state="refused", why="no attention"))
    assert len(rows) == len(budgets_of(method_named("prefix")))
    assert plan.left(rows, plan.places([method_named("prefix")], DIGITS, BUDGETS)) == {"digits": 0}


def test_tuning_seeds_do_not_report():
    assert not set(TUNING_SEEDS) & set(REPORT_SEEDS)


# The record.


def test_a_row_is_read_as_it_was_written(tmp_path):
    row = pretended(Job("LoRA", "digits", "equal", 0.008, 3))
    Record(tmp_path).add(row)
    assert Record(tmp_path).rows() == [row]


@pytest.mark.parametrize("doublings", range(-20, 12))
def test_a_row_is_found_again_by_its_job_at_every_rate_of_the_grid(tmp_path, doublings):
    row = pretended(Job("LoRA", "digits", "equal", plan.UNIT * 2.0**doublings, 3))
    Record(tmp_path).add(row)
    assert [each.job for each in Record(tmp_path).rows()] == [row.job]


def test_a_line_that_was_cut_short_is_dropped_and_written_again(tmp_path):
    first, second = (pretended(Job("LoRA", "digits", "equal", 0.008, seed)) for seed in (0, 1))
    Record(tmp_path).add(first)
    Record(tmp_path).add(second)
    path = tmp_path / "digits.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert Record(tmp_path).rows() == [first]
    Record(tmp_path).add(second)
    assert Record(tmp_path).rows() == [first, second]


def test_a_full_disk_leaves_the_rows_before(tmp_path, monkeypatch):
    rows = [pretended(Job("LoRA", "digits", "equal", 0.008, seed)) for seed in (0, 1)]
    Record(tmp_path).add(rows[0])

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RecordError, match=r"digits\.jsonl cannot be written \(No space left on device\)"):
            Record(tmp_path).add(rows[1])
    assert Record(tmp_path).rows() == rows[:1]
    Record(tmp_path).add(rows[1])
    assert Record(tmp_path).rows() == rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 2 of .* is no row"),
        ("[1]", "line 2 of .* is no row"),
        (f'{{"version":{VERSION + 1}}}', f"is of version {VERSION + 1} .* reads {VERSION}"),
        (f'{{"version":{VERSION},"method":"LoRA"}}', "line 2 of .* lacks budget"),
    ],
)
def test_a_damaged_record_is_refused_by_line(tmp_path, line, message):
    Record(tmp_path).add(pretended(Job("LoRA", "digits", "equal", 0.008, 0)))
    with (tmp_path / "digits.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RecordError, match=message):
        Record(tmp_path).rows()


def test_two_sweeps_do_not_write_one_record(tmp_path):
    with (
        Record(tmp_path).alone(),
        pytest.raises(RecordError, match="another sweep is writing"),
        Record(tmp_path).alone(),
    ):
        pass
    with Record(tmp_path).alone():  # and it is free again
        pass


# A run.


def test_the_equal_budget_is_the_nearest_that_can_be_had():
    task = DIGITS[0]
    goal = count(method_named(BASELINE), task, 8)
    for name in ("LoRA", "DoRA", "LoRA-FA", "LoHa"):
        method = method_named(name)
        size = size_of(method, task, "equal")
        gap = abs(count(method, task, size) - goal)
        for other in (size - 1, size + 1):
            if other in method.sizes:
                try:
                    assert gap <= abs(count(method, task, other) - goal)
                except ValueError:
                    assert other > size  # a layer allows no more


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_contender_has_a_row_of_its_first_steps(method):
    budget = budgets_of(method)[0]
    row = running.run(Job(method.name, "digits", budget, method.first_rate, 0), steps=10)
    if row.state == "refused":
        assert row.why
        assert row.trained is None
    else:
        assert row.state == "finished"
        assert row.trained > 0
        assert row.loss10 > 0
        assert row.norm10 > 0
        assert row.score is None


def test_a_run_repeats_to_the_bit_and_finishes():
    job = Job("LoRA", "digits", "equal", 8e-3, 0)
    first, again = running.run(job), running.run(job)
    changing = {"seconds", "step_ratio"}
    same = [name for name in Row.__dataclass_fields__ if name not in changing]
    assert [getattr(first, name) for name in same] == [getattr(again, name) for name in same]
    assert first.score < first.start
    assert first.moved > 0
    assert 0 < first.rank <= 8
    assert first.step_ratio > 0
    assert recheck.recheck(first) == []


def test_lora_drop_counts_its_steps_over_both_phases():
    row = running.run(Job("LoRA-drop", "digits", "equal", 8e-3, 0))
    assert row.state == "finished"
    assert len(row.curve) == 100 // running.EVERY + 1


def test_a_row_is_stale_when_its_contender_computes_something_else(monkeypatch):
    row = running.run(Job("LoRA", "digits", "equal", 8e-3, 0), steps=10)
    assert recheck.stale(row) == []
    monkeypatch.setattr(AlphaOverR, "build", lambda self, alpha, r: 1.05 * alpha / r)
    assert {difference.what for difference in recheck.stale(row)} == {"loss10", "norm10"}


# The sweep.


@pytest.fixture
def in_process(monkeypatch):
    """Let Dask work in threads of this process: what is tested is the sweep, not how long a process takes to start."""
    from distributed import Client, LocalCluster

    def client(workers, scheduler, stack):
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )
        return Client(stack.enter_context(cluster))

    monkeypatch.setattr(sweeping, "_client", client)


def test_a_sweep_runs_the_plan_to_its_end_and_goes_on_where_it_stopped(tmp_path, monkeypatch, in_process):
    fatal = Job("LoRA", "digits", "equal", 0.032, REPORT_SEEDS[3])
    rows = {row.job: row for row in swept(TWO)}

    def fails_once(job):
        if job == fatal:
            raise MemoryError("as if")
        return rows[job]

    monkeypatch.setattr(sweeping, "run", fails_once)
    with pytest.raises(SweepError, match=r"seed 3 failed: MemoryError: as if\. The rows before are kept"):
        sweep(Record(tmp_path), plan.places(TWO, DIGITS, BUDGETS))
    kept = {row.job for row in Record(tmp_path).rows()}
    assert kept
    assert kept < rows.keys()

    def goes_on(job):
        if job in kept:
            raise AssertionError("it has a row")
        return rows[job]

    monkeypatch.setattr(sweeping, "run", goes_on)
    assert sweep(Record(tmp_path), plan.places(TWO, DIGITS, BUDGETS)) == []
    assert {row.job for row in Record(tmp_path).rows()} == rows.keys()


def test_a_worker_that_is_killed_loses_its_own_run_and_nothing_else(tmp_path, monkeypatch):
    fatal = Job("DoRA", "digits", "equal", 0.008, TUNING_SEEDS[0])
    rows = {job: pretended(job) for job in {row.job for row in swept(TWO)}}

    def run(job, fatal=fatal, rows=rows):
        if job == fatal:
            os._exit(1)
        return rows[job]

    monkeypatch.setattr(sweeping, "run", run)
    lost = sweep(Record(tmp_path), plan.places(TWO, DIGITS, BUDGETS), workers=1)
    assert lost == [fatal]
    assert {row.job for row in Record(tmp_path).rows()} == {job for job in rows if job.method == "LoRA"}


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "WAIT", "500ms")
    with pytest.raises(SweepError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        sweep(Record(tmp_path), plan.places(TWO, DIGITS, BUDGETS), scheduler="tcp://127.0.0.1:9")


# What is read out of the record.


def test_a_summary_reports_the_seeds_that_did_not_tune():
    found = {s.place.method: s for s in summary.summaries(swept(TWO))}
    assert set(found) == {"LoRA", "DoRA"}
    lora, dora = found["LoRA"], found["DoRA"]
    assert (lora.lr, lora.seeds, lora.mean) == (0.032, 10, pytest.approx(1.0045))
    assert dora.mean == pytest.approx(1.5045)
    assert dora.regret == 0
    assert lora.forgotten == pytest.approx(0.1)
    assert "DoRA" in table([dora])
    assert "1.504" in table([dora])


def test_a_difference_is_decided_by_pairs_and_corrected():
    rows = swept(TWO)
    pair = (Place("LoRA", "digits", "equal"), Place("DoRA", "digits", "equal"))
    noisy = [
        replace(row, score=row.score + 0.01 * ((row.seed * 7) % 5)) if row.method == "DoRA" else row for row in rows
    ]
    (verdict,) = decide.decide(noisy, [pair])
    assert verdict.says == "better"
    assert verdict.difference < -0.4
    assert 0 < verdict.visible < 0.1
    (same,) = decide.decide(rows, [(pair[0], pair[0])])
    assert same.says == "no difference found at this size"
    assert same.visible == 0
    two = decide.decide(noisy, [pair, pair])
    assert two[0].p == pytest.approx(2 * verdict.p, rel=1e-9, abs=0)  # Holm: the smallest of two is doubled
    assert decide.decide(rows, []) == []


def test_too_few_seeds_decide_nothing():
    with pytest.raises(ValueError, match="share 0 seeds; 3 are needed"):
        decide.decide([], [(Place("LoRA", "digits", "equal"), Place("DoRA", "digits", "equal"))])


def test_rows_are_exported_whole(tmp_path):
    rows = [pretended(Job("LoRA", "digits", "equal", 0.008, 0))]
    export(rows, tmp_path / "rows.csv")
    head, line = (tmp_path / "rows.csv").read_text().splitlines()
    assert head.startswith("method,task,budget,lr,seed,state")
    assert "3.0 2.0" in line


# The command.


def test_the_command_says_what_would_run_and_runs_nothing(tmp_path, capsys):
    assert main(["arena", "--dry-run", "--only", "DoRA", "--task", "digits", "--record", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "0 rows are there" in said
    assert "LoRA on digits, equal budget, rate 0.008, seed 100" in said
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "NoRA"], "no contender is called 'NoRA'; they are full fine-tuning, LoRA"),
        (["--task", "chess"], "no task is called 'chess'; they are kjv"),
        (["--check", "3"], "no finished row to check"),
    ],
)
def test_the_command_refuses_what_it_does_not_know(tmp_path, capsys, arguments, message):
    assert main(["arena", *arguments, "--record", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_names_are_unique():
    for names in ([method.name for method in METHODS], [task.name for task in TASKS]):
        assert len(names) == len(set(names))


def test_the_command_checks_rows(tmp_path, capsys):
    row = running.run(Job("LoRA", "digits", "equal", 8e-3, 0))
    Record(tmp_path).add(row)
    assert main(["arena", "--check", "1", "--record", str(tmp_path)]) == 0
    assert "1 of 1 rows as recorded" in capsys.readouterr().out
    Record(tmp_path).add(replace(row, loss10=2 * row.loss10))
    assert main(["arena", "--check", "1", "--record", str(tmp_path)]) == 1
    assert "loss10 was" in capsys.readouterr().out
    assert record.DIGITS == 6


TOKENS = torch.arange(1024).roll(-100)


def test_rows_of_the_book_run_again_as_recorded(capsys):
    assert main(["arena", "--check", "3", "--seed", "1"]) == 0, capsys.readouterr().out


def test_the_answers_of_the_book_are_those_of_its_rows():
    book = Record()
    assert answers.read(book.folder) == answers.work_out(book.rows())
    kept = answers.read(book.folder)
    assert {each.task for each in kept.comparisons} == {task.name for task in TASKS}
    assert not [each.name for each in kept.questions if each.verdict == "not yet"]


def test_the_record_is_small():
    assert sum(path.stat().st_size for path in Record().folder.iterdir()) <= 3_000_000


def test_facts_hold_bits_and_a_batch_holds_no_fact_twice():
    some = facts.facts(100, TOKENS, torch.Generator().manual_seed(0))
    assert len({tuple(key) for key in some.table[:, :2].tolist()}) == 100
    assert not set(some.table[:, :2].flatten().tolist()) & set(TOKENS[: facts.VALUES].tolist())
    assert set(some.table[:, 2].tolist()) <= set(TOKENS[: facts.VALUES].tolist())
    assert some.bits == 600
    keys, targets = next(facts.batches(some, 30, torch.Generator().manual_seed(1)))
    assert keys.shape == targets.shape == (30, 2)
    assert (targets[:, 0] == facts.IGNORED).all()
    given = {tuple(fact) for fact in torch.cat([keys, targets[:, 1:]], dim=1).tolist()}
    assert len(given) == 30
    assert given <= {tuple(fact) for fact in some.table.tolist()}


def test_a_model_that_knows_nothing_has_learnt_no_bit_and_one_that_knows_all_has_them_all():
    some = facts.facts(100, TOKENS, torch.Generator().manual_seed(0))
    assert facts.bits_learnt(some, math.log(facts.VALUES)) == pytest.approx(0)
    assert facts.bits_learnt(some, 0.0) == some.bits

    class Even(torch.nn.Module):
        """Every value alike, and nothing else possible."""

        def __init__(self):
            super().__init__()
            self.logits = torch.nn.Parameter(torch.full((1024,), -100.0))
            self.logits.data[TOKENS[: facts.VALUES]] = 0

        def forward(self, tokens):
            return self.logits.expand(*tokens.shape, 1024)

    assert float(facts.nats_per_value(Even(), some)) == pytest.approx(math.log(facts.VALUES))


@pytest.mark.parametrize(
    ("n", "vocab", "message"), [(0, 1024, "must be a whole number"), (10, 64, "0 keys are left"), (5, 66, "4 keys")]
)
def test_facts_that_cannot_be_are_refused(n, vocab, message):
    with pytest.raises(ValueError, match=message):
        facts.facts(n, torch.arange(vocab), torch.Generator())
    with pytest.raises(ValueError, match="a fact would stand in it twice"):
        next(facts.batches(facts.facts(5, TOKENS, torch.Generator()), 6, torch.Generator()))


def test_the_effective_rank_counts_singular_values_that_are_alike():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.outer(torch.arange(1.0, 4), torch.ones(4))) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.zeros(3, 2)) == 0
