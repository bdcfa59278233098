"""What chapter 04 stands on: the clinic's record, the cures that its text names, the peaks of memory."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from explorers import clinic_runs as pretended

import lorabook as lb
from lorabook.arena import clinic_runs
from lorabook.arena.clinic import CHANGES, FACTORS, FLAT, FORGETS, GAP, NAN, PATIENTS, SWINGS, Regimen, regimen
from lorabook.arena.clinic_course import LOOKS, STEPS, STOPS, course
from lorabook.arena.clinic_lessons import ANSWER, in_turn
from lorabook.arena.clinic_runs import ClinicRun, asked, read, recorded, seen, train
from lorabook.book.explore import clinic as explorer
from lorabook.book.explore import memory
from lorabook.book.explore.clinic import AS_IT_IS, NOTHING, State, explore_runs
from lorabook.book.figures import clinic as pictures
from lorabook.book.figures.first_steps import recorded as recorded_in_the_arena
from lorabook.core.training_step import take_step


def cures(patient: str, factor: str, stop: int = STEPS) -> set[str]:
    """Return the changes that cure a patient at a rate."""
    return {change for change in CHANGES if PATIENTS[patient].is_cured(seen(patient, factor, change, stop))}


def test_the_record_is_whole_and_every_run_came_to_its_end_or_to_nan() -> None:
    runs = read()
    assert [run.key for run in runs] == [(patient, how.label) for patient, how in asked()]
    for run in runs:
        if "float16" in run.regimen and "bfloat16" not in run.regimen:
            assert (len(run.seen), run.new, run.drift) == (1, [], []), run.key
        else:
            assert (len(run.seen), len(run.new), len(run.drift)) == (STEPS, len(LOOKS), len(STOPS)), run.key
    assert {run.regimen.endswith(" old") for run in runs if None in run.seen} == {True}


@pytest.mark.parametrize(("patient", "change"), [(FLAT, "adapters on the MLP"), (NAN, NOTHING)])
def test_a_run_of_today_is_the_recorded_one(patient: str, change: str) -> None:
    how = regimen(patient, AS_IT_IS, change)
    today, before = train(patient, how), recorded()[patient, how.label]
    assert today.start == pytest.approx(before.start, abs=2e-3)
    assert today.seen[:8] == pytest.approx(before.seen[:8], abs=0.03)
    assert today.new[:4] == pytest.approx(before.new[:4], abs=0.03)
    assert len(today.new) == len(before.new)


def test_what_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def instead(patient: str, how: Regimen) -> ClinicRun:
        trained.append((patient, how.label))
        return ClinicRun(patient, how.label, 4.0, [4.0], [], [], "CPU")

    monkeypatch.setattr(clinic_runs, "train", instead)
    file = tmp_path / "clinic.jsonl"
    clinic_runs.record(file)
    assert [run.key for run in read(file)] == trained == [(patient, how.label) for patient, how in asked()]
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-2]), encoding="utf-8")
    clinic_runs.record(file)
    assert trained[len(lines) :] == trained[len(lines) - 2 : len(lines)]


def test_a_change_changes_one_thing_and_a_label_tells_it() -> None:
    for patient, (name, change) in product(PATIENTS, CHANGES.items()):
        before = PATIENTS[patient].regimen
        after = change(before)
        differ = {field for field in vars(before) if getattr(before, field) != getattr(after, field)}
        assert len(differ - {"alpha"} if name.startswith("rank") else differ) < 2
        assert after.alpha / after.r == pytest.approx(before.alpha / before.r) or name == "α ÷ 8"
        assert (after.label == before.label) == (after == before)
    with_rate = regimen(SWINGS, "÷ 8", "α ÷ 8")
    assert (with_rate.lr, with_rate.alpha) == (pytest.approx(8e-3 / 2**0.5 / 8), 16)
    assert [replace(with_rate, warm_up=8).factor(step, STEPS) for step in (0, 3, 7, 20)] == [1 / 8, 1 / 2, 1, 1]


def test_every_fourth_batch_is_old() -> None:
    stream = in_turn(PATIENTS[FLAT].lesson.stream(0), 0)
    lengths = [next(stream)[0].shape[1] for _ in range(8)]
    assert [length > 2 for length in lengths] == [step % ANSWER == 0 for step in range(1, 9)]


def test_what_is_seen_of_a_run() -> None:
    new, drift = [3.9, 4.2, 4.1, 3.8, *[3.7] * 8], [0.1, 0.2, 0.3, 0.4, *[0.5] * 4]
    at = course(4.0, new, drift, 6)
    assert (at.end, at.learned, at.rise, at.drift) == pytest.approx((4.1, -0.1, 0.3, 0.3))
    assert course(4.0, new, drift, 2).rise == 0
    assert course(4.0, [4.5, *new[1:]], drift, 2).rise == pytest.approx(0.5), "above the base is a rise too"
    broken = course(4.0, new[:2], drift[:2], 8)
    assert math.isnan(broken.end)
    assert not broken.is_number
    assert not any(patient.is_cured(broken) for patient in PATIENTS.values())


@pytest.mark.parametrize("patient", PATIENTS)
def test_nobody_is_cured_by_nothing_and_everybody_by_something(patient: str) -> None:
    assert not PATIENTS[patient].is_cured(seen(patient))
    assert any(cures(patient, factor) for factor in FACTORS)


def test_the_cures_are_those_that_the_chapter_names() -> None:
    assert cures(SWINGS, AS_IT_IS) == {"α ÷ 8", "rank 2, same α/r"}
    assert {NOTHING} <= cures(SWINGS, "÷ 8") & cures(SWINGS, "÷ 2.8")
    for factor in FACTORS:
        assert cures(NAN, factor) <= {"weights in bfloat16", "weights in float32"}
        assert NOTHING not in cures(FLAT, factor)
    assert cures(NAN, AS_IT_IS) == {"weights in bfloat16", "weights in float32"}
    assert cures(FLAT, AS_IT_IS) == {"adapters on the MLP", "adapters on all seven"}
    assert cures(GAP, AS_IT_IS) == set()
    assert [stop for stop in STOPS if NOTHING in cures(GAP, AS_IT_IS, stop)] == [4]
    assert NOTHING in cures(GAP, "÷ 8")
    assert cures(FORGETS, AS_IT_IS) == {"α ÷ 8", "every 4th batch old"}
    assert [stop for stop in STOPS if NOTHING in cures(FORGETS, AS_IT_IS, stop)] == [12]
    assert NOTHING in cures(FORGETS, "÷ 2.8")
    near = [seen(FORGETS, AS_IT_IS, change).drift for change in ("every 4th batch old", "rank 2, same α/r")]
    assert near == pytest.approx([0.4, 0.4], abs=0.04), "just over the line, and just short of it"
    assert seen(FORGETS, AS_IT_IS, NOTHING, 12).learned == pytest.approx(0.3, abs=0.01)


def test_the_text_about_the_record_is_so() -> None:
    page = [run for run in read() if run.patient == GAP]
    assert max(run.start - min(run.new) for run in page) < 0.16, "no run gained more than 0.16 nats"
    slow = recorded()[GAP, regimen(GAP, "÷ 8", NOTHING).label]
    assert slow.new[-1] - sum(slow.seen[-8:]) / 8 > 1, "the gap is wider than a nat"
    assert seen(GAP, "÷ 8").rise < 0.005
    for how in (("÷ 2.8", NOTHING), (AS_IT_IS, "every 4th batch old")):
        assert seen(FORGETS, *how).drift < seen(FORGETS).drift
    late = [seen(SWINGS, AS_IT_IS, change).rise for change in ("warm-up, 8 steps", NOTHING)]
    assert late[0] > 0.9 * late[1], "warm-up delays it"


def test_in_the_arena_rank_32_forgets_as_much_as_full_fine_tuning() -> None:
    forgotten = {name: run.forgotten for name, run in recorded_in_the_arena("LoRA r=32", "full fine-tuning").items()}
    means = [float(each.mean()) for each in forgotten.values()]
    assert abs(means[0] - means[1]) < 0.05
    assert min(means) > 0.5


def test_the_task_of_the_calculator_has_the_answer_that_the_chapter_gives() -> None:
    start = replace(memory.State(), length=4096)
    assert "that is 9.0 GiB too much" in memory.compute(start).sentence
    assert 0.45 < memory.compute(start).device - memory.compute(replace(start, r=4)).device < 0.55
    assert "that is 0.1 GiB too much" in memory.compute(replace(start, method="QLoRA")).sentence
    assert "8.3 GiB are left" in memory.compute(replace(start, checkpointing=True)).sentence
    others = {"r": 1, "targets": "q, v", "optimiser": "SGD", "paged": True}
    assert all("too much" in memory.compute(replace(start, **{name: value})).sentence for name, value in others.items())


def test_what_frees_memory_in_a_step_of_the_books_model() -> None:
    first = pictures.peak()
    assert 1 - pictures.peak(r=4) / first < 0.03
    assert 1 - pictures.peak(length=32) / first == pytest.approx(0.5, abs=0.02)
    apart, light = pictures.peak(parts=4), pictures.peak(checkpointing=True)
    assert apart < first / 3
    assert light < first / 3
    assert pictures.peak(parts=4, checkpointing=True) < min(apart, light) / 1.9


def test_the_picture_of_the_cures_shows_cured_patients() -> None:
    for patient, how in pictures.CURES.items():
        assert PATIENTS[patient].is_cured(seen(patient, *how)), patient
    assert pictures.cures()._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")


def test_the_clinic_says_what_became_of_a_run() -> None:
    view = explore_runs(pretended())
    assert view.result.sentence.startswith("After 32 steps ")
    view.values = {**view.values, "patient": NAN}
    assert view.result.sentence == "NaN after 1 of 32 steps. Not cured."
    assert (view.result.now.size, view.result.seen.shape) == (0, (2, 1))
    view.values = {**view.values, "change": "every 4th batch old", "patient": SWINGS}
    assert 4.0 not in view.result.seen[0], "the batch of old text is not one of the lesson's"
    assert view.result.trained.endswith("every 4th batch Austen")
    assert explorer.words(Regimen(0.008)) == "rate 0.008, α 16, rank 8, on all seven"
    assert view.state == State(SWINGS, AS_IT_IS, "every 4th batch old", STEPS)


def test_float16_is_told_by_name_and_not_to_lower_the_rate() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(6, 4))
    lb.inject(model, lb.LoRA(2), "0")
    model.half()
    batch = torch.randn(3, 6).half(), torch.randn(3, 4).half()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    with pytest.raises(lb.Diverged, match="float16, where Adam's ε = 1e-8 is 0, .*bfloat16 or float32") as raised:
        take_step(model, optimizer, iter([batch]), 0, lambda m, b: (m(b[0]) - b[1]).square().mean())
    assert "Lower lr" not in str(raised.value)
