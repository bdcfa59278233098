"""What chapter 27 stands on: the answers of its tasks, what its standings say, the corrections it derives."""

import pytest
import torch
from statsmodels.stats.multitest import multipletests

from lorabook.arena.experiment import at
from lorabook.arena.record import Record
from lorabook.arena.summary import finals
from lorabook.book.explore.standings import COSTS, LOSS, Result, State, standings
from lorabook.book.overview import questions
from lorabook.claims.comparing.seeds import holm


@pytest.fixture(scope="module")
def view():
    return standings()


def better(result: Result) -> set[str]:
    """Return who is better than LoRA, and trains no more than LoRA does."""
    lora = next(line.cost for line in result.lines if line.name == "LoRA")
    return {line.name for line in result.lines if line.says == "better" and line.cost < lora * 1.05}


def test_it_opens_on_the_bible_sorted_by_what_it_reaches(view):
    assert view.start == State("kjv")
    differences = [line.difference for line in view.compute(view.start).lines]
    assert differences == sorted(differences)
    assert next(line for line in view.compute(view.start).lines if line.name == "LoRA").difference == 0


def test_the_first_task_who_is_better_at_loras_size(view):
    found = {task: better(view.compute(State(task))) for task in ("kjv", "capitals", "digits")}
    assert found["kjv"] == {"bottleneck"}
    assert found["capitals"] == {"HiRA", "LoRA-FA", "MELoRA", "LoRA+", "QLoRA | rsLoRA | LoRA+"}
    assert found["digits"] == {"OLoRA"}


def test_the_second_task_one_rate_for_all_would_have_called_lora_plus_useless(view):
    asked = State("kjv", "lost at LoRA's rate", "what stands beside it")
    last = view.compute(asked).lines[-2:]
    assert {line.name for line in last} == {"LoRA+", "QLoRA | rsLoRA | LoRA+"}
    start = next(row.start for row in Record().rows() if row.task == "kjv")
    reached = finals(Record().rows(), at("LoRA+", "kjv"))
    assert min(reached.values()) + last[0].cost > start


@pytest.mark.parametrize("beside", COSTS)
def test_what_stands_beside_is_sorted_and_unknown_costs_come_last(view, beside):
    costs = [line.cost for line in view.compute(State("digits", beside, "what stands beside it")).lines]
    known = [cost for cost in costs if cost is not None]
    assert costs == sorted(known) + [None] * (len(costs) - len(known))


def test_a_sentence_says_what_was_decided_and_what_could_have_been(view):
    say = {name: view.compute(State("kjv", row=name)).sentence for name in ("rsLoRA", "DoRA", "LoRA")}
    assert "worse (p = " in say["rsLoRA"]
    assert "no difference found at this size (of 0.0" in say["DoRA"]
    assert say["LoRA"].endswith("All others stand against it.")
    few = view.compute(State("kjv", order=LOSS, row="HiRA", budget="own")).sentence
    assert few.endswith("nothing is decided on so few.")


def test_facts_fall_into_two_heaps():
    scores = sorted(finals(Record().rows(), at("LoRA", "facts-512")).values())
    assert sum(score < 1.5 for score in scores) >= 4
    assert sum(score > 4 for score in scores) >= 2


def test_the_nine_questions_are_all_answered():
    text = questions().text
    assert sum(line.startswith(f"| {n} |") for n in range(1, 10) for line in text.splitlines()) == 9
    assert "not yet" not in text


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_holm(seed):
    p = torch.rand(2 + seed, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 4
    assert torch.allclose(holm(p), torch.tensor(multipletests(p.numpy(), method="holm")[1]))
