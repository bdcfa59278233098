"""Every explorer of the book, small enough for a test: a new one is added to BUILD and is swept with the others."""

from collections.abc import Callable
from functools import cache

import torch
from lorabook.book.explore.recorded import Recording
from tokenizers import Tokenizer, models
from torch import Tensor

from lorabook.book.explore.codebook import codebook
from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.memory import memory_calculator
from lorabook.book.explore.scale import Sizes, explore_sizes, measure
from lorabook.book.explore.spectrum import spectrum
from lorabook.book.explore.training import on_settings
from lorabook.book.explore.training_runs import Runs
from lorabook.book.explore.training_state import MODELS, Line, State
from lorabook.core.schedule import constant
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.load import load
from lorabook.models.loaded import Loaded
from lorabook.models.vocabulary import Vocabulary
from lorabook.tasks.text import Corpus
from lorabook.tasks.train import Setting

SHAPE = DecoderConfig(vocab=20, hidden=64, layers=2, heads=2, kv_heads=2, d_head=32, ffn=96, context=16)


NO_WORDS = Vocabulary(Tokenizer(models.BPE()))
"""The tests' text is tokens already."""


def seeded() -> torch.Generator:
    """The tests' randomness."""
    return torch.Generator().manual_seed(0)


def deltas() -> dict[str, Tensor]:
    """Three updates whose singular values halve, one direction after the other."""
    draw = seeded()
    shapes = {"layers.0.self_attn.q_proj": (24, 24), "layers.0.mlp.up_proj": (40, 24), "lm_head": (7, 24)}

    def one(rows: int, columns: int) -> Tensor:
        sides = [(torch.randn(rows, 1, generator=draw), torch.randn(1, columns, generator=draw)) for _ in range(6)]
        return sum(0.5**k * b @ a for k, (b, a) in enumerate(sides))

    return {name: one(*shape) for name, shape in shapes.items()}


def setting(steps: int = 6) -> Setting:
    """A random decoder and a text in which every token is followed by the next number."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Decoder(SHAPE).eval()
    text = torch.arange(600) % SHAPE.vocab
    corpus = Corpus("counting", text[:500], text[500:], 100)
    base = Loaded(model, NO_WORDS, "small", torch.device("cpu"), SHAPE.context)
    return Setting(base, corpus, 4, 16, steps, schedule=constant, pieces=32)


def training(steps: int = 6) -> Explorer:
    """The training explorer on that decoder, without a GPU."""
    return on_setting(setting(steps))


def on_setting(tiny: Setting) -> Explorer:
    """The training explorer on any base, without a GPU and without the book's recorded runs."""
    return on_settings(tiny, None, 0, dict.fromkeys(MODELS))


def line(variant: str = "LoRA") -> Line:
    """A run of six steps that has not begun."""
    return Line(1, State(variant, r=4, alpha=8, lr=0.01), 6, 0)


def runs(recording: Recording | None = None) -> Runs:
    """What a training explorer without a GPU works with."""
    return Runs(setting(), None, 0, {"tiny": recording, "gpu": recording})


@cache
def sizes() -> Sizes:
    """The measurement behind the scale explorer, once for all tests."""
    return measure(seeded(), seeds=2)


def of_chapter_size(name: str) -> Explorer:
    """An explorer as large as in its chapter; the spectra are of random matrices with the shipped base's shapes."""
    if name != "spectrum":
        return BUILD[name]()
    shapes = {name: layer.weight.shape for name, layer in load("tiny").model.named_modules() if name.endswith("_proj")}
    draw, jobs = seeded(), ("CAPITALS", "Bible")
    changes = {f"{job}: {name}": torch.randn(shape, generator=draw) for job in jobs for name, shape in shapes.items()}
    return spectrum(changes, draw)


BUILD: dict[str, Callable[[], Explorer]] = {
    "spectrum": lambda: spectrum(deltas(), seeded()),
    "scale": lambda: explore_sizes(sizes()),
    "codebook": lambda: codebook(seeded()),
    "memory": memory_calculator,
    "training": training,
}
