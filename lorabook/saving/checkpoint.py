"""A merged LLaMA as a folder that transformers opens, and what reads its folders: vLLM, TGI, PEFT.

Four files: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lorabook.core.whole_file import replace_whole
from lorabook.models.decoder import DecoderConfig
from lorabook.models.llama_shape import PREFIX, llama_shape, llama_weights
from lorabook.models.loaded import Loaded
from lorabook.tasks.chat import END, TEMPLATE

HEAD = "lm_head.weight"


def save_checkpoint(loaded: Loaded, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a merged model, ours or transformers', with its tokenizer and ChatML as its template.

    Raises:
        ValueError: the model is no LLaMA, its adapters are not merged, or a weight is too large for the dtype.
    """
    shape, weights = llama_shape(loaded.model), llama_weights(loaded.model)
    stored = {name if name == HEAD else PREFIX + name: _stored(name, w, dtype) for name, w in weights.items()}
    folder.mkdir(parents=True, exist_ok=True)
    replace_whole(folder / "model.safetensors", lambda partial: save_file(stored, partial, metadata={"format": "pt"}))
    loaded.tokenizer.tokenizer.save(str(folder / "tokenizer.json"))
    end = loaded.tokenizer.tokenizer.token_to_id(END)
    speaks = {} if end is None else {"eos_token": END, "pad_token": END, "chat_template": TEMPLATE}
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | speaks)
    _write(folder / "config.json", _config(shape, dtype) | ({} if end is None else {"eos_token_id": end}))


def _stored(name: str, weight: Tensor, dtype: torch.dtype) -> Tensor:
    stored = weight.to("cpu", dtype).contiguous()
    if not stored.isfinite().all():
        raise ValueError(f"{name} has numbers too large for {dtype}: write float32 or bfloat16")
    return stored


def _config(shape: DecoderConfig, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": shape.hidden, "intermediate_size": shape.ffn, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.d_head,
        "vocab_size": shape.vocab, "max_position_embeddings": shape.context, "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta, "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "tie_word_embeddings": shape.tied, "attention_bias": False, "mlp_bias": False,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }  # fmt: skip


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2) + "\n"
    replace_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
