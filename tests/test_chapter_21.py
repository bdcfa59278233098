"""What chapter 21 stands on: the explorer's masks, travel and cost, its tasks' answers, the record of longer texts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.arena import longer, longer_record
from lorabook.arena.longer_record import RATES, SEEDS, TUNING_SEED, Row, asked, read, reported, tuned
from lorabook.arena.tasks import KJV
from lorabook.axes.attention.longlora import LongLoRA, Shifted, in_groups
from lorabook.book.exercises import deep_enough, no_future
from lorabook.book.explore.groups import GROUPS, LENGTH, State, compute
from lorabook.book.figures import longer as figures
from lorabook.claims.case import Case
from lorabook.claims.longlora.cost import scores, step_flops
from lorabook.claims.longlora.shifted import reach, tokens
from lorabook.cost import longer as cost
from lorabook.models.decoder import full
from lorabook.tasks import recall
from lorabook.tasks.facts import IGNORED

START = State()


def test_the_first_task_token_13_and_without_the_shift_token_25_at_any_depth() -> None:
    assert (START.layers, START.group, START.token, START.shift) == (4, LENGTH // 4, LENGTH, True)
    assert compute(START).first == 13
    assert {compute(replace(START, shift=False, layers=n)).first for n in (1, 4, 16)} == {25}


@pytest.mark.parametrize("group", GROUPS)
def test_the_second_task_it_takes_one_layer_less_than_two_for_each_group(group: int) -> None:
    enough = 2 * LENGTH // group - 1
    assert compute(replace(START, group=group)).enough == enough
    assert compute(replace(START, group=group, layers=enough)).first == 1
    assert compute(replace(START, group=group, layers=enough - 1)).first > 1
    assert compute(replace(START, group=group, shift=False)).enough == 0


def test_what_is_heard_is_the_power_of_the_mask() -> None:
    for state in (START, replace(START, group=4, layers=6, token=19), replace(START, shift=False, layers=3)):
        masks = torch.tensor(np.stack(compute(state).halves)).bool()
        np.testing.assert_array_equal(compute(state).heard[-1], reach(masks, state.layers)[state.token - 1])


@pytest.mark.parametrize("length", [7, 12, 16, 31])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_the_group_for_a_depth_is_the_smallest_through_which_the_first_token_is_heard(length: int, layers: int) -> None:
    def heard(group: int) -> bool:
        return bool(reach(Shifted(group).mask(2, length, torch.device("cpu")), layers)[-1, 0])

    least = next(group for group in range(2, 2 * length + 2, 2) if heard(group))
    assert deep_enough.answer(deep_enough.Plan(length, layers)) == least


@pytest.mark.parametrize(("length", "group"), [(16, 4), (13, 6), (9, 8), (5, 8)])
def test_the_exercises_mask_is_the_librarys(length: int, group: int) -> None:
    due = Shifted(group).mask(2, length, torch.device("cpu"))[1].double().tolist()
    assert no_future.answer(no_future.Text(length, group)) == due


@pytest.mark.parametrize("pieces", [2, 4, 8])
def test_the_share_of_scores_is_what_the_calls_compute(pieces: int) -> None:
    length = 8 * pieces
    qkv = tokens(Case(1, 1, 1), length)  # two heads, one of them shifted
    for attend, shift in ((Shifted(8), True), (lambda *t: in_groups(*t, 8), False)):
        share = scores(attend, qkv) / scores(full, qkv)
        # The calls compute whole squares of groups. Two heads are counted together, per head.
        assert share.item() == pytest.approx(cost.share_of_scores(1 / pieces, shift))


@pytest.mark.parametrize("length", [4096, 65536])
def test_the_cost_of_a_step_is_what_torch_counts(length: int) -> None:
    shifted = replace(LongLoRA(length // 4, r=8), also_train="norm")
    for recipe, share, adapted in ((None, 1.0, False), (shifted, cost.share_of_scores(1 / 4, True), True)):
        assert cost.step_flops(length, share, adapted) == pytest.approx(step_flops(length, recipe), rel=2e-3)


def test_against_lora_under_full_attention_it_saves_what_the_chapter_says() -> None:
    grouped = cost.share_of_scores(1 / 4, True)
    ratio = {n: cost.step_flops(n, 1.0, True) / cost.step_flops(n, grouped, True) for n in (8192, 65536)}
    assert {n: round(value, 1) for n, value in ratio.items()} == {8192: 1.3, 65536: 2.6}


# Recall


def test_a_question_is_due_the_letter_after_the_last_mark() -> None:
    texts = recall.draw(40, 64, torch.Generator().manual_seed(3))
    for row, due, back in zip(texts.tokens.tolist(), texts.due.tolist(), texts.back.tolist(), strict=True):
        last = None
        for i, token in enumerate(row):
            if i and row[i - 1] == recall.MARK and token < recall.LETTERS:
                last = i
            if token == recall.QUESTION and last is not None:
                assert (due[i], back[i]) == (row[last], i - last)
            else:
                assert due[i] == IGNORED
        assert all(b < recall.LETTERS for a, b in zip(row, row[1:], strict=False) if a == recall.MARK)


class Told(nn.Module):
    """Answers right where the letter lies fewer tokens back than this."""

    def __init__(self, back: int) -> None:
        super().__init__()
        self.back = back

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        texts = recall.draw(128, rows.shape[1], torch.Generator().manual_seed(9))
        which = [(texts.tokens == row).all(1).nonzero()[0, 0] for row in rows]
        due, back = (torch.stack([part[i] for i in which]) for part in (texts.due, texts.back))
        said = torch.where(back < self.back, due, (due + 1) % recall.LETTERS)
        return nn.functional.one_hot(said.clamp_min(0), recall.SHAPE.vocab).float()


def test_right_answers_are_counted_by_how_far_back_they_lie() -> None:
    near, far, both = recall.right(Told(32), 128, (range(32), range(64, 128), range(64)))
    assert (near, far) == (1.0, 0.0)
    assert 0.3 < both < 1.0


def test_a_few_steps_of_pretraining_learn_something() -> None:
    torch.manual_seed(0)
    few = recall.pretrained(steps=2)
    assert few.config == recall.SHAPE
    assert not few.training
    assert 0 <= recall.right(few, 64, [range(64)], texts=8)[0] < 0.2


# What is compared


def test_without_a_shift_groups_are_short_texts() -> None:
    base = lb.load("tiny").model
    text = torch.randint(1024, (1, 128), generator=torch.Generator().manual_seed(0))
    for layer in base.layers:
        layer.self_attn.attend = lambda q, k, v: in_groups(q, k, v, 32)
    with torch.no_grad():
        grouped = base(text)
        for layer in base.layers:
            layer.self_attn.attend = full
        torch.testing.assert_close(grouped.view(4, 32, -1), base(text.view(4, 32)), rtol=1e-4, atol=1e-4)


def test_contenders_differ_in_what_they_say() -> None:
    every = longer.CONTENDERS
    assert {name for name, each in every.items() if each.recipe.attention} == {longer.LONGLORA, longer.PLAIN}
    assert {name for name, each in every.items() if not each.recipe.also_train} == {longer.PLAIN}
    assert {name: each.pieces for name, each in every.items() if each.pieces > 1} == {longer.SHORT: 4}


@pytest.fixture
def knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that was hardly trained, in the place of the one that takes a minute."""
    model = recall.pretrained(steps=1)
    monkeypatch.setattr(longer, "base", lambda: model)


@pytest.mark.parametrize("name", longer.CONTENDERS)
def test_a_run_trains_on_long_texts_and_reads_them_in_full(name: str, knows_nothing: None) -> None:
    trained = longer.train(name, 1e-3, 0, steps=1)
    assert (trained.config.context, trained.config.position_scale, trained.training) == (256, 0.25, False)
    grouped = name in (longer.LONGLORA, longer.PLAIN)
    assert all(isinstance(layer.self_attn.attend, Shifted) == grouped for layer in trained.layers)
    assert not any(torch.equal(layer.self_attn.o_proj.update.B, torch.zeros(64, 8)) for layer in trained.layers)
    embedding = torch.equal(trained.embed_tokens.weight, longer.base().embed_tokens.weight)
    assert embedding == (name == longer.PLAIN)
    found = longer.score(trained, texts=4)
    assert 0 <= found.near <= 1
    assert 0 <= found.far <= 1


def test_the_base_before_training_is_read_in_three_ways(knows_nothing: None) -> None:
    configs = {name: longer.untrained(name).config for name in longer.UNTRAINED}
    found = {name: (config.context, config.position_scale) for name, config in configs.items()}
    assert found == {longer.OWN: (64, 1.0), longer.RUN_ON: (256, 1.0), longer.INTERPOLATED: (256, 0.25)}
    assert longer.base().config == recall.SHAPE, "the base itself stays as it was"


# The record


def test_the_record_is_whole() -> None:
    rows = read()
    keys = [row.key for row in rows]
    assert len(keys) == len(set(keys))
    assert set(asked(rows)) == set(keys)
    assert len({row.base for row in rows}) == 1
    runs = reported(rows)
    assert {name: [row.seed for row in runs[name]] for name in longer.CONTENDERS} == dict.fromkeys(
        longer.CONTENDERS, list(SEEDS)
    )
    assert all({row.lr for row in runs[name]} == {tuned(rows, name)} for name in longer.CONTENDERS)


def test_what_is_missing_is_run_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = []

    def measure(name: str, lr: float, seed: int) -> Row:
        run.append((name, lr, seed))
        return Row(name, lr, seed, 0.5, 0.5 + lr, "base", "CPU", "torch", "2026-11-27")

    monkeypatch.setattr(longer_record, "measure", measure)
    path = tmp_path / "longer.jsonl"
    longer_record.record(path)
    first = len(run)
    assert set(run) == set(asked(read(path)))
    longer_record.record(path)
    assert len(run) == first
    assert tuned(read(path), longer.LONGLORA) == max(RATES), "the most right answers far back"
    assert tuned([], longer.LONGLORA) is None


def test_the_table_has_a_row_for_each_way_and_its_spread() -> None:
    rows = [Row(name, 0.0, 0, 0.5, 0.25, "", "", "", "") for name in longer.UNTRAINED]
    rows += [
        Row(name, 1e-3, seed, 0.4 + 0.1 * (seed == 1), 0.3, "", "", "", "")
        for name in longer.CONTENDERS for seed in (1, 0, TUNING_SEED)
    ]  # fmt: skip
    said = figures.recall_table(rows).text
    assert "| not trained, at its own length |  |  | 50% | 25% |" in said
    assert "| no shift | norms, embedding | groups, no shift: four short texts | 45 ± 7% | 30 ± 0% |" in said
    np.testing.assert_allclose(figures.near_and_far(rows)["LongLoRA"], [[0.4, 0.5], [0.3, 0.3]])


def test_norms_and_embedding_are_what_helps_at_the_texts_own_length() -> None:
    long = lb.LongLoRA(32, 8, 16)
    assert long.also_train
    assert not lb.LoRA(8, 16).also_train

    def end(recipe: lb.Recipe, lr: float) -> float:
        model = lb.load("tiny").model
        lb.inject(model, recipe, KJV.targets, torch.Generator().manual_seed(0))
        lb.fit(model, KJV.stream(0), steps=KJV.steps, lr=lr, progress=False)
        return KJV.score(model)

    both, in_groups_alone = end(long, 4e-3), end(replace(long, also_train=None), 8e-3)
    them_alone, lora = end(replace(lb.LoRA(8, 16), also_train=long.also_train), 4e-3), end(lb.LoRA(8, 16), 8e-3)
    assert abs(both - them_alone) < 0.05 < 0.1 < lora - both, "as low"
    assert abs(in_groups_alone - lora) < 0.05, "near LoRA"


def test_the_books_base_gains_nothing_from_what_stands_far_back() -> None:
    base = lb.load("tiny")
    rows = figures.austen(base, pieces=8)
    losses = figures.loss_by_place(base.model, rows)
    assert (rows.shape, losses.shape) == ((8, 257), (256,))
    whole = nn.functional.cross_entropy(base.model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
    assert losses.mean().item() == pytest.approx(whole.item(), rel=1e-4)
