"""What LoRA costs: products, what is kept for the backward pass, what the optimiser keeps."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import SHAPES, Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import HU, trained
from lorabook.claims.lora.merging import adapt, layer_of
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA, LowRankForm
from lorabook.core.optimizer import optimizer
from lorabook.cost.count import measured_flops, saved_bytes

ROWS = 256
USUAL = (Case(96, 64, 2), Case(128, 192, 4), Case(512, 512, 8))
"""Layers in which r(d_in + d_out) is small against d_in·d_out, as it is in any layer that people adapt."""


def rows(case: Case) -> Tensor:
    """Return inputs that ask for a gradient, as those of an inner layer do."""
    return case.x(ROWS).requires_grad_()


def step_flops(case: Case, path: str) -> float:
    """Return the operations of a forward and a backward pass, in products of W₀ with all rows.

    `path` is "two paths", "built" (W₀ + sBA is made and used) or "full" (W₀ itself trains).
    """
    base, update = trained(case)
    x, w = rows(case), nn.Parameter(case.w0())
    runs = {
        "two paths": lambda: update(base, x),
        "built": lambda: base.apply_matrix(x, update.weight(base.matrix), base.bias),
        "full": lambda: base.apply_matrix(x, w, base.bias),
    }
    return measured_flops(lambda: runs[path]().sum().backward()) / (2 * ROWS * case.d_out * case.d_in)


def share(case: Case) -> float:
    """Return r(d_in + d_out)/(d_in·d_out): the trained numbers over those of W₀."""
    return case.r * (case.d_in + case.d_out) / (case.d_in * case.d_out)


@claim(
    statement=r"A training step costs full fine-tuning 3 products with $W_0$, LoRA by two paths $2+3\varrho$, LoRA on "
    r"a built $W_0+sBA$ $3+\frac{3r}{n}$: here $\varrho=\frac{r(d_{in}+d_{out})}{d_{in}d_{out}}$, and $n$ is the "
    r"number of rows (stacked).",
    source="y, ∂L/∂x and ∂L/∂W₀ are one product each; LoRA by two paths needs no ∂L/∂W",
    cases=USUAL,
    tol=1e-12,
)
def a_training_step_in_products(case: Case):
    measured = [step_flops(case, path) for path in ("full", "two paths", "built")]
    return torch.tensor(measured), torch.tensor([3, 2 + 3 * share(case), 3 + 3 * case.r / ROWS])


@misconception(
    of=a_training_step_in_products,
    statement=r"F.linear(x, W + s·B@A) is the efficient forward pass: it costs what two paths do.",
    source="pseudo-code in a teaching text; autograd then needs ∂L/∂W, d_out·d_in numbers, to get at ∂L/∂A and ∂L/∂B",
)
def false_building_w_costs_what_two_paths_do(case: Case):
    measured = [step_flops(case, path) for path in ("full", "two paths", "built")]
    return torch.tensor(measured), torch.tensor([3, 2 + 3 * share(case), 2 + 3 * share(case)])


@misconception(
    of=a_training_step_in_products,
    statement=r"Compute falls with the trained numbers: a step costs $3\varrho$.",
    source="“drastically less compute”; the frozen W₀ is still multiplied with, forward and backward",
)
def false_compute_falls_with_the_trained_numbers(case: Case):
    measured = [step_flops(case, path) for path in ("full", "two paths", "built")]
    return torch.tensor(measured), torch.tensor([3, 3 * share(case), 3 + 3 * case.r / ROWS])


@claim(
    statement=r"At most a third of a training step's operations goes away.",
    source=f"∂L/∂W₀ is one product of three; {HU}, section 4.2, measured 25% on GPT-3",
    relation="<=",
    cases=USUAL,
)
def at_most_a_third_of_the_work_goes(case: Case):
    return torch.tensor(2 / 3), torch.tensor(step_flops(case, "two paths") / step_flops(case, "full"))


@claim(
    statement=r"For the backward pass LoRA keeps $x$ and $Ax$: $n(d_{in}+r)$ numbers, where full fine-tuning keeps "
    r"$nd_{in}$.",
    source="∂L/∂A needs x, ∂L/∂B needs Ax; measured by saved-tensor hooks",
    cases=(*SHAPES, *USUAL),
    tol=0,
)
def lora_keeps_x_and_ax(case: Case):
    base, update = trained(case)
    x = rows(case)
    kept = saved_bytes(lambda: update(base, x), [base.matrix, base.bias])
    return torch.tensor(kept / x.element_size()), torch.tensor(float(ROWS * (case.d_in + case.r)))


@misconception(
    of=lora_keeps_x_and_ax,
    statement=r"Activation memory falls with the trained numbers.",
    source="“drastically less memory”: gradients and optimiser state shrink, what a layer keeps of its input does not",
)
def false_lora_keeps_the_trained_share(case: Case):
    return lora_keeps_x_and_ax.sides(case)[0], torch.tensor(ROWS * case.d_in * share(case))


@claim(
    statement=r"Adam keeps $2r(d_{in}+d_{out})$ moments for an adapted layer, and none for $W_0$.",
    source=f"{HU}, section 4.2: no optimiser state for frozen parameters",
    tol=0,
)
def adam_keeps_moments_of_the_factors(case: Case):
    model = layer_of(case, torch.float64)
    inject(model, LoRA(case.r, case.alpha), "0", case.generator("A"))
    adamw = optimizer(model, lr=0.01)
    model(case.x()).square().sum().backward()
    adamw.step()
    moments = [moment for state in adamw.state.values() for moment in state.values() if moment.ndim == 2]
    factors = LowRankForm().count(case.d_out, case.d_in, case.r)
    return torch.tensor(sum(m.numel() for m in moments)), torch.tensor(2 * factors)


@misconception(
    of=adam_keeps_moments_of_the_factors,
    statement=r"The optimiser's state has the size of $W_0$ still: $2d_{in}d_{out}$.",
    source="true of full fine-tuning",
)
def false_adam_keeps_moments_of_w0(case: Case):
    return adam_keeps_moments_of_the_factors.sides(case)[0], torch.tensor(2 * case.d_in * case.d_out)


def forward_flops(case: Case) -> Tensor:
    """Return the operations of a forward pass merged and with the adapter beside, in products with W₀."""
    model = layer_of(case, torch.float64)
    adapt(model, case, "one")
    x, unit = case.x(), 2 * 11 * case.d_out * case.d_in
    plain = model[0].plain()
    return torch.tensor([measured_flops(lambda: plain(x)), measured_flops(lambda: model(x))]) / unit


@claim(
    statement=r"Merged, a forward pass costs what the base does; beside the base it costs "
    r"$1+\frac{r(d_{in}+d_{out})}{d_{in}d_{out}}$ of it (stacked).",
    source=f"{HU}, section 4.1",
    when="there is no latency of its own for one adapter, merged into a weight that is not quantised",
    tol=1e-6,
    cases=(*SHAPES, Case(1024, 1024, 8)),
)
def merged_costs_what_the_base_does(case: Case):
    return forward_flops(case), torch.tensor([1, 1 + share(case)])


@misconception(
    of=merged_costs_what_the_base_does,
    statement=r"LoRA adds no latency, merged or not.",
    source="“zero inference latency”, said without its condition; many adapters at once cannot be merged",
)
def false_an_adapter_beside_costs_nothing(case: Case):
    return forward_flops(case), torch.tensor([1.0, 1.0])
