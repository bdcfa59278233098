"""Whose adapter a file is: the base's name, its class and its task, by which AutoPeftModel… and AutoModel… open it."""

from collections.abc import Iterable

from torch import nn

from lorabook.core.names import unwrapped

TASKS = {
    "CAUSAL_LM": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "SEQ_2_SEQ_LM": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "SEQ_CLS": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "TOKEN_CLS": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
    "QUESTION_ANS": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
}
"""PEFT's tasks, and transformers' list of the classes that are made for each."""


HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}
"""The ends of the names of heads that PEFT's class for a task copies unasked, and then wants in the file."""


def whose(model: nn.Module, base_name: str | None) -> dict:
    """Return PEFT's options that say which base an adapter is for; no number depends on them.

    A model of transformers knows where it was loaded from, its class and what that is for. Of another model only
    `base_name` is known.
    """
    model = unwrapped(model)
    ours = type(model)
    theirs = next((kind for kind in ours.__mro__ if kind.__module__.startswith("transformers.")), None)
    if theirs is None:
        return {"base_model_name_or_path": base_name}
    # FSDP puts a class of its own in front.
    named = next(kind for kind in ours.__mro__ if not kind.__module__.startswith("torch."))
    return {
        "base_model_name_or_path": base_name or vars(model).get("name_or_path") or None,
        "task_type": _task(ours),
        "auto_mapping": {"base_model_class": named.__name__, "parent_library": named.__module__},
    }


def heads(task: str | None, model: nn.Module, layers: Iterable[str]) -> list[str]:
    """Return the heads that PEFT copies for this task, trained or not, but those that hold an adapted layer."""
    ends = HEADS.get(task, ())
    names = (name for name, _ in unwrapped(model).named_children() if name.endswith(ends))
    return [name for name in names if not any(layer == name or layer.startswith(f"{name}.") for layer in layers)]


def _task(kind: type) -> str | None:
    """Return PEFT's name of what a class is made for; None where PEFT has none, and then `auto_mapping` is read."""
    from transformers.models.auto import modeling_auto  # only here: an extra, and the model brings it

    names = {each.__name__ for each in kind.__mro__}
    for task, listed in TASKS.items():
        if names & set(getattr(modeling_auto, listed).values()):
            return task
    return None
