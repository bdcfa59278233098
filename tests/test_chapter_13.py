"""What chapter 13 stands on: what a Kronecker product reaches and costs, and the answers of the explorer's tasks."""

from dataclasses import replace

import pytest
import torch
from explorers import seeded
from torch import Tensor, linalg

from lorabook.arena.record import Record
from lorabook.arena.summary import summaries
from lorabook.arena.tasks import KJV
from lorabook.axes.form.lokr import LoKrForm
from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.kronecker import COPIES, FACTORS, FEW, NOISE, RANKS, SIDE, State, kronecker, layer
from lorabook.core.lora import LowRankForm

START = State()
EVERY = [(factor, r) for factor in FACTORS for r in RANKS]


@pytest.fixture(scope="module")
def view() -> Explorer:
    return kronecker(seeded())


def test_the_first_task_full_rank_for_52_numbers(view: Explorer) -> None:
    assert view.state == START
    assert view.result.rank < SIDE
    full = {at: result.numbers for at in EVERY if (result := view.compute(State(*at, NOISE))).rank == SIDE}
    assert min(full.values()) == 52
    cheapest = [at for at, numbers in full.items() if numbers == 52]
    assert [min(r for factor, r in cheapest if factor == p) for p in (4, 6)] == [3, 2]
    assert {factor for factor, _ in cheapest} == {4, 6}
    at_both = ((4, 3), (6, 2))
    reached = {name: [round(view.compute(State(*at, name)).reached, 2) for at in at_both] for name in (NOISE, FEW)}
    assert reached == {NOISE: [0.17, 0.13], FEW: [0.22, 0.3]}
    plain = [view.compute(State(4, 3, name)) for name in (NOISE, FEW)]
    assert [(each.plain_rank, round(each.plain, 2)) for each in plain] == [(1, 0.14), (1, 0.61)]


def test_the_second_task_copies_are_reached_where_the_block_is_theirs(view: Explorer) -> None:
    found = {at: view.compute(State(*at, COPIES)) for at in EVERY}
    whole = {at: result.numbers for at, result in found.items() if result.reached > 1 - 1e-9}
    assert min(whole, key=lambda at: (whole[at], at[1])) == (4, 3)
    assert whole[4, 3] == 52
    assert round(found[4, 3].plain, 2) == 0.27
    beside = [view.compute(replace(START, factor=p, r=3, wanted=COPIES)).reached for p in (3, 6)]
    assert all(0.19 < share < 0.25 for share in beside)


def test_the_slider_runs_from_lora_to_the_whole_matrix(view: Explorer) -> None:
    for name in (FEW, COPIES, NOISE):
        first, last = (view.compute(State(factor, 2, name)) for factor in (1, 24))
        assert first.reached == pytest.approx(first.plain), "factor 1 is LoRA and one number"
        assert first.numbers == first.plain_numbers + 1 == LowRankForm().count(SIDE, SIDE, 2) + 1
        assert last.reached == pytest.approx(1)
        assert last.numbers == SIDE * SIDE + 1


@pytest.mark.parametrize("at", EVERY)
def test_what_goes_through_the_small_products_is_what_the_grid_gives(view: Explorer, at: tuple[int, int]) -> None:
    result = view.compute(State(*at, NOISE))
    x, y = (torch.from_numpy(result.way[i])[:, 0] for i in (0, -1))
    torch.testing.assert_close(torch.from_numpy(result.update) @ x, y)
    assert sum(result.products) < SIDE * SIDE or at[0] == SIDE
    assert sorted(map(len, (result.way, result.names, result.products))) == [len(result.way)] * 3
    cut = torch.from_numpy(result.update).view(at[0], SIDE // at[0], at[0], -1)
    copies = cut.transpose(1, 2).flatten(0, 1).flatten(1)
    assert linalg.matrix_rank(copies, rtol=1e-9) == 1, "sorted by copies, C ⊗ D is an outer product"


@pytest.mark.parametrize("at", [(4, 1, COPIES), (3, 2, NOISE), (6, 2, FEW)])
def test_no_trained_lokr_comes_nearer_than_the_picture_says(view: Explorer, at: tuple[int, int, str]) -> None:
    """The library's LoKr, fitted by Adam from three starts, ends at the share that the explorer shows, never above."""
    result = view.compute(State(*at))
    m = torch.from_numpy(result.wanted)
    ends = [1 - fitted(at[0], at[1], m, seed) for seed in range(3)]
    assert result.reached - 0.02 < max(ends) < result.reached + 1e-4


def fitted(factor: int, r: int, m: Tensor, seed: int) -> float:
    update, draw = layer(factor, r), torch.Generator().manual_seed(seed)
    for parameter in update.parameters():
        parameter.data.normal_(0, 0.3, generator=draw)
    adam = torch.optim.Adam(update.parameters(), lr=0.02)
    for _ in range(500):
        adam.zero_grad()
        missed = (update.weight(torch.zeros_like(m)) - m).square().sum()
        missed.backward()
        adam.step()
    return missed.item()


def test_400_numbers_fill_a_matrix_of_192() -> None:
    assert LoKrForm().count(192, 192, 8) == 400
    whole = torch.kron(*(torch.randn(n, n, generator=seeded(), dtype=torch.float64) for n in (12, 16)))
    assert linalg.matrix_rank(whole) == 192
    assert LowRankForm().count(192, 192, 8) == 3072


def test_the_record_has_the_sizes_that_the_text_gives() -> None:
    size = {s.place.method: s.size for s in summaries(Record().rows()) if s.place.task == KJV.name}
    assert (size["LoKr"], size["LoKr factor=8"]) == (40, 4)
