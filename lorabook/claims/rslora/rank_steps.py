"""The first steps of training under α/r and under α/√r: the optimiser and the input decide which one is flat in r."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.scale.rslora import AlphaOverRootR, rsLoRA
from lorabook.claims.case import Case, ratio_of_means
from lorabook.claims.claim import claim, misconception
from lorabook.claims.rslora.rank_laws import zero_base
from lorabook.claims.rslora.scale import KALAJDZIEVSKI, ONE_SGD_STEP, sgd_fades_under_r
from lorabook.claims.rslora.scale import growth as growth_after_one
from lorabook.core.inject import inject
from lorabook.core.lora import AlphaOverR, KaimingStart, LowRank
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import LayerSpec, Recipe, Scale

SMALL, LARGE, DRAWS = 16, 256, 40
WORLD = (Case(16, 256, LARGE),)
ADAM, SGD = partial(torch.optim.Adam, eps=1e-30), torch.optim.SGD


def inputs(case: Case, stream: str) -> tuple[Tensor, Tensor]:
    """Return the input that is trained on, and others of the same size at a right angle to it."""
    x, new = case.randn(1, case.d_in, stream="x" + stream), case.randn(16, case.d_in, stream="new" + stream)
    new = new - (new @ x.T) / x.square().sum() * x
    return x, new * x.norm() / new.norm(dim=1, keepdim=True)


def after(case: Case, r: int, scale: Scale, optimiser: Callable, seed: int, steps: int, lr: float) -> LowRank:
    """Return an update after a few steps on L = ⟨g, y⟩ for one input, from LoRA's start."""
    stream = f"{r} {seed}"
    base = zero_base(case)
    spec = LayerSpec("layer", r, scale.build(case.alpha, r), 0.0, case.generator("A" + stream))
    update = LowRank(base, KaimingStart().build(base.matrix, spec), spec)
    x, g = inputs(case, stream)[0], case.randn(case.d_out, stream="g" + stream)
    adamw = optimiser(update.parameters(), lr=lr)
    for _ in range(steps):
        adamw.zero_grad()
        (update(base, x) @ g).sum().backward()
        adamw.step()
    return update


def sizes(case: Case, r: int, scale: Scale, optimiser: Callable, new: bool, steps: int, draws: int) -> Tensor:
    """Return the root mean square of s·BAx for each draw, on the trained input or on new ones."""
    updates = [after(case, r, scale, optimiser, i, steps, lr=1.0 if steps == 1 else 1e-3) for i in range(draws)]
    seen = [inputs(case, f"{r} {i}")[int(new)] for i in range(draws)]
    base = zero_base(case)
    with torch.no_grad():
        return torch.stack([u(base, x).square().mean().sqrt() for u, x in zip(updates, seen, strict=True)])


def growth(case: Case, scale: Scale, optimiser: Callable, new: bool, steps: int = 1, draws: int = DRAWS):
    """Return the size at r = 256 over that at r = 16, and its standard error."""
    large, small = (sizes(case, r, scale, optimiser, new, steps, draws) for r in (LARGE, SMALL))
    return ratio_of_means(large, small)


def law(exponent: float) -> Tensor:
    """Return what the growth is if the size goes as r^exponent."""
    return torch.tensor((LARGE / SMALL) ** exponent, dtype=torch.float64)


@claim(
    statement=r"Adam's first five steps on one input: the growth from $r=16$ to 256 (as a logarithm, in size) under "
    r"$\frac{\alpha}{r}$ is less than half of that under $\frac{\alpha}{\sqrt r}$.",
    source="each step moves B by η entry by entry, so that s·BAx is s times a sum of r terms of one sign",
    relation="<=",
    cases=WORLD,
    when="the input is the one that was trained on, and the rate stays the same",
)
def under_adam_alpha_over_r_is_flatter(case: Case):
    plain, root = _five_steps(case)
    return plain, root / 2


@misconception(
    of=under_adam_alpha_over_r_is_flatter,
    statement=r"$\frac{\alpha}{\sqrt r}$ is the flatter of the two under any optimiser.",
    source="teaching texts that carry the theorem for SGD over to AdamW",
)
def false_root_r_is_flatter_always(case: Case):
    plain, root = _five_steps(case)
    return root, plain / 2


def _five_steps(case: Case) -> tuple[Tensor, Tensor]:
    return tuple(
        growth(case, scale, ADAM, new=False, steps=5, draws=8)[0].log().abs()
        for scale in (AlphaOverR(), AlphaOverRootR())
    )


@claim(
    statement=r"One Adam step, seen on an input at a right angle to the trained one: with $\frac{\alpha}{\sqrt r}$ the "
    r"output keeps its size as $r$ grows.",
    source="s·BAx' is s times a sum of r terms of random sign, as for a random B",
    relation="~",
    cases=WORLD,
    when="the new input shares no direction with the old one",
)
def a_new_input_is_stable_under_root_r(case: Case):
    estimate, error = growth(case, AlphaOverRootR(), ADAM, new=True)
    return estimate, law(0), error


@misconception(
    of=a_new_input_is_stable_under_root_r,
    statement=r"There too it is $\frac{\alpha}{r}$ that keeps the size, as on the trained input.",
    source="the sum of r terms of one sign, taken for any input",
)
def false_a_new_input_is_stable_under_r(case: Case):
    estimate, error = growth(case, AlphaOverR(), ADAM, new=True)
    return estimate, law(0), error


@misconception(
    of=sgd_fades_under_r,
    statement=r"With $\frac{\alpha}{r}$ a large rank is unstable: the output grows as $r$.",
    source="teaching texts' “large r: instability”; under SGD it shrinks as 1/r, so that learning slows down",
)
def false_a_large_rank_is_unstable(case: Case):
    estimate, error = growth_after_one(case, ONE_SGD_STEP, AlphaOverR())
    return estimate, law(1), error


@claim(
    statement=r"With $\frac{\alpha}{r}$ an entry of $\partial L/\partial B$ at the start shrinks as $r^{-1}$: "
    r"gradients are small at *high* rank.",
    source="∂L/∂B = s·g(Ax)ᵀ, and neither g nor an entry of Ax depends on r",
    relation="~",
    cases=WORLD,
)
def gradients_are_small_at_high_rank(case: Case):
    estimate, error = ratio_of_means(*(_gradients(case, r) for r in (LARGE, SMALL)))
    return estimate, law(-1), error


@misconception(
    of=gradients_are_small_at_high_rank,
    statement=r"$\alpha$ is there because a low rank makes small gradients: they grow as $r$.",
    source="a teaching text",
)
def false_gradients_are_small_at_low_rank(case: Case):
    estimate, error = ratio_of_means(*(_gradients(case, r) for r in (LARGE, SMALL)))
    return estimate, law(1), error


def _gradients(case: Case, r: int) -> Tensor:
    """Return the root mean square of ∂L/∂B for each draw: one SGD step of size one from B = 0 is −∂L/∂B."""
    moved = [after(case, r, AlphaOverR(), SGD, i, steps=1, lr=1.0) for i in range(DRAWS)]
    return torch.stack([update.B.detach().square().mean().sqrt() for update in moved])


@claim(
    statement=r"With $\frac{\alpha}{\sqrt r}$ the rate at which one step reaches a given output is the same at every "
    r"rank.",
    source=f"{KALAJDZIEVSKI}, theorem 3.2: the output is proportional to the rate",
    relation="~",
    cases=WORLD,
    when="the optimiser is gradient descent",
)
def no_rate_to_retune_under_sgd(case: Case):
    estimate, error = growth(case, AlphaOverRootR(), SGD, new=False)
    return 1 / estimate, law(0), error / estimate**2


@misconception(
    of=no_rate_to_retune_under_sgd,
    statement=r"$\frac{\alpha}{\sqrt r}$ ends the retuning of the rate when $r$ changes, AdamW's included.",
    source="a teaching text; on the trained input Adam's rate must fall as 1/√r",
)
def false_no_rate_to_retune_under_adam(case: Case):
    estimate, error = growth(case, AlphaOverRootR(), ADAM, new=False)
    return 1 / estimate, law(0), error / estimate**2


def first_step(case: Case, recipe: Recipe) -> Tensor:
    """Return what the first step of a recipe's own optimiser adds to the output."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data, model[0].bias.data = case.w0(), case.randn(case.d_out, stream="bias")
    inject(model, Recipe(case.r, case.alpha) | recipe, "0", case.generator("A"))
    adamw, before = optimizer(model, lr=1e-3), model(case.x())
    before.square().sum().backward()
    adamw.step()
    return (model(case.x()) - before).detach()


TRIO = QLoRA() | rsLoRA() | LoRAPlus(16)


@claim(
    statement=r"QLoRA, rsLoRA and LoRA+ change three different axes, so that they combine; the first step is then "
    r"$16\sqrt r$ times that of QLoRA alone.",
    source="B moves 16η in place of η entry by entry, under α/√r in place of α/r",
    when="the rate is tuned anew",
    tol=1e-5,
)
def three_recipes_combine_and_speed_up(case: Case):
    return first_step(case, TRIO), 16 * case.r**0.5 * first_step(case, QLoRA())


@misconception(
    of=three_recipes_combine_and_speed_up,
    statement=r"They combine, and each keeps its usual hyperparameters: the first step is as large as before.",
    source="teaching texts' “all compose”; in code they do",
)
def false_three_recipes_keep_their_rates(case: Case):
    return first_step(case, TRIO), first_step(case, QLoRA())
