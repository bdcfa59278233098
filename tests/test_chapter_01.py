"""What chapters 00 and 01 stand on: the map of the axes, predictions, full fine-tuning and its cuts."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lorabook.baselines.full import by_projection, change_of, changed, full_update, kept_by_projection
from lorabook.book import overview
from lorabook.book.classroom.check import check
from lorabook.book.exercises import worst_case
from lorabook.book.explore.predict import predict
from lorabook.book.explore.state import Choice, Steps
from lorabook.book.figures.picture import Picture
from lorabook.book.figures.spectrum import Ranks, energy_and_gain, energy_by_projection, grids, loss_by_rank
from lorabook.book.prose import unfolded
from lorabook.claims.claim import claim
from lorabook.claims.low_rank import spectrum as spectrum_claims
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.models.load import load
from lorabook.tasks import text

RANKS = (1, 2, 4)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5, bias=True), nn.Tanh(), nn.Linear(5, 4, bias=False))


def batches(rows: int = 7):
    draw = torch.Generator().manual_seed(1)
    while True:
        yield torch.randn(rows, 6, generator=draw), torch.randint(4, (rows,), generator=draw)


def test_a_prediction_is_kept_and_set_beside_what_was_measured() -> None:
    guess = predict("How much?", Steps("share", (0, 50, 100), "%"))
    unanswered = guess.look_back("64 %")
    assert "you did not predict; measured: 64 %" in repr(unanswered)
    assert "64" not in unfolded(unanswered._repr_mimebundle_()["text/markdown"]), "a stored notebook tells no answer"
    guess.answer = 50
    back = guess.look_back("64 %")
    assert "You predicted **50 %**. Measured: **64 %**" in back._repr_mimebundle_()["text/markdown"]
    guess.answer = 51
    with pytest.raises(ValueError, match="51 is none of its values"):
        guess.look_back("64 %")
    word = predict("Which?", Choice("answer", ("this", "that")))
    word.answer = "that"
    assert "You predicted **that**." in word.look_back("this")._repr_mimebundle_()["text/markdown"]
    assert "*Predict:* Which?" in word._repr_mimebundle_()[0]["text/markdown"]


@pytest.mark.parametrize(("question", "values"), [(" ", (1, 2)), ("How much?", (1,))])
def test_a_prediction_needs_a_question_and_a_choice(question: str, values: tuple) -> None:
    with pytest.raises(ValueError, match="offer at least two answers"):
        predict(question, Steps("share", values))


def test_full_fine_tuning_trains_what_it_names_on_a_copy() -> None:
    base = model()
    before = copy.deepcopy(base.state_dict())
    update = full_update(base, batches(), targets="0", steps=3, lr=1e-2)
    assert list(update) == ["0"]
    assert update["0"].delta.norm() > 1e-3
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    with pytest.raises(ValueError, match="targets='q_proj' matches no weight matrix; the model has 0.weight"):
        full_update(base, batches(), targets="q_proj", steps=1, lr=1e-2)
    inject(base, LoRA(r=1), "0")
    with pytest.raises(ValueError, match="0 has an adapter: fine-tune the plain model"):
        full_update(base, batches(), targets="0", steps=1, lr=1e-2)


def test_a_change_is_held_inside_the_block_only() -> None:
    base = model()
    before = copy.deepcopy(base.state_dict())
    update = {name: change_of(torch.randn(layer.weight.shape)) for name, layer in (("0", base[0]), ("2", base[2]))}
    with changed(base, update):
        torch.testing.assert_close(base[0].weight, before["0.weight"] + update["0"].delta)
    with changed(base, update, 2):
        moved = (base[2].weight - before["2.weight"]).double()
        assert torch.linalg.matrix_rank(moved, rtol=1e-5) == 2
    with pytest.raises(ZeroDivisionError), changed(base, update):
        1 / 0  # noqa: B018
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())


def test_shares_of_energy_by_projection() -> None:
    even, one = change_of(torch.eye(4)), change_of(torch.ones(4, 4))
    update = {"layers.0.q_proj": even, "layers.1.q_proj": one, "layers.0.up_proj": even}
    assert {kind: len(found) for kind, found in by_projection(update).items()} == {"q_proj": 2, "up_proj": 1}
    assert kept_by_projection(update, 1) == pytest.approx({"q_proj": (0.25 + 1) / 2, "up_proj": 0.25})


def test_the_pictures_are_drawn_and_say_what_they_show() -> None:
    panel = Ranks(4.0, [2.0, 2.2], {r: [3.0 / r, 3.1 / r] for r in RANKS}, {1: [2.5, 2.6]})
    assert panel.gain_kept([4.0]) == 0
    assert panel.gain_kept([2.1]) == pytest.approx(1)
    drawn = [
        grids({"M": torch.eye(2), "N": -torch.eye(2)}, "two"),
        energy_by_projection({"ΔW": [{"q_proj": 0.5}], "random": [{"q_proj": 0.1}]}, 8, "shares"),
        loss_by_rank({"narrow": panel, "broad": panel}, "losses"),
        energy_and_gain(RANKS, [0.5, 0.7, 1.0], [0.1, 0.5, 1.0], 0.4, "both"),
    ]
    for picture in drawn:
        assert isinstance(picture, Picture)
        data, metadata = picture._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
        assert metadata["image/png"]["alt"] == data["text/plain"] == picture.sentence


ABOUT = "arithmetic of a test"


def test_the_ledger_counts_what_is_not_reproduced() -> None:
    @claim(statement="1 = 2", source="none")
    def one_is_two(case):
        return torch.ones(1), 2 * torch.ones(1)

    counted = overview.ledger([spectrum_claims.false_dimension_is_rank, one_is_two]).text
    assert "| low rank | · | · | 1 | · |" in counted
    assert "| **all** | **0** | **0** | **1** | **1** |" in counted


def test_the_environment_is_told_without_paths() -> None:
    told = overview.environment().text
    assert "things are as they should be" in told
    assert str(Path.cwd()) not in told


def test_the_worst_case_may_be_any_orthogonal_matrix() -> None:
    start = torch.randn(10, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert check(worst_case.EXERCISE, lambda d: -3 * torch.linalg.qr(start[:d, :d])[0]).passed
    assert check(worst_case.EXERCISE, lambda d: torch.full((d, d), float("nan"))).mark == "✗"


def test_the_tasks_of_the_spectrum_explorer_have_the_answers_that_the_chapter_gives() -> None:
    """One seed, trained as the chapter does; both jobs start from a picture in which neither answer is seen yet."""
    base, rates = load("tiny"), {"austen": 1e-3, "kjv": 2e-3}
    kept: dict[tuple[str, int], dict[str, float]] = {}
    for name, rate in rates.items():
        words = text.read(name).upper() if name == "austen" else text.read(name)
        corpus = text.tokenize(name, words[-400_000:], base.tokenizer)
        batches = text.batches(corpus, 4, 128, torch.Generator().manual_seed(0))
        change = full_update(base.model, batches, targets="_proj", steps=24, lr=rate)
        for r in (1, 8):
            kept[name, r] = {layer: one.kept(r) for layer, one in change.items()}

    def chosen(share: dict[str, float], layers: str, kinds: str) -> list[float]:
        return [value for layer, value in share.items() if re.search(rf"\.[{layers}]\..*({kinds})_proj", layer)]

    assert min(chosen(kept["austen", 1], "01", "v|o")) > 0.5
    assert max(chosen(kept["austen", 1], "0123", "q|k|gate|up|down")) < 0.5
    wide = chosen(kept["kjv", 8], "0123", "gate|down")
    assert 0.15 < min(wide) <= max(wide) < 0.3
    assert min(chosen(kept["kjv", 8], "0123", "q|k|v|o")) > 0.3
    noise = change_of(torch.randn(512, 192, generator=torch.Generator().manual_seed(0)))
    assert noise.kept(8) < 0.11
