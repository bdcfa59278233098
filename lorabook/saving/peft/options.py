"""PEFT's options: which form, rank and scale they ask for, which layers they mean, and what we must refuse."""

import re
from collections.abc import Callable

from lorabook.core.kaiming import kaiming
from lorabook.core.recipe import Recipe
from lorabook.core.update import Family, Update
from lorabook.saving.adapter_file import AdapterFile, BadAdapter
from lorabook.saving.ideas import forms, peft_inits
from lorabook.saving.peft.form import PeftForm

SAYS_NOTHING = frozenset(
    "peft_type task_type auto_mapping peft_version base_model_name_or_path revision inference_mode target_modules "
    "exclude_modules fan_in_fan_out modules_to_save layers_to_transform layers_pattern rank_pattern alpha_pattern "
    "megatron_core qalora_group_size eva_config runtime_config ensure_weight_tying loftq_config corda_config r "
    "rank_dropout module_dropout target_r tinit tfinal deltaT beta1 beta2 orth_reg_weight total_step".split()
)
"""Options of PEFT on which the adapter's numbers mean the same, or that are read by name elsewhere."""

WHOLE_W0 = (True, False, "gaussian", "eva", "orthogonal", "mica")
"""Values of PEFT's init option that leave W₀ as it is, so that the file's tensors are the whole story."""


def form_of(file: AdapterFile) -> type[Update] | type[Family]:
    """Return the form that the options describe.

    Raises:
        BadAdapter: no form of ours, or an option is on that changes it in a way that we do not have.
    """
    known = [form for form in forms().values() if form.in_peft is not None]
    fits = [form for form in known if form.in_peft.reads(file.options) and not form.in_peft.read_as]
    if len(fits) != 1:
        kinds = ", ".join(sorted({form.in_peft.peft_type for form in known}))
        raise BadAdapter(
            f"{file.options_path}: peft_type is {file.options.get('peft_type')!r}; lorabook reads {kinds} and its own "
            "format. An adapter of another type can be merged into its base with PEFT"
        )
    mine = fits[0].in_peft
    said = {mine.rank, mine.alpha, mine.dropout, mine.root, mine.init}
    read = SAYS_NOTHING | said | mine.marks.keys() | mine.required.keys() | set(mine.numbers.values())
    for option, value in file.options.items():
        if option not in read and value and value != "none":
            raise BadAdapter(
                f"{file.options_path}: {option} is {value!r}, which may change what the adapter computes in a way that "
                "lorabook does not have; merge it into its base with PEFT, or train without this option"
            )
    return fits[0]


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


def init_of(file: AdapterFile, form: PeftForm) -> Callable:
    """Return the init whose leftovers of W₀ the tensors are relative to; LoRA's own where that is all of W₀.

    Raises:
        BadAdapter: an init that changes W₀ in a way we cannot repeat.
    """
    said = file.options.get(form.init, True)
    if isinstance(said, str) and said in peft_inits():
        return peft_inits()[said]
    if said not in WHOLE_W0:
        raise BadAdapter(
            f"{file.options_path}: {form.init} is {said!r}: such an adapter may be relative to a base that this init "
            "has changed. Convert it to plain LoRA where it was trained: "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )
    return kaiming


def recipe_of(file: AdapterFile, form: type[Update] | type[Family], name: str, init: Callable, indexed: bool) -> Recipe:
    """Return the recipe of one layer; `indexed` says that it reads indices (an Embedding)."""
    mine, options = form.in_peft, file.options
    try:
        r = _of_layer(options.get("rank_pattern") or {}, name, options[mine.rank])
        usual = 1.0 if mine.alpha is None else options[mine.alpha]
        alpha = _of_layer(options.get("alpha_pattern") or {}, name, usual)
        said = mine.recipe(options, r, alpha)
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise BadAdapter(f"{file.options_path} describes no adapter for {name}: {error!r}") from error
    if mine.numbers:
        form = form(**{own: options[option] for own, option in mine.numbers.items() if option in options})
    # An Embedding reads indices: PEFT takes a dropout there and ignores it.
    return Recipe(said.r, said.alpha, 0.0 if indexed else said.dropout, form, init, said.scale)


def _of_layer(patterns: dict, name: str, usual: float) -> float:
    """PEFT's rule: the first pattern that fits the end of the name."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", name)), usual)


def targeted(targets: str | list[str] | None, name: str) -> bool:
    """PEFT's rule: a string is a regular expression of the whole name, a list holds ends of names."""
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets or ())


def kept_whole(file: AdapterFile, module: str) -> bool:
    """PEFT's rule: a list holds ends of names, of whole words or not."""
    return any(module.endswith(end) for end in file.options.get("modules_to_save") or ())
