"""OLoRA's and PiSSA's starts against PEFT's own: factors, what is left of W₀, gradients, a step, and the way back.

Singular vectors have no sign, and the columns of Q have none either; both libraries here call one LAPACK, which fixes
Q's. PEFT decomposes in float32 only.
"""

import copy

import peft
import pytest
import torch
from small import gap, llama, logits
from torch import Tensor, linalg, nn
from transformers.pytorch_utils import Conv1D

from lorabook.axes.init.olora import OLoRA, OrthonormalStart
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import LayerSpec, Recipe
from lorabook.saving.save import load_adapter, save_adapter

R, ALPHA = 4, 6.0
ROWS = {"A": "lora_A.default.weight", "B": "lora_B.default.weight"}
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to:UserWarning"),
]


def config(start: str, targets: list[str], **options) -> peft.LoraConfig:
    return peft.LoraConfig(r=R, lora_alpha=6, target_modules=targets, init_lora_weights=start, **options)


def pair(layer: nn.Module, start: str, recipe: Recipe, **options) -> tuple[nn.Module, nn.Module, dict[str, Tensor]]:
    """The same plain layer with our start and with PEFT's, and PEFT's tensors."""
    plain = nn.Sequential(layer)
    ours = copy.deepcopy(plain)
    inject(ours, recipe, "0")
    theirs = peft.get_peft_model(plain, config(start, ["0"], **options))
    return ours, theirs, dict(theirs.base_model.model[0].named_parameters())


@pytest.mark.parametrize("shape", [(9, 7), (7, 9), (12, 12)], ids=["thin", "wide", "square"])
@pytest.mark.parametrize("scale", [{}, {"use_rslora": True}], ids=["α/r", "α/√r"])
def test_oloras_start_gradients_and_step(shape: tuple[int, int], scale: dict) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(*reversed(shape))
    x = torch.randn(5, shape[1])
    before = layer(x)
    ours, theirs, held = pair(layer, "olora", OLoRA(R, ALPHA) | rsLoRA() if scale else OLoRA(R, ALPHA), **scale)
    mine, a, b = adapted(ours)["0"], held[ROWS["A"]], held[ROWS["B"]]
    assert gap(mine.update.A, a) <= 1e-5
    assert gap(mine.update.B, b) <= 1e-5
    assert gap(mine.base.matrix, held["base_layer.weight"]) <= 1e-5
    assert gap(ours(x), before) <= 2e-6
    assert gap(ours(x), theirs(x)) <= 2e-6
    steps = [optimizer(ours, lr=0.01), torch.optim.AdamW([a, b], lr=0.01, weight_decay=0.0)]
    for model, step in zip((ours, theirs), steps, strict=True):
        torch.sin(model(x)).sum().backward()
        step.step()
    assert gap(mine.update.A.grad, a.grad) <= 1e-5
    assert gap(mine.update.B.grad, b.grad) <= 1e-5
    assert gap(ours(x), theirs(x)) <= 2e-4  # Adam divides each gradient by its own size


def test_pefts_olora_forgets_that_a_conv1d_is_transposed() -> None:
    """PEFT decomposes weight = W₀ᵀ as if it were W₀, and starts elsewhere; its PiSSA transposes, and so do we."""
    torch.manual_seed(1)
    layer, x = Conv1D(8, 8), torch.randn(5, 8)
    nn.init.normal_(layer.weight)
    before = layer(x)
    ours, theirs, _ = pair(layer, "olora", OLoRA(R, ALPHA), fan_in_fan_out=True)
    assert gap(ours(x), before) <= 2e-6
    assert gap(theirs(x), before) > 0.1


@pytest.mark.parametrize(("start", "recipe"), [("olora", OLoRA(R, ALPHA)), ("pissa", PiSSA(R, ALPHA))])
def test_what_peft_converted_to_lora_loads_at_twice_the_rank(start: str, recipe: Recipe, tmp_path) -> None:
    torch.manual_seed(2)
    other = peft.get_peft_model(llama(), config(start, ["q_proj"])).eval()
    other.peft_config["default"].init_lora_weights = True  # or PEFT would decompose W₀ again when it loads the start
    other.save_pretrained(tmp_path / "start")
    step = torch.optim.AdamW([p for p in other.parameters() if p.requires_grad], lr=0.05)
    for _ in range(3):
        step.zero_grad()
        logits_of(other).square().mean().backward()
        step.step()
    other.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    model = llama()
    layers = load_adapter(model, tmp_path / "plain")
    assert {layer.r for layer in layers.values()} == {2 * R}
    assert gap(logits(model), logits(other)) <= 5e-6
    # Our own way there: the same start, trained alike, saved against the whole W₀.
    mine = llama()
    inject(mine, recipe, "q_proj")
    step = optimizer(mine, lr=0.05)
    for _ in range(3):
        step.zero_grad()
        logits_of(mine).square().mean().backward()
        step.step()
    save_adapter(mine, tmp_path / "ours")
    theirs = peft.PeftModel.from_pretrained(llama(), tmp_path / "ours").eval()
    assert theirs.peft_config["default"].r == 2 * R
    assert gap(logits(theirs), logits(mine)) <= 2e-6


def logits_of(model: nn.Module) -> Tensor:
    return model(torch.arange(24).reshape(3, 8) % 11).logits


def test_only_the_columns_that_decide_are_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, whole = [], linalg.qr

    def seen(m: Tensor):
        shapes.append(tuple(m.shape))
        return whole(m)

    monkeypatch.setattr("lorabook.axes.init.olora.linalg.qr", seen)
    w0 = torch.randn(30, 20, generator=torch.Generator().manual_seed(0))
    factors = OrthonormalStart().build(w0, LayerSpec("layer", R, 1.5, 0.0, torch.Generator()))
    assert shapes == [(30, R)]
    assert factors.A[:, :R].tril(-1).abs().max() == 0, "R is a triangle, to the last bit"
    q, r = whole(w0.double())
    assert gap(factors.B.double() @ factors.A.double(), q[:, :R] @ r[:R]) <= 1e-6


def test_a_column_of_zeros_is_no_obstacle() -> None:
    w0 = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w0[:, 0] = 0
    factors = OrthonormalStart().build(w0, LayerSpec("layer", 3, 2.0, 0.0, torch.Generator()))
    assert gap(factors.B.T @ factors.B, torch.eye(3, dtype=torch.float64)) <= 1e-12
    assert gap(factors.residual + 2.0 * factors.B @ factors.A, w0) <= 1e-12
