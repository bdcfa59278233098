"""What chapters 00 and 01 stand on: the map of the axes, predictions, full fine-tuning and its cuts."""

import copy
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

from lorabook.baselines.full import by_projection, change_of, changed, full_update, kept_by_projection
from lorabook.book import overview
from lorabook.book.classroom.check import check
from lorabook.book.exercises import worst_case
from lorabook.book.explore.axis_map import DECIDES, axes, axis_map, displacements, variants
from lorabook.book.explore.predict import predict
from lorabook.book.explore.state import Choice, Steps
from lorabook.book.figures.picture import Picture
from lorabook.book.figures.spectrum import Ranks, energy_and_gain, energy_by_projection, grids, loss_by_rank
from lorabook.claims.catalogue import catalogue
from lorabook.claims.claim import claim
from lorabook.claims.low_rank import spectrum as spectrum_claims
from lorabook.core.inject import inject
from lorabook.core.lora import ORIGIN, LoRA
from lorabook.core.recipe import IDEAS

RANKS = (1, 2, 4)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5, bias=True), nn.Tanh(), nn.Linear(5, 4, bias=False))


def batches(rows: int = 7):
    draw = torch.Generator().manual_seed(1)
    while True:
        yield torch.randn(rows, 6, generator=draw), torch.randint(4, (rows,), generator=draw)


def test_the_map_shows_every_variant_on_every_axis_it_moves() -> None:
    names = {name for recipes in catalogue().values() for name in recipes}
    assert set(variants()) == names
    assert next(iter(variants())) == "LoRA"
    for axis in axes():
        movers = {recipe.label for recipe in variants().values() if axis.field in recipe.changes(ORIGIN)}
        assert axis.field == "many" or set(axis.movers) == movers
    assert set(DECIDES) == set(IDEAS) - {"also_train"} | {"many"}
    table = displacements().table
    assert all(f"| {name} |" in table for name in names)
    assert "**LoRAPlusAdamW**" in table


def test_the_map_lights_one_axis_and_refuses_what_is_none() -> None:
    shown = axis_map(lit="scale")._repr_mimebundle_()
    assert shown["text/html"].count("◀ this chapter") == 1
    assert shown["text/markdown"].count("◀ here") == 1
    assert "this chapter" not in axis_map().page
    with pytest.raises(ValueError, match="lit='rank' is no axis; the axes are form, init"):
        axis_map(lit="rank")


def test_a_prediction_is_kept_and_set_beside_what_was_measured() -> None:
    guess = predict("How much?", Steps("share", (0, 50, 100), "%"))
    assert "you did not predict; measured: 64 %" in repr(guess.look_back("64 %"))
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


def test_the_start_page_lists_chapters_with_what_they_need(tmp_path: Path) -> None:
    table = "| time | you need | it builds on |\n| --- | --- | --- |\n| 30–40 minutes | a gradient | chapter 02 |"
    text = f"# 07 · A title\n\n> **Why?**\n\n{table}\n\nMore."
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)]), tmp_path / "07_a.ipynb")
    line = "| [07 · A title](07_a.ipynb) | Why? | 30–40 minutes | a gradient | chapter 02 |"
    assert line in overview.contents(tmp_path)
    cell = nbformat.v4.new_markdown_cell(text.replace("> ", ""))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "07_a.ipynb")
    with pytest.raises(ValueError, match="07_a: the first cell needs"):
        overview.contents(tmp_path)


ABOUT = "arithmetic of a test"


def test_the_ledger_counts_what_is_not_reproduced() -> None:
    @claim(statement="1 = 2", source="none")
    def one_is_two(case):
        return torch.ones(1), 2 * torch.ones(1)

    table, broken = overview.ledger([spectrum_claims.false_dimension_is_rank, one_is_two])
    assert broken == 1
    assert "| low rank | · | · | 1 | · |" in table
    assert "| **all** | **0** | **0** | **1** | **1** |" in table


def test_the_environment_is_told_without_paths() -> None:
    told = overview.environment()
    assert "things are as they should be" in told
    assert str(Path.cwd()) not in told


def test_the_worst_case_may_be_any_orthogonal_matrix() -> None:
    start = torch.randn(10, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert check(worst_case.EXERCISE, lambda d: -3 * torch.linalg.qr(start[:d, :d])[0]).passed
    assert check(worst_case.EXERCISE, lambda d: torch.full((d, d), float("nan"))).mark == "✗"
