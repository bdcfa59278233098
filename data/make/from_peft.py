"""Make recorded/from_peft: an adapter that PEFT, and nothing of ours, has trained on the book's model.

    python data/make/from_peft.py

Rank 2 on q and v, 40 steps of torch's AdamW on the Bible. Chapter 29 brings it in, and a test holds that PEFT and we
compute the same with it.
"""

from pathlib import Path

import peft
import torch

from lorabook.arena.tasks import KJV

FOLDER = Path(__file__).parents[1] / "recorded" / "from_peft"
STEPS, RATE = 40, 1e-2


def main() -> None:
    """Train, and write the two files."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    model = peft.get_peft_model(KJV.base, config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, stream = torch.optim.AdamW(trained, lr=RATE), KJV.stream(0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        KJV.loss(model, next(stream)).backward()
        optimizer.step()
    model.save_pretrained(FOLDER)
    (FOLDER / "README.md").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
