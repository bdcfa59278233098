"""Text out of a model, a token at a time."""

import torch

from lorabook.core.modes import evaluating
from lorabook.models.loaded import Loaded


@torch.no_grad()
def generate(
    loaded: Loaded, prompt: str, length: int = 60, temperature: float = 0.8, generator: torch.Generator | None = None
) -> str:
    """Go on from a prompt for `length` tokens, and give the prompt and what follows it.

    p(token) = softmax(logits / temperature); temperature 0 takes the likeliest token.

    Raises:
        ValueError: the prompt is empty or the temperature negative.
    """
    if not prompt or not temperature >= 0:
        raise ValueError(f"generate: prompt {prompt!r}, temperature {temperature}; expected some text and at least 0.")
    tokens = loaded.tokenizer.encode(prompt)
    with evaluating(loaded.model):
        for _ in range(length):
            window = torch.tensor([tokens[-loaded.context :]], device=loaded.device)
            logits = loaded.model(window)[0, -1].float().cpu()
            if temperature == 0:
                tokens.append(int(logits.argmax()))
            else:
                chances = (logits / temperature).softmax(-1)
                tokens.append(int(torch.multinomial(chances, 1, generator=generator)))
    return loaded.tokenizer.decode(tokens)
