"""LoRA in use: where the scale stands, what moves, what stays, and how the product is written for other layouts."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import HU, starts_at_the_base, trained
from lorabook.claims.lora.merging import adapt, layer_of
from lorabook.claims.unchecked import Unchecked
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import disabled, merge, merged
from lorabook.core.optimizer import optimizer

SQUARE = (Case(6, 6, 1), Case(8, 8, 3), Case(5, 5, 5))
ALPHA_IS_R = (Case(12, 5, 1, alpha=1.0), Case(7, 16, 3, alpha=3.0), Case(6, 6, 6, alpha=6.0))


def model_and_product(case: Case) -> tuple[nn.Sequential, Tensor]:
    """Return a model of one layer whose adapter is trained, and BAx without a scale."""
    model = layer_of(case, torch.float64)
    adapt(model, case, "one")
    update = model[0].update
    return model, (case.x() @ update.A.T @ update.B.T).detach()


def in_all_phases(model: nn.Sequential, x: Tensor) -> Tensor:
    """Return the output in training mode, in evaluation mode, and after merging."""
    return torch.stack([model.train()(x), model.eval()(x), merge(model)(x)])


def stepped(case: Case, steps: int) -> nn.Sequential:
    """Return a model of one layer after a few steps of the recipe's own optimiser."""
    model = layer_of(case, torch.float64)
    inject(model, LoRA(case.r, case.alpha), "0", case.generator("A"))
    adamw = optimizer(model, lr=0.05)
    for _ in range(steps):
        adamw.zero_grad()
        model(case.x()).square().sum().backward()
        adamw.step()
    return model


@claim(
    statement=r"$s=\frac{\alpha}{r}$ is there in training, in evaluation and in the merged weight alike: $\Delta "
    r"W=sBA$ throughout (stacked).",
    source=f"{HU}, section 4.1",
)
def the_scale_is_there_in_every_phase(case: Case):
    model, product = model_and_product(case)
    base = model[0].base(case.x())
    return in_all_phases(model, case.x()), (base + case.s * product).expand(3, -1, -1)


@misconception(
    of=the_scale_is_there_in_every_phase,
    statement=r"Training uses $\Delta W=BA$; $\frac{\alpha}{r}$ enters with the weight for inference.",
    source="a teaching text, whose only formula with α/r is the one for inference: that model is not the trained one",
)
def false_the_scale_enters_at_inference(case: Case):
    model, product = model_and_product(case)
    base = model[0].base(case.x())
    plain, scaled = base + product, base + case.s * product
    return in_all_phases(model, case.x()), torch.stack([plain, scaled, scaled])


@claim(
    statement=r"$h=W_0x+b+BAx$, with no scale in sight.",
    source="the definition at α = r",
    when=r"$\alpha=r$; else a factor $\frac{\alpha}{r}$ is missing",
    cases=ALPHA_IS_R,
)
def no_scale_is_alpha_equal_to_r(case: Case):
    model, product = model_and_product(case)
    return model(case.x()), model[0].base(case.x()) + product


@claim(
    statement=r"Of all numbers in an adapted layer, $W_0$ and $b$ among them, $r(d_{in}+d_{out})$ change in training: "
    r"those of $A$ and $B$.",
    source=f"{HU}, section 4.1",
    tol=0,
)
def only_the_factors_change(case: Case):
    before, after = stepped(case, 0).state_dict(), stepped(case, 3).state_dict()
    changed = sum(int((before[name] != number).sum()) for name, number in after.items())
    return torch.tensor(changed), torch.tensor(case.r * (case.d_in + case.d_out))


@claim(
    statement=r"Switched off, an adapter leaves the pretrained layer as it was, bit for bit, however long it was "
    r"trained.",
    source="W₀ is a buffer that nothing writes to",
    when="the adapter is off, or still at its start",
    tol=0,
)
def switched_off_is_the_original(case: Case):
    model = stepped(case, 3)
    with disabled(model), torch.no_grad():
        return model(case.x()), layer_of(case, torch.float64)(case.x())


@misconception(
    of=switched_off_is_the_original,
    statement=r"$W_0$ is frozen, so an adapted layer retains the original computation.",
    source="a teaching text: it keeps W₀, and adds to it",
)
def false_an_adapted_layer_computes_the_original(case: Case):
    model = stepped(case, 3)
    return model(case.x()), layer_of(case, torch.float64)(case.x())


@misconception(
    of=starts_at_the_base,
    statement=r"A LoRA layer that is made with a weight of its own (torch.empty) starts at the pretrained model.",
    source="codes that build the layer from two sizes: right only once W₀ is copied into it",
)
def false_a_fresh_layer_starts_at_the_base(case: Case):
    base, update = trained(case)
    update.B.data.zero_()
    fresh = case.randn(case.d_out, case.d_in, stream="fresh") / case.d_in**0.5
    return update.weight(fresh), base.matrix


@claim(
    statement=r"For rows, $h=xW$ with $W=W_0^\top$, the same update is $xA^\top B^\top$: stored as $A'=A^\top$ "
    r"($d_{in}\times r$) and $B'=B^\top$, it reads $\Delta W'=sA'B'$.",
    source="(BA)ᵀ = AᵀBᵀ",
    cases=SQUARE,
)
def rows_take_the_transposed_product(case: Case):
    base, update = trained(case)
    stored_a, stored_b = update.A.detach().T, update.B.detach().T
    return update(base, case.x()) - base(case.x()), case.s * case.x() @ (stored_a @ stored_b)


@misconception(
    of=rows_take_the_transposed_product,
    statement=r"$\Delta W'=sBA'^\top$ with $A'$: $d_{in}\times r$ and $h=xW$.",
    source="a teaching text with a third convention: for d_in ≠ d_out the shapes clash, in a square it is transposed",
)
def false_rows_take_b_times_a_transposed(case: Case):
    base, update = trained(case)
    stored_a = update.A.detach().T
    return update(base, case.x()) - base(case.x()), case.s * case.x() @ (update.B.detach() @ stored_a.T)


def merged_and_back(case: Case) -> nn.Sequential:
    """Return an adapted bf16 model that was merged for a while."""
    model = layer_of(case, torch.bfloat16)
    adapt(model, case, "one")
    with merged(model):
        model(case.x().bfloat16())
    return model


@claim(
    statement=r"After merging and going back, $W_0$ is what it was, bit for bit, in bf16.",
    source="lorabook.core.merge.merged: the adapted layer is kept, and put back",
    when="the original is kept; nothing is subtracted",
    tol=0,
)
def going_back_keeps_w0(case: Case):
    return merged_and_back(case)[0].base.matrix, layer_of(case, torch.bfloat16)[0].weight


@misconception(
    of=going_back_keeps_w0,
    statement=r"$(W_0+\Delta W)-\Delta W=W_0$: subtracting unmerges.",
    source="codes that unmerge in place; in floating point the sum has been rounded, and what was lost stays lost",
)
def false_subtracting_gives_w0_back(case: Case):
    model = merged_and_back(case)
    with torch.no_grad():
        delta = model[0].update.weight(torch.zeros_like(model[0].base.matrix))
        return model[0].plain().weight - delta, layer_of(case, torch.bfloat16)[0].weight


MORE_TARGETS_ARE_BETTER = Unchecked(
    statement="Quality is good with q and v, better with q, k, v, o, best with all linear layers.",
    source=f"a teaching text; {HU}, section 7.1 (q and v); Dettmers et al. 2023 (2305.14314), section 4 (all layers)",
    reason="a ranking by benchmarks of large models; the small base here gives one task's loss, which ranks no "
    "benchmarks",
)
RANKS_AND_RATES = Unchecked(
    statement="Ranks of 4 to 64 (up to 256), rates of 1e-4 to 5e-4, dropout up to 0.1, a few epochs.",
    source="a teaching text; the paper used 2e-4 for GPT-2 and GPT-3",
    reason="rules of thumb with no quantity that a run could meet or miss; the best values differ from task to task",
)
HU_2021 = Unchecked(
    statement="LoRA is of Hu et al., 2021.",
    source="arXiv 2106.09685",
    reason="no computation settles a date; the preprint's number begins with its year and month: June 2021",
)
