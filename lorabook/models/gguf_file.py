"""A LLaMA out of a GGUF file, llama.cpp's format: shape, tokenizer and weights, all in one file.

Two traps. llama.cpp stores q and k with each head's rows interleaved, (x₀, x_{d/2}, x₁, …), because it rotates
neighbours; ours rotates entry i with i + d/2, so the rows go back. And a tied head is the embedding: the file has none.

Source: the GGUF specification; `LlamaModel.permute` in llama.cpp's convert_hf_to_gguf.py.
"""

import importlib.util
import re
from pathlib import Path

import torch
from jaxtyping import Float
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.loaded import Loaded, place
from lorabook.models.tiny import fill
from lorabook.models.vocabulary import Vocabulary

NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # GGUF's token type for tokens that stand for no text
MISSING = "a GGUF file is read and written with the package gguf; run `pip install gguf`."


def check_gguf() -> None:
    """Raises: ModuleNotFoundError where the package gguf is not installed."""
    if importlib.util.find_spec("gguf") is None:
        raise ModuleNotFoundError(MISSING)


def rows_in_halves(w: Float[Tensor, "d_out d_in"], heads: int) -> Float[Tensor, "d_out d_in"]:
    """Undo llama.cpp's interleaving of each head's rows: (a₀, b₀, a₁, b₁, …) → (a₀, a₁, …, b₀, b₁, …)."""
    d_out, d_in = w.shape
    return w.view(heads, d_out // heads // 2, 2, d_in).transpose(1, 2).reshape(d_out, d_in)


def rows_in_pairs(w: Float[Tensor, "d_out d_in"], heads: int) -> Float[Tensor, "d_out d_in"]:
    """Interleave each head's rows as llama.cpp wants them: (a₀, a₁, …, b₀, b₁, …) → (a₀, b₀, a₁, b₁, …)."""
    d_out, d_in = w.shape
    return w.view(heads, 2, d_out // heads // 2, d_in).transpose(1, 2).reshape(d_out, d_in)


def rotated_heads(name: str, shape: DecoderConfig) -> int:
    """Return how many heads a weight's rows are cut into and rotated, by our name; 0 if they are not."""
    part = name.removesuffix(".weight").rpartition(".")[2]
    return {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(part, 0)


def our_name(name: str) -> str:
    """Turn "blk.3.attn_q.weight" into "layers.3.self_attn.q_proj.weight"."""
    layer, part = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", name).groups()
    return (f"layers.{layer}." if layer else "") + NAMES[part] + ".weight"


def read_config(fields: dict, tied: bool) -> DecoderConfig:
    """Read the model's shape out of the file's header."""
    heads, hidden = fields["llama.attention.head_count"], fields["llama.embedding_length"]
    return DecoderConfig(
        vocab=len(fields["tokenizer.ggml.tokens"]),
        hidden=hidden,
        layers=fields["llama.block_count"],
        heads=heads,
        kv_heads=fields["llama.attention.head_count_kv"],
        d_head=fields.get("llama.attention.key_length", hidden // heads),
        ffn=fields["llama.feed_forward_length"],
        context=fields["llama.context_length"],
        tied=tied,
        rope_theta=float(fields["llama.rope.freq_base"]),
        norm_eps=float(fields["llama.attention.layer_norm_rms_epsilon"]),
    )


def read_tokenizer(fields: dict) -> Vocabulary:
    """Rebuild the tokenizer from the file's vocabulary and merges: byte-level BPE, for "smollm" on single digits."""
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    cuts = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if fields["tokenizer.ggml.pre"] == SMOLLM:
        cuts.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    control = [t for t, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in control])
    return Vocabulary(tokenizer)


SMOLLM, GPT2 = "smollm", "gpt-2"
"""llama.cpp's names of two ways to cut a text before BPE."""


def load_gguf(path: Path, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Loaded:
    """Load a LLaMA from a GGUF file into our decoder, weights of few bits dequantised.

    Raises:
        ModuleNotFoundError: gguf is not installed.
        FileNotFoundError: there is no such file.
        ValueError: the file holds another architecture, or weights that do not fit its header.
    """
    check_gguf()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the path of a .gguf file")
    import gguf  # only here: an extra

    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields["general.architecture"] != "llama" or fields["tokenizer.ggml.model"] != "gpt2":
        raise ValueError(
            f"{path} holds a {fields['general.architecture']} with a tokenizer of type "
            f"{fields['tokenizer.ggml.model']}; lorabook reads a llama with byte-level BPE (gpt2)"
        )
    config = read_config(fields, tied="output.weight" not in {tensor.name for tensor in reader.tensors})
    state = {}
    for tensor in reader.tensors:
        name = our_name(tensor.name)
        weight = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).float()
        heads = rotated_heads(name, config)
        state[name] = rows_in_halves(weight, heads) if heads else weight
    model = Decoder(config)
    fill(model, state, path)
    where = place(model, device, dtype)
    return Loaded(model, read_tokenizer(fields), path.stem, where, config.context)
