"""Position interpolation: a model that was pretrained on L tokens reads L' of them, at positions it knows."""

from dataclasses import replace

from torch import nn

from lorabook.core.whole_number import refuse_unless_whole
from lorabook.models.decoder import Decoder


def interpolate(model: nn.Module, context: int) -> nn.Module:
    """Let a decoder read `context` tokens: squeeze their positions into its own range, in place; return the model.

        position of token m:   m  →  m · L/L'

    L is the model's longest text now, L' is `context`. Positions stay below L, so that any two tokens are as far apart
    as two tokens of pretraining could be; neighbours are L/L' of a position apart, which no pretraining has shown, so
    that *every* text is read a little worse until the model is trained on. Interpolating twice multiplies the scales.
    No weight changes: the length and the scale of positions are the model's config, and are saved with the base, not
    with an adapter.

    With LongLoRA, in this order:

        interpolate(model, 1024)
        inject(model, LongLoRA(group=256), r"[qkvo]_proj")   # norms and embedding train as well
        fit(model, texts_of_1024_tokens, …)                  # attention in groups
        model.eval()                                         # full attention over 1024 tokens

    and to use the saved adapter: load the base, interpolate it the same way, then load_adapter.
    What `lorabook.load` returned still names the old length: generate(replace(base, context=1024), …) looks at 1024.

    Raises:
        TypeError: `model` is no Decoder of this library.
        ValueError: `context` is no whole number above the model's own.

    Source: Chen et al. 2023 (2306.15595), section 2.3, equation 4; used by LongLoRA (2309.12307), section 3.1.
    """
    if not isinstance(model, Decoder):
        raise TypeError(
            f"interpolate: {type(model).__name__} is no lorabook Decoder; give base.model of lorabook.load('tiny') or "
            "'smollm2'. A transformers model has it in its config: rope_type 'linear' with factor = L'/L"
        )
    config = model.config
    note = f", such as {4 * config.context}: the model reads {config.context} tokens already"
    refuse_unless_whole("interpolate: context", context, config.context + 1, note)
    scale = config.position_scale * config.context / context
    model.config = replace(config, context=context, position_scale=scale)
    return model
