"""A base in the book's own format: NAME.safetensors beside NAME.json, as `lorabook pretrain` writes them."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.loaded import Loaded, place
from lorabook.models.paths import data_file
from lorabook.models.vocabulary import read_vocabulary


def load_tiny(device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Loaded:
    """Load the base that ships with the book: a small decoder pretrained on Jane Austen's novels.

    Raises:
        FileNotFoundError: naming a data file that is missing.
    """
    data_file("tiny.json")
    return load_base(data_file("tiny.safetensors"), device, dtype)


def load_base(weights: Path, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Loaded:
    """Load a base that `lorabook pretrain` wrote, with the shipped tokenizer.

    Raises:
        FileNotFoundError, ValueError: naming the file, and the key if one is wrong.
    """
    shape = weights.with_suffix(".json")
    for file in (weights, shape):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; `lorabook pretrain` writes it.")
    config = DecoderConfig(**json.loads(shape.read_text(encoding="utf-8"))["config"])
    model = Decoder(config)
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged ({error}); restore it, or run `lorabook pretrain`.") from error
    fill(model, state, weights)
    where = place(model, device, dtype)
    return Loaded(model, read_vocabulary(data_file("tokenizer.json")), weights.stem, where, config.context)


def fill(model: Decoder, state: dict[str, Tensor], source: Path) -> None:
    """Put weights into a decoder, all or none; a tied head is the embedding.

    Raises:
        ValueError: naming the file and the first key that is missing, unexpected, or of another shape.
    """
    if model.config.tied and "embed_tokens.weight" in state:
        state = state | {"lm_head.weight": state["embed_tokens.weight"]}
    wanted = model.state_dict()
    for key in sorted(wanted.keys() | state.keys()):
        if key not in state:
            raise ValueError(f"{source}: the weight {key} is missing; the file was made for another model.")
        if key not in wanted:
            raise ValueError(f"{source}: the weight {key} has no place in this model.")
        if state[key].shape != wanted[key].shape:
            raise ValueError(f"{source}: {key} is {tuple(state[key].shape)}, expected {tuple(wanted[key].shape)}.")
        if not state[key].isfinite().all():
            raise ValueError(f"{source}: {key} holds a value that is not finite; make or get the file again.")
    model.load_state_dict(state)
