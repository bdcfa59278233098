"""The shape of a LLaMA, whoever built it: our decoder, or transformers'."""

from torch import Tensor, nn

from lorabook.models.decoder import Decoder, DecoderConfig

PREFIX = "model."
"""What transformers puts before every weight's name but the head's."""


def llama_shape(model: nn.Module) -> DecoderConfig:
    """Return the shape of a model, our own or transformers' LlamaForCausalLM.

    Raises:
        ValueError: it is no LLaMA, or one whose rotations are scaled for long texts.
    """
    if isinstance(model, Decoder):
        config = model.config
        plain = config.position_scale == 1.0
    else:
        theirs = getattr(model, "config", None)
        kind = getattr(theirs, "model_type", type(model).__name__)
        if kind != "llama":
            raise ValueError(f"expected a LLaMA, ours or transformers', and this is {kind!r}: export it with its tools")
        rotations = getattr(theirs, "rope_parameters", None)
        if rotations is None:  # transformers below 5
            rotations = {"rope_type": "default", "rope_theta": theirs.rope_theta} | (theirs.rope_scaling or {})
        plain = rotations["rope_type"] == "default"
        config = DecoderConfig(
            theirs.vocab_size, theirs.hidden_size, theirs.num_hidden_layers, theirs.num_attention_heads,
            theirs.num_key_value_heads, theirs.head_dim, theirs.intermediate_size, theirs.max_position_embeddings,
            theirs.tie_word_embeddings, float(rotations["rope_theta"]), theirs.rms_norm_eps,
        )  # fmt: skip
    if not plain:
        raise ValueError("this LLaMA's rotations are scaled for long texts, which is not written: export the base")
    return config


def llama_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights under our names, the tied head left out.

    Raises:
        ValueError: a weight has no place in a plain LLaMA: adapters that are not merged, say.
    """
    shape = llama_shape(model)
    found = {name.removeprefix(PREFIX): tensor.detach() for name, tensor in model.state_dict().items()}
    if shape.tied:
        found.pop("lm_head.weight", None)
    due = names(shape)
    odd = sorted(found.keys() ^ set(due))
    if odd:
        raise ValueError(f"{odd[0]} is no weight of a plain LLaMA of this shape, or is missing: merge adapters first")
    return {name: found[name] for name in due}


def names(shape: DecoderConfig) -> list[str]:
    """Return the names of all weights of a LLaMA, ours, in the order of the forward pass; a tied head is none."""
    layer = ["input_layernorm", *(f"self_attn.{x}_proj" for x in "qkvo"), "post_attention_layernorm"]
    layer += [f"mlp.{x}_proj" for x in ("gate", "up", "down")]
    every = ["embed_tokens", *(f"layers.{i}.{part}" for i in range(shape.layers) for part in layer), "norm"]
    return [f"{name}.weight" for name in every + ([] if shape.tied else ["lm_head"])]
