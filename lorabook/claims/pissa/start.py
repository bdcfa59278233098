"""What is true of PiSSA's start, and what is only often said."""

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.init.pissa import PiSSA, PrincipalStart
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.cost.spectrum import energy_kept, nearest_of_rank, singular_values
from lorabook.many.pair import pairs_of

MENG = "Meng, Wang, Zhang 2024 (2404.02948)"
TEXT = "a teaching text's section on PiSSA"
SHAPES = (Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 6))


def adapt(case: Case, recipe: Recipe) -> tuple[nn.Sequential, Adapted]:
    """Return a model of one adapted layer, as it starts."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64))
    model[0].weight.data = case.w0()
    return model, inject(model, recipe, "0", case.generator("A"))["0"]


def trained(case: Case) -> tuple[nn.Sequential, Adapted]:
    """Return such a model after A and B have moved."""
    model, layer = adapt(case, PiSSA(case.r, case.alpha))
    for letter, p in layer.update.named_parameters():
        p.data += 0.3 * case.randn(*p.shape, stream=letter)
    return model, layer


def effective(layer: Adapted) -> Tensor:
    """Return W as the model has it."""
    return layer.update.weight(layer.base.matrix).detach()


@claim(statement=r"$W_{res}+sBA=W_0$: the start is the pretrained model.", source=f"{MENG}, equation 4", cases=SHAPES)
def residual_and_factors_add_up(case: Case):
    w0, spec = case.w0(), case.spec()
    f = PrincipalStart().build(w0, spec)
    return f.residual + spec.scale * f.B @ f.A, w0


@misconception(
    of=residual_and_factors_add_up,
    statement=r"PiSSA starts with a meaningful update instead of none: $W=W_0+s\,BA$ with the principal $B$, $A$.",
    source=f"{TEXT}; what is in BA has been taken out of W₀, so the update is exactly 0, as LoRA's",
)
def false_it_starts_with_an_update(case: Case):
    _, layer = adapt(case, PiSSA(case.r, case.alpha))
    return effective(layer), case.w0() + case.s * (layer.update.B @ layer.update.A).detach()


@claim(
    statement=r"$sBA$ is the best rank-$r$ approximation of $W_0$, for every $\alpha$: the scale is folded into "
    r"the factors.",
    source=f"{MENG}, equations 2 and 3",
    cases=SHAPES,
)
def the_factors_are_the_top_directions(case: Case):
    w0, spec = case.w0(), case.spec()
    f = PrincipalStart().build(w0, spec)
    return spec.scale * f.B @ f.A, nearest_of_rank(w0, case.r)


@misconception(
    of=the_factors_are_the_top_directions,
    statement=r"$BA$, without $s$, is the best rank-$r$ approximation, so α may be chosen freely afterwards.",
    source="true only at α = r, the default that hides it",
)
def false_the_scale_does_not_matter(case: Case):
    w0 = case.w0()
    f = PrincipalStart().build(w0, case.spec())
    return f.B @ f.A, nearest_of_rank(w0, case.r)


@claim(
    statement=r"$\lVert W_{res}\rVert_2=\sigma_{r+1}(W_0)$: what is frozen has lost its largest directions.",
    source=f"{MENG}, section 3",
    cases=SHAPES,
)
def the_residual_starts_at_the_next_singular_value(case: Case):
    w0 = case.w0()
    residual = PrincipalStart().build(w0, case.spec()).residual
    return singular_values(residual)[0], singular_values(w0)[case.r]


@claim(
    statement=r"$s\,BA$ holds $\sum_{i\le r}\sigma_i^2/\sum_i\sigma_i^2$ of $W_0$'s energy, the most that a rank $r$ "
    r"can.",
    source="Eckart, Young 1936",
    cases=SHAPES,
)
def the_factors_hold_the_most_energy(case: Case):
    w0, f = case.w0(), PrincipalStart().build(case.w0(), case.spec())
    share = (case.s * f.B @ f.A).square().sum() / w0.square().sum()
    return share, torch.tensor(energy_kept(w0, case.r), dtype=torch.float64)


@misconception(
    of=the_factors_hold_the_most_energy,
    statement=r"Principal directions of $W_0$ are the most important ones for a task: its $\Delta W$ lies in them "
    r"too.",
    source=f"{TEXT}; what a task needs is not in W₀: here ΔW is random, and A reads what a random A would",
)
def false_the_task_lies_in_the_principal_directions(case: Case):
    wanted, f = case.randn(case.d_out, case.d_in, stream="task"), PrincipalStart().build(case.w0(), case.spec())
    seen = wanted @ linalg.pinv(f.A) @ f.A
    best = torch.tensor(energy_kept(wanted, case.r), dtype=torch.float64)
    return seen.square().sum() / wanted.square().sum(), best


@claim(
    statement=r"The two factors are of one size: $B^\top B=AA^\top=\Sigma_r/s$.",
    source=f"{MENG}, equations 2 and 3: √Σ on both sides, with s folded in",
    cases=SHAPES,
)
def the_factors_are_balanced(case: Case):
    f, sigma = PrincipalStart().build(case.w0(), case.spec()), singular_values(case.w0())[: case.r]
    return torch.cat([f.B.T @ f.B, f.A @ f.A.T]), torch.diag(sigma / case.s).repeat(2, 1)


@misconception(
    of=the_factors_are_balanced,
    statement=r"$B$ and $A$ are orthonormal, because $U_r$ and $V_r$ are.",
    source=f"{TEXT}, comparing PiSSA with OLoRA; each has half of Σ in it",
)
def false_the_factors_are_orthonormal(case: Case):
    f = PrincipalStart().build(case.w0(), case.spec())
    return torch.cat([f.B.T @ f.B, f.A @ f.A.T]), torch.eye(case.r, dtype=torch.float64).repeat(2, 1)


@claim(
    statement=r"Training changes $W_0$ by $\Delta W=s(BA-B_0A_0)$, which is a LoRA of rank $2r$: $s\,[B,-B_0][A;A_0]$.",
    source=f"{MENG}, appendix on conversion to LoRA; PEFT's path_initial_model_for_weight_conversion",
    cases=SHAPES,
)
def the_update_is_a_difference(case: Case):
    model, layer = trained(case)
    pair = pairs_of(model)["0"]
    return effective(layer) - case.w0(), pair.scale * pair.B @ pair.A


@misconception(
    of=the_update_is_a_difference,
    statement=r"PiSSA trains $\Delta W=s\,BA$ on top of $W_0$.",
    source=f"{TEXT}; BA is part of the weight, and lies on top of W_res",
)
def false_the_update_is_ba(case: Case):
    _, layer = trained(case)
    return effective(layer) - case.w0(), (case.s * layer.update.B @ layer.update.A).detach()


@misconception(
    of=the_update_is_a_difference,
    statement=r"Saved against $W_0$ it is a LoRA of rank $r$: the best one of $\Delta W$ loses nothing.",
    source="a natural guess; B and A have both moved, so ΔW has rank 2r where there is room",
)
def false_the_update_has_rank_r(case: Case):
    _, layer = trained(case)
    change = effective(layer) - case.w0()
    return change, nearest_of_rank(change, case.r)


def first_gradients(case: Case, recipe: Recipe) -> Tensor:
    """Return ‖∂L/∂A‖ and ‖∂L/∂B‖ at the start, for one ∂L/∂W."""
    _, layer = adapt(case, recipe)
    (case.randn(case.d_out, case.d_in, stream="G") * layer.update.weight(layer.base.matrix)).sum().backward()
    return torch.stack([layer.update.A.grad.norm(), layer.update.B.grad.norm()])


@claim(
    statement=r"Both factors have a gradient at the first step, $s\,B_0^\top G$ and $s\,GA_0^\top$: that is what sets "
    r"PiSSA's start apart.",
    source="the chain rule; LoRA's A has none, because B₀ = 0",
    cases=SHAPES,
)
def both_factors_learn_at_once(case: Case):
    g, f = case.randn(case.d_out, case.d_in, stream="G"), PrincipalStart().build(case.w0(), case.spec())
    by_hand = torch.stack([(case.s * f.B.T @ g).norm(), (case.s * g @ f.A.T).norm()])
    return first_gradients(case, PiSSA(case.r, case.alpha)), by_hand


@misconception(
    of=both_factors_learn_at_once,
    statement=r"LoRA's factors both have a gradient at the first step too.",
    source="a natural guess; A starts to learn at the second step",
)
def false_lora_learns_with_both_at_once(case: Case):
    g, (_, layer) = case.randn(case.d_out, case.d_in, stream="G"), adapt(case, LoRA(case.r, case.alpha))
    lora = first_gradients(case, LoRA(case.r, case.alpha))
    return lora, (case.s * g @ layer.update.A.T).norm().detach().expand(2)


FASTER_THAN_LORA = Unchecked(
    statement="PiSSA learns faster and ends better than LoRA, above all at small ranks.",
    source=f"{MENG}, section 5; {TEXT}",
    reason="a benchmark of language models; whether the principal directions of W₀ help depends on what the task needs",
)
