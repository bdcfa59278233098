"""Where every form starts, and what every recipe does unasked: in one table each, against the papers and PEFT.

A parity test copies our start into the oracle, and so cannot see that it is ten times too large. Both tables are whole:
a form, a parameter or a default that is not in them turns this red.
"""

import inspect
import math

import peft
import pytest
import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.baselines.bottleneck import insert_bottlenecks
from lorabook.baselines.prefix import Prefix, insert_prefix
from lorabook.claims.catalogue import recipes
from lorabook.core.lora import ORIGIN
from lorabook.core.update import Update
from lorabook.many.orthogonal import squares
from lorabook.models.decoder import Decoder, DecoderConfig

D_OUT, D_IN, R, SEEDS = 256, 192, 8, 4
ROWS = 1 / math.sqrt(3 * D_IN)
"""The spread of Kaiming's rule with a = √5 for a factor that reads d_in numbers: uniform on ±1/√d_in."""
COLUMNS = 1 / math.sqrt(3 * R)
"""The same for one that reads r numbers."""
STARTS: dict[str, dict[str, float | str]] = {
    "LoRA": {"A": ROWS, "B": 0},
    "QLoRA": {"A": ROWS, "B": 0},
    "DoRA": {"A": ROWS, "B": 0, "m": "lengths", "w0_lengths": "lengths"},
    "GLoRA": {"A_d": 0, "A_u": ROWS, "B_d": 0, "B_u": ROWS, "C": 0, "D": 0, "E": 0},  # its code: d zero, u Kaiming
    "GLoRASupernet": {"A_d": 0, "A_u": ROWS, "B_d": 0, "B_u": ROWS, "C_d": 0, "C_u": 1 / math.sqrt(3), "D": 0, "E": 0},
    "HiRA": {"A": ROWS, "B": 0},
    "LoHa": {"A": ROWS, "B": 0, "A2": ROWS, "B2": COLUMNS},  # one of four is zero; PEFT's other three are Kaiming's
    "LoKr": {"C": 0, "D": 1 / math.sqrt(3 * 16)},  # whole at this rank, 16 × 16: Kaiming's for what reads 16 numbers
    "LoRAFA": {"A": ROWS, "B": 0},
    "MELoRA": {"A": 1 / math.sqrt(3 * D_IN / 2), "B": 0},  # each reads a slice
    "MultiLoRA": {"A": ROWS, "B": COLUMNS, "v": 0},  # section 4: scales zero, factors Kaiming
    "VeRA": {"b": 0, "d": "0.1", "pair.A": math.sqrt(2 / D_IN), "pair.B": math.sqrt(2 / R)},  # Kaiming's for ReLU
    "AdaLoRA": {"A": 0.02, "B": 0.02, "E": 0},  # the authors' P, Q ~ N(0, 0.02²), Λ = 0
    "DeltaLoRA": {"A": ROWS, "B": 0, "A_K": ROWS, "B_K": 0, "moving": 0},
    "DyLoRA": {"A": ROWS, "B": 0},
    "FrozenDyLoRA": {"A": ROWS, "B": 0},
    "LoRAPlus": {"A": ROWS, "B": 0},
    "rsLoRA": {"A": ROWS, "B": 0},
    "DPDyLoRA": {"A": ROWS, "B": 0},
    "OrthogonalLoRA": {"A": ROWS, "B": 0},
    "LongLoRA": {"A": ROWS, "B": 0},
    "OLoRA": {"A": "from W₀", "B": "from W₀"},
    "PiSSA": {"A": "from W₀", "B": "from W₀"},
}
"""The spread of every number at the start, by recipe and letter; 0 is exactly zero."""


def started(name: str, seed: int) -> tuple[nn.Linear, Update]:
    """Return a plain layer, and the update that a recipe puts on one like it."""
    torch.manual_seed(seed)
    plain = nn.Linear(D_IN, D_OUT)
    recipe = lb.LoRA(R) if name == "LongLoRA" else recipes()[name](r=R)  # its form is LoRA's, on a model of its own
    layer = lb.inject(nn.Sequential(plain), recipe, "0", torch.Generator().manual_seed(seed))["0"]
    return plain, layer.update


@pytest.mark.parametrize("name", recipes())
def test_every_form_starts_where_its_paper_says(name: str) -> None:
    due = STARTS[name]
    draws: dict[str, list[Tensor]] = {}
    for seed in range(SEEDS):
        plain, update = started(name, seed)
        for letter, numbers in update.state_dict().items():
            if due[letter] == "lengths":
                torch.testing.assert_close(numbers, plain.weight.norm(dim=1))
            draws.setdefault(letter, []).append(numbers.double().flatten())
    assert set(draws) == set(due), "every letter is in the table"
    for letter, several in draws.items():
        numbers = torch.cat(several)
        if due[letter] == 0:
            assert not numbers.any(), letter
        elif isinstance(due[letter], float):
            assert numbers.std().item() == pytest.approx(due[letter], rel=0.6 / math.sqrt(len(numbers)) * 5), letter
            assert abs(numbers.mean().item()) < 5 * due[letter] / math.sqrt(len(numbers)), letter
        elif due[letter] == "0.1":
            assert (numbers == numbers.new_tensor(0.1, dtype=torch.float32)).all(), letter


PEFT = {
    "LoRA": peft.LoraConfig(target_modules=["0"], r=R),
    "DoRA": peft.LoraConfig(target_modules=["0"], r=R, use_dora=True),
    "LoKr": peft.LoKrConfig(target_modules=["0"], r=R),
    "VeRA": peft.VeraConfig(target_modules=["0"], r=R),
    "AdaLoRA": peft.AdaLoraConfig(target_modules=["0"], init_r=R, total_step=100),
    "HiRA": peft.HiraConfig(target_modules=["0"], r=R),
}
"""Where PEFT has the same starts, letter by letter. (Its LoHa zeroes another of the four factors.)"""


@pytest.mark.parametrize("name", PEFT)
def test_the_spreads_are_those_of_pefts_own_start(name: str) -> None:
    torch.manual_seed(0)
    theirs = peft.get_peft_model(nn.Sequential(nn.Linear(D_IN, D_OUT)), PEFT[name])
    named = [*theirs.named_parameters(), *theirs.named_buffers()]
    spreads = {
        (tuple(sorted(numbers.shape)), name.split(".")[-1]): numbers.double()
        for name, numbers in named
        if "base_layer" not in name and numbers.is_floating_point() and "ranknum" not in name
    }
    _, update = started(name, 0)
    ours = {letter: numbers.double() for letter, numbers in update.state_dict().items() if letter != "w0_lengths"}
    for letter, numbers in ours.items():
        fits = [
            other
            for (shape, _), other in spreads.items()
            if shape == tuple(sorted(numbers.shape))
            and other.std().item() == pytest.approx(numbers.std().item(), rel=0.15, abs=1e-12)
            and abs(other.mean().item() - numbers.mean().item()) <= 0.2 * numbers.std().item() + 1e-7
        ]
        assert fits, f"PEFT starts nothing like {letter}"


def test_the_baselines_start_where_their_papers_say() -> None:
    base = Decoder(DecoderConfig(vocab=32, hidden=64, layers=2, heads=4, kv_heads=2, d_head=16, ffn=24, context=16))
    prefix: Prefix = next(iter(insert_prefix(base, n=32).values()))
    both = torch.cat([prefix.P_k.flatten(), prefix.P_v.flatten()])
    assert both.std().item() == pytest.approx(0.02, rel=0.1), "as GPT-2's embeddings"
    net = nn.Sequential(nn.Linear(64, 96))
    adapter = insert_bottlenecks(net, "0", m=16)["0"]
    assert not adapter.W_up.any()
    assert not adapter.b_up.any()
    assert not adapter.b_down.any()
    assert adapter.W_down.std().item() == pytest.approx(1 / math.sqrt(3 * 96), rel=0.1)


ADALORA = peft.AdaLoraConfig(target_modules=["0"], total_step=10)
DEFAULTS: dict[str, dict[str, object]] = {
    "LoRA": {},
    "LongLoRA": {},
    "QLoRA": {},
    "DoRA": {},
    "GLoRA": {"A": "lora", "B": "lora", "C": "vector", "D": "vector", "E": "vector"},  # the authors' largest
    "HiRA": {},
    "LoHa": {},
    "LoKr": {"factor": peft.LoKrConfig().decompose_factor},
    "LoRAFA": {},
    "MELoRA": {"n": 2},  # the paper's smallest ensemble
    "MultiLoRA": {"n": 3},  # the paper's n in most of its tables
    "VeRA": {"d_initial": peft.VeraConfig().d_initial},
    "OLoRA": {},
    "PiSSA": {},
    "LoRAPlus": {"ratio": 16.0},  # the authors' λ = 2⁴
    "AdaLoRA": {"target_r": 4, "every": 10, "beta1": ADALORA.beta1, "beta2": ADALORA.beta2, "orthogonality": 0.001},
    "DeltaLoRA": {"rate": 2.0, "start": 0},  # the paper's λ = 2
    "DyLoRA": {"r_min": 1, "seed": 0},
    "FrozenDyLoRA": {"r_min": 1, "seed": 0},
    "GLoRASupernet": {"A": "none constant vector lora", "B": "none constant vector lora", "C": "none vector lora",
                      "D": "none constant vector", "E": "none constant vector", "seed": 0},  # Table 1 of the paper
    "rsLoRA": {},
    "DPDyLoRA": {"r_min": 1, "seed": 0},
    "OrthogonalLoRA": {"earlier": (), "keep": (0.5, squares)},  # the authors' λ₁ = 0.5
}  # fmt: skip


@pytest.mark.parametrize("name", recipes())
def test_every_default_is_in_the_table(name: str) -> None:
    found = {
        parameter.name: parameter.default
        for parameter in inspect.signature(recipes()[name]).parameters.values()
        if parameter.default is not None and parameter.default is not parameter.empty
    }
    if name == "OrthogonalLoRA":
        found["keep"] = (found["keep"].weight, found["keep"].measure)
    assert found == DEFAULTS[name]


def test_the_origin_is_the_books() -> None:
    assert (ORIGIN.r, ORIGIN.alpha, ORIGIN.dropout) == (8, 16.0, 0.0)
    assert peft.LoraConfig().r == ORIGIN.r
    assert lb.inject(nn.Sequential(nn.Linear(16, 16)), lb.LoRA(), "0")["0"].scale == 2.0
