"""PEFT's options: which form, rank and scale they ask for, which layers they mean, and what we must refuse."""

import re

from torch import Tensor

from lorabook.core.frozen import Frozen
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Form, Init, Recipe
from lorabook.core.transformers_conv1d import FrozenConv1D
from lorabook.saving.adapter_file import AdapterFile, BadAdapter
from lorabook.saving.peft.form import PeftForm
from lorabook.saving.peft.forms import FORMS

SAYS_NOTHING = frozenset(
    # who made the file, from what, and of which layers: the keys say the last
    "peft_type task_type auto_mapping peft_version base_model_name_or_path revision inference_mode target_modules "
    "exclude_modules fan_in_fan_out modules_to_save layers_to_transform layers_pattern rank_pattern alpha_pattern r "
    "megatron_core ensure_weight_tying bias "
    # how it was trained or started; a start that changed W₀ is refused by its name in the init option
    "eva_config loftq_config corda_config lora_ga_config velora_config qalora_group_size runtime_config "
    "rank_dropout rank_dropout_scale module_dropout target_r tinit tfinal deltaT beta1 beta2 orth_reg_weight "
    "total_step projection_prng_key save_projection".split()
)
"""Options of PEFT on which the adapter's numbers mean the same, or that are read by name elsewhere."""

SEEN_IN_KEYS = {
    "lora_bias": (".lora_B.bias",),
    "use_effective_conv2d": (".hada_t1", ".hada_t2", ".lokr_t2"),
    "decompose_both": (".lokr_w1_a", ".lokr_w1_b"),
}
"""Options that ask for tensors of their own, by the ends of their keys: without such a key nothing came of them."""


def form_of(file: AdapterFile) -> type[Form]:
    """Return the form that the options describe, a key of `FORMS`.

    Raises:
        BadAdapter: no form of ours, or an option is on that changes it in a way that we do not have.
    """
    fits = [form for form, peft in FORMS.items() if peft.reads(file.options) and peft.read_as is None]
    if len(fits) != 1:
        types = ", ".join(sorted({peft.peft_type for peft in FORMS.values()}))
        raise BadAdapter(
            f"{file.options_path}: peft_type is {file.options.get('peft_type')!r}; lorabook reads {types} and its own "
            "format. An adapter of another type can be merged into its base with PEFT"
        )
    peft = FORMS[fits[0]]
    own = {peft.rank, peft.alpha, peft.dropout, peft.root, peft.init}
    read = SAYS_NOTHING | own | peft.marks.keys() | peft.required.keys() | set(peft.numbers.values()) | peft.ignores
    for option, value in file.options.items():
        if option in read or not value or value == "none":
            continue
        key = _key_of(file, option)
        if option in SEEN_IN_KEYS and key is None:
            continue
        raise BadAdapter(
            f"{file.options_path}: {option} is {value!r}, which may change what the adapter computes in a way that "
            f"lorabook does not have{'' if key is None else f' ({key})'}; merge it into its base with PEFT, or train "
            "without this option"
        )
    return fits[0]


def _key_of(file: AdapterFile, option: str) -> str | None:
    """Return a key of the file that an option asked for, or None."""
    return next((key for key in file.tensors if key.endswith(SEEN_IN_KEYS.get(option, ()))), None)


def refuse_malformed(file: AdapterFile) -> None:
    """Refuse options of a type that PEFT never writes, before they are used."""
    names = (list, type(None))
    wanted = {"target_modules": (str, *names), "exclude_modules": (str, *names), "modules_to_save": names,
              "rank_pattern": (dict, type(None)), "alpha_pattern": (dict, type(None))}  # fmt: skip
    for option, types in wanted.items():
        value = file.options.get(option)
        fits = isinstance(value, types) and all(isinstance(name, str) for name in value or ())
        patterns = [value] if isinstance(value, str) else list(value) if isinstance(value, dict) else []
        try:
            [re.compile(pattern) for pattern in patterns if fits]
        except re.error as error:
            raise BadAdapter(f"{file.options_path}: {option} is {value!r}, no regular expression: {error}") from error
        if not fits:
            expected = " or ".join(kind.__name__ for kind in types)
            raise BadAdapter(f"{file.options_path}: {option} is {value!r}; expected {expected}")


def init_of(file: AdapterFile, peft: PeftForm, base: Frozen) -> Init:
    """Return the init whose leftovers of W₀ a layer's tensors are relative to; LoRA's own where that is all of W₀.

    Raises:
        BadAdapter: an init that changes W₀ in a way we cannot repeat.
    """
    value = file.options.get(peft.init, True)
    # PEFT starts an Embedding as always, whatever start it is asked for, and leaves its W₀ whole.
    ignored = base.reads_indices and isinstance(value, str) and value != "loftq"
    if value in peft.whole or ignored:
        return ORIGIN.init
    if value == "olora" and isinstance(base, FrozenConv1D):
        raise BadAdapter(
            f"{file.options_path}: {peft.init} is 'olora' on a Conv1D, whose weight PEFT then factorises the wrong way "
            "round: its adapter is not the one that OLoRA means, so train it again with PiSSA, or with PEFT's default"
        )
    if isinstance(value, str) and value in peft.starts:
        return peft.starts[value]
    raise BadAdapter(
        f"{file.options_path}: {peft.init} is {value!r}: such an adapter may be relative to a base that this init has "
        "changed. Convert it to plain LoRA where it was trained: save_pretrained(..., "
        "path_initial_model_for_weight_conversion=...), or merge it into its base with PEFT"
    )


def recipe_of(file: AdapterFile, form: type[Form], name: str, base: Frozen, tensors: dict[str, Tensor]) -> Recipe:
    """Return the recipe of one layer."""
    peft, options = FORMS[form], file.options
    init = init_of(file, peft, base)
    try:
        r, alpha = options[peft.rank], 1.0 if peft.alpha is None else options[peft.alpha]
        if peft.per_layer:
            r = _of_layer(options.get("rank_pattern") or {}, name, r)
            alpha = _of_layer(options.get("alpha_pattern") or {}, name, alpha)
        if peft.rank_letter in tensors:
            r = tensors[peft.rank_letter].shape[0]
        described = peft.recipe(options, r, alpha)
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise BadAdapter(f"{file.options_path} describes no adapter for {name}: {error!r}") from error
    value = form(**{own: options[option] for own, option in peft.numbers.items() if option in options})
    # An Embedding reads indices: PEFT takes a dropout there and ignores it.
    dropout = 0.0 if base.reads_indices else described.dropout
    return Recipe(described.r, described.alpha, dropout, value, init, described.scale)


def _of_layer(patterns: dict, name: str, usual: float) -> float:
    """PEFT's rule: the first pattern that fits the end of the name."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", name)), usual)


def targeted(targets: str | list[str] | None, name: str) -> bool:
    """PEFT's rule: a string is a regular expression of the whole name, a list holds ends of names."""
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets or ())
