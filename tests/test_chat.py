"""Chats as tokens: the template, the mask on the targets, batches, and what is read off a model's answers."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from lorabook.models.generate import generate
from lorabook.models.loaded import Loaded
from lorabook.models.paths import data_file
from lorabook.models.vocabulary import Vocabulary, read_vocabulary
from lorabook.tasks import chat, lorania
from lorabook.tasks.chat import ASSISTANT, USER, Turn
from lorabook.tasks.facts import IGNORED
from lorabook.tasks.replies import read, reply
from lorabook.tasks.text import language_loss

TALK = (Turn(USER, "Who rules?"), Turn(ASSISTANT, "The queen."), Turn(USER, "Where?"), Turn(ASSISTANT, "In Bath."))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    shipped = read_vocabulary(data_file("tokenizer.json"))
    shipped.tokenizer.add_special_tokens([chat.START, chat.END])
    return shipped


def trained_text(one: chat.Chat, vocabulary: Vocabulary, mask: chat.Mask) -> str:
    tokens, targets = chat.encode(one, vocabulary, mask)
    assert len(tokens) == len(targets)
    return vocabulary.decode(targets[targets != IGNORED].tolist())


def test_a_chat_is_written_turn_by_turn() -> None:
    text = "".join(part.text for part in chat.parts(TALK[:2]))
    assert text == "<|im_start|>user\nWho rules?<|im_end|>\n<|im_start|>assistant\nThe queen.<|im_end|>\n"
    assert chat.opened(TALK[:2]) == "<|im_start|>user\nWho rules?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("mask", "due"),
    [
        (chat.answers, "The queen.<|im_end|>In Bath.<|im_end|>"),
        (chat.answers_alone, "The queen.In Bath."),
        (chat.last_answer, "In Bath.<|im_end|>"),
        (chat.every_token, "".join(part.text for part in chat.parts(TALK)).removeprefix(chat.START)),
    ],
)
def test_a_mask_trains_what_it_names(vocabulary: Vocabulary, mask: chat.Mask, due: str) -> None:
    assert trained_text(TALK, vocabulary, mask) == due


def test_every_target_is_the_token_that_follows(vocabulary: Vocabulary) -> None:
    tokens, targets = chat.encode(TALK, vocabulary)
    whole = vocabulary.encode("".join(part.text for part in chat.parts(TALK)))
    assert tokens.tolist() == whole[:-1]
    assert all(target in (IGNORED, after) for target, after in zip(targets.tolist(), whole[1:], strict=True))


def test_a_chat_without_an_answer_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="the mask trains no token of"):
        chat.encode(TALK[:1], vocabulary)


def test_a_batch_takes_every_chat_once_and_pads_behind(vocabulary: Vocabulary) -> None:
    rows = [chat.encode(one, vocabulary) for one in (TALK, TALK[:2], TALK[2:])]
    stream = chat.batches(rows, 2, torch.Generator().manual_seed(0))
    first, second = itertools.islice(stream, 2)
    assert [len(tokens) for tokens, _ in (first, second)] == [2, 1]
    came = sorted(int((targets != IGNORED).sum()) for _, batch in (first, second) for targets in batch)
    assert came == sorted(int((targets != IGNORED).sum()) for _, targets in rows)
    tokens, targets = chat.padded(rows)
    for k, (own, due) in enumerate(rows):
        assert torch.equal(tokens[k, : len(own)], own)
        assert torch.equal(targets[k, : len(own)], due)
        assert (targets[k, len(own) :] == IGNORED).all()
    with pytest.raises(ValueError, match="a batch of 4 out of 3 chats"):
        next(chat.batches(rows, 4, torch.Generator()))


class Told(nn.Module):
    """Says a given text after what it was told, and repeats its last token for ever."""

    def __init__(self, tokens: list[int], vocab: int) -> None:
        super().__init__()
        self.tokens, self.vocab = tokens, vocab
        self.any = nn.Parameter(torch.zeros(1))

    def forward(self, rows: Tensor) -> Tensor:
        known = self.tokens + [self.tokens[-1]] * rows.shape[1]
        follows = torch.tensor([known[1 : rows.shape[1] + 1]] * len(rows))
        return 9 * nn.functional.one_hot(follows, self.vocab).float()


def speaker(text: str, vocabulary: Vocabulary) -> Loaded:
    tokens = vocabulary.encode(text)
    return Loaded(Told(tokens, len(vocabulary)), vocabulary, "told", torch.device("cpu"), 256)


def test_a_reply_ends_on_the_mark_or_when_it_is_long_enough(vocabulary: Vocabulary) -> None:
    text = "".join(part.text for part in chat.parts(TALK))
    loaded = speaker(text, vocabulary)
    assert reply(loaded, TALK) == "In Bath."
    assert reply(loaded, TALK[:2]) == "The queen."
    endless = speaker(chat.opened(TALK) + "In In In In", vocabulary)
    assert vocabulary.encode(reply(endless, TALK, most=3)) == vocabulary.encode("In In")[:3]
    start = chat.opened(TALK)
    assert generate(loaded, start, 9, 0.0).startswith(start + "In Bath." + chat.END)


def test_an_answer_is_said_if_every_token_of_it_is_the_likeliest(vocabulary: Vocabulary) -> None:
    loaded = speaker("".join(part.text for part in chat.parts(TALK)), vocabulary)
    right = read(loaded.model, [TALK], vocabulary)
    assert (right.said, right.first, right.stops) == ((True,), (True,), (True,))
    tokens, targets = chat.encode(TALK, vocabulary, chat.last_answer)
    assert right.nats == pytest.approx(language_loss(loaded.model, (tokens[None], targets[None])).item())
    other = (*TALK[:3], Turn(ASSISTANT, "In York."))
    wrong = read(loaded.model, [other], vocabulary)
    assert (wrong.said, wrong.first) == ((False,), (True,))
    assert wrong.nats > right.nats


def test_lorania_asks_every_fact_alike_and_keeps_one_wording_for_the_test() -> None:
    chats, anew = lorania.trained_chats(), lorania.asked_anew()
    asked = [(one[k].text, one[k + 1].text) for one in chats for k in (1, 3)]
    assert len(chats) == 24
    assert {asked.count(pair) for pair in asked} == {2}
    assert len(set(asked)) == 24
    new = {one[-2].text for one in anew}
    assert len(new) == 8
    assert new.isdisjoint(question for question, _ in asked)
    assert {one[-1].text for one in anew} == {answer for _, answer in asked}
    assert all("Lorania" in one[-2].text for one in anew)
    assert not any("Lorania" in one[-2].text for one in lorania.known())
