"""lorabook against PEFT 0.21.2 with the same numbers in both: outputs, gradients, merged weights, one AdamW step.

α ≠ r throughout, so that a scale applied twice, or never, cannot hide. The keys of PEFT are written out here and not
taken from the library, whose own table is under test elsewhere.
"""

import copy

import peft
import pytest
import torch
from peft.optimizers import create_loraplus_optimizer
from small import gap
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lorabook.axes.form.adalora import AdaLoRAForm
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.glora import GLoRA
from lorabook.axes.form.hira import HiRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.lokr import LoKr
from lorabook.axes.form.lora_fa import LoRAFA
from lorabook.axes.form.vera import VeRA
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning")

R, ALPHA = 4, 6.0
EXACT = 1e-12

LAYERS = {
    "Linear": (lambda: nn.Linear(9, 7), (5, 9)),
    "Conv1D": (lambda: Conv1D(7, 9), (5, 9)),
    "Conv2d": (lambda: nn.Conv2d(5, 6, 3, stride=2, padding=1), (2, 5, 8, 8)),
    "Embedding": (lambda: nn.Embedding(11, 7), None),
    "large Linear": (lambda: nn.Linear(36, 30), (5, 36)),
}
ROWS = {"A": "lora_A.default.weight", "B": "lora_B.default.weight", "m": "lora_magnitude_vector.default.weight"}
TABLE = ROWS | {"A": "lora_embedding_A.default", "B": "lora_embedding_B.default"}
HADA = {"B": "hada_w1_a", "A": "hada_w1_b", "B2": "hada_w2_a", "A2": "hada_w2_b"}
LOKR = {"C": "lokr_w1", "D": "lokr_w2", "B": "lokr_w2_a", "A": "lokr_w2_b"}
GLORA = {f"{x}_{p}": f"glora_{x}.default.X{p}" for x in "ABC" for p in "du"} | {
    x: f"glora_{x}.default.X" for x in "ABCDE"
}
KEYS = {
    "LoHa": {letter: f"{name}.default" for letter, name in HADA.items()},
    "PLQ": {letter: f"lora_{letter}.default" for letter in "ABE"},
    "HiRA": {letter: f"hira_{letter}.default" for letter in "AB"},
    "LoKr": {letter: f"{name}.default" for letter, name in LOKR.items()},
    "LoKr, factor 9": {letter: f"{name}.default" for letter, name in LOKR.items()},
    "GLoRA": {letter: f"{name}" for letter, name in GLORA.items()},
    "GLoRA, small": {letter: f"{name}" for letter, name in GLORA.items()},
    "VeRA": {letter: f"vera_lambda_{letter}.default" for letter in "bd"},
}


def lora(**options) -> peft.LoraConfig:
    return peft.LoraConfig(r=R, lora_alpha=6, target_modules=["0"], **options)


VARIANTS = {
    "LoRA": (LoRA(R, ALPHA), lora()),
    "LoRA-FA": (LoRAFA(R, ALPHA), lora()),
    "HiRA": (HiRA(R), peft.HiraConfig(r=R, target_modules=["0"])),
    "LoKr": (LoKr(R, ALPHA), peft.LoKrConfig(r=R, alpha=6, target_modules=["0"])),
    "LoKr, factor 9": (
        LoKr(1, ALPHA, factor=9),
        peft.LoKrConfig(r=1, alpha=6, decompose_factor=9, target_modules=["0"]),
    ),
    "GLoRA": (GLoRA(R), peft.GloraConfig(r=R, config_C="vector", config_D_E="vector", target_modules=["0"])),
    "GLoRA, small": (
        GLoRA(R, A="vector", B="vector", C="lora", D="constant", E="constant"),
        peft.GloraConfig(r=R, config_A_B="vector", config_C="lora", config_D_E="constant", target_modules=["0"]),
    ),
    "VeRA": (VeRA(R, d_initial=0.3), peft.VeraConfig(r=R, d_initial=0.3, target_modules=["0"])),
    "rsLoRA": (rsLoRA(R, ALPHA), lora(use_rslora=True)),
    "DoRA": (DoRA(R, ALPHA), lora(use_dora=True)),
    "LoHa": (LoHa(R, ALPHA), peft.LoHaConfig(r=R, alpha=6, target_modules=["0"])),
    # PEFT divides by r + 10⁻⁵; with that folded into our α the two must agree to rounding.
    "PLQ": (
        Recipe(R, ALPHA * R / (R + 1e-5), form=AdaLoRAForm()),
        peft.AdaLoraConfig(init_r=R, target_r=2, lora_alpha=6, target_modules=["0"], total_step=10),
    ),
}
LACKS = {
    "LoHa": {"Embedding", "Conv1D"}, "PLQ": {"Embedding"}, "HiRA": {"Conv2d"}, "LoKr": {"Embedding", "Conv1D"},
    "LoKr, factor 9": {"Embedding", "Conv1D"}, "VeRA": {"Embedding", "Conv2d"},
    "GLoRA": {"Embedding", "Conv2d", "Conv1D"}, "GLoRA, small": {"Embedding", "Conv2d", "Conv1D"},
}  # fmt: skip
"""What PEFT does not have. Its HiRA of a Conv2d is another one: a bottleneck beside the kernel, not W₀ ⊙ BA."""
CASES = [(variant, kind) for variant in VARIANTS for kind in LAYERS if kind not in LACKS.get(variant, ())]


class Pair:
    """One layer adapted by us and by PEFT, holding the same random numbers."""

    def __init__(self, variant: str, kind: str) -> None:
        torch.manual_seed(1)
        recipe, config = VARIANTS[variant]
        build, shape = LAYERS[kind]
        plain = nn.Sequential(build()).double()
        if kind == "Conv1D":
            plain[0].bias.data += torch.randn(len(plain[0].bias))  # transformers starts it at zero
        self.x = torch.arange(8) % 11 if shape is None else torch.randn(shape, dtype=torch.float64)
        self.ours = copy.deepcopy(plain)
        self.layer: Adapted = inject(self.ours, recipe, "0")["0"]
        self.theirs = peft.get_peft_model(plain, copy.deepcopy(config))
        held = dict(self.theirs.base_model.model[0].named_parameters())
        keys = KEYS.get(variant, TABLE if kind == "Embedding" else ROWS)
        if (variant, kind) == ("HiRA", "Embedding"):
            keys = {letter: name.replace("hira_", "hira_embedding_") for letter, name in keys.items()}
        self.pairs: dict[str, tuple[nn.Parameter, nn.Parameter]] = {}
        for letter, mine in self.layer.update.named_parameters():
            mine.data += 0.3 * torch.randn_like(mine)
            other = held[keys[letter]]
            other.data.copy_(mine.data.reshape(other.shape))
            self.pairs[letter] = mine, other
        if variant == "LoRA-FA":
            held[keys["A"]].data.copy_(self.layer.update.A.reshape(held[keys["A"]].shape))
            held[keys["A"]].requires_grad_(False)
        if variant == "VeRA":
            for letter in "AB":
                shared = getattr(self.theirs.base_model.model[0], f"vera_{letter}")
                shared["default"].copy_(getattr(self.layer.update.pair, letter))

    def outputs(self) -> tuple[Tensor, Tensor]:
        return self.ours(self.x), self.theirs(self.x)

    def backward(self) -> None:
        for y in self.outputs():
            torch.sin(y).sum().backward()


def one_step(pair: Pair, mine: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    pair.backward()
    mine.step()
    other.step()


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_outputs_and_every_gradient(variant, kind):
    pair = Pair(variant, kind)
    assert gap(*pair.outputs()) <= EXACT
    pair.backward()
    for letter, (mine, other) in pair.pairs.items():
        assert gap(mine.grad, other.grad.reshape(mine.shape)) <= EXACT, letter
    if pair.x.is_floating_point():
        pair.x.requires_grad_()
        mine, other = (torch.autograd.grad(torch.sin(y).sum(), pair.x)[0] for y in pair.outputs())
        assert gap(mine, other) <= EXACT


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_merged_weight_and_bias(variant, kind):
    pair = Pair(variant, kind)
    said = pair.ours(pair.x)
    theirs, ours = pair.theirs.merge_and_unload()[0], merge(pair.ours)[0]
    assert type(ours) is type(theirs)
    assert gap(ours.weight, theirs.weight) <= EXACT
    assert kind == "Embedding" or gap(ours.bias, theirs.bias) <= EXACT
    assert gap(ours(pair.x), said) <= EXACT


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_one_adamw_step(variant, kind):
    pair = Pair(variant, kind)
    others = [other for _, other in pair.pairs.values()]
    one_step(pair, optimizer(pair.ours, lr=0.01), torch.optim.AdamW(others, lr=0.01, weight_decay=0.0))
    for letter, (mine, other) in pair.pairs.items():
        assert gap(mine, other.reshape(mine.shape)) <= EXACT, letter


@pytest.mark.parametrize("kind", ["Linear", "Conv1D"])
@pytest.mark.parametrize("scale", [{}, {"use_rslora": True}])
def test_pissa_start_gradients_and_step(kind, scale):
    # PEFT refuses PiSSA in float64; singular vectors have no sign, so rows of A and columns of B are aligned first.
    torch.manual_seed(1)
    build, shape = LAYERS[kind]
    plain, x = nn.Sequential(build()), torch.randn(shape)
    ours, before = copy.deepcopy(plain), plain(x)
    layer = inject(ours, (PiSSA(R, ALPHA) | rsLoRA()) if scale else PiSSA(R, ALPHA), "0")["0"]
    theirs = peft.get_peft_model(plain, lora(init_lora_weights="pissa", **scale))
    held = dict(theirs.base_model.model[0].named_parameters())
    a, b = held[ROWS["A"]], held[ROWS["B"]]
    sign = (layer.update.A * a).sum(1).sign().detach()
    assert gap(layer.base.native(layer.base.matrix), held["base_layer.weight"]) <= 1e-5
    assert gap(layer.update.A, sign[:, None] * a) <= 1e-5
    assert gap(layer.update.B, b * sign) <= 1e-5
    assert gap(ours(x), before) <= 2e-6
    assert gap(ours(x), theirs(x)) <= 2e-6
    steps = [optimizer(ours, lr=0.01), torch.optim.AdamW([a, b], lr=0.01, weight_decay=0.0)]
    for model, step in zip((ours, theirs), steps, strict=True):
        torch.sin(model(x)).sum().backward()
        step.step()
    assert gap(layer.update.A.grad, sign[:, None] * a.grad) <= 1e-5
    assert gap(layer.update.B.grad, b.grad * sign) <= 1e-5
    assert gap(layer.update.A, sign[:, None] * a) <= 2e-4  # Adam divides each gradient by its own size
    assert gap(layer.update.B, b * sign) <= 2e-4


@pytest.mark.parametrize("kind", ["Linear", "Conv1D", "Conv2d"])
def test_lora_plus_groups_and_step(kind):
    pair = Pair("LoRA", kind)
    recipe = LoRAPlus(16) | LoRA(R, ALPHA)
    mine = recipe.optim.build(dict(pair.ours.named_parameters()), 1e-3)
    other = create_loraplus_optimizer(pair.theirs, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16)
    rates = [{id(p): group["lr"] for group in it.param_groups for p in group["params"]} for it in (mine, other)]
    for letter, both in pair.pairs.items():
        assert [rate[id(p)] for rate, p in zip(rates, both, strict=True)] == [1e-3 if letter == "A" else 16e-3] * 2
    one_step(pair, mine, other)
    for letter, (mine, other) in pair.pairs.items():
        assert gap(mine, other.reshape(mine.shape)) <= EXACT, letter
