"""What the training explorer draws and says: lines that differ are told apart, and only the record is quoted."""

import dataclasses
import itertools

import pytest
from explorers import NOT_HERE, Counting, models, records, training

from lorabook.arena.job import Row
from lorabook.arena.plan import around
from lorabook.book import style
from lorabook.book.explore import training_words as words
from lorabook.book.explore.training_lines import Curve, labels, looks
from lorabook.book.explore.training_recorded import recorded
from lorabook.book.explore.training_runs import Runs
from lorabook.book.explore.training_seconds import Measured
from lorabook.book.explore.training_state import NONE, SMOLLM2, TINY, State, at
from lorabook.book.explore.training_variants import FULL, VARIANTS

SIZES = {"LoRA": 8, "DoRA": 7, FULL: 0, "LoRA r=2": 2, "LoRA on MLP": 12, "LoKr factor=8": 4}


def row(method: str, score: float, lr: float = 8e-3, seed: int = 0, **more: object) -> Row:
    """A row as if it had been measured."""
    budget = "equal" if method in ("LoRA", "DoRA") else "own"
    size, scale = SIZES[method], None if method == FULL else 2.0
    return Row(
        method, "counting", budget, lr, seed, "finished", size=size, trained=100, scale=scale, start=4.5, score=score,
        curve=(4.0, 3.9), backward_bytes=1, step_ratio=1.5, base="abc", device="a device", versions="torch x",
        date="2026-01-02", seconds=2.0,
    )  # fmt: skip


def tuned(method: str, score: float, best: float = 8e-3) -> list[Row]:
    """A method whose best rate is found, and reported with two seeds."""
    rates = [row(method, score + abs(lr - best), lr, seed) for lr in around(best) for seed in (100, 101)]
    return rates + [row(method, score, best, seed) for seed in (0, 1)]


ROWS = [*tuned("LoRA", 3.8), *tuned("DoRA", 3.7, 0.016), *tuned(FULL, 3.5, 2e-3)]


def curve(knobs: State, number: int | None = 1, score: float | None = 3.8) -> Curve:
    """A finished run."""
    return Curve(number, knobs, [1, 6], [4.0, 3.0], [], 100, 1, 2.0, score, "finished")


# Told apart.


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_runs_that_differ_in_one_knob_differ_in_label_colour_and_dash(variant: str) -> None:
    knobs, knob = at(variant, 4, 8e-3), VARIANTS[variant].knob
    changes = {"r": 16, "lr": 4e-3, "alpha": 64.0, "targets": "q, v", "seed": 3}
    changes = {name: value for name, value in changes.items() if getattr(knobs, name) != NONE}
    changes |= {"own": next(value for value in knob.values if value != knob.start)} if knob else {}
    for name, value in changes.items():
        pair = [curve(knobs, 1), curve(dataclasses.replace(knobs, **{name: value}), 1)]
        one, other = labels(pair)
        assert one != other
        first, second = looks(pair)
        assert first.dash != second.dash
        assert first.light != second.light
        assert first.dark != second.dark


def test_a_label_says_what_differs_and_nothing_else() -> None:
    lora = at("LoRA", 8, 8e-3)
    assert labels([curve(lora, None), curve(lora, 1)]) == ["LoRA, recorded", "1: LoRA"]
    assert labels([curve(lora), curve(at("DoRA", 7, 4e-3), 2)]) == ["1: LoRA", "2: DoRA"]
    slower = dataclasses.replace(lora, lr=1.25e-4)
    assert labels([curve(lora), curve(slower, 2)]) == ["1: LoRA, rate 0.008", "2: LoRA, rate 0.000125"]
    placed = at("DoRA", 7, 4e-3, targets="q, v")
    assert labels([curve(lora), curve(placed, 2)]) == ["1: LoRA, all seven", "2: DoRA, q, v"]
    assert labels([curve(at(FULL, 0, 2e-3), None), curve(lora), curve(placed, 2)])[0] == "full fine-tuning, recorded"
    plus = at("LoRA+", 8, 4e-3)
    assert labels([curve(plus), curve(dataclasses.replace(plus, own=4.0), 2)]) == ["1: LoRA+, λ 16", "2: LoRA+, λ 4"]


def test_twenty_lines_have_twenty_looks_and_one_that_comes_later_changes_none_before() -> None:
    curves = [curve(at(FULL, 0, 2e-3), None), *(curve(at("LoRA", 8, 8e-3), i) for i in range(1, 10))]
    curves += [curve(at(name, 4, 8e-3), 10 + i) for i, name in enumerate(list(VARIANTS)[1:11])]
    strokes = looks(curves)
    assert len({(stroke.light, stroke.dash) for stroke in strokes}) == len(curves) == 20
    for n in range(len(curves)):
        assert looks(curves[:n]) == strokes[:n]
    assert (strokes[0].light, strokes[0].dash) == (style.REFERENCE.light, style.REFERENCE.dash)
    assert strokes[0].dash not in {stroke.dash for stroke in strokes[1:]}


def test_a_variant_alone_looks_as_everywhere_in_the_book() -> None:
    for name in VARIANTS.keys() - {FULL}:
        assert looks([curve(at(name, 4, 8e-3))]) == [style.variant(name)]


# The record.


def test_it_opens_on_the_recorded_size_and_tuned_rate_beside_lora_and_full_fine_tuning() -> None:
    explorer = training(60, "DoRA", ROWS)
    assert explorer.state == at("DoRA", 7, 0.016)
    result = explorer.result
    assert [line.label for line in result.lines] == ["full fine-tuning, recorded", "LoRA, recorded"]
    full, lora = result.lines
    assert (full.look.dash, full.look.light) == ("dot", "#000000")
    assert (lora.curve.x, lora.curve.y, lora.curve.score) == ([1, 6], [4.0, 3.9], 3.8)
    assert lora.gain.full == pytest.approx((4.5 - 3.8) / (4.5 - 3.5))
    assert "Recorded runs, each at its best rate: a device, torch x, 2026-01-02." in result.note
    assert (
        result.sentence
        == f"DoRA with r = 7 on all seven would train {result.trained / result.total:.1%} of the model. Press Train."
    )


@pytest.mark.parametrize(("name", "begins"), [("rsLoRA", "rsLoRA with r"), ("full fine-tuning", "Full fine-tuning w")])
def test_a_name_that_begins_small_keeps_its_letters_and_a_phrase_does_not(name: str, begins: str) -> None:
    assert training(60, name, []).result.sentence.startswith(begins)


def test_without_a_row_nothing_is_quoted() -> None:
    explorer = training(60, "DoRA", [])
    result = explorer.result
    assert explorer.state.lr == 8e-3
    assert result.lines == []
    assert "The best rate of DoRA is not in the record yet: its search begins at 0.008." in result.note
    assert "No full fine-tuning to compare with yet" in result.note
    untuned = training(60, "DoRA", [row("DoRA", 3.7, 0.016, 100)])
    assert "The best rate of DoRA is not in the record yet" in untuned.result.note


def test_a_seed_that_is_not_recorded_is_not_drawn() -> None:
    explorer = training(60, "DoRA", ROWS)
    explorer.values = explorer.values | {"seed": 1}
    assert [line.curve.knobs.seed for line in explorer.result.lines] == [1, 1]
    explorer.values = explorer.values | {"seed": 3}
    assert explorer.result.lines == []
    assert "No full fine-tuning to compare with yet" in explorer.result.note


def test_rows_of_other_weights_are_not_shown() -> None:
    record = recorded(ROWS, "counting", TINY)
    assert record.made_with("abc").rate("LoRA") == 8e-3
    assert record.made_with("other").rate("LoRA") is None
    assert record.made_with("other").rows == {}


def test_contenders_that_are_lora_with_another_number_are_found_by_the_knobs() -> None:
    rows = [row("LoRA r=2", 3.9), row("LoRA on MLP", 3.85), row("LoKr factor=8", 3.95)]
    found = recorded(rows, "counting", TINY).rows
    assert found[at("LoRA", 2, 8e-3)] is rows[0]
    assert found[at("LoRA", 12, 8e-3, targets="MLP")] is rows[1]
    assert found[dataclasses.replace(at("LoKr", 4, 8e-3), own=8)] is rows[2]


def test_without_the_weights_the_recorded_run_of_the_chosen_variant_is_shown() -> None:
    explorer = training(60, "DoRA", ROWS)
    explorer.values = explorer.values | {"model": SMOLLM2}
    assert [line.label for line in explorer.result.lines] == [
        "full fine-tuning, recorded", "LoRA, recorded", "DoRA, recorded",
    ]  # fmt: skip
    assert explorer.result.sentence == NOT_HERE


# Sentences.


def test_the_sentence_says_both_gains_and_the_record() -> None:
    knobs = at("DoRA", 7, 0.016)
    part = words.Shares(0.8, 1.02)
    told = words.of_line(curve(knobs), "1: DoRA", part, 60, curve(knobs, None, 3.8001))
    assert told == (
        "1: DoRA ends at 3.800 nats per token on unseen text: 80% of full fine-tuning's and 102% of LoRA's gain over "
        "the base. As recorded: 3.800 nats."
    )
    other = words.of_line(curve(knobs), "1: DoRA", part, 60, curve(knobs, None, 3.81))
    assert other.endswith("The record, from another machine or version, has 3.810 nats.")


def test_a_loss_is_no_negative_gain() -> None:
    told = words.of_line(curve(at("DoRA", 7, 0.016)), "1: DoRA", words.Shares(-1.46, -1.9), 60, None)
    assert told == "1: DoRA ends at 3.800 nats per token on unseen text: worse than the base before any step."


def test_a_gain_over_a_reference_that_gained_nothing_is_not_said() -> None:
    knobs = at("DoRA", 7, 0.016)
    assert words.shares(curve(knobs), 4.0, curve(knobs, 2, 4.0), None) == words.Shares(None, None)
    assert words.shares(curve(knobs), None, curve(knobs, 2, 3.0), curve(knobs, 2, 3.0)) == words.Shares(None, None)


def test_the_seconds_are_lora_s_step_times_the_recorded_ratio() -> None:

    task = Counting(60)
    runs = Runs(models(task), records(task, ROWS))
    runs.measured[TINY] = Measured("abc", 4.5, score=1.0, step=0.1)  # 60 · 0.1 · 1.5 + 1 = 10
    said = words.time_it_takes(at("DoRA", 7, 0.016), runs)
    assert said == "A run of DoRA takes about 10 s on this machine, by the 0.1 s of a step of LoRA."
    assert words.time_it_takes(at("LoRA", 8, 0.008), Runs(models(task), records(task, []))) == ""
    assert "VeRA has not been timed" in words.time_it_takes(at("VeRA", 8, 0.016), runs)


def test_all_pairs_of_variants_are_told_apart_beside_lora_and_full() -> None:
    there = [curve(at(FULL, 0, 2e-3), None), curve(at("LoRA", 8, 8e-3), None)]
    for one, other in itertools.combinations([name for name in VARIANTS if name not in (FULL, "LoRA")], 2):
        strokes = looks([*there, curve(at(one, 4, 8e-3)), curve(at(other, 4, 8e-3), 2)])
        assert len({stroke.light for stroke in strokes}) == len({stroke.dash for stroke in strokes}) == 4
