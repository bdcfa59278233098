"""What a newcomer tries first and gets wrong: the message says what was given and what to give.

In a process of its own: here the tests' type checker would speak before the library does.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import lorabook as lb
from lorabook.baselines.bottleneck import insert_bottlenecks

SETTING = """
import itertools, json, sys
import torch
import lorabook as lb
from lorabook.many.stacking import attach
from lorabook.many.combine import Truncated
from lorabook.many.conflicts import conflicts
from lorabook.many.federated import federate
from lorabook.many.federated import Federation
from lorabook.axes.optim.private import Noise
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.loaded import Loaded

def plain():
    torch.manual_seed(0)
    return Decoder(DecoderConfig(vocab=32, hidden=16, layers=1, heads=2, kv_heads=1, d_head=8, ffn=24, context=16))

def adapted():
    model = plain()
    lb.inject(model, lb.LoRA(r=2), "q_proj")
    return model

loaded = Loaded(plain(), None, "small", torch.device("cpu"), 16)
anna = lb.pairs_of(adapted())
banked = plain()
bank = lb.bank(banked, {"anna": anna})
tokens = torch.arange(8).view(1, -1)
loss = lambda model: model(tokens).square().mean()

def enter(manager):
    with manager:
        pass

def federation(**given):
    own = {"noise": Noise(1.0, 0.5, 2), "generator": torch.Generator()}
    return Federation([lambda: []], q=0.5, steps=1, lr=0.1, **{**own, **given})

said = {}
for attempt in json.load(sys.stdin):
    try:
        said[attempt] = f"no error: {eval(attempt)}"
    except Exception as error:
        said[attempt] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""

ATTEMPTS = {
    "lb.inject(loaded, lb.LoRA(), 'q_proj')": "AttributeError: 'modules' is no attribute of what lorabook",
    "lb.fit(loaded, [], steps=1, lr=0.1)": "AttributeError: 'named_parameters' is no attribute of what lorabook.load",
    "lb.inject(plain(), lb.LoRA, 'q_proj')": "TypeError: LoRA is a function, and a Recipe is asked for",
    "lb.inject(plain(), lb.LoRA(), ['q_proj', 'v_proj'])": "TypeError: targets is ['q_proj', 'v_proj']; it must be one",
    "lb.inject(plain(), lb.LoRA(), 'q_proj(')": "ValueError: targets='q_proj(' is no regular expression: missing )",
    "lb.LoRA(alpha='16')": "ValueError: alpha is '16'; it must be a finite number > 0",
    "lb.LoRA(dropout='0.1')": "ValueError: dropout is '0.1'; it must be a probability",
    "lb.LoRA(r=4) | lb.Paged()": "TypeError: Paged(page=1048576, budget=67108864) is a Paged, and a Recipe",
    "lb.LoRA(r=4) | lb.rsLoRA": "TypeError: rsLoRA is a function, and a Recipe is asked for",
    "lb.fit(adapted(), (tokens, tokens), steps=1, lr=0.1)": "TypeError: batches gave a tensor of shape (1, 8)",
    "lb.bank(plain(), [anna])": "TypeError: adapters is a list; give them by name",
    "lb.bank(plain(), {'anna': adapted()})": "TypeError: adapter 'anna' is given as a Decoder",
    "lb.bank(plain(), {'anna': lb.inject(plain(), lb.LoRA(r=2), 'q_proj')})": "TypeError: adapter 'anna' is given as a",
    "enter(lb.serving(bank, ['anna']))": "TypeError: serving takes the model that was given to bank",
    "enter(lb.serving(banked, 'anna'))": "TypeError: names is 'anna'; give one name for every row",
    "lb.stack(plain(), [anna], [1.0])": "TypeError: adapters is a list; give them by name",
    "lb.stack(plain(), {'anna': anna}, [1.0])": "TypeError: weights is a list; give one for each adapter, by its name",
    "lb.stack(plain(), {'anna': anna}, {'anna': 1.0}, 'svd')": "TypeError: how is 'svd'; give a function",
    "lb.stack(plain(), {'anna': anna}, {'anna': 1.0}, Truncated)": "TypeError: how is <class",
    "attach(plain(), adapted())": "TypeError: the adapter is given as a Decoder",
    "conflicts([anna, anna])": "TypeError: adapters is a list; give them by name",
    "lb.compose(plain(), {'anna': anna}, (tokens, tokens))": "TypeError: few_shot_loss is a tuple; give a function",
    "lb.compose(plain(), {'anna': anna}, lambda model: None, progress=False)": "TypeError: few_shot_loss gave None; it",
    "lb.card(lb.LoRA)": "TypeError: LoRA is a function, and a claim is asked for",
    "lb.learn_in_turn(plain(), [loss, [(tokens, tokens)]], lb.LoRA(r=2), 'q_proj')": "TypeError: a task is a list",
    "lb.learn_in_turn(plain(), [loss], lb.LoRA, 'q_proj')": "TypeError: LoRA is a function, and a Recipe is asked for",
    "federation(noise=1.0)": "TypeError: noise is 1.0; give Noise(C, sigma, expected)",
    "federation(generator=3)": "TypeError: generator is 3; give a torch.Generator",
    "federate(adapted(), federation(), rounds=0, lr=1.0)": "ValueError: rounds is 0; it must be a whole number",
}


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SETTING], input=json.dumps(list(ATTEMPTS)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_message_says_what_to_give(attempt: str, said: dict[str, str]) -> None:
    assert said[attempt].startswith(ATTEMPTS[attempt])


def test_adapters_beside_a_part_that_no_file_holds_are_not_saved_without_it(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    insert_bottlenecks(model, "1", m=2)
    lb.inject(model, lb.LoRA(r=2), "0")
    with pytest.raises(ValueError, match="1 holds a Bottleneck, which no adapter file can hold"):
        lb.save_adapter(model, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_of_qlora_gives_the_same_numbers_on_a_base_in_four_bits_only(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain, x = nn.Sequential(nn.Linear(64, 64)), torch.randn(3, 64)
    models = [nn.Sequential(nn.Linear(64, 64)) for _ in range(3)]
    for model in models:
        model.load_state_dict(plain.state_dict())
    trained, dense, stored = models
    lb.inject(trained, lb.QLoRA(r=2), "0")
    lb.save_adapter(trained, tmp_path)
    lb.load_adapter(dense, tmp_path)
    lb.load_adapter(stored, tmp_path, lb.QLoRA())
    assert torch.equal(trained(x), stored(x))
    assert (trained(x) - dense(x)).abs().max() > 0.01


@pytest.mark.parametrize("form", [lb.VeRA(r=2), lb.GLoRA(r=2)])
def test_lora_plus_on_a_form_without_the_factor_b_is_refused_before_any_work(form):
    model = nn.Sequential(nn.Linear(6, 4))
    plain = model[0]
    with pytest.raises(lb.AxisConflict, match=r"LoRA\+ speeds up the factor B of a product BA"):
        lb.inject(model, form | lb.LoRAPlus(16), "0")
    assert model[0] is plain
