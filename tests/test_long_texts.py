"""An experiment with seeds and spread: the shipped base was pretrained on 256 tokens, and is to read 1024."""

import copy
import dataclasses
import statistics
from functools import cache

import torch

import lorabook as lb
from lorabook.axes.attention.interpolation import interpolate
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.models.decoder import Decoder
from lorabook.tasks.text import Corpus, batches, corpus, evaluate, language_loss

PRETRAINED, LONG, STEPS, RATE, SEEDS = 256, 1024, 12, 5e-3, 3
GROUPS = lb.LongLoRA(LONG // 4)
FULL = dataclasses.replace(GROUPS, attention=None)


@cache
def world() -> tuple[Decoder, Corpus]:
    base = lb.load("tiny")
    return base.model, corpus("austen", base.tokenizer)


def loss(model: Decoder, length: int) -> float:
    """Validation loss in nats per token, on about the same tokens for every length."""
    return evaluate(model, world()[1], length, pieces=8 * LONG // length).nats_per_token


def longer() -> Decoder:
    return interpolate(copy.deepcopy(world()[0]), LONG)


def trained(recipe: Recipe, seed: int) -> float:
    """Train on long texts and return the loss on long texts, which full attention reads in both cases."""
    model = longer()
    lb.inject(model, recipe, "[qkvo]_proj", torch.Generator().manual_seed(seed))
    stream = batches(world()[1], 1, LONG, torch.Generator().manual_seed(seed))
    lb.fit(model, stream, steps=STEPS, lr=RATE, loss=language_loss, schedule=warmup_cosine, progress=False)
    return loss(model, LONG)


def test_longer_texts_need_interpolation_and_a_few_steps_in_groups():
    known = loss(world()[0], PRETRAINED)
    beyond = copy.deepcopy(world()[0])
    beyond.config = dataclasses.replace(beyond.config, context=LONG)
    extrapolated, interpolated = loss(beyond, LONG), loss(longer(), LONG)
    assert extrapolated > known + 1, "past the pretrained positions it hardly predicts"
    assert known + 0.5 < interpolated < extrapolated - 0.2, "positions it knows, closer together than it knows them"

    groups, full = ([trained(recipe, seed) for seed in range(SEEDS)] for recipe in (GROUPS, FULL))
    gain = interpolated - statistics.mean(groups)
    assert gain > 10 * statistics.stdev(groups) / SEEDS**0.5, (interpolated, groups)
    assert gain > 0.2 * (interpolated - known), (known, interpolated, groups)
    difference = [one - other for one, other in zip(groups, full, strict=True)]
    assert abs(statistics.mean(difference)) < 0.05 * gain, "trained in groups or in full, it reads as well in full"
