"""The training explorer without a browser: its runs, its messages, and that it leaves everything else alone."""

import dataclasses
import time

import pytest
import torch
from explorers import NO_WORDS, SHAPE, line, on_setting, runs, setting, training

from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.training import NO_CUDA, compute
from lorabook.book.explore.training_state import FULL, TARGETS, VARIANTS, State, contender
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.core.training_step import Diverged
from lorabook.cost.count import trainable
from lorabook.models.decoder import Decoder
from lorabook.models.loaded import Loaded
from lorabook.tasks.train import Contender, Run, Setting, train


def press(explorer: Explorer, button: str) -> None:
    """Do what the browser does when a button is pressed."""
    explorer._message(explorer, {"do": button}, [])


def wait(explorer: Explorer, seconds: float = 60.0) -> None:
    """Wait until nothing trains."""
    end = time.monotonic() + seconds
    while explorer.result.running:
        assert time.monotonic() < end, "the run does not end"
        time.sleep(0.01)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("targets", TARGETS)
def test_the_stated_count_is_what_really_trains(variant: str, targets: str) -> None:
    stated = compute(State(variant=variant, r=4, targets=targets), runs()).trained
    model, recipe = Decoder(SHAPE), VARIANTS[variant](20)
    if recipe is not None:
        inject(model, recipe | Recipe(r=4), TARGETS[targets])
    assert stated == trainable(model)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_streams_and_is_scored(variant: str) -> None:
    explorer = training(steps=20)
    explorer.values = {**explorer.values, "variant": variant, "r": 4, "lr": 0.005}
    press(explorer, "start")
    wait(explorer)
    assert explorer.status == ""
    (line,) = explorer.result.lines
    assert line.run.state == "finished"
    assert len(line.run.losses) == 20
    assert line.run.losses[-1] < line.run.losses[0]
    assert line.run.final < explorer.result.start
    assert line.run.backward_bytes > 0
    assert line.run.trained == explorer.result.trained
    assert explorer.result.sentence.startswith("Full fine-tuning" if variant == FULL else f"{variant}, r = 4 ends at")
    assert explorer.answer["lines"][0]["run"]["losses"] == line.run.losses


def test_runs_are_laid_over_each_other_measured_against_full_fine_tuning_and_cleared() -> None:
    explorer = training()
    for variant in ("LoRA", FULL):
        explorer.values = {**explorer.values, "variant": variant}
        press(explorer, "start")
        wait(explorer)
    lora, full = explorer.result.lines
    assert [lora.number, full.number] == [1, 2]
    assert explorer.result.reference is full
    start, (of_lora, of_full) = explorer.result.start, explorer.result.gaps
    assert of_full == 1
    assert of_lora == pytest.approx((start - lora.run.final) / (start - full.run.final))
    assert explorer.result.off == ["r", "alpha", "targets"]
    press(explorer, "clear")
    assert explorer.result.lines == []
    assert explorer.answer["lines"] == []


def test_one_seed_gives_one_run() -> None:
    _, one = train(setting(), contender(line().knobs, 6), seed=0)
    _, other = train(setting(), contender(line().knobs, 6), seed=0)
    assert one.losses == other.losses
    assert one.final == other.final


def test_stop_ends_a_run_after_the_step_it_is_in() -> None:
    explorer = training(steps=100_000)
    press(explorer, "start")
    while not (explorer.result.lines and explorer.result.lines[0].run.losses):
        time.sleep(0.005)
    assert explorer.result.running
    press(explorer, "stop")
    began = time.monotonic()
    wait(explorer, 2)
    assert time.monotonic() - began < 0.5  # a step of this model takes 10 ms; the rest is a loaded machine
    (line,) = explorer.result.lines
    assert (line.run.state, line.run.final) == ("stopped", None)
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
    assert [line.run.state for line in other.result.lines] == ["finished"]
    assert one.result.running
    press(one, "stop")
    wait(one)
    assert len(one.result.lines) == 1


def test_a_loss_that_is_not_finite_is_said_and_nothing_is_broken() -> None:
    poisoned = setting()
    with torch.no_grad():
        poisoned.base.model.norm.weight.fill_(1e38)
    explorer = on_setting(poisoned)
    press(explorer, "start")
    wait(explorer)
    assert "the step was not taken" in explorer.status
    assert "Lower lr" in explorer.status
    with torch.no_grad():
        poisoned.base.model.norm.weight.fill_(1)
    explorer.values = {**explorer.values, "r": 4}
    assert explorer.status == ""
    press(explorer, "start")
    wait(explorer)
    assert explorer.result.lines[-1].run.state == "finished"


def test_a_diverged_run_keeps_the_losses_it_had() -> None:
    diverged = Run()
    with pytest.raises(Diverged):
        train(setting(), Contender(FULL, None, lr=1e30), seed=0, run=diverged)
    assert diverged.state == "diverged"
    assert diverged.losses
    assert all(loss == loss for loss in diverged.losses)


def test_a_recipe_the_model_cannot_take_is_said_and_leaves_no_run() -> None:
    explorer = on_setting(narrow())
    explorer.values = {**explorer.values, "r": 64}
    press(explorer, "start")
    wait(explorer)
    assert "64" in explorer.status
    assert explorer.result.lines == []
    explorer.values = {**explorer.values, "r": 4}
    press(explorer, "start")
    wait(explorer)
    assert [line.run.state for line in explorer.result.lines] == ["finished"]


def narrow() -> Setting:
    """A base whose layers are too small for rank 64."""
    shape = dataclasses.replace(SHAPE, hidden=16, heads=2, kv_heads=2, d_head=8)
    return dataclasses.replace(
        setting(), base=Loaded(Decoder(shape).eval(), NO_WORDS, "narrow", torch.device("cpu"), 16)
    )


def test_training_leaves_the_base_and_the_global_generator_alone() -> None:
    used = setting()
    before = {name: tensor.clone() for name, tensor in used.base.model.state_dict().items()}
    explorer = on_setting(used)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    press(explorer, "start")
    wait(explorer)
    assert torch.equal(torch.rand(3), expected)
    for name, tensor in used.base.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_without_cuda_the_gpu_model_is_said_to_be_out_of_reach() -> None:
    explorer = training()
    explorer.values = {**explorer.values, "model": "gpu"}
    assert explorer.result.sentence == NO_CUDA
    assert explorer.result.total == 134_515_008
    press(explorer, "start")
    assert explorer.status.startswith(NO_CUDA)
    assert not explorer.result.running
