"""LoHa and LoKr against LyCORIS 4.1.3, whose forms they are; where its own paths disagree, a test says so."""

import copy

import pytest
import torch
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from small import gap
from torch import nn

from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.lokr import LoKr
from lorabook.core.inject import inject
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe

R, ALPHA = 2, 5.0
EXACT = 1e-12
KINDS = {
    "Linear": (lambda: nn.Linear(36, 24), (5, 36)),
    "Conv2d": (lambda: nn.Conv2d(12, 24, 3, padding=1, stride=2), (2, 12, 6, 6)),
    "Conv2d dilated": (lambda: nn.Conv2d(12, 24, 3, dilation=2), (2, 12, 7, 7)),
}
FORMS = {
    "LoHa": (LoHa(R, ALPHA), LohaModule, {"A": "hada_w1_b", "B": "hada_w1_a", "A2": "hada_w2_b", "B2": "hada_w2_a"}),
    "LoKr": (LoKr(R, ALPHA), LokrModule, {"C": "lokr_w1", "B": "lokr_w2_a", "A": "lokr_w2_b"}),
}


class Both:
    """One layer adapted by us and by LyCORIS, holding the same random numbers, and an input."""

    def __init__(self, recipe: Recipe, theirs: type, names: dict[str, str], kind: str, r: int = R) -> None:
        torch.manual_seed(6)
        make, shape = KINDS[kind]
        plain = make().double()
        self.ours = nn.Sequential(copy.deepcopy(plain))
        self.layer = inject(self.ours, recipe, "0")["0"]
        self.theirs = theirs("one", plain, multiplier=1.0, lora_dim=r, alpha=ALPHA).double()
        held = dict(self.theirs.named_parameters())
        self.pairs = {}
        for letter, mine in self.layer.update.named_parameters():
            mine.data.normal_()
            other = held[names[letter]]
            other.data.copy_(mine.data.view(other.shape))
            self.pairs[letter] = mine, other
        self.x = torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_output_gradients_and_one_step_are_lycoris(form: str, kind: str) -> None:
    both = Both(*FORMS[form], kind)
    assert gap(both.ours(both.x), both.theirs(both.x)) <= EXACT
    for side in (both.ours, both.theirs):
        torch.sin(side(both.x)).sum().backward()
    for mine, other in both.pairs.values():
        assert gap(mine.grad, other.grad.view(mine.shape)) <= EXACT
    for k in range(2):
        torch.optim.AdamW([pair[k] for pair in both.pairs.values()], lr=0.1).step()
    assert gap(both.ours(both.x), both.theirs(both.x)) <= EXACT


@pytest.mark.parametrize("form", FORMS)
def test_lycoris_merges_with_the_scale_squared_and_we_with_the_scale(form: str) -> None:
    both = Both(*FORMS[form], "Linear")
    w0, s = both.layer.base.matrix.clone(), both.layer.scale
    delta = (both.layer.update.weight(w0) - w0).detach()
    said = both.ours(both.x).detach()
    assert gap(merge(both.ours)(both.x), said) <= EXACT
    theirs = both.theirs.get_merged_weight()[0].detach()
    assert gap(theirs - w0, s * delta) <= 1e-6, "LyCORIS has mended its merge: compare merged weights above instead"


def test_a_whole_second_factor_has_the_scale_one_in_lycoris_and_alpha_over_r_here() -> None:
    r = 8  # at least half of the factor's larger side: D is one matrix, and not a product
    both = Both(LoKr(r, ALPHA), LokrModule, {"C": "lokr_w1", "D": "lokr_w2"}, "Linear", r)
    base = both.layer.base(both.x)
    assert gap(both.ours(both.x) - base, ALPHA / r * (both.theirs(both.x) - base)) <= EXACT
