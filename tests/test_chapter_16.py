"""What chapter 16 stands on: what each form reaches of a wanted ΔW, and the answers of the explorer's tasks."""

from dataclasses import replace

import pytest
import torch
from explorers import seeded

import lorabook as lb
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book.explore.blocks import BLOCKS, FEW, MINIS, NOISE, RANKS, SIDE, State, blocks, compute, targets

START = State()
ONE, MINI, SUM = 1, 2, 3


@pytest.fixture(scope="module")
def wanted() -> dict:
    return targets(seeded())


def test_the_first_task_a_full_rank_reaches_next_to_nothing(wanted: dict) -> None:
    assert START.wanted == FEW
    raised = [compute(replace(START, n=24, r=r), wanted) for r in (1, 2)]
    assert all(result.ranks[MINI] == SIDE and round(result.reached[MINI], 2) == 0.03 for result in raised)
    assert (round(raised[0].reached[ONE], 2), round(raised[1].reached[ONE], 9)) == (0.61, 1)


def test_the_second_task_minis_win_where_their_slices_are_the_blocks(wanted: dict) -> None:
    at = {n: compute(replace(START, wanted=BLOCKS, n=n), wanted) for n in (4, 6)}
    assert round(at[4].reached[MINI], 9) == 1
    assert round(at[4].reached[ONE], 9) == 0.25
    assert 0.4 < at[6].reached[MINI] < 0.5
    assert at[4].numbers[ONE] == at[4].numbers[MINI] == at[4].numbers[SUM] / 4


def test_without_a_pattern_no_number_of_minis_beats_the_one_lora(wanted: dict) -> None:
    for n in MINIS:
        for r in RANKS:
            result = compute(State(n, r, NOISE), wanted)
            assert result.reached[MINI] <= result.reached[ONE] + 1e-9 <= result.reached[SUM] + 2e-9
    last = compute(State(24, 1, NOISE), wanted)
    assert [round(last.reached[k], 2) for k in (ONE, MINI)] == [0.14, 0.03], "the prediction's answer"


@pytest.mark.parametrize("wish", [FEW, BLOCKS, NOISE])
def test_no_trained_melora_comes_nearer_than_the_picture_says(wanted: dict, wish: str) -> None:
    """The library's MELoRA, fitted by Adam to the wanted ΔW, ends at the share that the explorer shows, never above."""
    m, result = wanted[wish].float(), compute(State(4, 2, wish), wanted)
    layer = torch.nn.Sequential(torch.nn.Linear(SIDE, SIDE, bias=False))
    torch.nn.init.zeros_(layer[0].weight)
    lb.inject(layer, lb.MELoRA(r=2, alpha=2, n=4), "0", seeded())
    adam = torch.optim.Adam([p for p in layer.parameters() if p.requires_grad], lr=0.03)
    for _ in range(400):
        adam.zero_grad()
        missed = (layer(torch.eye(SIDE)).T - m).square().sum()
        missed.backward()
        adam.step()
    assert result.reached[MINI] - 0.01 < 1 - missed.item() < result.reached[MINI] + 1e-4


def test_the_explorer_of_the_chapter_is_drawn_with_its_generator() -> None:
    assert blocks(seeded()).result.reached == compute(START, targets(seeded())).reached


def test_the_record_has_the_sizes_that_the_text_gives() -> None:
    rows = [row for row in Record().rows() if row.task == KJV.name]
    size = {(row.method, row.budget): (row.size, row.trained) for row in rows}
    plain = size["LoRA", "equal"][1]
    assert [size[name, "equal"][0] for name in ("LoRA", "MELoRA", "MultiLoRA")] == [8, 8, 2]
    assert size["MELoRA", "own"] == (2, plain / 4)
    assert size["LoRA r=2", "own"] == size["MELoRA", "own"]
    assert 3 < size["MultiLoRA", "own"][1] / plain < 3.5
