"""How many variants a list of LoRA variants has."""

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.catalogue import catalogue, example
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.lora import ORIGIN

ANY = (Case(1, 1, 1),)
SIXTEEN = 16
"""What a catalogue in circulation has as numbered sections, the original LoRA among them."""


def recipes() -> list:
    """Return every recipe function of the book."""
    return [make for folder in catalogue().values() for make in folder.values()]


def moving() -> Tensor:
    """Return how many recipes change an axis."""
    return torch.tensor(sum(bool(example(make).changes(ORIGIN)) for make in recipes()))


@claim(
    statement=r"A list of $n$ names with LoRA in it has $n-1$ variants: LoRA changes no axis, every other recipe does.",
    source="Recipe.changes(ORIGIN), over the whole catalogue of the book",
    when="the original is not counted among its own variants",
    cases=ANY,
    tol=0,
)
def one_of_the_names_is_the_origin(case: Case):
    return moving(), torch.tensor(len(recipes()) - 1)


@misconception(
    of=one_of_the_names_is_the_origin,
    statement=r"A list of $n$ names has $n$ variants.",
    source="a catalogue that announces sixteen variants and counts LoRA itself as the first",
)
def false_every_name_is_a_variant(case: Case):
    return moving(), torch.tensor(len(recipes()))


@claim(
    statement="There are more than sixteen recipes of their own here alone, and not all variants are recipes.",
    source="the catalogue of the book: VeRA, LoHa, LoKr, HiRA, DyLoRA and others beside the sixteen",
    relation="<=",
    cases=ANY,
)
def there_are_more_than_sixteen(case: Case):
    return torch.tensor(SIXTEEN + 1), moving()


@misconception(
    of=there_are_more_than_sixteen,
    statement="Sixteen are every major variant.",
    source="the catalogue's own first line",
)
def false_sixteen_are_all(case: Case):
    return moving(), torch.tensor(SIXTEEN)


HEADINGS = Unchecked(
    statement="The catalogue has sixteen numbered sections.",
    source="a teaching text",
    reason="a count of a text's own headings; the texts are not ours to ship, so a reader has nothing to count",
)
