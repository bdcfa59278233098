"""README's table of what loads where is what comes of trying: every variant whose adapter is a file, every reader."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import peft
import pytest
import transformers
import worlds
from small import gap, llama, logits, shake
from torch import nn

import lorabook as lb
from lorabook.core.lora import ORIGIN
from lorabook.saving.adapter_file import AdapterFile, read
from lorabook.saving.servers import llama_cpp, vllm

pytestmark = pytest.mark.filterwarnings("ignore")  # what PEFT and transformers say of what they do not find

README = Path(__file__).parents[2] / "README.md"
READERS = ("PEFT", "AutoPeftModel…", "AutoModel…", "llama.cpp", "vLLM")
VARIANTS = {
    "LoRA": lb.LoRA(), "rsLoRA": lb.rsLoRA(), "LoRA+": lb.LoRAPlus(8), "LoRA-FA": lb.LoRAFA(), "PiSSA": lb.PiSSA(),
    "OLoRA": lb.OLoRA(), "QLoRA": lb.QLoRA(), "DoRA": lb.DoRA(), "AdaLoRA": lb.AdaLoRA(), "LoHa": lb.LoHa(),
    "LoKr": lb.LoKr(), "HiRA": lb.HiRA(), "VeRA": lb.VeRA(), "GLoRA": lb.GLoRA(), "MELoRA": lb.MELoRA(),
    "MultiLoRA": lb.MultiLoRA(), "Delta-LoRA": lb.DeltaLoRA(), "DyLoRA": lb.DyLoRA(),
}  # fmt: skip


@cache
def base(folder: Path) -> Path:
    llama().save_pretrained(folder / "base")
    return folder / "base"


def opens(read_in, model: nn.Module) -> bool:
    """Whether a reader gives the same logits; it may refuse, and may not be silently wrong."""
    try:
        said = logits(read_in().eval())
    except (KeyError, ValueError):
        return False
    assert gap(said, logits(model)) < 1e-4, "opens without an error, and says something else"
    return True


def verdicts(recipe: lb.Recipe, folder: Path) -> Iterator[bool]:
    """Yield, for every reader, whether it opens the adapter."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base(folder.parent)).eval()
    lb.inject(model, recipe | lb.Recipe(r=4), "q_proj|down_proj")
    shake(model)
    lb.save_adapter(model, folder)
    file = read(folder)
    if recipe.base is not None:  # readers put the adapter on the base before it was quantised
        model = llama()
        lb.load_adapter(model, folder)
    yield opens(lambda: peft.PeftModel.from_pretrained(llama(), folder), model)
    yield opens(lambda: peft.AutoPeftModelForCausalLM.from_pretrained(folder), model)
    yield opens(lambda: transformers.AutoModelForCausalLM.from_pretrained(folder), model)
    yield _by_rule(llama_cpp, file)
    yield _by_rule(vllm, file)


def _by_rule(rule, file: AdapterFile) -> bool:
    return rule(file.options, file.tensors) is None


def test_every_form_is_in_the_table() -> None:
    forms = {type(recipe.form or ORIGIN.form).__name__ for recipe in VARIANTS.values()}
    assert worlds.forms().keys() - forms == {"GLoRASupernetForm", "FrozenDyLoRAForm"} & worlds.forms().keys()


def test_readme_says_what_loads_where(tmp_path: Path) -> None:
    rows = [
        f"| {name} | " + " | ".join("yes" if yes else "no" for yes in verdicts(recipe, tmp_path / str(number))) + " |"
        for number, (name, recipe) in enumerate(VARIANTS.items())
    ]
    head = [f"| | {' | '.join(READERS)} |", "| --- " * (len(READERS) + 1) + "|"]
    expected = "\n".join([*head, *rows])
    written = README.read_text(encoding="utf-8").partition("<!-- what loads where -->\n")[2].partition("\n<!--")[0]
    assert written == expected, f"README must say\n{expected}"
