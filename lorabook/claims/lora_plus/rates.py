"""LoRA+ as the optimiser runs it: which factor is faster, for how long, and at what cost."""

import torch
from torch import Tensor, nn

from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora_plus.lora_plus import HAYOU
from lorabook.claims.lora_plus.width import size
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.cost.count import measured_flops

RATIO = 16.0


def layer(case: Case, recipe: Recipe) -> tuple[nn.Module, Adapted]:
    """Return a model of one layer with a recipe, its factors moved from their start."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data, model[0].bias.data = case.w0(), case.randn(case.d_out, stream="bias")
    adapted = inject(model, LoRA(case.r, case.alpha) | recipe, "0", case.generator("A"))["0"]
    adapted.update.B.data = case.factors().B
    return model, adapted


def first_moves(case: Case) -> tuple[Tensor, Tensor]:
    """Return how far LoRA+'s first step moves the entries of A and of B."""
    model, adapted = layer(case, LoRAPlus(RATIO))
    a, b = (factor.detach().clone() for factor in (adapted.update.A, adapted.update.B))
    adamw = optimizer(model, lr=1e-3)
    model(case.x()).square().sum().backward()
    adamw.step()
    return size(adapted.update.A.detach() - a), size(adapted.update.B.detach() - b)


@claim(
    statement=r"LoRA+ with $\lambda=16$ moves $B$ 16 times as far as $A$: $\eta_A=\eta$, $\eta_B=\lambda\eta$.",
    source=f"{HAYOU}, section 5; PEFT's loraplus_lr_ratio",
    tol=1e-5,
)
def b_moves_sixteen_times_as_far(case: Case):
    a, b = first_moves(case)
    return b, RATIO * a


@misconception(
    of=b_moves_sixteen_times_as_far,
    statement=r"$\lambda=16$ means $\eta_A=16\,\eta_B$.",
    source="a teaching text; its own takeaway says the opposite",
)
def false_a_moves_sixteen_times_as_far(case: Case):
    a, b = first_moves(case)
    return a, RATIO * b


def ratios(case: Case) -> tuple[Tensor, Tensor]:
    """Return η_B/η_A at each of six steps under a warmed-up rate, and ‖∂L/∂A‖/‖∂L/∂B‖ there."""
    model, adapted = layer(case, LoRAPlus(RATIO))
    adamw, rates, norms = optimizer(model, lr=1e-2), [], []
    slow, fast = (group["lr"] for group in adamw.param_groups)
    for step in range(6):
        adamw.zero_grad()
        model(case.x()).square().sum().backward()
        for group, rate in zip(adamw.param_groups, (slow, fast), strict=True):
            group["lr"] = rate * warmup_cosine(step, 8)
        adamw.step()
        rates.append(adamw.param_groups[1]["lr"] / adamw.param_groups[0]["lr"])
        norms.append(adapted.update.A.grad.norm() / adapted.update.B.grad.norm())
    return torch.tensor(rates, dtype=torch.float64), torch.stack(norms)


@claim(
    statement=r"$\eta_B/\eta_A=\lambda$ is set once: it is 16 at every step, under any schedule.",
    source=f"{HAYOU}, section 5: a fixed ratio, two groups of one optimiser",
)
def the_ratio_is_set_once(case: Case):
    rates, _ = ratios(case)
    return rates, torch.full_like(rates, RATIO)


@misconception(
    of=the_ratio_is_set_once,
    statement=r"LoRA+ adjusts the two rates as it goes, such as to the size of the gradients.",
    source="a teaching text: “adjusts learning rates dynamically”",
)
def false_the_ratio_follows_the_gradients(case: Case):
    return ratios(case)


@claim(
    statement=r"LoRA+ trains as many numbers, runs as many operations and keeps as many moments as LoRA (stacked).",
    source="two groups of one optimiser",
    tol=0,
)
def lora_plus_adds_nothing(case: Case):
    return _costs(case, LoRAPlus(RATIO)), _costs(case, Recipe())


def _costs(case: Case, recipe: Recipe) -> Tensor:
    model, _ = layer(case, recipe)
    adamw = optimizer(model, lr=1e-3)
    flops = measured_flops(lambda: model(case.x()).sum().backward())
    adamw.step()
    moments = sum(moment.numel() for state in adamw.state.values() for moment in state.values() if moment.ndim == 2)
    return torch.tensor([sum(p.numel() for p in model.parameters()), flops, moments])


FASTER_AND_BETTER = Unchecked(
    statement="LoRA+ is 1 to 2% better, up to twice as fast, and more stable; the ratio is 2 to 8 (or 16, or 20).",
    source=f"{HAYOU}, section 5, and a teaching text; PEFT's example uses 16, the authors' 20",
    reason="benchmarks of large models; on small ones the best ratio of one seed is not that of the next",
)
HAYOU_2024 = Unchecked(
    statement="LoRA+ is of Hayou et al., 2024.",
    source="arXiv 2402.12354",
    reason="no computation settles a date; the preprint's number begins with its year and month: February 2024",
)
