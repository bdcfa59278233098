"""What AdaLoRA's allocator looks at and spends, over whole runs of the library's rule, and what it is said to do."""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, linalg, nn

from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.rule.allocator import Allocator
from lorabook.axes.rule.schedule import BudgetPlan
from lorabook.claims.adalora.adalora import PAPER, trained
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.inject import inject
from lorabook.core.lora import LowRankForm

BETA1, BETA2, STEPS, TARGET = 0.85, 0.7, 14, 2
SHAPES = (Case(12, 9, 3), Case(7, 16, 4), Case(6, 6, 6))


class Run(NamedTuple):
    """A finished run: its rule, the budget after each step, and w·∂L/∂w of each step by layer and factor."""

    rule: Allocator
    budgets: list[int]
    products: dict[tuple[str, str], list[Tensor]]


def run(case: Case) -> Run:
    """Train two layers of unequal need: the target of the second is hardly away from where it starts."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out), nn.Tanh(), nn.Linear(case.d_out, case.d_in)).double()
    for name, p in model.named_parameters():
        p.data = case.randn(*p.shape, stream=name) / p.shape[-1] ** 0.5
    recipe = AdaLoRA(
        case.r, case.alpha, total_steps=STEPS, target_r=TARGET, warm_up=2, final=3, every=2, beta1=BETA1, beta2=BETA2
    )
    layers = inject(model, recipe, r"\d", case.generator("layers"))
    rule, budgets, products = recipe.rule.build(model), [], {}
    adam = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    goal = 2 * case.randn(case.d_out, case.d_in, stream="goal")
    for t in range(STEPS):
        adam.zero_grad()
        x = case.randn(16, case.d_in, stream=f"x{t}")
        inner = model[:2](x)
        loss = (inner - x @ goal.T).square().mean() + 0.01 * (model[2](inner) - x).square().mean()
        (loss + rule.penalty()).backward()
        for name, layer in layers.items():
            for letter, w in layer.update.named_parameters():
                products.setdefault((name, letter), []).append((w * w.grad).detach())
        rule.before_step(t)
        adam.step()
        rule.after_step(t)
        budgets.append(sum(rule.ranks().values()))
    return Run(rule, budgets, products)


def by_formula(products: list[Tensor]) -> Tensor:
    """Return Ī·Ū of one factor: two moving averages, written out."""
    mean, spread = torch.zeros_like(products[0]), torch.zeros_like(products[0])
    for now in products[: STEPS - 3]:
        mean = BETA1 * mean + (1 - BETA1) * now.abs()
        spread = BETA2 * spread + (1 - BETA2) * (now.abs() - mean).abs()
    return mean * spread


@claim(
    statement=r"$S_i=s(\lambda_i)+\frac1{d_{out}}\sum_js(P_{ji})+\frac1{d_{in}}\sum_js(Q_{ij})$, where "
    r"$s=\bar I\,\bar U$ averages $I=|w\,\partial L/\partial w|$ and $|I-\bar I|$ over the steps: products and means.",
    source=f"{PAPER}, equations 7 to 11",
    cases=SHAPES,
)
def the_score_is_sensitivity_times_uncertainty(case: Case):
    done = run(case)
    by_hand = []
    for name in done.rule.layers:
        p, lam, q = (by_formula(done.products[name, letter]) for letter in "BEA")
        by_hand.append(lam.flatten() + p.mean(0) + q.mean(1))
    return torch.cat(list(done.rule.scores().values())), torch.cat(by_hand)


@misconception(
    of=the_score_is_sensitivity_times_uncertainty,
    statement=r"It computes a singular value decomposition, and the singular values of $\Delta W$ are the scores.",
    source="teaching texts; the paper writes ΔW *like* an SVD so as not to compute one",
)
def false_the_scores_are_singular_values(case: Case):
    done = run(case)
    spectra = []
    for layer in done.rule.layers.values():
        w0 = torch.zeros(len(layer.B), layer.A.shape[1], dtype=torch.float64)
        spectra.append(linalg.svdvals(layer.weight(w0).detach())[: case.r])
    return torch.cat(list(done.rule.scores().values())), torch.cat(spectra)


@claim(
    statement=r"One list for the whole model: the $b$ triplets of the best scores live, in whichever layers they are.",
    source=f"{PAPER}, equation 6 and section 3.3",
    cases=SHAPES,
    tol=0,
)
def the_budget_is_of_the_whole_model(case: Case):
    rule = run(case).rule
    scores = rule.scores()
    bar = torch.cat(list(scores.values())).sort(descending=True).values[2 * TARGET - 1]
    return torch.tensor(list(rule.ranks().values())), torch.stack([(s >= bar).sum() for s in scores.values()])


@misconception(
    of=the_budget_is_of_the_whole_model,
    statement=r"Every layer is brought to the same rank, the target.",
    source="a teaching text's schedule r(t), one for each layer; the target is a mean over layers",
)
def false_every_layer_gets_the_target(case: Case):
    return torch.tensor(list(run(case).rule.ranks().values())), torch.tensor([TARGET, TARGET])


@claim(
    statement=r"The budget falls from $b_0$ to the target: it is that of uniform LoRA in the final phase.",
    source=f"{PAPER}, equation 12",
    when="the last choice has been made; before it, more triplets live and train",
    cases=SHAPES,
    tol=0,
)
def the_budget_ends_at_its_target(case: Case):
    budgets = run(case).budgets
    return torch.tensor([budgets[0], *budgets[-3:]]), torch.tensor([2 * case.r, *[2 * TARGET] * 3])


@misconception(
    of=the_budget_ends_at_its_target,
    statement=r"The total budget is that of uniform LoRA throughout: it is only distributed differently.",
    source="a teaching text",
)
def false_the_budget_is_the_target_throughout(case: Case):
    budgets = run(case).budgets
    return torch.tensor(budgets), torch.full((STEPS,), 2 * TARGET)


def losses_of_choices(case: Case) -> tuple[Tensor, Tensor]:
    """Return the loss when the library's choice of half the triplets lives, and the least over all such choices."""
    update = trained(case)
    rule = Allocator({"layer": update}, BudgetPlan(10, 0, 1, 1), 1, (BETA1, BETA2), 0.0)
    x, y = case.x(30), case.randn(30, case.d_out, stream="y")

    def loss(lives: Tensor) -> Tensor:
        return (x @ (case.w0() + case.s * update.B @ (lives[:, None] * update.E * update.A)).T - y).square().mean()

    loss(torch.ones(case.r)).backward()
    rule.before_step(0)
    rule._choose((case.r + 1) // 2)
    sets = [torch.zeros(case.r).index_fill(0, torch.tensor(one), 1.0)
            for one in itertools.combinations(range(case.r), (case.r + 1) // 2)]  # fmt: skip
    with torch.no_grad():
        return loss(rule.kept["layer"].double()), torch.stack([loss(one) for one in sets]).min()


@claim(
    statement=r"The choice by scores is a heuristic: no better than the best choice of as many triplets.",
    source="the scores are first-order, and triplets that are not orthogonal act on the loss together",
    relation="<=",
)
def the_choice_is_a_heuristic(case: Case):
    chosen, best = losses_of_choices(case)
    return best, chosen


@misconception(
    of=the_choice_is_a_heuristic,
    statement=r"The budget is distributed optimally.",
    source="a teaching text",
)
def false_the_choice_is_optimal(case: Case):
    chosen, best = losses_of_choices(case)
    return chosen, best


@claim(
    statement=r"A masked triplet can come back: the gradient of its $\lambda$ stays, while its $P$ and $Q$ get none.",
    source="∂L/∂λ_i = s·P_iᵀ(∂L/∂W)Q_iᵀ, and ∂L/∂P_i, ∂L/∂Q_i have the factor λ_i = 0",
)
def a_masked_lambda_still_has_a_gradient(case: Case):
    update, slope = trained(case), case.randn(case.d_out, case.d_in, stream="slope")
    update.E.data[0] = 0.0
    (slope * update.weight(case.w0())).sum().backward()
    by_hand = case.s * update.B[:, 0] @ slope @ update.A[0]
    gradient = torch.cat([update.E.grad[0], update.B.grad[:, 0], update.A.grad[0]])
    return gradient, torch.cat([by_hand[None], torch.zeros(case.d_out + case.d_in)]).detach()


@misconception(
    of=a_masked_lambda_still_has_a_gradient,
    statement=r"A masked triplet is gone: it gets no gradient.",
    source="the word 'pruned'; in the final phase it is so, because the masks are applied after every step",
)
def false_a_masked_lambda_is_gone(case: Case):
    return a_masked_lambda_still_has_a_gradient(case)[0], torch.zeros(1 + case.d_out + case.d_in)


@claim(
    statement=r"AdaLoRA trains $r(d_{in}+d_{out}+1)$ numbers a matrix, with the starting $r$, to the end.",
    source=f"{PAPER}, section 3.1: one λ for every triplet; masked ones keep their place",
    tol=0,
)
def lambdas_are_trained_too(case: Case):
    numbers = sum(p.numel() for p in trained(case).parameters())
    return torch.tensor(numbers), torch.tensor(LowRankForm().count(case.d_out, case.d_in, case.r) + case.r)


OUTPERFORMS_LORA = Unchecked(
    statement="AdaLoRA typically outperforms LoRA and uniform ranks.",
    source=f"{PAPER}, abstract; teaching texts",
    reason="a benchmark of language models. What runs here: where an update needs rank in some layers only, the budget "
    "goes there, and less is left than the best LoRA of that uniform rank could leave (tests/test_adalora.py)",
)
