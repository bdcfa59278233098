"""What chapter 07 stands on: what a layer keeps, row by row, the answers of the explorer's tasks, the record's rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.axes.form.lora_fa import LoRAFA
from lorabook.book.explore.kept import AGAIN, FREED, KEPT, SHAPE, WHOLE, Result, State, compute, kept_for_backward
from lorabook.book.explore.sweep import sweep
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.cost.count import LLAMA, saved_bytes
from lorabook.cost.kept import AX, DROPPED, MASKS, OUT, X_ATTENTION, X_DOWN, X_MLP, H, kept_numbers, lora
from lorabook.cost.kept_measured import kept_bytes
from lorabook.cost.memory import BF16, MIXED, Adapters, layer_activations
from lorabook.models.decoder import Layer, full, rotations

START = State()


def fates(result: Result) -> dict[str, str]:
    return dict(zip(result.names, result.fates, strict=True))


def test_every_row_is_measured_as_it_is_predicted_in_every_state() -> None:
    states = list(sweep(kept_for_backward()))
    states += [(state := State("LoRA", 16, True, checked, 1, 32), compute(state)) for checked in (False, True)]
    for state, result in states:
        predicted = [size if fate == KEPT else 0 for size, fate in zip(result.sizes, result.fates, strict=True)]
        np.testing.assert_array_equal(result.kept, predicted, err_msg=str(state))
        assert result.predicted == result.measured == sum(predicted)


@pytest.mark.parametrize("recipe", [LoRA(r=3), LoRA(r=3, dropout=0.5), LoRAFA(r=3)])
def test_the_rows_are_all_that_autograd_keeps(recipe) -> None:
    layer = Layer(SHAPE, full).requires_grad_(False)
    inject(layer, recipe, "_proj", torch.Generator().manual_seed(0))
    h = torch.randn(2, 5, SHAPE.hidden, requires_grad=True) * 1.0
    cos, sin = rotations(5, SHAPE.d_head, SHAPE.rope_theta, h.device)
    whole = saved_bytes(lambda: layer(h, cos, sin), [cos, sin, *layer.buffers()])
    assert sum(kept_bytes(layer, h).values()) == whole > 0
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in layer.modules())


def test_the_calculator_of_memory_counts_the_same() -> None:
    shape, r = LLAMA["7B"], 16
    small = 2 + shape.heads  # mean squares and log-sum-exps stay in fp32
    numbers = sum(kept_numbers(shape, lora(r)).values()) - small
    assert numbers * MIXED.activation + 4 * small == layer_activations(shape, Adapters(r, "_proj", BF16), MIXED)


def test_the_first_task_lora_frees_nothing_and_lora_fa_frees_three_inputs() -> None:
    whole, adapted, frozen = (compute(replace(START, trains=what)) for what in (WHOLE, "LoRA", "LoRA-FA"))
    assert START.trains == "LoRA"
    kept = [{name for name, fate in fates(result).items() if fate == KEPT} for result in (whole, adapted, frozen)]
    assert kept[1] - kept[0] == {AX}
    assert kept[1] - kept[2] == {X_ATTENTION, X_MLP, X_DOWN}
    assert OUT in kept[2]
    assert (adapted.measured, adapted.measured - frozen.measured) == (3_648, 896)


def test_the_second_task_dropout_costs_more_than_freezing_saves_and_checkpointing_saves_most() -> None:
    frozen, plain = replace(START, trains="LoRA-FA"), compute(replace(START, trains="LoRA"))
    dropped = compute(replace(frozen, dropout=True))
    assert (dropped.measured, plain.measured) == (4_416, 3_648)
    assert fates(dropped)[MASKS] == KEPT
    assert fates(dropped)[DROPPED] == FREED
    others = [compute(replace(frozen, r=r)) for r in (8, 16, 64)]
    assert max(one.measured for one in others) < plain.measured, "no rank costs as much as that switch"
    for trains in (WHOLE, "LoRA", "LoRA-FA"):
        again = compute(replace(START, trains=trains, checkpointing=True))
        assert again.measured == 192
        assert {name for name, fate in fates(again).items() if fate == KEPT} == {H}
    assert fates(again)[AX] == AGAIN
    assert fates(again)[X_MLP] == FREED


def test_without_adapters_rank_and_dropout_change_nothing() -> None:
    whole = replace(START, trains=WHOLE)
    assert (compute(whole).off, compute(START).off) == (("r", "dropout"), ())
    for field, value in (("r", 64), ("dropout", True)):
        assert compute(replace(whole, **{field: value})).sentence == compute(whole).sentence


def test_the_record_has_lora_fa_at_twice_the_rank_and_lora_at_a_sixteenth_of_the_numbers() -> None:
    rows = [row for row in Record().rows() if row.task == KJV.name and row.budget in ("equal", "own")]
    fa, plain = (
        next(row for row in rows if row.method == name and row.budget == "equal") for name in ("LoRA-FA", "LoRA")
    )
    everything = next(row for row in rows if row.method == "full fine-tuning")
    assert fa.size == 2 * plain.size == 16
    assert abs(fa.trained / plain.trained - 1) < 0.02
    assert round(plain.trained / everything.trained, 2) == 0.06
