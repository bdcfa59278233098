"""What a bottleneck adapter costs, where it starts, and why it cannot be merged."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorabook.baselines.bottleneck import Bottleneck, insert_bottlenecks
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.cost.count import trainable

HOULSBY = "Houlsby et al. 2019 (1902.00751), section 2.1"


def identity(h: Tensor) -> Tensor:
    """No nonlinearity at all."""
    return h


def plain(case: Case) -> nn.Sequential:
    """Return a model of one layer."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    with torch.no_grad():
        model[0].weight.copy_(case.w0())
        model[0].bias.copy_(case.randn(case.d_out, stream="bias"))
    return model


def adapter(case: Case, nonlinearity: Callable[[Tensor], Tensor] = F.gelu) -> Bottleneck:
    """Return the layer with a bottleneck of width r behind it, all of whose numbers have moved."""
    generator = case.generator("down")
    inserted = insert_bottlenecks(plain(case), "0", m=case.r, generator=generator, nonlinearity=nonlinearity)
    bottleneck = inserted["0"]
    with torch.no_grad():
        for name, p in bottleneck.named_parameters(recurse=False):
            p.add_(case.randn(*p.shape, stream=f"moved {name}"))
    return bottleneck


@claim(statement=r"Behind a layer of width $d$ a bottleneck of width $m$ trains $2dm+d+m$ numbers.", source=HOULSBY)
def a_bottleneck_trains_2dm_plus_d_plus_m(case: Case):
    model = plain(case)
    insert_bottlenecks(model, "0", m=case.r)
    d, m = case.d_out, case.r
    return torch.tensor([trainable(model), Bottleneck.count(d, m)]), torch.tensor([2 * d * m + d + m] * 2)


@misconception(
    of=a_bottleneck_trains_2dm_plus_d_plus_m,
    statement=r"A bottleneck of width $m$ trains as many numbers as LoRA of rank $m$ on the same layer.",
    source="both go through m numbers; LoRA reads the layer's input (d_in), the adapter its output, and it has biases",
)
def false_a_bottleneck_trains_as_many_as_lora(case: Case):
    model, other = plain(case), plain(case)
    insert_bottlenecks(model, "0", m=case.r)
    inject(other, Recipe(r=case.r), "0")
    return torch.tensor([trainable(model)]), torch.tensor([trainable(other)])


@claim(
    statement=r"With $W_{up}=0$ and $b_{up}=0$ the model starts where it was.",
    source=f"{HOULSBY} (near-identity start; exact with zeros)",
)
def a_bottleneck_starts_at_the_base(case: Case):
    model = plain(case)
    insert_bottlenecks(model, "0", m=case.r)
    return model(case.x()), F.linear(case.x(), case.w0(), case.randn(case.d_out, stream="bias"))


def folded(case: Case, bottleneck: Bottleneck) -> Tensor:
    """Return what one matrix and one bias would give: W = (I + W_up·W_down)·W₀, with the biases carried along."""
    turn = torch.eye(case.d_out, dtype=torch.float64) + bottleneck.W_up @ bottleneck.W_down
    bias = turn @ case.randn(case.d_out, stream="bias") + bottleneck.W_up @ bottleneck.b_down + bottleneck.b_up
    return F.linear(case.x(), turn @ case.w0(), bias)


@claim(
    statement=r"A bottleneck adapter folds into its layer: $W=(I+W_{up}W_{down})W_0$, a low-rank update with "
    r"$B=W_{up}$ and $A=W_{down}W_0$.",
    source="multiply out h + W_up(W_down·h), h = W₀x + b",
    when=r"$\varphi$ is the identity: then it is LoRA whose $A$ reads through $W_0$",
)
def a_linear_bottleneck_folds_into_its_layer(case: Case):
    bottleneck = adapter(case, identity)
    return bottleneck(case.x()), folded(case, bottleneck)


@misconception(
    of=a_linear_bottleneck_folds_into_its_layer,
    statement=r"A bottleneck adapter is merged into $W_0$ after training, like LoRA, and costs nothing at inference.",
    source="tables that list both as low-rank; φ stands between the two matrices",
)
def false_a_bottleneck_merges_like_lora(case: Case):
    bottleneck = adapter(case)
    return bottleneck(case.x()), folded(case, bottleneck)
