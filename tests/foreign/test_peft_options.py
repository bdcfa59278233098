"""PEFT 0.21.2's files, one option after the other: read with PEFT's own logits, or refused by the option's name.

The options are enumerated from PEFT's dataclasses, so that one which PEFT adds turns the test red until `peft_options`
says what must come of it.
"""

import dataclasses
import inspect
import json
import warnings
from pathlib import Path

import peft
import peft.tuners.lora.config as lora_config
import pytest
import torch
from peft_options import NAMES, OPTIONS, PARTS, TARGETS, ByLayer, Loads, Refused, Value
from small import every_kind, gap, gpt2, llama, logits
from torch import nn

from lorabook.saving.adapter_file import BadAdapter
from lorabook.saving.save import load_adapter

# What PEFT says of options that it ignores.
pytestmark = pytest.mark.filterwarnings("ignore")

MODELS = {
    "llama": llama,
    "layers with biases": lambda: every_kind(torch.float32),
    "Conv1D": gpt2,
}
"""Linear layers without a bias, a layer of every type with one, and transformers' Conv1D."""

TOLERANCE = {peft.AdaLoraConfig: 1e-4}
"""PEFT divides AdaLoRA's α by r + 10⁻⁵."""

CASES = [
    pytest.param(config, option, value, id=f"{config.__name__}-{option}-{value.value!r:.40}-{number}")
    for config, options in OPTIONS.items()
    for option, values in options.items()
    for number, value in enumerate(values)
]


@pytest.fixture(autouse=True)
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """PEFT's README of a file takes half of the time."""
    monkeypatch.setattr(peft.PeftModel, "create_or_update_model_card", lambda self, folder: None)


def names_of_fields(config: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


@pytest.mark.parametrize("config", OPTIONS, ids=lambda config: config.__name__)
def test_every_option_of_peft_is_in_the_table(config: type) -> None:
    assert names_of_fields(config) == set(OPTIONS[config]), "say in peft_options.py what must come of a new option"
    assert [option for option, values in OPTIONS[config].items() if not values] == ["peft_type"]


def test_every_option_of_an_option_is_in_the_table() -> None:
    """LoRA's configuration has configurations in it."""
    parts = {
        each
        for name, each in vars(lora_config).items()
        if inspect.isclass(each) and dataclasses.is_dataclass(each) and each.__module__ == lora_config.__name__
    } - {peft.LoraConfig}
    assert parts == PARTS.keys()
    for part in parts:
        option, values = PARTS[part]
        assert names_of_fields(part) == values.keys()
        assert option in OPTIONS[peft.LoraConfig]


def asked(config: type, option: str, value: Value) -> peft.PeftConfig:
    """PEFT's configuration with this option."""
    small = {"r": 3} if config is not peft.AdaLoraConfig else {"init_r": 3, "target_r": 2, "total_step": 10}
    wanted = {"target_modules": TARGETS, **small, **value.beside}
    return config(**wanted if value.by_hand else wanted | {option: value.value})


def written(model: nn.Module, config: peft.PeftConfig, folder: Path) -> None:
    """Let PEFT adapt a model, move all that trains, and save it."""
    torch.manual_seed(6)
    theirs = peft.get_peft_model(model, config)
    source = torch.Generator().manual_seed(9)
    for name, parameter in theirs.named_parameters():
        if parameter.requires_grad and "ranknum" not in name:
            parameter.data += 0.5 * torch.randn(parameter.shape, generator=source)
    theirs.save_pretrained(folder)


def edited(folder: Path, option: str, value: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {option: value}))


def outcome(make, config: type, option: str, value: Value, folder: Path) -> str:
    """What came of it on one model: "loads", "refused", or "not in PEFT" where PEFT itself cannot do it."""
    try:
        written(make(), asked(config, option, value), folder)
        if value.by_hand:
            edited(folder, option, value.value)
        theirs = None if isinstance(value, Refused) else logits(peft.PeftModel.from_pretrained(make(), folder).eval())
    except Exception:  # what PEFT cannot do is nothing that we could read
        return "not in PEFT"
    model = make().eval()
    plain = logits(model)
    try:
        load_adapter(model, folder)
    except BadAdapter as error:
        return "refused" if (getattr(value, "names", None) or option) in str(error) else f"refused without it: {error}"
    assert theirs is not None, "it was to be refused"
    assert gap(logits(model), theirs) < TOLERANCE.get(config, 1e-5), "other logits than in PEFT"
    return "loads" if gap(theirs, plain) > 1e-4 else "loads, and does nothing"


@pytest.mark.parametrize(("config", "option", "value"), CASES)
def test_an_option_loads_with_the_same_logits_or_is_refused_by_name(config, option, value, tmp_path: Path) -> None:
    models = list(MODELS.items())[: 1 if option in NAMES else None]
    came = {
        name: outcome(make, config, option, value, tmp_path / str(number)) for number, (name, make) in enumerate(models)
    }
    expected = {Loads: {"loads"}, Refused: {"refused"}, ByLayer: {"loads", "refused"}}[type(value)]
    assert set(came.values()) - {"not in PEFT", "loads, and does nothing"} == expected, came


PART_CASES = [
    pytest.param(part, option, field, value, id=f"{part.__name__}-{field}-{value!r:.30}")
    for part, (option, fields) in PARTS.items()
    for field, values in fields.items()
    for value in values
]


@pytest.mark.parametrize(("part", "option", "field", "value"), PART_CASES)
def test_an_option_of_an_option_does_as_the_whole_does(part, option, field, value, tmp_path: Path) -> None:
    written(llama(), asked(peft.LoraConfig, "lora_dropout", Value(0.0)), tmp_path)
    options = dataclasses.asdict(part()) | {field: value}
    edited(tmp_path, option, options)
    model = llama()
    whole = OPTIONS[peft.LoraConfig][option][0]
    if isinstance(whole, Refused):
        with pytest.raises(BadAdapter, match=option):
            load_adapter(model, tmp_path)
        return
    with warnings.catch_warnings():
        theirs = peft.PeftModel.from_pretrained(llama(), tmp_path).eval()
    load_adapter(model, tmp_path)
    assert gap(logits(model), logits(theirs)) < 1e-5
