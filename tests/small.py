"""Small models of every layer kind, for the tests that save, load and compare with PEFT."""

from pathlib import Path

import torch
import transformers
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.saving.save import save_adapter

TOKENS = torch.arange(24).reshape(3, 8) % 11


class EveryKind(nn.Module):
    """Embedding, Conv2d, Linear and transformers' Conv1D, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.conv = nn.Conv2d(6, 5, 3, padding=1, stride=(1, 2))
        self.up = nn.Linear(20, 12)
        self.out = Conv1D(7, 12)

    def forward(self, tokens: Tensor) -> Tensor:
        picture = self.table(tokens).transpose(1, 2).unflatten(2, (2, 4))
        return self.out(torch.tanh(self.up(torch.tanh(self.conv(picture)).flatten(1))))


def every_kind(dtype: torch.dtype = torch.float64) -> EveryKind:
    """The same numbers at every call."""
    torch.manual_seed(3)
    return EveryKind().to(dtype)


def suits(form: str) -> str:
    """The layers of `every_kind` that a form can be put on: two mini LoRAs need even sides."""
    return "up" if form == "MELoRAForm" else "table|conv|up|out"


def llama(dtype: torch.dtype = torch.float32, tied: bool = False) -> nn.Module:
    """A random two-layer LLaMA of transformers, giving logits."""
    torch.manual_seed(4)
    config = transformers.LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=16, tie_word_embeddings=tied,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).to(dtype).eval()


def gpt2(dtype: torch.dtype = torch.float32) -> nn.Module:
    """A random two-layer GPT-2 of transformers, whose layers are Conv1D."""
    torch.manual_seed(5)
    config = transformers.GPT2Config(vocab_size=11, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config).to(dtype).eval()


def logits(model: nn.Module) -> Tensor:
    """What a model says about the test's tokens."""
    with torch.no_grad():
        said = model(TOKENS)
    return said if isinstance(said, Tensor) else said.logits


def shake(model: nn.Module, size: float = 0.2) -> dict[str, Adapted]:
    """Move every number of every adapter, so that nothing is zero or as it started."""
    source = torch.Generator().manual_seed(9)
    for layer in adapted(model).values():
        for parameter in layer.update.parameters():
            parameter.data += size * torch.randn(parameter.shape, generator=source).to(parameter)
    return adapted(model)


def saved(
    folder: Path, recipe: Recipe | None = None, targets: str = "up|out", model: nn.Module | None = None
) -> nn.Module:
    """A model (EveryKind) with shaken adapters (LoRA, r = 3, α = 7) that are saved in `folder`."""
    model = every_kind() if model is None else model
    inject(model, LoRA(r=3, alpha=7) if recipe is None else recipe, targets)
    shake(model)
    save_adapter(model, folder)
    return model


def gap(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest entry."""
    assert one.shape == other.shape
    assert one.isfinite().all()
    return float(((one - other).abs().max() / other.abs().max()).detach())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def state(model: nn.Module) -> dict[str, object]:
    """Everything of a model that a refused load must leave alone: modules by identity, numbers, what trains."""
    return {
        "modules": [(name, id(module)) for name, module in model.named_modules()],
        "numbers": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "trains": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
    }


def assert_untouched(model: nn.Module, before: dict[str, object]) -> None:
    """The model is bit for bit, module for module, what it was."""
    after = state(model)
    assert after["modules"] == before["modules"]
    assert after["trains"] == before["trains"]
    assert after["numbers"].keys() == before["numbers"].keys()
    for name, tensor in before["numbers"].items():
        assert tensor.is_meta or torch.equal(after["numbers"][name], tensor), name
