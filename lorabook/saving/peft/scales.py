"""One α for all readers: the scale of every layer as α/r in PEFT's file, and back.

PEFT knows other scales than α/r (`use_rslora`), and another α for single layers (`alpha_pattern`). What else reads its
files may know neither, and then divides α by the rank of the tensor, without an error. So a LoRA's file says one α, and
what is special about a layer is in its B:

    s·BA = (α/r)·B'A  with  B' = (s·r/α)·B

For one scale on all layers B' is B. The file's header keeps each layer's own rule and α; read here, they come back, and
B to the last digit.

Source: llama.cpp, convert_lora_to_gguf.py; vLLM, lora/peft_helper.py.
"""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from lorabook.core.lora import AlphaOverR
from lorabook.core.recipe import Recipe
from lorabook.saving.adapter_file import BadAdapter
from lorabook.saving.names import name_of, scales
from lorabook.saving.peft.form import PeftForm, plain_alpha
from lorabook.saving.record import LayerRecord

NOTE = "scales"
"""Where a file's header keeps the layers' own scales."""


def main_alpha(peft: PeftForm, main: Recipe) -> float:
    """Return the α that a file of this form says for all layers."""
    return peft.options(main)[peft.alpha]


def own_scales(peft: PeftForm, main: Recipe, recipes: dict[str, Recipe]) -> dict[str, dict]:
    """Return the rule and the α of every layer of which the file's options do not tell them."""
    if peft.folds is None:
        return {}
    told = (AlphaOverR(), main_alpha(peft, main))
    return {
        name: {"scale": name_of(recipe.scale), "alpha": recipe.alpha}
        for name, recipe in recipes.items()
        if (recipe.scale, recipe.alpha) != told
    }


def folded(peft: PeftForm, main: Recipe, one: LayerRecord) -> dict[str, Tensor]:
    """Return a layer's tensors as they are beside the file's α."""
    if peft.folds not in one.tensors:
        return one.tensors
    return _times(one.tensors, peft.folds, plain_alpha(one.recipe) / main_alpha(peft, main))


def unfolded(path: Path, peft: PeftForm, one: LayerRecord, own: object) -> LayerRecord:
    """Return a layer with its own rule and α, of which `own` is the entry in the header.

    Raises:
        BadAdapter: the entry describes no scale.
    """
    try:
        recipe = replace(one.recipe, alpha=own["alpha"], scale=scales()[own["scale"]]())
        factor = plain_alpha(one.recipe) / plain_alpha(recipe)
    except (KeyError, TypeError, ValueError) as error:
        raise BadAdapter(
            f"{path}: '{NOTE}' in its header holds {own!r}, which describes no scale: {error!r}"
        ) from error
    return LayerRecord(recipe, _times(one.tensors, peft.folds, factor))


def _times(tensors: dict[str, Tensor], letter: str, factor: float) -> dict[str, Tensor]:
    if abs(factor - 1) < 1e-12:
        return tensors
    return tensors | {letter: (tensors[letter].double() * factor).to(tensors[letter])}
