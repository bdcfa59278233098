"""What chapter 10 stands on: the explorer's tasks, what four bits cost, merging, the long text, the record."""

import pytest
import torch

import lorabook as lb
from lorabook.arena.experiment import at
from lorabook.arena.plan import Place
from lorabook.arena.record import Record
from lorabook.arena.summary import Summary, summaries
from lorabook.arena.tasks import KJV
from lorabook.axes.base.blocks import BLOCK
from lorabook.axes.base.code_books import nearest_in, nf4_codes
from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.book.explore.codebook import BOOKS, State, books, compute
from lorabook.book.figures import spike
from lorabook.book.figures.quantisation import Merged, merging, recoded

NF4, SEVENTEENTHS, EVEN = BOOKS


def test_the_tasks_of_the_explorer_have_the_answers_that_the_chapter_gives() -> None:
    weights = torch.randn(256, generator=torch.Generator().manual_seed(0))
    wild = {name: compute(State(name, 64, 8), weights) for name in BOOKS}
    assert sorted(wild, key=lambda name: wild[name].error) == [NF4, SEVENTEENTHS, EVEN]
    assert [round(wild[name].error, 3) for name in (NF4, EVEN)] == [0.207, 0.345]
    near_zero = {name: int((codes.abs() < 0.3).sum()) for name, codes in zip(BOOKS, books(), strict=True)}
    assert near_zero[NF4] > near_zero[EVEN], "where an outlier of 8σ squeezes the others, NF4's codes lie dense"
    assert State().outlier == 0, "task 2 comes back to where the explorer opens"
    assert [bool((codes == 0).any()) for codes in books()] == [True, False, True]
    for name in BOOKS:
        came_back = compute(State(name, 64, 0), weights)
        assert (came_back.restored[0][came_back.at] == 0) == (name != SEVENTEENTHS)
    assert [compute(State(NF4, block, 0), weights).bits for block in (16, 64)] == [6, 4.5]


def test_the_picture_shows_blocks_as_large_as_qloras() -> None:
    assert State().block == BLOCK


def test_the_first_prediction_offers_the_damage_that_four_bits_do() -> None:
    model = lb.load("tiny").model
    before = KJV.old(model)
    weights = {name: m.weight for name, m in model.named_modules() if name.endswith("_proj")}
    off = [((nearest_in(w.data, nf4_codes()) - w.data).norm() / w.data.norm()).item() for w in weights.values()]
    assert 0.085 < sum(off) / len(weights) < 0.105, "a tenth of its norm"
    for w in weights.values():
        w.data = nearest_in(w.data.double(), nf4_codes()).float()
    assert before == pytest.approx(2.80, abs=0.005)
    assert 0.003 < KJV.old(model) - before < 0.012


def test_a_weight_is_recoded_when_its_code_changes_and_not_when_its_block_grows() -> None:
    w = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    stored = DoubleQuant(w).dense()
    assert recoded(stored, stored) == 0
    assert recoded(stored, 1.01 * stored) == 0
    negated = recoded(stored, -stored).item()
    assert 0.8 < negated <= 1, "all but the zeros"


def test_what_is_kept_is_a_share_of_the_gain() -> None:
    one = Merged(30, 0.02, 0.001, start=4.0, apart=3.0, four_bits=3.9, sixteen_bits=3.0)
    assert one.kept(one.four_bits) == pytest.approx(0.1)
    assert one.kept(one.sixteen_bits) == 1
    picture = merging({"a": [one, one], "b": [one]}, "they differ")
    assert picture._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def runs() -> dict[str, spike.Run]:
    lengths = (16, 48, 16)
    return {kind.__name__: spike.run(lengths, kind, 17 * 10**6) for kind in (spike.Resident, spike.InPages)}


def test_pages_step_aside_for_the_long_text_alone_and_change_no_number(runs: dict[str, spike.Run]) -> None:
    plain, paged = runs["Resident"], runs["InPages"]
    assert torch.equal(plain.end, paged.end)
    assert plain.peak > 17 * 10**6 >= paged.peak
    activations = [moment[3] for moment in paged.moments]
    assert activations[1::2] == [0, 0, 0]
    assert activations[2] == pytest.approx(3 * activations[0], rel=0.02), "linear in the text's length"
    states = [moment[2] for moment in paged.moments]
    whole = plain.moments[0][2]
    assert states[2] < whole - 10 * spike.PAGE, "before the long text's backward pass"
    assert all(whole <= state < whole + spike.PAGE for state in (states[1], states[3], states[4], states[5]))
    assert plain.moments[0][1] == whole, "two moments take as much as factors and gradients"


def test_the_picture_of_the_long_text_is_drawn(runs: dict[str, spike.Run]) -> None:
    picture = spike.spike(runs, "they differ", 17 * 10**6)
    assert picture._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def record() -> dict[Place, Summary]:
    return {one.place: one for one in summaries(Record().rows())}


def test_the_record_says_what_the_chapter_says_in_words(record: dict[Place, Summary]) -> None:
    lora, qlora, qdora, qpissa = (record[at(name, KJV.name)] for name in ("LoRA", "QLoRA", "QDoRA", "QPiSSA"))
    assert abs(qlora.mean - lora.mean) < 0.007
    assert 1.2 < qlora.step_ratio / lora.step_ratio < 1.35, "a quarter longer"
    assert qlora.backward_bytes == lora.backward_bytes == qpissa.backward_bytes < qdora.backward_bytes
    assert qdora.step_ratio > max(qlora.step_ratio, qpissa.step_ratio)
    assert qpissa.mean > qlora.mean + 0.02
    assert abs(qdora.mean - lora.mean) < 0.014
    assert qlora.lr == 8e-3, "the best rate of the record, in the cell on merging"
