"""The records behind chapter 23: their texts, that they are whole, of the base that ships, and gone on with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lorabook.arena import hub_bank, hub_merges, hub_record, hub_surface, hub_texts, hub_ways
from lorabook.arena.hub_merges import ALONE, Merged
from lorabook.arena.hub_record import RATES, SEEDS, TUNING_SEED, Row
from lorabook.arena.hub_surface import PARTS, POINTS, PRODUCT, SUM, THREE, TOTALS, WAYS
from lorabook.arena.hub_texts import BANK, BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES, NEW, SPELLINGS, written
from lorabook.arena.hub_ways import Outcome
from lorabook.book.figures import hub as drawn
from lorabook.core.adapted_layer import adapted
from lorabook.many.combine import concatenated
from lorabook.models.load import load

# Texts


def test_twenty_adapters_and_no_new_text_among_theirs() -> None:
    assert len(set(BANK)) == 20
    assert not set(BANK) & set(NEW)
    assert set(THREE) <= set(BANK)


def test_spellings() -> None:
    said = {name: spell("He thought; So Do I.") for name, spell in SPELLINGS.items()}
    assert len({*said.values(), "He thought; So Do I."}) == len(SPELLINGS) + 1
    assert said["words turned"] == "eH thguoht; oS oD I."
    assert said["digits"] == "H3 7h0ugh7; S0 D0 I."
    assert said["first letter last"] == "eH houghtt; oS oD I."
    assert said["z for th"] == "He zought; So Do I."


def test_the_new_texts_join_two_or_are_strange_to_all() -> None:
    bible, backwards = written("Bible"), written(hub_texts.ORDER_REVERSED)
    assert written(BIBLE_IN_CAPITALS) == bible.upper()
    assert written(BIBLE_WITHOUT_SPACES) == bible.replace(" ", "")
    for line, turned in zip(written("CAPITALS").split("\n")[:9], backwards.upper().split("\n")[:9], strict=True):
        assert line.split() == turned.split()[::-1]


def test_examples_are_of_the_training_part_and_follow_from_their_seed() -> None:
    tokens, targets = hub_texts.examples(BIBLE_WITHOUT_SPACES, 3, 0)
    assert tokens.shape == targets.shape == (3, hub_texts.LENGTH)
    assert torch.equal(tokens[:, 1:], targets[:, :-1])
    train = hub_texts.corpus(BIBLE_WITHOUT_SPACES).train
    assert all((train.unfold(0, hub_texts.LENGTH, 1) == row).all(1).any() for row in tokens)
    assert torch.equal(hub_texts.examples(BIBLE_WITHOUT_SPACES, 3, 0)[0], tokens)
    assert not torch.equal(hub_texts.examples(BIBLE_WITHOUT_SPACES, 3, 1)[0], tokens)


# The surface


def test_the_surface_is_whole() -> None:
    rows = hub_surface.recorded()
    assert [row.key for row in rows] == hub_surface.asked()
    for row in rows:
        assert [len(losses) for losses in row.losses] == [len(POINTS)] * len(TOTALS)
        assert len(row.path) == len(row.objectives) == hub_surface.TRIES
        assert row.path[0] == (0, 0, 0)
        assert max(abs(w) for one in row.path for w in one) <= 1.5


def test_one_adapter_alone_at_weight_one_is_the_same_in_both_ways_and_in_all_records() -> None:
    rows = {row.key: row for row in hub_surface.recorded()}
    alone = {row.text: row.outcome.losses for row in hub_record.recorded() if row.way == hub_ways.ALONE}
    for text in hub_surface.TESTS:
        for corner, name in enumerate(THREE):
            at = POINTS.index(tuple(PARTS * (i == corner) for i in range(3)))
            product, whole = (rows[text, way].losses[0][at] for way in WAYS)
            assert product == pytest.approx(whole, abs=2e-3)
            assert alone[text][BANK.index(name)] == pytest.approx(whole, abs=2e-3)
        assert alone[text][-1] == pytest.approx(rows[text, SUM].base, abs=1e-3)


def test_the_base_and_an_adapter_score_what_the_records_say() -> None:
    """What a changed base, task, seed or recipe would make out of date."""
    rows = {row.key: row for row in hub_surface.recorded()}
    bank = hub_bank.adapters(("no spaces",))
    scored = hub_surface.at(bank, concatenated, [1.0], BIBLE_WITHOUT_SPACES)
    assert scored == pytest.approx(rows[BIBLE_WITHOUT_SPACES, SUM].losses[0][POINTS.index((0, 0, PARTS))], abs=0.02)
    assert hub_bank.loss(load("tiny").model, BIBLE_IN_CAPITALS) == pytest.approx(
        rows[BIBLE_IN_CAPITALS, PRODUCT].base, abs=1e-3
    )


def test_a_search_is_watched_try_by_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_surface, "TRIES", 5)
    monkeypatch.setattr(hub_bank, "PIECES", 2)
    bank = hub_bank.adapters(("no spaces",))
    tried, objectives, _ = hub_surface.search(bank | {"again": bank["no spaces"]}, concatenated, BIBLE_WITHOUT_SPACES)
    assert len(tried) == len(objectives) == 5
    assert tried[0] == (0, 0)
    assert len(set(tried)) == 5


def test_records_go_on_where_they_were_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = hub_surface.recorded()
    monkeypatch.setattr(hub_surface, "measure", lambda text, way: next(r for r in shipped if r.key == (text, way)))
    monkeypatch.setattr(hub_merges, "measure", lambda way, seed, weight: [1.0 + seed, 2.0, 3.0 + weight])
    for module, name in ((hub_surface, "surface"), (hub_merges, "merges")):
        path = tmp_path / name
        module.record(path)
        text = path.read_text(encoding="utf-8")
        path.write_text("".join(text.splitlines(keepends=True)[:-2]), encoding="utf-8")
        module.record(path)
        assert path.read_text(encoding="utf-8") == text
        assert [row.key for row in module.recorded(path)] == module.asked()


# Three adapters in one model


def test_the_merges_are_whole_and_at_weight_one_alone_each_knows_its_text() -> None:
    rows = hub_merges.recorded()
    assert [row.key for row in rows] == hub_merges.asked()
    alone, base = (drawn.of_way(rows, ALONE, weight) for weight in (1.0, 0.0))
    assert (alone < base - 0.3).all()
    assert base.std(0).max() < 1e-3


def test_the_best_weight_and_its_row() -> None:
    def row(way: str, seed: int, weight: float) -> Merged:
        worse = abs(weight - 0.75) + (1 if way == ALONE else 0)
        return Merged(way, seed, weight, (1 + worse, 2 + worse, 3 + worse + seed), "CPU", "torch", "2026-11-27")

    rows = [row(*key) for key in hub_merges.asked()]
    assert drawn.best_weight(rows, hub_merges.TIES) == 0.75
    lines = drawn.side_by_side(rows).text.splitlines()
    assert len(lines) == 2 + 2 + len(hub_merges.WAYS)
    assert "| TIES | full | 0.75 | 1.00 ±0.00 | 2.00 ±0.00 | 4.00 ±1.00 | 2.33 ±0.33 |" in lines
    (axes,) = drawn.at_every_weight(rows).figure.axes
    assert [line.get_label() for line in axes.lines][: len(hub_merges.WAYS)] == list(hub_merges.WAYS)


# Twenty adapters and ten examples


def test_the_record_is_whole_and_each_training_has_the_rate_and_steps_of_its_tuning_seed() -> None:
    rows = hub_record.recorded()
    assert {row.key for row in rows} == set(hub_record.asked(rows))
    assert len(rows) == len({row.key for row in rows})
    for text in NEW:
        for way in hub_record.TUNED:
            lr, look = hub_record.tuned(rows, text, way)
            tried = {row.lr: row.outcome.losses for row in rows if row.key[:3] == (text, way, TUNING_SEED)}
            assert tried[lr][look] == min(map(min, tried.values()))
            assert len(hub_record.losses(rows, text, way)) == len(SEEDS)


def test_a_record_is_tuned_before_it_is_reported_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def way(text: str, seed: int, lr: float) -> Outcome:
        return Outcome(tuple(3 + abs(lr - RATES[1]) + abs(look - 1) + seed / 100 for look in range(3)))

    monkeypatch.setattr(hub_record, "WAYS", dict.fromkeys(hub_record.WAYS, way))
    path = tmp_path / "hub.jsonl"
    hub_record.record(path)
    rows = hub_record.recorded(path)
    assert {row.lr for row in rows if row.way == hub_ways.TRAINED and row.seed in SEEDS} == {RATES[1]}
    assert hub_record.tuned(rows, NEW[0], hub_ways.TRAINED) == (RATES[1], 1)
    assert hub_record.losses(rows, NEW[0], hub_ways.TRAINED) == [3 + seed / 100 for seed in SEEDS]
    whole = path.read_text(encoding="utf-8")
    path.write_text("".join(whole.splitlines(keepends=True)[:-3]), encoding="utf-8")
    hub_record.record(path)
    assert path.read_text(encoding="utf-8") == whole


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bank of two adapters of two steps, scored on two pieces."""
    monkeypatch.setattr(hub_bank, "STEPS", 2)
    monkeypatch.setattr(hub_bank, "LOOKS", (1, 2))
    monkeypatch.setattr(hub_bank, "PIECES", 2)
    monkeypatch.setattr(hub_ways, "BANK", ("no spaces", "CAPITALS"))
    monkeypatch.setattr(hub_ways, "TRIES", 4)
    hub_bank.adapter.cache_clear()
    yield
    hub_bank.adapter.cache_clear()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", hub_record.WAYS)
def test_a_way_on_a_new_text(name: str) -> None:
    base = hub_bank.loss(load("tiny").model, BIBLE_WITHOUT_SPACES)
    outcome = hub_record.WAYS[name](BIBLE_WITHOUT_SPACES, 0, 2.5e-3)
    if name == hub_ways.ALONE:
        assert len(outcome.losses) == 3
        assert outcome.losses[-1] == base
    elif name in hub_record.TUNED:
        assert len(outcome.losses) == 2
        assert outcome.losses[-1] < base
    else:
        assert len(outcome.weights) == 2
        assert outcome.losses[0] < base + 0.2
    if name == hub_ways.CHOSEN:
        assert outcome.weights == (1, 0)


@pytest.mark.usefixtures("small")
def test_training_goes_on_from_an_adapter() -> None:
    start, few = hub_bank.adapter("no spaces"), hub_texts.examples(BIBLE_WITHOUT_SPACES, 4, 0)
    (_, model), *_ = hub_bank.trained_on(few, 1e-12, 0, start)
    (name, layer), *_ = adapted(model).items()
    assert torch.allclose(layer.update.A, start[name].A, atol=1e-9)
    assert torch.allclose(layer.update.B, start[name].B, atol=1e-9)


def test_a_row_is_read_as_it_was_written() -> None:
    row = hub_record.recorded()[0]
    assert isinstance(row, Row)
    assert row.outcome.losses[-1] > min(row.outcome.losses)
