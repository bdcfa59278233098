"""Any causal language model that transformers can open, by hub id or local folder.

The model stays transformers' own, so module names are the ones that PEFT and the literature use. One forward hook makes
`model(tokens)` give logits; a call with keywords, such as transformers' `generate` makes, answers as it always did.
"""

import importlib.util

import torch
from torch import Tensor, nn

from lorabook.models.loaded import Loaded, place
from lorabook.models.vocabulary import Vocabulary

NO_TOKENIZER = (
    "The checkpoint {0!r} has no fast tokenizer (tokenizer.json) that transformers can open; "
    "save one beside it with tokenizer.save_pretrained({0!r})."
)


def logits_of(model: nn.Module, args: tuple, kwargs: dict, output: object) -> object:
    """Give the logits when the model was called as `model(tokens)`, and transformers' own output otherwise."""
    return output if kwargs or isinstance(output, Tensor) else output.logits


def load_checkpoint(name: str, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Loaded:
    """Open a checkpoint with transformers, safetensors only, and no code from the checkpoint.

    Raises:
        ModuleNotFoundError: transformers is not installed.
        ValueError: it cannot open the checkpoint.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ModuleNotFoundError(f"{name!r} is opened with transformers; run `pip install 'lorabook[hf]'`.")
    import transformers  # only here: an extra, and slow to import

    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"transformers cannot open the checkpoint {name!r}: {error}") from error
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, use_fast=True)
        vocabulary = Vocabulary(tokenizer.backend_tokenizer)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(NO_TOKENIZER.format(name)) from error
    # Without tokenizer files transformers may make one up that knows no text at all.
    if not vocabulary.encode("a"):
        raise ValueError(NO_TOKENIZER.format(name))
    model.config.use_cache = False
    model.register_forward_hook(logits_of, with_kwargs=True)
    where = place(model, device, dtype)
    context = getattr(model.config, "max_position_embeddings", 1024)
    return Loaded(model, vocabulary, name, where, context)
