"""What VeRA trains and what it can say; the numbers in circulation follow from one formula with two ranks in it."""

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.form.vera import SharedPair, VeRA, VeRAForm
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA, LowRankForm
from lorabook.core.recipe import Recipe
from lorabook.cost.count import measured_flops, two_path_flops

KOPICZKO = "Kopiczko, Blankevoort, Asano 2023 (2310.11454)"
GPT3 = Case(12288, 12288, 16)


def layers(case: Case, recipe: Recipe, second: tuple[int, int] | None = None) -> list:
    """Return one or two adapted layers (d_out, d_in) of one model, every trained number moved from its start."""
    shapes = [(case.d_out, case.d_in), *([second] if second else [])]
    model = nn.Sequential(*(nn.Linear(d_in, d_out, dtype=torch.float64) for d_out, d_in in shapes))
    for parameter in model.parameters():
        parameter.data = case.randn(*parameter.shape, stream=f"w{tuple(parameter.shape)}")
    layers = list(inject(model, recipe, r"\d", case.generator("pair")).values())
    for layer in layers:
        for name, parameter in layer.update.named_parameters():
            parameter.data = case.randn(*parameter.shape, stream=name)
    return layers


def moved(case: Case) -> tuple[SharedPair, Tensor]:
    """Return a trained VeRA update and its ΔW."""
    layer = layers(case, VeRA(case.r))[0]
    return layer.update, (layer.update.weight(layer.base.matrix) - layer.base.matrix).detach()


def another_rank(case: Case) -> int:
    """Return a rank for VeRA that is not LoRA's, and at which no case has as many numbers as LoRA."""
    return min(case.d_out, case.d_in) // 2 + 1


def trained(case: Case, recipe: Recipe) -> Tensor:
    """Return how many numbers one layer trains."""
    return torch.tensor(sum(p.numel() for p in layers(case, recipe)[0].update.parameters()))


@claim(
    statement=r"$\Delta W x=b\odot B\,(d\odot Ax)$: two trained vectors, $b$ on the outputs and $d$ on the $r$ inner "
    r"numbers.",
    source=f"{KOPICZKO}, equation 2",
)
def vera_scales_inside_and_outside(case: Case):
    u, delta = moved(case)
    a, b = u.sliced(case.d_in)
    x = case.x()
    return x @ delta.T, (u.b * (((x @ a.T) * u.d) @ b.T)).detach()


@misconception(
    of=vera_scales_inside_and_outside,
    statement=r"$\Delta W=d_{down}\odot(A\,(B^\top d_{up}))$.",
    source="a teaching text; the right-hand side is a vector, so all rows of ΔW would be alike",
)
def false_vera_is_a_vector(case: Case):
    u, delta = moved(case)
    a, b = u.sliced(case.d_in)
    vector = (a.T @ (u.d * (b.T @ u.b))).detach()
    x = case.x()
    return x @ delta.T, x @ vector.expand(case.d_out, -1).T


@claim(statement=r"VeRA trains $d_{out}+r$ numbers a matrix.", source=f"{KOPICZKO}, section 3.2", tol=0)
def vera_trains_d_out_plus_r(case: Case):
    return trained(case, VeRA(case.r)), torch.tensor(case.d_out + case.r)


@misconception(
    of=vera_trains_d_out_plus_r,
    statement=r"VeRA trains two vectors of the model's width: $2\,d_{model}$ numbers a matrix.",
    source="a teaching text; one of the two vectors has r entries",
)
def false_vera_trains_twice_the_width(case: Case):
    return trained(case, VeRA(case.r)), torch.tensor(2 * case.d_in)


@claim(
    statement=r"VeRA trains the share $\frac{d_{out}+r_V}{r_L(d_{in}+d_{out})}$ of LoRA's numbers.",
    source=f"{KOPICZKO}, section 3.2, and LoRA's r(d_in + d_out)",
    when=r"both ranks are named: $r_V$ may be large, it costs one number each",
)
def the_share_of_lora_has_two_ranks(case: Case):
    r_v = another_rank(case)
    share = (case.d_out + r_v) / (case.r * (case.d_in + case.d_out))
    return trained(case, VeRA(r_v)) / trained(case, LoRA(case.r)), torch.tensor(share)


@misconception(
    of=the_share_of_lora_has_two_ranks,
    statement=r"VeRA trains 0.01% of LoRA's numbers.",
    source="a teaching text, which also says 1/10, 1–10% and 10–50 times fewer",
)
def false_a_ten_thousandth_of_lora(case: Case):
    return trained(case, VeRA(another_rank(case))) / trained(case, LoRA(case.r)), torch.tensor(1e-4)


@claim(
    statement=r"VeRA trains 97% fewer numbers than LoRA.",
    source=f"{KOPICZKO}, table 1",
    when=r"$d=12288$ (GPT-3), LoRA has $r=16$ and VeRA $r=256$",
    tol=0.002,
    cases=(GPT3,),
)
def ninety_seven_percent_at_gpt3(case: Case):
    lora = LowRankForm().count(case.d_out, case.d_in, case.r)
    return torch.tensor(1 - VeRAForm().count(case.d_out, case.d_in, 256) / lora), torch.tensor(0.97)


@misconception(
    of=ninety_seven_percent_at_gpt3,
    statement=r"VeRA trains 97% fewer numbers than LoRA, whatever the ranks are.",
    source="a teaching text; against LoRA of rank 1 it is half",
)
def false_ninety_seven_percent_always(case: Case):
    lora = LowRankForm().count(case.d_out, case.d_in, 1)
    return torch.tensor(1 - VeRAForm().count(case.d_out, case.d_in, 256) / lora), torch.tensor(0.97)


@claim(
    statement=r"All layers use one pair: a layer of another shape takes slices of the same $A$ and $B$.",
    source=f"{KOPICZKO}, section 3.1; PEFT slices from the largest shape",
    when="shapes may differ; where they agree, the whole pair is shared",
)
def layers_share_one_pair(case: Case):
    d_out, d_in = case.d_out + 3, case.d_in + 2
    one, other = layers(case, VeRA(case.r), second=(d_out, d_in))
    a, b, w0 = one.update.pair.A[:, :d_in], one.update.pair.B[:d_out], other.base.matrix
    u = other.update
    return (u.weight(w0) - w0).detach(), ((u.b[:, None] * b * u.d) @ a).detach()


@claim(
    statement=r"What VeRA reaches has $d_{out}+r-1$ dimensions: $b$ and $d$ can trade one factor.",
    source="the rank of the derivative of diag(b)B diag(d)A in (b, d)",
    when="the pair is fixed; the paper's argument is that many random pairs are good enough, not that all updates are",
    tol=0,
    cases=(Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 4)),
)
def vera_reaches_few_dimensions(case: Case):
    return _dimensions(case), torch.tensor(case.d_out + case.r - 1)


@misconception(
    of=vera_reaches_few_dimensions,
    statement=r"VeRA reaches every update of rank $r$: $r(d_{in}+d_{out}-r)$ dimensions, as LoRA does.",
    source="a natural guess; each row of ΔW is b_i times a row that all layers have drawn already",
)
def false_vera_reaches_what_lora_does(case: Case):
    return _dimensions(case), torch.tensor(case.r * (case.d_in + case.d_out - case.r))


def _dimensions(case: Case) -> Tensor:
    u, _ = moved(case)
    a, b = u.sliced(case.d_in)

    def delta(vectors: Tensor) -> Tensor:
        outer, inner = vectors.split([case.d_out, case.r])
        return (outer[:, None] * b) @ (inner[:, None] * a)

    jacobian = torch.autograd.functional.jacobian(delta, torch.cat([u.b, u.d]).detach()).flatten(0, 1)
    return torch.tensor(int(linalg.matrix_rank(jacobian, rtol=1e-9)))


@claim(
    statement=r"A forward pass of VeRA costs what LoRA's of the same rank does: fewer trained numbers are not fewer "
    r"operations.",
    source="W₀x, Ax and B(Ax) are there in both; VeRA scales B by b and d, d_out·r multiplications",
    tol=0,
)
def vera_computes_as_much_as_lora(case: Case):
    x = case.x()
    vera = layers(case, VeRA(case.r))[0]
    lora = two_path_flops(len(x), case.d_out, case.d_in, case.r)
    return torch.tensor(measured_flops(lambda: vera(x))), torch.tensor(lora.forward)


MATCHES_LORA = Unchecked(
    statement="VeRA matches or exceeds LoRA's quality.",
    source=f"{KOPICZKO}, section 4",
    reason="a benchmark of large models on GLUE, E2E and instruction tuning; the toy models here have no such scores",
)
