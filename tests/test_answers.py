"""Answers that are sent in advance: for every state what compute says, equal parts once, and small enough to send.

That the browser reads them as `every_answer` does here is tested in Chromium, in browser/test_explorers.py.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from explorers import of_chapter_size

from lorabook.book.explore.answers import MOST, answers
from lorabook.book.explore.explorer import tabled_explorer
from lorabook.book.explore.state import Choice, Slider, control, controls


@dataclass(frozen=True)
class Knob:
    x: int = control(1, Slider("x", 0, 3))


@dataclass(frozen=True)
class Pair:
    one: str = control("a", Choice("one", ("a", "b", "c")))
    two: float = control(0, Slider("two", 0, 1, 0.5))


@dataclass(frozen=True)
class Answer:
    sentence: str
    curve: np.ndarray
    several: tuple[int, ...]
    share: float


def answer_of(state: Pair) -> Answer:
    """Answers of one, two and three words, tuples of none to two items, and a curve that two states of three share."""
    sentence = " ".join([state.one] * (1 + "abc".index(state.one)))
    return Answer(sentence, np.arange(3) + (state.two > 0.5), tuple(range(round(2 * state.two))), state.two / 3)


def every_answer(packed: dict) -> Iterator[tuple[tuple, Answer]]:
    """Read packed answers as `answerAt` in answers.js does."""
    states = itertools.product(*(control["values"] for control in packed["controls"]))
    for at, state in enumerate(states):
        values = {}
        for name, column in packed["columns"].items():
            parts = column["parts"]
            if isinstance(parts, dict):
                parts = np.frombuffer(parts["float32"], "<f4")
            which = np.frombuffer(column["which"]["uint16"], "<u2").reshape(column["which"]["shape"])[at]
            chosen = [parts[number - 1] for number in which if number]
            values[name] = {"text": " ".join(map(str, chosen)), "list": tuple(chosen), "one": (*chosen, None)[0]}[
                column["form"]
            ]
        values["curve"] = np.frombuffer(values["curve"]["float32"], "<f4")
        yield state, Answer(**values)


def test_what_is_sent_is_what_compute_says_for_every_state_and_equal_parts_are_sent_once() -> None:
    table = answers(Pair(), controls(Pair(), {}), answer_of)
    packed = table.packed()
    sent = list(every_answer(packed))
    assert [state for state, _ in sent] == list(itertools.product("abc", (0, 0.5, 1)))
    for state, answer in sent:
        expected = answer_of(Pair(*state))
        assert (answer.sentence, answer.several) == (expected.sentence, expected.several)
        assert answer.share == pytest.approx(expected.share)
        np.testing.assert_array_equal(answer.curve, expected.curve)
        assert table(Pair(*state)).sentence == expected.sentence
    counts = {name: len(column["parts"]) for name, column in packed["columns"].items() if name != "share"}
    assert counts == {"sentence": 3, "curve": 2, "several": 2}


def test_an_error_for_any_state_is_raised_at_construction() -> None:
    with pytest.raises(ZeroDivisionError):
        tabled_explorer("memory", Knob(1), lambda state: Answer("", np.ones(1), (), 1 / (state.x - 3)), None)


def test_more_answers_than_can_be_numbered_are_refused() -> None:
    by = {"x": Slider("x", 0, MOST + 1)}
    table = answers(Knob(), by, lambda state: Answer(str(state.x), np.ones(1), (), 0.0))
    with pytest.raises(ValueError, match=f"sentence has more than {MOST} different values over {MOST + 2} states"):
        table.packed()


@pytest.mark.parametrize("name", ["codebook", "scale", "spectrum"])
def test_all_answers_together_are_small_enough_to_send(name: str) -> None:
    size = weigh(of_chapter_size(name).answer)
    assert size < 400_000, f"{size} bytes"


def weigh(value: object) -> int:
    """Bytes of a message."""
    if isinstance(value, dict):
        return sum(len(key) + weigh(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(weigh(item) for item in value)
    return len(value) if isinstance(value, bytes) else len(str(value).encode())
