"""DoRA against LyCORIS 4.1.3, whose backward pass keeps the norm in the graph and which can norm the other axis."""

import copy

import pytest
import torch
from lycoris.modules.locon import LoConModule
from small import gap
from torch import Tensor, nn

from lorabook.axes.form.dora import DoRA
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject

R, ALPHA = 3, 5.0
KINDS = {
    "Linear": (lambda: nn.Linear(9, 12), (5, 9)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1, stride=2), (2, 4, 7, 7)),
}


def both(kind: str, on_out: bool = True) -> tuple[Adapted, LoConModule, Tensor]:
    """Return a layer adapted by us and by LyCORIS with the same A, B and (if it is of our axis) m, and an input."""
    torch.manual_seed(4)
    make, shape = KINDS[kind]
    plain = make().double()
    model = nn.Sequential(copy.deepcopy(plain))
    ours = inject(model, DoRA(R, ALPHA), "0")["0"]
    theirs = LoConModule(
        "one", plain, multiplier=1.0, lora_dim=R, alpha=ALPHA, weight_decompose=True, wd_on_out=on_out
    ).double()
    theirs.dora_scale = nn.Parameter(theirs.dora_scale.detach().double())
    update = ours.update
    assert not on_out or gap(theirs.dora_scale.flatten(), update.m) <= 1e-6  # LyCORIS takes the norm in float32
    with torch.no_grad():
        update.B.normal_()
        update.m.mul_(1 + 0.3 * torch.randn_like(update.m))
        theirs.lora_down.weight.copy_(update.A.view_as(theirs.lora_down.weight))
        theirs.lora_up.weight.copy_(update.B.view_as(theirs.lora_up.weight))
        if on_out:
            theirs.dora_scale.copy_(update.m.view_as(theirs.dora_scale))
    return ours, theirs, torch.randn(shape, dtype=torch.float64)


def gradients_of_ours_with_the_norm_in_the_graph(layer: Adapted, held: Tensor) -> tuple[Tensor, Tensor]:
    """Return ∂L/∂A and ∂L/∂B from ∂L/∂V by the library: what lies along V is taken out of each row."""
    update = layer.update
    v = layer.base.matrix + update.s * (update.B @ update.A).detach()
    unit = v / v.norm(dim=1, keepdim=True)
    free = held - (held * unit).sum(1, keepdim=True) * unit
    return update.s * update.B.detach().T @ free, update.s * free @ update.A.detach().T


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_and_the_gradient_of_m_are_lycoris(kind):
    ours, theirs, x = both(kind)
    assert gap(ours(x), theirs(x)) <= 1e-12
    for layer in (ours, theirs):
        torch.sin(layer(x)).sum().backward()
    assert gap(ours.update.m.grad, theirs.dora_scale.grad.flatten()) <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_of_the_factors_differ_by_the_part_along_v(kind):
    ours, theirs, x = both(kind)
    w0 = ours.base.matrix.clone().requires_grad_()
    torch.sin(ours.base.apply_matrix(x, ours.update.weight(w0), ours.base.bias)).sum().backward()
    theirs_a, theirs_b = theirs.lora_down.weight, theirs.lora_up.weight
    torch.sin(theirs(x)).sum().backward()
    expected = gradients_of_ours_with_the_norm_in_the_graph(ours, w0.grad)
    for mine, exact, other in zip((ours.update.A, ours.update.B), expected, (theirs_a, theirs_b), strict=True):
        assert gap(exact, other.grad.view_as(exact)) <= 1e-12
        assert gap(mine.grad, other.grad.view_as(exact)) >= 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_axis_is_another_layer(kind):
    ours, theirs, x = both(kind, on_out=False)
    channels_in, d_out = x.shape[1], len(ours.update.m)
    assert theirs.dora_scale.numel() == channels_in != d_out
    ours.update.m.data = (ours.base.matrix + ours.update.s * ours.update.B @ ours.update.A).detach().norm(dim=1)
    assert gap(ours(x), theirs(x)) >= 0.05


def test_torch_alone_gives_the_same_row_norms():
    ours, _, _ = both("Linear")
    w0, update = ours.base.matrix, ours.update
    plain = nn.Linear(9, 12, bias=False, dtype=torch.float64)
    plain.weight.data = (w0 + update.s * update.B @ update.A).detach()
    normed = nn.utils.parametrizations.weight_norm(plain, dim=0)
    normed.parametrizations.weight.original0.data = update.m.detach()[:, None]
    assert gap(update.weight(w0), normed.weight) <= 1e-12
