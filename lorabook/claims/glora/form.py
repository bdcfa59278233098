"""What GLoRA computes, and what its five terms can and cannot be."""

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.form.glora import GeneralisedLoRA, GLoRA, GLoRAForm
from lorabook.baselines.bottleneck import Bottleneck
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import Adapted
from lorabook.core.fit import fit
from lorabook.core.frozen import Frozen
from lorabook.core.inject import inject
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Factors, Recipe
from lorabook.core.update import Update

CHAVAN = "Chavan et al. 2023 (2306.07967)"
TEXT = "a teaching text's section on GLoRA"
SQUARE = (Case(6, 6, 6), Case(16, 16, 3), Case(9, 9, 1))


def trained(case: Case, kinds: GLoRAForm | None = None) -> tuple[Frozen, GeneralisedLoRA]:
    """Return a frozen layer with a bias, and a GLoRA update of which every number has moved."""
    base, spec = case.linear(), case.spec(1.0)
    update = (kinds or GLoRAForm()).build(base, case.factors(), spec)
    for name, parameter in update.named_parameters():
        parameter.data = case.randn(*parameter.shape, stream=name) / parameter.shape[-1] ** 0.5
    return base, update


def layer(case: Case, recipe: Recipe) -> nn.Sequential:
    """Return a model of one adapted layer, W₀ and bias drawn from the case."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data, model[0].bias.data = case.w0(), case.randn(case.d_out, stream="bias")
    inject(model, recipe, "0", case.generator("start"))
    return model


def delta(base: Frozen, update: Update) -> Tensor:
    """Return ΔW."""
    return (update.weight(base.matrix) - base.matrix).detach()


def products(update: GeneralisedLoRA) -> tuple[Tensor, Tensor]:
    """Return A and B as matrices."""
    return (update.A_d @ update.A_u).detach(), (update.B_d @ update.B_u).detach()


@claim(
    statement=r"$f(x)=(W_0+W_0\odot A+B)x+W_0C+D\odot b_0+E+b_0$: $A$ weighs every entry of $W_0$, and $C$, $D$, $E$ "
    r"move the bias.",
    source=f"{CHAVAN}, equation 10; the authors' code and PEFT for ⊙",
)
def glora_weighs_adds_and_moves_the_bias(case: Case):
    base, u = trained(case)
    (a, b), x = products(u), case.x()
    moved = base.matrix @ u.C[:, 0] + u.D[:, 0] * base.bias + u.E[:, 0] + base.bias
    return u(base, x), x @ (base.matrix + base.matrix * a + b).T + moved


@misconception(
    of=glora_weighs_adds_and_moves_the_bias,
    statement=r"$h=(W_0+BA)(x+Cx)+Dx+b$ with low-rank $C$ and $D$.",
    source=f"{TEXT}; there C mixes inputs, and the change has rank 3r at most",
)
def false_glora_mixes_inputs(case: Case):
    base, u = trained(case)
    (_, b), x = products(u), case.x()
    mixed = x + x @ (u.C @ case.randn(1, case.d_in, stream="C_u")).T
    return u(base, x), mixed @ (base.matrix + b).T + x @ (u.D @ case.randn(1, case.d_in, stream="D_u")).T + base.bias


@claim(
    statement=r"$W=W_0+W_0\odot A+B$, entry by entry.",
    source=f"{CHAVAN}, equation 10, as the authors' code and PEFT read it",
    cases=SQUARE,
)
def a_weighs_every_entry(case: Case):
    base, update = trained(case)
    a, b = products(update)
    return update.weight(base.matrix), base.matrix + base.matrix * a + b


@misconception(
    of=a_weighs_every_entry,
    statement=r"$W=W_0+W_0A+B$ with a product of matrices: LyCORIS' “glora” is the same method.",
    source="LyCORIS 4.1; another method under the same name",
)
def false_a_is_a_matrix_product(case: Case):
    base, update = trained(case)
    a, b = products(update)
    return update.weight(base.matrix), base.matrix + base.matrix @ a + b


@claim(
    statement=r"$W_0\odot A+B$ has full rank, though $A$ and $B$ have rank $r$.",
    source="a product entry by entry can have rank r·rank(W₀)",
    when=r"$r(\operatorname{rank}W_0+1)\ge\min(d_{in},d_{out})$, and $W_0$ is not special",
    tol=0,
)
def glora_reaches_full_rank(case: Case):
    return linalg.matrix_rank(delta(*trained(case)), rtol=1e-9), torch.tensor(min(case.d_out, case.d_in))


@misconception(
    of=glora_reaches_full_rank,
    statement=r"With $W_0A$ for $W_0\odot A$ it does, too.",
    source="LyCORIS' form: both terms have rank r, their sum at most 2r",
)
def false_a_matrix_product_reaches_full_rank(case: Case):
    base, u = trained(case)
    change = base.matrix @ case.randn(case.d_in, case.r, stream="a1") @ u.A_u + u.B_d @ u.B_u
    return linalg.matrix_rank(change.detach(), rtol=1e-9), torch.tensor(min(case.d_out, case.d_in))


@claim(
    statement=r"$A=C=D=E=0$ leaves LoRA: $W=W_0+B_dB_u$.",
    source=f"{CHAVAN}, table 1",
    when="C, D and b of the text are none of GLoRA's; and LoRA's scale is 1",
)
def glora_holds_lora(case: Case):
    base, update = trained(case, GLoRAForm("none", "lora", "none", "none", "none"))
    lora = LowRank(base, Factors(update.B_u.detach(), update.B_d.detach()), case.spec(1.0))
    return update(base, case.x()), lora(base, case.x())


@claim(
    statement=r"$A=B=0$ leaves a change of the bias, $W_0C+D\odot b_0+E$, the same for every input.",
    source=f"{CHAVAN}, equation 10",
)
def without_a_and_b_the_bias_moves(case: Case):
    base, u = trained(case, GLoRAForm("none", "none", "lora", "vector", "vector"))
    moved = base.matrix @ (u.C_d @ u.C_u)[:, 0] + u.D[:, 0] * base.bias + u.E[:, 0]
    x = case.x()
    return u(base, x) - base(x), moved.expand(len(x), -1)


@misconception(
    of=without_a_and_b_the_bias_moves,
    statement=r"$A=B=0$ gives adapter tuning.",
    source=f"{TEXT}; here an adapter with trained numbers, which answers every input in its own way",
)
def false_without_a_and_b_it_is_an_adapter(case: Case):
    base, u = trained(case, GLoRAForm("none", "none", "lora", "vector", "vector"))
    adapter, x = bottleneck(case), case.x()
    return u(base, x) - base(x), adapter(x) - base(x)


def bottleneck(case: Case) -> Bottleneck:
    """Return the same layer with a bottleneck adapter behind it that has moved from its start."""
    plain = case.linear()
    adapter = Bottleneck(plain.to_layer(plain.matrix, plain.bias), case.r, torch.relu, case.generator("adapter"))
    adapter.W_up.data = case.randn(*adapter.W_up.shape, stream="W_up")
    return adapter


@claim(
    statement=r"GLoRA stays affine: $f(x+y)+f(0)=f(x)+f(y)$, so one weight and one bias can stand for it.",
    source="(W₀ + W₀ ⊙ A + B)x + b",
)
def glora_is_affine(case: Case):
    base, update = trained(case)
    return _both_ways(lambda x: update(base, x), case)


@misconception(
    of=glora_is_affine,
    statement=r"So is an adapter, which GLoRA therefore holds as a special case.",
    source=f"{TEXT}; between an adapter's two matrices stands a nonlinearity",
)
def false_an_adapter_is_affine(case: Case):
    return _both_ways(bottleneck(case), case)


def _both_ways(f, case: Case) -> tuple[Tensor, Tensor]:
    x, y = case.x(), case.randn(11, case.d_in, stream="y")
    return f(x + y) + f(0 * x), f(x) + f(y)


NEEDED = Case(8, 12, 2)


def taught(case: Case) -> Adapted:
    """Return a layer whose GLoRA, all five terms, was trained by gradient on a task that only needs E: another bias."""
    model = layer(case, GLoRA(case.r))
    x, shift = case.x(32), case.randn(case.d_out, stream="shift")
    batch = x, model(x).detach() + shift
    fit(model, [batch] * 40, steps=40, lr=0.05, loss=lambda m, b: (m(b[0]) - b[1]).square().mean(), progress=False)
    return model[0]


@claim(
    statement="Trained by gradient, GLoRA uses every term it has: on a task that a new bias solves, all five move.",
    source="each term has a gradient of its own; which terms there are is no number that a gradient could move",
    tol=0,
    cases=(NEEDED,),
)
def training_leaves_no_term_out(case: Case):
    update = taught(case).update
    sizes = [term.norm() for term in (*products(update), update.C, update.D, update.E)]
    return torch.tensor(sum(bool(size > 1e-3) for size in sizes)), torch.tensor(5)


@misconception(
    of=training_leaves_no_term_out,
    statement="The optimiser learns which combination to use: here, E alone.",
    source=f"{TEXT}; combinations are found by a search over a supernet, not by gradients",
)
def false_the_optimiser_picks_the_terms(case: Case):
    return training_leaves_no_term_out(case)[0], torch.tensor(1)


YEAR = Unchecked(
    statement="GLoRA is a paper of 2024.",
    source=TEXT,
    reason="a date, and no equation: 2306.07967 was posted in June 2023",
)
