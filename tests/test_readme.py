"""The README's table of variants is what the library says of itself, and what it says is so."""

import re
from pathlib import Path

import pytest
from worlds import forms

from lorabook.baselines.bottleneck import Bottleneck
from lorabook.baselines.prefix import Prefix
from lorabook.book import style
from lorabook.book.chapters import contents
from lorabook.book.listing import proofs, table
from lorabook.claims.catalogue import catalogue, example
from lorabook.claims.discovery import claim_modules, folders
from lorabook.core.lora import LowRankForm
from lorabook.models.paths import notebooks_dir

README = Path(__file__).parents[1] / "README.md"
KEPT_FREE = {"head"}
"""A place in the order of strokes that no variant has taken."""
CONTENDERS = {"bottleneck", "LoRA r=2", "LoRA r=32", "LoKr factor=8", "QLoRA | rsLoRA | LoRA+"} | {
    "LoRA on attention", "LoRA on MLP"
}  # fmt: skip
"""The arena draws them apart, and they are no variants: another size, another place, another name, several at once."""
SUPERNET = {"GLoRASupernetForm"}
"""GLoRA's supernet holds every kind of every term at once; the table counts what is cut out of it."""
PROOFS = proofs()
NUMBERS = {"d_out": 24, "d_in": 36, "r": 2, "n": 6, "m": 6, "p": 4, "k": 6}
"""A layer of 24 × 36. LoKr's sides: p·k = 24 and m·n = 36."""


def value(formula: str, numbers: dict[str, int]) -> int:
    """The number that a formula of the table gives: up to the first comma, with `·` and juxtaposition as products."""
    spelt = re.sub(r"(?<=[\w)])\s*(?=\()|(?<=\d)(?=[a-z])", "*", formula.partition(",")[0].replace("·", "*"))
    return eval(spelt, {"__builtins__": {}}, dict(numbers))


def test_the_table_is_up_to_date():
    after = README.read_text(encoding="utf-8").partition("<!-- variants -->\n")[2]
    written = after.partition("<!-- end of variants -->")[0].strip()
    assert written == table(), "write what `lorabook list --table` prints between the two comments"


def test_the_chapters_are_those_of_the_notebooks():
    after = README.read_text(encoding="utf-8").partition("<!-- chapters -->\n")[2]
    written = after.partition("<!-- end of chapters -->")[0].strip()
    expected = contents(notebooks_dir(), "notebooks/")
    assert written == expected, "write what `lorabook list --chapters` prints between the two comments"


def test_the_example_runs(tmp_path, monkeypatch):
    example = README.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    assert "steps=100" in example
    monkeypatch.chdir(tmp_path)
    exec(example.replace("steps=100", "steps=1, progress=False"), {})
    assert {file.name for file in (tmp_path / "my-adapter").iterdir()} >= {"adapter_config.json"}


def test_every_recipe_and_every_stroke_is_in_the_table():
    labels = {example(make).label for folder in catalogue().values() for make in folder.values()}
    assert labels <= PROOFS.keys()
    assert set(style.VARIANTS) - KEPT_FREE - CONTENDERS <= PROOFS.keys()


@pytest.mark.parametrize("name", PROOFS)
def test_each_has_claims_misconceptions_and_an_oracle(name):
    assert int(PROOFS[name]["claims"]) >= 2
    assert int(PROOFS[name]["misconceptions"]) >= 2
    assert PROOFS[name]["oracle"]


def test_no_variant_is_declared_twice():
    modules = [*folders().values(), *claim_modules()]
    declaring = [module.ABOUT for module in modules if "ABOUT" in vars(module)]
    assert len(declaring) == len(set(declaring))


@pytest.mark.parametrize("form", set(forms()) - SUPERNET)
def test_the_formula_of_the_table_is_what_the_form_counts(form):
    recipe = forms()[form]
    made = recipe.form or LowRankForm()
    own = vars(made)
    numbers = NUMBERS | {name: number for name, number in own.items() if isinstance(number, int)}
    formula = PROOFS[recipe.label]["parameters"]
    while formula.startswith("as "):
        formula = PROOFS[formula.removeprefix("as ").partition(",")[0]]["parameters"]
    assert value(formula, numbers) == made.count(numbers["d_out"], numbers["d_in"], numbers["r"])


def test_the_formulas_of_the_baselines_are_what_they_count():
    assert value(PROOFS["adapters"]["parameters"], NUMBERS) == Bottleneck.count(NUMBERS["d_out"], NUMBERS["m"])
    shape = {"n": 5, "layers": 2, "kv_heads": 3, "d_head": 4}
    assert value(PROOFS["prefix"]["parameters"], shape) == Prefix.count(**shape)
