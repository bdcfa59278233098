"""Whole adapted models through the files of others: safetensors, accelerate, torch. Every form, and what changes W₀."""

from pathlib import Path

import accelerate
import pytest
import safetensors.torch
import torch
import worlds
from small import gap, llama, logits, shake
from torch import nn

import lorabook as lb

TARGETS = "q_proj|down_proj"
RECIPES = worlds.forms() | {"PiSSA": lb.PiSSA(), "QLoRA": lb.QLoRA(), "QPiSSA": lb.QLoRA() | lb.PiSSA()}


def made(name: str, seed: int = 0) -> nn.Module:
    """An adapted LLaMA; another seed is another start of the adapters on the same base."""
    model = llama(tied=True)
    lb.inject(model, RECIPES[name] | lb.Recipe(r=4), TARGETS, torch.Generator().manual_seed(seed))
    return model.eval()


def trained(name: str) -> nn.Module:
    model = made(name)
    shake(model)
    return model


def through_safetensors(model: nn.Module, other: nn.Module, folder: Path) -> None:
    safetensors.torch.save_model(model, str(folder / "model.safetensors"))
    safetensors.torch.load_model(other, str(folder / "model.safetensors"))


def through_torch(model: nn.Module, other: nn.Module, folder: Path) -> None:
    torch.save(model.state_dict(), folder / "model.pt")
    other.load_state_dict(torch.load(folder / "model.pt", weights_only=True))


def through_accelerate(model: nn.Module, other: nn.Module, folder: Path) -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    accelerator.prepare(model)
    accelerator.save_state(str(folder))
    accelerator.free_memory()
    again = accelerate.Accelerator(cpu=True)
    again.prepare(other)
    again.load_state(str(folder))
    again.free_memory()


TOOLS = [through_safetensors, through_torch, through_accelerate]


@pytest.mark.filterwarnings("ignore:.*removed.*shared.*")
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.parametrize("name", RECIPES)
def test_an_adapted_model_comes_back_from_a_file_of_others(name: str, tool, tmp_path: Path) -> None:
    model, other = trained(name), made(name, seed=1)
    said = logits(model)
    assert gap(logits(other), said) > 1e-4, "nothing has moved"
    tool(model, other, tmp_path)
    assert torch.equal(logits(other), said)
    assert gap(logits(model), said) == 0, "saving changed the model"
