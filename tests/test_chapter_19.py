"""What chapter 19 stands on: the small trainings under λ_t, the answers of the explorer's tasks, the runs it equals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lorabook as lb
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book.explore.telescoping import RATES, Result, State, compute
from lorabook.book.explore.telescoping_runs import (
    ALPHA,
    FROM_0,
    FROM_LATE,
    IN_TURN,
    LATE,
    RANK,
    RATE,
    RISING,
    SCHEDULES,
    SIDE,
    STEPS,
    job,
    left,
    rank,
    rates_of,
    run,
)

END = replace(State(), t=STEPS)


def standing(result: Result) -> dict[int, float]:
    """The products that are left, with their weights over λ."""
    return {u: round(float(weight), 6) for u, weight in enumerate(result.left) if weight}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_weights_that_are_left_give_the_way_of_w0(schedule: str) -> None:
    rates = rates_of(schedule, 2.0)
    made = run(rates)
    for t in (1, LATE, LATE + 1, STEPS):
        summed = sum(weight * p for weight, p in zip(left(rates[:t]), made.products[: t + 1], strict=True))
        torch.testing.assert_close(summed, made.ways[t])


@pytest.mark.parametrize(("schedule", "start"), [(FROM_0, 0), (FROM_LATE, LATE)])
def test_the_paper_written_out_is_the_librarys_delta_lora(schedule: str, start: int) -> None:
    draw = torch.Generator().manual_seed(0)
    w0, wanted = job(draw)
    model = torch.nn.Sequential(torch.nn.Linear(SIDE, SIDE, bias=False, dtype=torch.float64))
    model[0].weight.data = w0.clone()
    layer = lb.inject(model, lb.DeltaLoRA(RANK, ALPHA, rate=2.0, start=start), "0", draw)["0"]
    inputs = [torch.randn(32, SIDE, generator=draw, dtype=torch.float64) for _ in range(STEPS)]
    lb.fit(
        model, ((x, x @ wanted.T) for x in inputs), steps=STEPS, lr=RATE, progress=False,
        loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
    )  # fmt: skip
    torch.testing.assert_close(layer.update.weight(w0), run(rates_of(schedule, 2.0)).weights[-1])


@pytest.mark.parametrize("rate", RATES)
def test_from_step_0_on_it_is_lora_with_a_larger_alpha_and_else_it_is_not(rate: float) -> None:
    twin = run((0.0,) * STEPS, ALPHA * (1 + rate))
    torch.testing.assert_close(run(rates_of(FROM_0, rate)).weights, twin.weights, rtol=0, atol=1e-4)
    for schedule in SCHEDULES:
        result = compute(replace(END, rate=rate, schedule=schedule))
        assert (result.apart == 0) == (schedule == FROM_0 or rate == 0), (schedule, rate)


def test_the_first_task_one_or_two_products_are_left() -> None:
    assert State().t < STEPS
    always, late = compute(END), compute(replace(END, schedule=FROM_LATE))
    assert (standing(always), always.ranks[1:]) == ({0: -1, STEPS: 1}, (2,) * STEPS)
    assert not run(rates_of(FROM_0, 2.0)).products[0].any()
    assert (standing(late), late.ranks[-1]) == ({LATE: -1, STEPS: 1}, 4)


def test_the_second_task_the_rank_is_full_and_the_energy_in_four_directions() -> None:
    rising, turns = (compute(replace(END, schedule=schedule)) for schedule in (RISING, IN_TURN))
    assert rising.ranks.index(SIDE) == 8
    assert (rising.ranks[-1], turns.ranks[-1]) == (SIDE, SIDE)
    assert (f"{rising.share:.1%}", f"{turns.share:.1%}") == ("99.3%", "99.9%")
    assert len(standing(rising)) >= STEPS


def test_each_move_has_a_rank_of_its_own_up_to_4() -> None:
    products = run(rates_of(FROM_0, 2.0)).products
    assert [rank(move) for move in products.diff(dim=0)] == [2] + [4] * (STEPS - 1)
    assert torch.linalg.matrix_rank(torch.cat(list(products.diff(dim=0)), dim=1)) == SIDE


def test_states_that_should_differ_do() -> None:
    ends = [compute(replace(END, schedule=schedule)) for schedule in SCHEDULES]
    for i, one in enumerate(ends):
        for other in ends[:i]:
            assert np.abs(one.left - other.left).max() > 0.01
            assert np.abs(one.misses[0] - other.misses[0]).max() > 0.01


def test_moved_in_place_a_w0_in_bfloat16_gathers_errors_of_full_rank() -> None:
    model = lb.load("tiny").model
    adapted = lb.inject(model, lb.DeltaLoRA(8, 16), KJV.targets, torch.Generator().manual_seed(0))
    layer = next(iter(adapted.values()))
    start = layer.base.matrix.bfloat16()
    places, last = [start], [torch.zeros(start.shape)]

    def follow(step: int, loss: float) -> None:
        product = (layer.update.s * layer.update.B @ layer.update.A).detach()
        places.append(places[-1] + (2 * (product - last[-1])).bfloat16())
        last.append(product)

    lb.fit(model, KJV.stream(0), steps=20, lr=4e-3, on_step=follow, progress=False)
    way, error = 2 * last[-1], places[-1].float() - start.float() - 2 * last[-1]
    assert 0.02 < error.norm() / way.norm() < 0.2
    assert torch.linalg.matrix_rank(error, rtol=1e-5) == min(start.shape)


def test_the_record_has_delta_lora_with_the_scales_that_the_text_names() -> None:
    rows = [row for row in Record().rows() if row.task == KJV.name and row.budget == "equal"]
    scale = {row.method: row.scale for row in rows if row.scale}
    assert (scale["LoRA"], 3 * scale["LoRA"]) == (2, 6)
    assert round(scale["rsLoRA"], 1) == 5.7
