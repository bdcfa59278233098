"""SmolLM2-135M learns eight facts of a country that is none, under six ways to train: one file.

    python -c "from lorabook.arena.own_model import record; record()"

trains what the file does not have yet, where SmolLM2's weights are installed. All runs share steps, batch, rank, rate
and chats; a seed draws A and the order. Five differ in the mask alone, one keeps the base in four bits. Products of
training are in bfloat16, which a CPU that has it computes in half the time; weights and all that is read are float32.
"""

import copy
import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from lorabook.arena.run import device, versions
from lorabook.axes.base.qlora import QLoRA
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.models.gguf_file import SMOLLM, load_gguf
from lorabook.models.loaded import Loaded
from lorabook.models.paths import data_dir, data_file
from lorabook.models.smollm2 import load_smollm2
from lorabook.models.vocabulary import Vocabulary
from lorabook.saving.gguf_file import Precision, save_gguf
from lorabook.tasks import lorania
from lorabook.tasks.chat import (
    Chat,
    Encodes,
    Mask,
    Row,
    answers,
    answers_alone,
    batches,
    encode,
    every_token,
    last_answer,
    marked,
    parts,
)
from lorabook.tasks.facts import IGNORED
from lorabook.tasks.replies import read as read_answers
from lorabook.tasks.replies import reply
from lorabook.tasks.text import language_loss

FILE, TOKENS = "recorded/own_model.jsonl", "recorded/own_model_tokens.json"
STEPS, BATCH, RATE, RANK, ALPHA, SEEDS = 16, 2, 2e-3, 8, 16, (0,)
TARGETS, SCHEDULE = "_proj", warmup_cosine


def one_place_early(chat: Chat, tokenizer: Encodes, mask: Mask) -> Row:
    """Encode a chat as a frequent mistake does: the mask of the tokens lies over the targets, which are one further."""
    tokens, trained = marked(chat, tokenizer, mask)
    return tokens[:-1], torch.where(trained[:-1], tokens[1:], IGNORED)


@dataclass(frozen=True)
class Way:
    """Which parts of a chat are trained, with what, and how the mask is laid over the tokens."""

    mask: Mask = answers
    recipe: Recipe = LoRA(RANK, ALPHA)
    encode: Callable[[Chat, Encodes, Mask], Row] = encode


BASE, ANSWERS, QLORA, EARLY = "not trained", "the answers", "the answers, 4-bit base", "the answers, one place early"
EVERYTHING, ALONE, LAST = "every token", "the answers, no end mark", "the last answer"
WAYS: dict[str, Way] = {
    ANSWERS: Way(),
    EVERYTHING: Way(every_token),
    EARLY: Way(encode=one_place_early),
    ALONE: Way(answers_alone),
    LAST: Way(last_answer),
    QLORA: Way(recipe=QLoRA(RANK, ALPHA)),
}
EXPORTS: dict[str, Precision] = {f"{ANSWERS}, merged into {each.name}": each for each in Precision}


@dataclass(frozen=True)
class OwnRun:
    """One training of SmolLM2, or one reading of the model as it is, or as it comes back from a file.

    losses: of each step, mean over the tokens that are trained. nats, said, first, stops: of the answers to questions
    in words never trained (`replies.Reading`). replies: to these. known: to questions that the base may know, and in
    `right` how many hold the right word, of those that are let talk. tokens: nats of every token of `example`, but its
    first.
    """

    name: str
    seed: int
    losses: list[float]
    nats: float
    said: int
    first: int
    stops: int
    replies: list[str]
    known: list[str]
    right: int | None
    tokens: list[float]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, int]:
        """What was asked for."""
        return self.name, self.seed


def asked() -> Iterator[tuple[str, int]]:
    """Yield every run that belongs to the record."""
    yield BASE, SEEDS[0]
    yield from ((name, SEEDS[0]) for name in (ANSWERS, *EXPORTS))
    yield from ((name, seed) for seed in SEEDS for name in WAYS if (name, seed) != (ANSWERS, SEEDS[0]))


def record(path: Path | None = None) -> None:
    """Make what is missing in the file, and add a line for each run as it ends.

    Raises:
        ModuleNotFoundError: SmolLM2's weights are not installed.
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    done = {run.key for run in read(path)} if path.exists() else set()
    for key in asked():
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(make(*key)), ensure_ascii=False, separators=(",", ":")) + "\n")


def read(path: Path | None = None) -> list[OwnRun]:
    """Return the recorded runs of `SEEDS`."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [run for run in (OwnRun(**json.loads(line)) for line in lines) if run.seed in SEEDS]


def make(name: str, seed: int) -> OwnRun:
    """Return one run of the record."""
    if name == BASE:
        return look(name, seed, base(), [])
    if name in WAYS:
        return look(name, seed, *trained(name, seed))
    model, _ = trained(ANSWERS, seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "merged.gguf"
        merged = replace(model, model=merge(copy.deepcopy(model.model)))
        save_gguf(merged, path, EXPORTS[name], SMOLLM)
        return look(name, seed, load_gguf(path), [])


@cache
def base() -> Loaded:
    """Return SmolLM2, loaded once."""
    return load_smollm2()


@lru_cache(maxsize=1)
def trained(name: str, seed: int) -> tuple[Loaded, list[float]]:
    """Train one way, and return the model with the loss of each step."""
    way, model = WAYS[name], copy.deepcopy(base().model)
    inject(model, way.recipe, TARGETS, torch.Generator().manual_seed(seed))
    rows = [way.encode(chat, base().tokenizer, way.mask) for chat in lorania.trained_chats()]
    stream = batches(rows, BATCH, torch.Generator().manual_seed(seed))
    run = fit(
        model,
        stream,
        steps=STEPS,
        lr=RATE,
        loss=language_loss,
        schedule=SCHEDULE,
        autocast=torch.bfloat16,
        progress=False,
    )
    return replace(base(), model=model), run.losses


TALKS = (BASE, ANSWERS, EVERYTHING)
"""Who is let talk, which takes longer than all the rest: what a model has learnt is read off in one pass."""


def look(name: str, seed: int, loaded: Loaded, losses: list[float]) -> OwnRun:
    """Read off what a model has learnt, and let it talk if it is asked to."""
    talks = name in TALKS
    anew, known = lorania.asked_anew(), lorania.known()
    reading = read_answers(loaded.model, anew, loaded.tokenizer)
    replies, others = ([reply(loaded, chat) for chat in chats if talks] for chats in (anew, known))
    held = [chat[-1].text.lower() in text.lower() for chat, text in zip(known, others, strict=False)]
    counts = (sum(reading.said), sum(reading.first), sum(reading.stops))
    return OwnRun(
        name, seed, [round(loss, 4) for loss in losses], round(reading.nats, 4), *counts, replies, others,
        sum(held) if talks else None, token_nats(loaded.model, loaded.tokenizer), device(), versions(),
        datetime.date.today().isoformat(),
    )  # fmt: skip


def example() -> Chat:
    """Return the chat whose tokens are looked at one by one: two questions in words never trained."""
    first, second = lorania.asked_anew()[:2]
    return (*first, *second[1:])


def record_tokens(path: Path | None = None) -> None:
    """Write how SmolLM2 cuts `example` into tokens: a list of texts for each part."""
    cut = [[base().tokenizer.decode([token]) for token in base().tokenizer.encode(p.text)] for p in parts(example())]
    (path or data_dir() / TOKENS).write_text(json.dumps(cut, ensure_ascii=False) + "\n", encoding="utf-8")


def read_tokens(path: Path | None = None) -> list[list[str]]:
    """Return the tokens of each part of `example`."""
    return json.loads((path or data_file(TOKENS)).read_text(encoding="utf-8"))


@torch.no_grad()
def token_nats(model: nn.Module, tokenizer: Vocabulary) -> list[float]:
    """Return −log p of every token of `example`, but its first, given those before it."""
    tokens, targets = encode(example(), tokenizer, every_token)
    logits: Tensor = model(tokens[None])[0].float()
    return [round(nats, 3) for nats in nn.functional.cross_entropy(logits, targets, reduction="none").tolist()]
