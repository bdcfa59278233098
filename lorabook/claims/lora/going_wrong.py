"""How a training goes wrong: NaN in float16, a clip that Adam does not feel, and a frozen W₀ that is no protection."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import HU, trained
from lorabook.core.inject import inject
from lorabook.core.lora import AdamW, KaimingStart, LoRA, LowRank

RATES = (1e-2, 1e-4, 1e-6)
KINGMA = "Kingma, Ba 2014 (1412.6980), algorithm 1"


def after_one_step(case: Case, dtype: torch.dtype, lr: float) -> Tensor:
    """Return A after one step of LoRA's own start and optimiser, with everything in one dtype."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data = case.w0()
    update = inject(model, LoRA(case.r, case.alpha), "0", case.generator("A"))["0"].update
    model.to(dtype)  # after injection, which by itself keeps A and B of a 16-bit base in float32
    optimizer = AdamW().build(dict(update.named_parameters()), lr)
    model(case.x().to(dtype)).square().mean().backward()
    optimizer.step()
    return update.A.detach()


def lost(case: Case, dtype: torch.dtype) -> Tensor:
    """Return the share of A that is no number after one step, for each rate."""
    return torch.stack([after_one_step(case, dtype, lr).isnan().double().mean() for lr in RATES])


@claim(
    statement=r"All in float16, Adam's first step makes every entry of $A$ NaN, at any rate: its gradient is 0, "
    r"$\epsilon=10^{-8}$ is 0 too, and 0/0 is no number (stacked: the share of $A$, rates $10^{-2},10^{-4},10^{-6}$).",
    source=f"{KINGMA}: m/(√v + ε); the smallest positive float16 is 6·10⁻⁸",
    when="the optimiser computes in the weights' own dtype; PEFT keeps adapters of a float16 base in float32",
    tol=0,
)
def in_float16_the_first_step_is_nan(case: Case):
    return lost(case, torch.float16), torch.ones(len(RATES))


@misconception(
    of=in_float16_the_first_step_is_nan,
    statement="The loss is NaN? Lower the rate.",
    source="a first cure in circulation; it is right where numbers have overflowed, and not where 0 was divided by 0",
)
def false_a_lower_rate_cures_nan(case: Case):
    return lost(case, torch.float16), torch.tensor([1.0, 0.0, 0.0])


@claim(
    statement=r"In bfloat16 the same step leaves every entry of $A$ a number, at any rate (stacked: their share).",
    source="bfloat16 has float32's exponents: ε = 10⁻⁸ is not 0 in it",
    tol=0,
)
def in_bfloat16_the_first_step_is_none(case: Case):
    return 1 - lost(case, torch.bfloat16), torch.ones(len(RATES))


def stepped(case: Case, clip: float, optimiser: Callable[..., torch.optim.Optimizer]) -> Tensor:
    """Return ΔW after one step with the gradient clipped at a norm."""
    base = case.linear()
    factors = KaimingStart().build(base.matrix, case.spec())
    update = LowRank(base, factors, case.spec())
    optimizer = optimiser(update.parameters(), lr=0.02)
    update(base, case.x()).square().sum().backward()
    nn.utils.clip_grad_norm_(update.parameters(), clip)
    optimizer.step()
    return (update.weight(base.matrix) - base.matrix).detach()


def adam(parameters: Iterable[Tensor], lr: float) -> torch.optim.Adam:
    """Return Adam with an ε that no gradient here is near."""
    return torch.optim.Adam(parameters, lr=lr, eps=1e-30)


@claim(
    statement=r"Adam's first step is the same however far its gradient is clipped: at norm 1 or $10^{-3}$.",
    source=f"{KINGMA}: m/√v does not see a factor on all gradients",
    when="it is the first step; later a clip changes how much one batch weighs against the others",
)
def adam_does_not_feel_a_clip(case: Case):
    return torch.stack([stepped(case, norm, adam) for norm in (1.0, 1e-3)]), stepped(case, 1e30, adam).expand(
        2, case.d_out, case.d_in
    )


@misconception(
    of=adam_does_not_feel_a_clip,
    statement=r"Clipping at a third of the gradient's norm makes the step a third as long.",
    source="true of gradient descent",
)
def false_a_clip_shortens_the_step(case: Case):
    clipped, whole = adam_does_not_feel_a_clip.sides(case)
    return clipped, whole / 3


@claim(
    statement=r"An adapter changes what a layer says of old inputs as of new ones: by "
    r"$\lVert\Delta W\rVert_F/\sqrt{d_{in}}$, root mean square over any orthonormal basis of inputs.",
    source=rf"Σ‖ΔWx‖² = ‖ΔW‖²; {HU}, section 4.1: W₀ is frozen, W is not",
)
def an_adapter_changes_old_outputs(case: Case):
    base, update = trained(case)
    old = torch.linalg.qr(case.randn(case.d_in, case.d_in, stream="old"))[0]
    with torch.no_grad():
        moved = (update(base, old) - base(old)).square().sum(1).mean().sqrt()
    return moved, (update.weight(base.matrix) - base.matrix).detach().norm() / case.d_in**0.5


@misconception(
    of=an_adapter_changes_old_outputs,
    statement=r"LoRA cannot forget: $W_0$ is frozen.",
    source="“preserves pretrained knowledge”, in many texts; the layer multiplies with W₀ + ΔW, not with W₀",
)
def false_a_frozen_w0_cannot_forget(case: Case):
    moved, _ = an_adapter_changes_old_outputs.sides(case)
    return moved, torch.zeros_like(moved)
