"""What is true of LoRA, and what is only often said."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.frozen import Frozen
from lorabook.core.inject import inject
from lorabook.core.lora import KaimingStart, LoRA, LowRank, uniform_rows
from lorabook.cost.spectrum import singular_values

HU = "Hu et al. 2021 (2106.09685)"


def trained(case: Case) -> tuple:
    """Return a frozen layer and a LowRank whose A and B have both moved."""
    base = case.linear()
    return base, LowRank(base, case.factors(), case.spec())


def gradients(case: Case, update: LowRank, base: Frozen) -> tuple[Tensor, Tensor, Tensor]:
    """Return ∂L/∂A, ∂L/∂B and G = ∂L/∂W for L = Σ y²/2 over a few inputs."""
    x = case.x()
    update(base, x).square().sum().div(2).backward()
    w = update.weight(base.matrix).detach()
    g = (x @ w.T + base.bias).T @ x
    return update.A.grad, update.B.grad, g


@claim(
    statement=r"$W_0+sBA=W_0$ at the start: $B=0$, so the first forward pass is the pretrained one.",
    source=f"{HU}, section 4.1",
)
def starts_at_the_base(case: Case):
    base = case.linear()
    update = LowRank(base, KaimingStart().build(base.matrix, case.spec()), case.spec())
    return update.weight(base.matrix), base.matrix


@claim(
    statement=r"$\partial L/\partial A=s\,B^\top G$ and $\partial L/\partial B=s\,G A^\top$ with $G=\partial "
    r"L/\partial W$ (stacked).",
    source="chain rule on W = W₀ + s·BA",
)
def gradients_of_the_factors(case: Case):
    base, update = trained(case)
    da, db, g = gradients(case, update, base)
    s, a, b = update.s, update.A.detach(), update.B.detach()
    return torch.cat([da.flatten(), db.flatten()]), torch.cat([(s * b.T @ g).flatten(), (s * g @ a.T).flatten()])


@claim(
    statement=r"At the start $\partial L/\partial A=0$ exactly, and $\partial L/\partial B=s\,GA^\top\ne0$: B "
    r"moves first (stacked: A's part, then B's).",
    source=f"{HU}, section 4.1; the gradients above at B = 0",
)
def only_b_moves_first(case: Case):
    base = case.linear()
    update = LowRank(base, KaimingStart().build(base.matrix, case.spec()), case.spec())
    da, db, g = gradients(case, update, base)
    zero = torch.zeros_like(da).flatten()
    return torch.cat([da.flatten(), db.flatten()]), torch.cat([zero, (update.s * g @ update.A.detach().T).flatten()])


@misconception(
    of=only_b_moves_first,
    statement=r"$\partial L/\partial A\ne0$ and $\partial L/\partial B\ne0$ at the start, as with both factors "
    r"random.",
    source="a teaching text: “∂L/∂A, ∂L/∂B ≠ 0” as a property of LoRA",
)
def false_both_factors_move_at_once(case: Case):
    base = case.linear()
    update = LowRank(base, KaimingStart().build(base.matrix, case.spec()), case.spec())
    da, db, g = gradients(case, update, base)
    expected = update.s * case.factors().B.T @ g
    return torch.cat([da.flatten(), db.flatten()]), torch.cat([expected.flatten(), db.flatten()])


@claim(
    statement=r"$\partial L/\partial W_0=G=\sum_t g_t x_t^\top$, as large as in full fine-tuning: freezing leaves "
    r"it unused.",
    source="W = W₀ + s·BA, so ∂W/∂W₀ is the identity",
)
def the_frozen_weight_has_a_gradient(case: Case):
    base, update = trained(case)
    w0 = base.matrix.clone().requires_grad_(True)
    x = case.x()
    (x @ update.weight(w0).T + base.bias).square().sum().div(2).backward()
    _, _, g = gradients(case, update, base)
    return w0.grad, g


@misconception(
    of=the_frozen_weight_has_a_gradient,
    statement=r"$\partial L/\partial W_0=0$, because $W_0$ is frozen.",
    source="a teaching text: “∂L/∂W₀ = 0”",
)
def false_the_frozen_weight_has_no_gradient(case: Case):
    base, update = trained(case)
    _, _, g = gradients(case, update, base)
    return torch.zeros_like(g), g


@claim(
    statement=r"$\operatorname{rank}(\Delta W)\le r$, whatever is trained.",
    source=f"{HU}, section 4.1",
    relation="<=",
)
def rank_is_at_most_r(case: Case):
    base, update = trained(case)
    sigma = singular_values((update.weight(base.matrix) - base.matrix).detach())
    return (sigma > 1e-12 * sigma[0]).sum(), torch.tensor(case.r)


@claim(
    statement=r"$W_0x+b+sB(Ax)=(W_0+sBA)x+b$: two paths are the definition.",
    source="associativity of the matrix product",
)
def two_paths_are_the_definition(case: Case):
    base, update = trained(case)
    return update(base, case.x()), base.apply_matrix(case.x(), update.weight(base.matrix), base.bias)


@misconception(
    of=two_paths_are_the_definition,
    statement=r"The scale of the update is $\alpha$: $h=W_0x+\alpha BAx$.",
    source="several codes in circulation leave out the division by r",
)
def false_the_scale_is_alpha(case: Case):
    base, update = trained(case)
    x = case.x()
    return update(base, x), base(x) + case.alpha * (x @ update.A.T) @ update.B.T


@claim(
    statement=r"The merged layer is a plain layer and computes the same: $\mathrm{Linear}(W_0+sBA)$.",
    source=f"{HU}, section 4.1, no additional inference latency",
)
def merging_is_exact(case: Case):
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    with torch.no_grad():
        model[0].weight.copy_(case.w0())
    layer = inject(model, LoRA(case.r, case.alpha), targets="0")["0"]
    with torch.no_grad():
        layer.update.B.copy_(case.factors().B)
    return model(case.x()), layer.plain()(case.x())


@claim(
    statement=r"$\operatorname{std}(A)=1/\sqrt{3\,d_{in}}$: Kaiming's rule with $a=\sqrt5$ reads the fan-in "
    r"$d_{in}$.",
    source="He et al. 2015 (1502.01852); loralib",
    relation="~",
    cases=(Case(64, 768, 16),),
)
def a_is_as_small_as_its_fan_in_asks(case: Case):
    draws = [uniform_rows(case.r, case.d_in, case.w0(), case.generator(f"draw {i}")).square().mean() for i in range(24)]
    squares = torch.stack(draws)
    return squares.mean().sqrt(), torch.tensor((3 * case.d_in) ** -0.5), squares.sqrt().std() / len(draws) ** 0.5


@misconception(
    of=a_is_as_small_as_its_fan_in_asks,
    statement=r"Storing $A$ as $d_{in}\times r$ makes no difference to its start.",
    source="codes that call the library's init on the transposed A: it then takes fan_in = r",
)
def false_a_stored_the_other_way_round(case: Case):
    draws = [uniform_rows(case.d_in, case.r, case.w0(), case.generator(f"draw {i}")).square().mean() for i in range(24)]
    squares = torch.stack(draws)
    return squares.mean().sqrt(), torch.tensor((3 * case.d_in) ** -0.5), squares.sqrt().std() / len(draws) ** 0.5
