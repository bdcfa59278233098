"""A merged LLaMA as a GGUF file, which llama.cpp and what is built on it open. Written with the package gguf.

Source: the GGUF specification; llama.cpp's convert_hf_to_gguf.py for the names and for the order of q's and k's rows.
"""

import json
from enum import Enum
from pathlib import Path

from torch import Tensor

from lorabook.core.whole_file import replace_whole
from lorabook.models.decoder import DecoderConfig
from lorabook.models.gguf_file import CONTROL, GPT2, NAMES, check_gguf, rotated_heads, rows_in_pairs
from lorabook.models.llama_shape import llama_shape, llama_weights
from lorabook.models.loaded import Loaded
from lorabook.models.vocabulary import Vocabulary
from lorabook.tasks.chat import END, TEMPLATE

NORMAL, BLOCK = 1, 32


class Precision(Enum):
    """How the matrices are stored, by llama.cpp's number of such a file. Vectors stay float32."""

    F16 = 1
    Q8_0 = 7
    Q4_1 = 3


def save_gguf(loaded: Loaded, path: Path, precision: Precision = Precision.F16, cut: str = GPT2) -> None:
    """Write a merged model, ours or transformers', with its tokenizer and ChatML as its template.

    In a file of four bits the embedding takes eight, as in llama.cpp's own.

    Args:
        cut: llama.cpp's name of how the text is cut before BPE; the tokenizer does not tell ("smollm" for SmolLM2).

    Raises:
        ModuleNotFoundError: gguf is not installed.
        ValueError: the model is no LLaMA, its adapters are not merged, or a row is no multiple of 32 numbers long.
    """
    check_gguf()
    shape, weights = llama_shape(loaded.model), llama_weights(loaded.model)
    for name, weight in weights.items():
        if precision is not Precision.F16 and weight.ndim == 2 and weight.shape[1] % BLOCK:
            raise ValueError(f"{name} has rows of {weight.shape[1]} numbers; {precision.name} takes blocks of {BLOCK}")
    replace_whole(path, lambda partial: _write(partial, loaded, shape, weights, precision, cut))


def _write(
    path: Path, loaded: Loaded, shape: DecoderConfig, weights: dict[str, Tensor], precision: Precision, cut: str
) -> None:
    import gguf  # only here: an extra

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(loaded.name)
    writer.add_file_type(precision.value)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.d_head)
    writer.add_value_length(shape.d_head)
    writer.add_rope_dimension_count(shape.d_head)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)
    _add_tokenizer(writer, loaded.tokenizer, shape.vocab, cut)
    for name, weight in weights.items():
        heads = rotated_heads(name, shape)
        rows = (rows_in_pairs(weight, heads) if heads else weight).float().cpu().numpy()
        kind = _kind(name, weight, precision)
        data = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[kind])
        writer.add_tensor(their_name(name), data, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _kind(name: str, weight: Tensor, precision: Precision) -> str:
    if weight.ndim < 2:
        return "F32"
    whole = name.startswith(("embed_tokens", "lm_head"))
    return Precision.Q8_0.name if whole and precision is Precision.Q4_1 else precision.name


def _add_tokenizer(writer: "gguf.GGUFWriter", vocabulary: Vocabulary, size: int, cut: str) -> None:  # noqa: F821
    made = json.loads(vocabulary.tokenizer.to_str())
    special = {token["content"] for token in made["added_tokens"] if token["special"]}
    numbered = {number: token for token, number in vocabulary.tokenizer.get_vocab(with_added_tokens=True).items()}
    tokens = [numbered.get(number, f"<unused {number}>") for number in range(size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in made["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut)
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in special else NORMAL for token in tokens])
    writer.add_token_merges(merges)
    if END in tokens:
        writer.add_eos_token_id(tokens.index(END))
        writer.add_chat_template(TEMPLATE)


def their_name(name: str) -> str:
    """Turn "layers.3.self_attn.q_proj.weight" into "blk.3.attn_q.weight"."""
    part = name.removesuffix(".weight")
    layer = ""
    if part.startswith("layers."):
        _, number, part = part.split(".", 2)
        layer = f"blk.{number}."
    return f"{layer}{next(theirs for theirs, ours in NAMES.items() if ours == part)}.weight"
