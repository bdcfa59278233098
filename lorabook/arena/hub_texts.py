"""Texts for LoRAHub: twenty that adapters are trained on, and three that none of them has seen.

Each is Austen or the Bible, in a spelling. Two of the new ones join what two adapters know apart: the Bible in
CAPITALS, and without spaces. The third, words in reverse order, is nothing that an adapter knows.
"""

import codecs
import re
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lorabook.models.load import load
from lorabook.tasks import text

Spelling = Callable[[str], str]
CHARACTERS, LENGTH = 200_000, 64
"""What of Austen and of the Bible is taken, from their ends; and how many tokens a piece, or an example, has."""


def words(spell: Spelling) -> Spelling:
    """Return the spelling that changes each word by itself."""
    return lambda letters: re.sub(r"[A-Za-z]+", lambda found: spell(found.group()), letters)


def _line_backwards(letters: str) -> str:
    return "\n".join(" ".join(reversed(line.split(" "))) for line in letters.split("\n"))


DIGITS = str.maketrans("aeiost", "431057")
SPELLINGS: dict[str, Spelling] = {
    "CAPITALS": str.upper,
    "no spaces": lambda letters: letters.replace(" ", ""),
    "no vowels": lambda letters: re.sub("[aeiou]", "", letters),
    "words turned": words(lambda word: word[::-1]),
    "Title Case": words(str.capitalize),
    "digits": lambda letters: letters.translate(DIGITS),
    "no punctuation": lambda letters: re.sub(r"[^\w\s]", "", letters),
    "lower case": str.lower,
    "underscores": lambda letters: letters.replace(" ", "_"),
    "wide spaces": lambda letters: letters.replace(" ", "  "),
    "swapped case": str.swapcase,
    "ROT13": lambda letters: codecs.encode(letters, "rot13"),
    "z for th": lambda letters: letters.replace("th", "z").replace("Th", "Z"),
    "a word a line": lambda letters: letters.replace(" ", "\n"),
    "no first letter": words(lambda word: word[1:]),
    "letters twice": words(lambda word: "".join(2 * letter for letter in word)),
    "letters sorted": words(lambda word: "".join(sorted(word))),
    "stars": words(lambda word: f"*{word}*"),
    "first letter last": words(lambda word: word[1:] + word[0]),
}
BIBLE = "Bible"
BANK = (BIBLE, *SPELLINGS)
"""The texts of the twenty adapters: the Bible as it is, and Austen in each spelling."""
BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES, ORDER_REVERSED = "BIBLE IN CAPITALS", "Bible, no spaces", "words in reverse"
NEW = (BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES, ORDER_REVERSED)
TARGETS = "_proj"


def written(name: str) -> str:
    """Return one of the texts."""
    if name == BIBLE:
        return _source("kjv")
    if name == BIBLE_IN_CAPITALS:
        return _source("kjv").upper()
    if name == BIBLE_WITHOUT_SPACES:
        return SPELLINGS["no spaces"](_source("kjv"))
    if name == ORDER_REVERSED:
        return _line_backwards(_source("austen"))
    return SPELLINGS[name](_source("austen"))


@cache
def corpus(name: str) -> text.Corpus:
    """Return one of the texts as tokens, the last twentieth for validation."""
    return text.tokenize(name, written(name), load("tiny").tokenizer)


def examples(name: str, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw k pieces of a text's training part: tokens, and those that follow each of them."""
    return next(text.batches(corpus(name), k, LENGTH, torch.Generator().manual_seed(seed)))


@cache
def _source(name: str) -> str:
    return text.read(name)[-CHARACTERS:]
