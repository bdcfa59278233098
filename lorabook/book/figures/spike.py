"""One long text among short ones: what QLoRA holds at each moment of training, with Adam's state resident or in pages.

lengths = (64, 64, 64, 192, 64, 64)
plain, paged = run(lengths, Resident), run(lengths, InPages)
spike({"AdamW": plain, "paged AdamW": paged}, "The state steps aside.")
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import final

import torch
from torch import Tensor

from lorabook.arena.tasks import KJV
from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.optim.paged import PagedAdamW
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.core.inject import inject
from lorabook.cost.count import saved_bytes
from lorabook.models.load import load

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
PAGE, DEVICE = 2**16, 23 * 10**6
"""Bytes of a page, and bytes of the device that the run is meant for."""
LR, RANK = 1e-3, 64  # the rank of the paper
PARTS = ("Ŵ, embedding", "A, B, gradients", "Adam's state", "activations")
LOOKS = (
    (style.QUANTISED.light, "...."),
    (style.TRAINABLE.light, "////"),
    (style.OKABE_ITO[1][0], ""),
    (style.OKABE_ITO[2][0], "----"),
)


class State(ABC):
    """AdamW over some parameters, whose state may have to make room."""

    @abstractmethod
    def __init__(self, trained: Sequence[Tensor]) -> None: ...

    @abstractmethod
    def make_room(self, most: int) -> None:
        """Keep at most so many bytes of the state on the device, if that can be done."""

    @property
    @abstractmethod
    def held(self) -> int:
        """Bytes of the state that are on the device."""

    @abstractmethod
    def step(self) -> None: ...


@final
class Resident(State):
    """torch's AdamW: two numbers for each trained one, always there."""

    def __init__(self, trained: Sequence[Tensor]) -> None:
        self.optimizer = torch.optim.AdamW(trained, LR, weight_decay=0.0, foreach=False)
        self.held_always = 2 * sum(p.nbytes for p in trained)

    def make_room(self, most: int) -> None:
        """Nothing can give way."""

    @property
    def held(self) -> int:
        return self.held_always

    def step(self) -> None:
        self.optimizer.step()


@final
class InPages(State):
    """Paged AdamW: what does not fit lies outside until the update asks for it."""

    def __init__(self, trained: Sequence[Tensor]) -> None:
        self.optimizer = PagedAdamW(trained, LR, page=PAGE, budget=DEVICE)

    def make_room(self, most: int) -> None:
        self.optimizer.pages.resize(max(PAGE, most))

    @property
    def held(self) -> int:
        return self.optimizer.pages.resident

    def step(self) -> None:
        self.optimizer.step()


@dataclass(frozen=True)
class Run:
    """Bytes by `PARTS`, twice a step: before the backward pass and in the update; and the factors at the end."""

    moments: tuple[tuple[int, int, int, int], ...]
    end: Tensor

    @property
    def peak(self) -> int:
        return max(map(sum, self.moments))


def run(lengths: Sequence[int], kind: type[State], device: int = DEVICE) -> Run:
    """Train QLoRA on the Bible for one step on a text of each length."""
    model, draw = load("tiny").model, torch.Generator().manual_seed(0)
    inject(model, QLoRA(RANK, 2 * RANK), "_proj", draw)
    trained = [p for p in model.parameters() if p.requires_grad]
    factors = 2 * sum(p.nbytes for p in trained)
    frozen = sum(t.nbytes for t in (*model.parameters(), *model.buffers())) - factors // 2
    state, moments = kind(trained), []
    for length in lengths:
        start = int(torch.randint(len(KJV.corpus.train) - length, (1,), generator=draw))
        text = KJV.corpus.train[start : start + length + 1].clone()  # a view would count as the whole corpus
        batch = text[None, :-1], text[None, 1:]
        activations = saved_bytes(lambda batch=batch: KJV.loss(model, batch), besides=model.buffers())
        model.zero_grad()
        loss = KJV.loss(model, batch)
        state.make_room(device - frozen - factors - activations)
        moments.append((frozen, factors, state.held, activations))
        loss.backward()
        state.make_room(device - frozen - factors)
        state.step()
        moments.append((frozen, factors, state.held, 0))
    return Run(tuple(moments), torch.cat([p.detach().flatten() for p in trained]))


def spike(runs: Mapping[str, Run], sentence: str, device: int = DEVICE) -> Picture:
    """Draw what each run holds, moment by moment, under the line of the device."""
    figure = style.figure(WIDTH, 3.3)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    for place, (name, one) in enumerate(runs.items()):
        axes = style.axes(figure, name, "step: backward, update", "" if place else "MB", (1, len(runs), 1 + place))
        at = [k / 2 + 0.75 for k in range(len(one.moments))]
        below = [0.0] * len(at)
        for (colour, hatch), part, values in zip(LOOKS, PARTS, zip(*one.moments, strict=True), strict=True):
            heights = [value / 1e6 for value in values]
            axes.bar(at, heights, 0.44, below, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=part)
            below = [low + height for low, height in zip(below, heights, strict=True)]
        axes.axhline(device / 1e6, color=style.FALSE.light, linestyle="--", label="the device")
        axes.set_xticks(range(1, len(at) // 2 + 1))
        axes.set_ylim(0, 1.05e-6 * max(each.peak for each in runs.values()))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, labelcolor=TEXT, fontsize=8, loc="outside lower center", ncols=3)
    return Picture(sentence, figure)
