"""What chapter 09 stands on: the two spaces of the explorer, its tasks' answers, the costs of a start."""

import numpy as np
import pytest
import torch
from explorers import pretrained

import lorabook as lb
from lorabook.book.explore import columns
from lorabook.book.explore.columns import AS_THEY_ARE, LONGEST, ORDERS, Pretrained, State, compute, decompose
from lorabook.book.figures.first_steps import recorded
from lorabook.book.figures.start_cost import start_costs


@pytest.fixture(scope="module")
def known() -> dict[tuple[int, str], Pretrained]:
    model = lb.load("tiny").model
    hits = {name: columns.NAMED.search(name) for name, _ in model.named_modules()}
    return {(int(hit[1]), hit[2]): decompose(model.get_submodule(n).weight.detach()) for n, hit in hits.items() if hit}


def test_the_tasks_of_the_explorer_have_the_answers_that_the_chapter_gives(known: dict) -> None:
    start = compute(State(0, "up_proj", AS_THEY_ARE, 8), known)
    assert 53.5 < start.angles.min() < 54.5
    assert 3.8 < start.taken / start.chance < 4.5
    assert 0.45 < start.taken / start.best < 0.55
    for order in ORDERS[1:]:
        other = compute(State(0, "up_proj", order, 8), known)
        assert other.same < 0.1
        assert 0.055 < other.taken < 0.085
        assert other.best == start.best
        assert other.same_best == pytest.approx(1), "PiSSA does not move"
    near = {
        key
        for key in known
        for result in [compute(State(*key, AS_THEY_ARE, 8), known)]
        if result.taken > 0.8 * result.best
    }
    assert near == {(0, "k_proj")}
    found = [compute(State(0, "k_proj", order, 8), known) for order in ORDERS]
    assert (round(found[0].taken, 2), round(found[0].best, 2)) == (0.79, 0.92)
    assert max(result.taken for result in found) < found[0].best - 0.05


def test_the_spaces_are_compared_as_they_are_defined() -> None:
    w0 = torch.diag(torch.tensor([1.0, 4.0, 3.0]))
    known = {(0, "q_proj"): decompose(w0)}
    one = compute(State(0, "q_proj", AS_THEY_ARE, 1), known)
    assert one.angles == pytest.approx([90.0]), "the first column is the weakest direction"
    assert (one.taken, one.best, one.chance, one.same) == pytest.approx((1 / 26, 16 / 26, 1 / 3, 1))
    longest = compute(State(0, "q_proj", LONGEST, 1), known)
    np.testing.assert_allclose(longest.angles, [0], atol=1e-5)
    assert (longest.taken, longest.same) == pytest.approx((16 / 26, 0))


def test_an_explorer_without_matrices_or_with_uneven_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no W₀ given"):
        columns.columns(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"there is no W₀ for \[\(1, 'k_proj'\)\]"):
        columns.explore({key: w0 for key, w0 in pretrained().items() if key != (1, "k_proj")})


def test_the_record_says_what_the_chapter_says_in_words() -> None:
    lora, pissa, olora, random = recorded("LoRA", "PiSSA", "OLoRA", "random directions").values()
    assert olora.after(10).mean() < 0 < olora.after(15).mean(), "ahead for ten steps"
    assert abs(olora.after(5).mean() - random.after(5).mean()) < 0.02, "as random directions are"
    assert lora.scores.mean() < pissa.scores.mean() < olora.scores.mean(), "behind LoRA, and behind PiSSA"
    assert 1.05 < olora.forgotten.mean() / lora.forgotten.mean() < 1.15, "a tenth more than LoRA"


def test_the_svd_costs_more_than_r_columns() -> None:
    (row,) = start_costs((256,), r=8)
    assert row[0] == 256
    assert float(row[1]) > 5 * float(row[3])
