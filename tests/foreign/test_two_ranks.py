"""Layers of several ranks and scales in one file: PEFT's where PEFT builds them so, and our own format elsewhere."""

import json
from pathlib import Path

import peft
import pytest
import worlds
from small import gap, llama, logits, shake
from torch import nn

import lorabook as lb
from lorabook.saving.own_format import PEFT_TYPE

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

FORMS = worlds.forms()
NUMBERS = {
    "ranks": (lb.Recipe(r=6), lb.Recipe(r=4)),
    "ranks and alphas": (lb.Recipe(r=6, alpha=7.0), lb.Recipe(r=4, alpha=9.0)),
    "alphas": (lb.Recipe(r=4, alpha=7.0), lb.Recipe(r=4, alpha=9.0)),
}


def mixed(name: str, numbers: str) -> nn.Module:
    model = llama()
    for recipe, targets in zip(NUMBERS[numbers], ("q_proj|o_proj", "up_proj"), strict=True):
        lb.inject(model, FORMS[name] | recipe, targets)
    shake(model)
    return model.eval()


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("name", FORMS)
def test_what_peft_builds_otherwise_is_not_written_for_it(name: str, numbers: str, tmp_path: Path) -> None:
    model = mixed(name, numbers)
    lb.save_adapter(model, tmp_path)
    said = logits(model)
    here = llama()
    lb.load_adapter(here, tmp_path)
    assert gap(logits(here), said) < 5e-6
    options = json.loads((tmp_path / "adapter_config.json").read_text())
    if options["peft_type"] == PEFT_TYPE:
        assert options["why_not_peft"]
        return
    assert gap(logits(peft.PeftModel.from_pretrained(llama(), tmp_path).eval()), said) < 1e-4
