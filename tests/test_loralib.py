"""lorabook against Microsoft's loralib 0.1.2 with the same numbers in both: Linear, Embedding, and a fused q, k, v.

loralib merges as a side effect of eval() and takes the update out again, by subtraction, in train(); ours never touches
a weight in either. α ≠ r throughout.
"""

import copy

import loralib
import pytest
import torch
from small import gap
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.core.optimizer import optimizer

R, ALPHA = 3, 7
EXACT = 1e-12
BUILD = {
    "Linear": (lambda: nn.Linear(9, 8), lambda: loralib.Linear(9, 8, r=R, lora_alpha=ALPHA)),
    "Embedding": (lambda: nn.Embedding(11, 8), lambda: loralib.Embedding(11, 8, r=R, lora_alpha=ALPHA)),
}


class Pair:
    """One layer adapted by us and by loralib, holding the same random numbers."""

    def __init__(self, kind: str) -> None:
        torch.manual_seed(2)
        build, theirs = BUILD[kind]
        plain = build().double()
        self.x = torch.arange(9) if kind == "Embedding" else torch.randn(5, 9, dtype=torch.float64)
        self.theirs = theirs().double()
        self.theirs.load_state_dict(plain.state_dict(), strict=False)
        self.ours = nn.Sequential(copy.deepcopy(plain))
        self.layer: Adapted = inject(self.ours, LoRA(R, ALPHA), "0")["0"]
        with torch.no_grad():
            for letter in "AB":
                mine = getattr(self.layer.update, letter)
                mine += 0.3 * torch.randn_like(mine)
                getattr(self.theirs, f"lora_{letter}").copy_(mine)

    def factors(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [(getattr(self.layer.update, letter), getattr(self.theirs, f"lora_{letter}")) for letter in "AB"]

    def backward(self) -> None:
        for y in (self.ours(self.x), self.theirs(self.x)):
            torch.sin(y).sum().backward()


@pytest.mark.parametrize("kind", BUILD)
def test_outputs_and_every_gradient(kind):
    pair = Pair(kind)
    assert gap(pair.ours(pair.x), pair.theirs(pair.x)) <= EXACT
    pair.backward()
    for mine, other in pair.factors():
        assert gap(mine.grad, other.grad) <= EXACT


@pytest.mark.parametrize("kind", BUILD)
def test_one_adamw_step(kind):
    pair = Pair(kind)
    pair.backward()
    optimizer(pair.ours, lr=0.01).step()
    torch.optim.AdamW([pair.theirs.lora_A, pair.theirs.lora_B], lr=0.01, weight_decay=0.0).step()
    for mine, other in pair.factors():
        assert gap(mine, other) <= EXACT


@pytest.mark.parametrize("kind", BUILD)
def test_the_weight_that_eval_merges(kind):
    pair = Pair(kind)
    before = pair.theirs.weight.detach().clone()
    pair.theirs.eval()
    assert gap(before, pair.theirs.weight) > 0.01, "loralib did not merge in eval()"
    assert gap(merge(pair.ours)[0].weight, pair.theirs.weight) <= EXACT


def test_only_loralib_touches_weights_in_eval_and_train():
    """In bf16 a round through eval() and train() leaves loralib with another W₀; ours is the same, bit for bit."""
    torch.manual_seed(2)
    theirs = loralib.Linear(64, 48, r=R, lora_alpha=ALPHA).bfloat16()
    theirs.lora_B.data.normal_()
    ours = nn.Sequential(nn.Linear(64, 48).bfloat16())
    layer = inject(ours, LoRA(R, ALPHA), "0")["0"]
    layer.update.B.data.normal_()
    for model, weight in ((theirs, theirs.weight), (ours, layer.base.matrix)):
        before = weight.detach().clone()
        model.eval()  # loralib's returns None, so the two calls do not chain
        model.train()
        changed = int((before != weight).sum())
        assert changed > 0.1 * weight.numel() if model is theirs else changed == 0


@pytest.mark.parametrize("kind", BUILD)
def test_both_start_with_a_of_the_same_size_and_b_zero(kind):
    """loralib draws the Linear's A by Kaiming's rule and swaps the two factors of an Embedding: there B is random."""
    torch.manual_seed(0)
    theirs = {
        "Linear": loralib.Linear(600, 400, r=32), "Embedding": loralib.Embedding(600, 400, r=32)
    }[kind]  # fmt: skip
    ours = inject(nn.Sequential(nn.Linear(600, 400)), LoRA(32), "0")["0"].update
    zero, drawn = (theirs.lora_B, theirs.lora_A) if kind == "Linear" else (theirs.lora_A, theirs.lora_B)
    assert not zero.any()
    assert not ours.B.any()
    assert drawn.std().item() == pytest.approx(ours.A.std().item() if kind == "Linear" else 1.0, rel=0.05)


PARTS = {"q": slice(0, 6), "k": slice(6, 12), "v": slice(12, 18)}


class Apart(nn.Module):
    """q, k and v as three layers side by side, from one fused weight of 18 rows."""

    def __init__(self, fused: nn.Linear) -> None:
        super().__init__()
        for name, rows in PARTS.items():
            part = nn.Linear(9, 6, dtype=torch.float64)
            part.weight.data, part.bias.data = fused.weight[rows].detach().clone(), fused.bias[rows].detach().clone()
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


@pytest.mark.parametrize("adapted", ["qkv", "qv", "k"])
def test_a_fused_q_k_v_is_three_adapters(adapted):
    """MergedLinear keeps A and B of the adapted parts stacked; for us each part is a layer of its own."""
    torch.manual_seed(2)
    fused = loralib.MergedLinear(9, 18, r=R, lora_alpha=ALPHA, enable_lora=[name in adapted for name in "qkv"]).double()
    fused.lora_B.data.normal_()
    ours, x = Apart(fused), torch.randn(4, 9, dtype=torch.float64)
    layers = inject(ours, LoRA(R, ALPHA), f"^[{adapted}]$")
    for i, name in enumerate(adapted):
        layers[name].update.A.data = fused.lora_A[i * R : (i + 1) * R].detach().clone()
        layers[name].update.B.data = fused.lora_B[i * 6 : (i + 1) * 6].detach().clone()
    assert gap(ours(x), fused(x)) <= EXACT
    for y in (ours(x), fused(x)):
        torch.sin(y).sum().backward()
    for letter in "AB":
        stacked = torch.cat([getattr(layers[name].update, letter).grad for name in adapted])
        assert gap(stacked, getattr(fused, f"lora_{letter}").grad) <= EXACT
    fused.eval()
    merge(ours)
    assert gap(torch.cat([ours.q.weight, ours.k.weight, ours.v.weight]), fused.weight) <= EXACT
