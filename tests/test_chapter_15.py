"""What chapter 15 stands on: the fits of its explorer, the answers of the tasks, the recorded search."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import term_fits
from torch import linalg

from lorabook.arena import search_runs as recorder
from lorabook.arena.search_runs import (
    DRAWN,
    SIDES,
    SMALL,
    SUPERNET,
    WINNER,
    asked,
    put_kinds,
    read,
    record,
    tuned,
    winner,
)
from lorabook.axes.form.glora import GLoRAForm
from lorabook.axes.form.glora_subnet import cut_supernet
from lorabook.axes.form.glora_supernet import SMALLEST_FIRST
from lorabook.book.explore.term_fits import D_IN, D_OUT, FEW, GATED, HALF, KINDS, LOUD, SHIFT, WISHES, R
from lorabook.book.explore.terms import Result, State, compute, share
from lorabook.book.figures.generations import losses_on_test, reported, searched
from lorabook.core.adapted_layer import adapted

WHOLE = 0.9995


def reached(**moves: str) -> Result:
    """The explorer's answer after some moves from where it opens."""
    return compute(replace(State(), **moves), term_fits())


def configurations() -> Iterator[dict[str, str]]:
    """Every choice of kinds."""
    for kinds in product(*KINDS.values()):
        yield dict(zip(KINDS, kinds, strict=True))


def part(wish: str, kinds: dict[str, str]) -> float:
    """The share of a wish that a configuration reaches."""
    return share(wish, GLoRAForm(**kinds), term_fits())


def cheapest(wish: str) -> list[dict[str, str]]:
    """The configurations with the fewest numbers that do all of a wish; terms that are off are left out."""
    found = [
        (GLoRAForm(**kinds).count(D_OUT, D_IN, R), kinds) for kinds in configurations() if part(wish, kinds) > WHOLE
    ]
    least = min(numbers for numbers, _ in found)
    return [{t: kind for t, kind in kinds.items() if kind != "none"} for numbers, kinds in found if numbers == least]


def test_a_larger_kind_never_reaches_less() -> None:
    for wish in WISHES:
        shares = {tuple(kinds.values()): part(wish, kinds) for kinds in configurations()}
        for kinds, here in shares.items():
            for i, known in enumerate(KINDS.values()):
                larger = SMALLEST_FIRST[SMALLEST_FIRST.index(kinds[i]) + 1 :]
                for kind in set(larger) & set(known):
                    assert shares[*kinds[:i], kind, *kinds[i + 1 :]] > here - 1e-3, (wish, kinds, i, kind)


def test_low_rank_b_alone_is_the_best_of_its_rank() -> None:
    found = term_fits()
    for wish, (m, _) in found.wanted.items():
        change = found.weights[wish, "none", "lora"].merged - found.base.matrix
        left = linalg.svdvals(m)[R:].square().sum()
        assert (change - m).square().sum() == pytest.approx(left.item(), rel=1e-2, abs=1e-8), wish


def test_what_is_shown_adds_up() -> None:
    found = term_fits()
    for kinds in list(configurations())[::17]:
        result, of = reached(wanted=LOUD, **kinds), tuple(kinds.values())
        w, b = found.weights[LOUD, *of[:2]].merged, found.biases[LOUD, *of[2:]].merged
        np.testing.assert_allclose(result.layer[0] + result.added.sum(0), w, atol=1e-3)
        np.testing.assert_allclose(result.bias[0] + result.moved.sum(0), b, atol=1e-3)


def test_the_first_task_two_numbers_do_all_and_lora_a_third() -> None:
    assert State().wanted == HALF
    assert (reached().numbers, f"{reached().reached:.0%}") == (44, "30%")
    assert cheapest(HALF) == [{"A": "constant", "D": "constant"}]
    assert reached(B="none", A="constant", D="constant").rank == D_OUT


def test_the_second_task_a_vector_and_any_vector_for_the_bias() -> None:
    assert cheapest(LOUD) == [{"A": "vector", "E": "vector"}, {"A": "vector", "D": "vector"}]
    sizes = {}
    for term in "CDE":
        result = reached(wanted=LOUD, A="vector", B="none", **{term: "vector"})
        assert result.reached > WHOLE
        sizes[term] = result.numbers - D_OUT
    assert sizes == {"C": 12, "D": 10, "E": 10}
    assert reached(wanted=LOUD, A="constant", B="none", E="vector").reached < 0.6


def test_each_wish_has_its_own_switch() -> None:
    assert {"E": "vector"} in cheapest(SHIFT)
    assert cheapest(FEW) == [{"B": "lora"}]
    assert cheapest(GATED) == [{"A": "lora"}]


def test_e_as_a_vector_reaches_every_bias_that_the_three_reach() -> None:
    for wish in WISHES:
        all_three = reached(wanted=wish, C="lora", D="vector", E="vector")
        assert reached(wanted=wish, E="vector").reached == pytest.approx(all_three.reached, abs=1e-4)


# The record


def test_the_record_is_whole_and_no_best_rate_lies_at_an_edge() -> None:
    runs = read()
    assert sorted(run.key for run in runs) == sorted(asked(runs))
    for name, side in SIDES.items():
        if len(side.rates) > 1:
            assert side.rates[0] < tuned(runs, name) < side.rates[-1], name


def test_a_search_tries_as_many_candidates_as_draws_do_and_its_winner_is_the_best_of_them() -> None:
    for run in reported()[SUPERNET]:
        assert len(run.tried["evolution"]) == len(run.tried["draws"]) == 400
        assert run.held == pytest.approx(min(run.tried["evolution"]), abs=1e-4)
        assert run.drawn[0] == pytest.approx(min(run.tried["draws"]), abs=1e-4)


def test_the_winner_alone_has_the_numbers_of_the_winner_in_the_supernet() -> None:
    found = reported()
    for run, alone in zip(found[SUPERNET], found[WINNER], strict=True):
        assert run.numbers == alone.numbers


def test_kinds_put_into_the_net_are_what_a_cut_supernet_has() -> None:
    runs = read()
    kinds = winner(runs, 0)
    shapes = []
    for made in ("put", "cut"):
        model = recorder.copy.deepcopy(recorder.TASK.base)
        generator = torch.Generator().manual_seed(0)
        if made == "put":
            put_kinds(model, kinds, generator)
        else:
            recorder.inject(model, SIDES[SUPERNET].recipe(0), recorder.TASK.targets, generator)
            cut_supernet(model, kinds)
        shapes.append(
            {name: {n: p.shape for n, p in layer.update.named_parameters()} for name, layer in adapted(model).items()}
        )
    assert shapes[0] == shapes[1]


def test_one_run_of_the_record_is_what_is_trained_today() -> None:
    (run,) = (run for run in read() if run.key == (WINNER, tuned(read(), "GLoRA"), 0))
    again = recorder.train(*run.key, read())
    assert again.numbers == run.numbers
    assert again.test == pytest.approx(run.test, abs=0.02)


def test_what_is_missing_is_trained_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked_for = {run.key: run for run in read()}, []

    def train(name: str, lr: float, seed: int, _runs: object) -> object:
        asked_for.append((name, lr, seed))
        return made[name, lr, seed]

    monkeypatch.setattr(recorder, "train", train)
    path = tmp_path / "search.jsonl"
    record(path)
    assert {run.key for run in read(path)} == set(made)
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    last = asked_for[-1]
    asked_for.clear()
    record(path)
    assert asked_for == [last]


def test_a_record_that_lacks_a_seed_is_refused() -> None:
    runs = read()
    with pytest.raises(ValueError, match=rf"{DRAWN}: the record of searches has no run of seed 4"):
        reported([run for run in runs if (run.side, run.seed) != (DRAWN, 4)])


def test_what_the_chapter_says_of_the_search() -> None:
    found = reported()
    search, losses = searched(found[SUPERNET]), losses_on_test(found)
    assert (search.best("evolution")[:, -1] < search.best("draws")[:, -1]).all()
    assert losses[SUPERNET].min() > losses["LoRA"].max()
    assert losses[WINNER].mean() < 2 * losses["LoRA"].mean() < losses[DRAWN].mean()
    assert losses[SMALL].mean() < losses[WINNER].mean()


def test_in_every_seed_the_larger_of_winner_and_drawn_kinds_is_ahead_and_a_small_lora_has_the_winners_numbers() -> None:
    found = reported()
    losses, numbers = losses_on_test(found), {name: [run.numbers for run in runs] for name, runs in found.items()}
    larger = np.array(numbers[WINNER]) > np.array(numbers[DRAWN])
    assert (larger == (losses[WINNER] < losses[DRAWN])).all()
    assert np.mean(numbers[SMALL]) == pytest.approx(np.mean(numbers[WINNER]), rel=0.05)
