"""What LoRAHub's search for weights minimises, within what bounds, and at what cost."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lorahub.hub import CODE, TEXT, delta, summed_files, three
from lorabook.claims.unchecked import Unchecked
from lorabook.many.hub import Composed, compose, minimise
from lorabook.many.pair import State


def composed(case: Case, seen: list[bool]) -> tuple[Composed, list[State], Tensor]:
    """Return what a search of 25 evaluations finds on two layers, the adapters, and the loss there, written out.

    The task is one that a composition solves. `seen` collects, at each evaluation, whether gradients are recorded.
    """
    model = nn.Sequential(*(nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64) for _ in "ab"))
    model[1] = nn.Linear(case.d_out, case.d_in, bias=False, dtype=torch.float64)
    turned = Case(case.d_in, case.d_out, case.r, case.alpha)
    w0 = [case.w0(), turned.w0()]
    with torch.no_grad():
        for layer, w in zip(model, w0, strict=True):
            layer.weight.copy_(w)
    states = [{"0": a, "1": b} for a, b in zip(three(case, "0"), three(turned, "1"), strict=True)]

    def after(weights) -> Tensor:
        first, second = (w + summed_files([s[name] for s in states], weights) for w, name in zip(w0, "01", strict=True))
        return case.x() @ first.T @ second.T

    def loss(candidate: nn.Module) -> Tensor:
        seen.append(torch.is_grad_enabled())
        return (candidate(case.x()) - after((0.5, -0.9, 0.2))).square().mean()

    best = compose(model, dict(zip("abc", states, strict=True)), loss, budget=25, progress=False)
    there = (after(list(best.weights.values())) - after((0.5, -0.9, 0.2))).square().mean()
    return best, states, there


@claim(
    statement=r"What the search minimises is $\mathcal L(W_0+\Delta W(w))+0.05\cdot\frac1N\sum_i|w_i|$.",
    source=f"{CODE}: default_l1_regularization, the mean of |w|",
)
def the_objective_is_loss_and_mean_weight(case: Case) -> tuple[Tensor, Tensor]:
    best, _, loss = composed(case, [])
    size = sum(abs(w) for w in best.weights.values())
    return torch.tensor(min(best.objectives), dtype=torch.float64), loss + 0.05 * size / 3


@misconception(
    of=the_objective_is_loss_and_mean_weight,
    statement=r"It minimises the mean loss of the examples alone.",
    source=TEXT,
)
def false_the_objective_is_the_mean_loss(case: Case) -> tuple[Tensor, Tensor]:
    best, _, loss = composed(case, [])
    return torch.tensor(min(best.objectives), dtype=torch.float64), loss


@misconception(
    of=the_objective_is_loss_and_mean_weight,
    statement=r"The penalty is $0.05\cdot\lVert w\rVert_1$.",
    source="the norm is a sum; the authors' code divides it by N, which for 20 adapters is 20 times less",
)
def false_the_penalty_is_the_norm(case: Case) -> tuple[Tensor, Tensor]:
    best, _, loss = composed(case, [])
    size = sum(abs(w) for w in best.weights.values())
    return torch.tensor(min(best.objectives), dtype=torch.float64), loss + 0.05 * size


def found_for(case: Case, wanted: Tensor) -> Tensor:
    """Return what the library's search finds for the loss ‖w − w*‖²."""
    weights, _ = minimise(
        lambda w: float(((w - wanted.numpy()) ** 2).sum()), len(wanted), bound=1.5, budget=100,
        generator=case.generator("search"), progress=False,
    )  # fmt: skip
    return torch.from_numpy(weights)


def far(case: Case) -> Tensor:
    """Return a w* outside of the box."""
    return torch.tensor([2.5, -4.0, 0.7], dtype=torch.float64) + 0.1 * case.randn(3, stream=f"w* {case.r}")


@claim(
    statement=r"The weights keep to $|w_i|\le1.5$, and so do those of a loss whose own best $w^*$ lies outside.",
    source=f"{CODE}: upper and lower of the search",
    relation="<=",
)
def weights_keep_to_the_box(case: Case) -> tuple[Tensor, Tensor]:
    return found_for(case, far(case)).abs(), torch.full((3,), 1.5, dtype=torch.float64)


@misconception(
    of=weights_keep_to_the_box,
    statement=r"The weights are free: the search goes to $w^*$ wherever it lies.",
    source=f"{TEXT}: an argmin without a bound",
)
def false_weights_go_anywhere(case: Case) -> tuple[Tensor, Tensor]:
    return far(case).abs(), found_for(case, far(case)).abs()


@claim(
    statement="Each try costs one loss of the examples, and none of them records a gradient.",
    source=f"{CODE}: get_score under no_grad",
    when="“training” means gradients: the examples are used, once for every try",
)
def composing_takes_no_gradient(case: Case) -> tuple[Tensor, Tensor]:
    seen: list[bool] = []
    composed(case, seen)
    return torch.tensor([len(seen), sum(seen)]), torch.tensor([25, 0])


@misconception(
    of=composing_takes_no_gradient,
    statement="Nothing is fitted: adapters are composed without any pass over examples of the task.",
    source=f"{TEXT}: “without additional training”, taken at its word",
)
def false_composing_takes_no_examples(case: Case) -> tuple[Tensor, Tensor]:
    counted, _ = composing_takes_no_gradient(case)
    return counted, torch.zeros_like(counted)


@claim(
    statement="The search is over N numbers: one weight for each adapter, the same on every layer.",
    source=f"{CODE}: one weight for a whole state dict; two layers are compared",
)
def one_weight_serves_every_layer(case: Case) -> tuple[Tensor, Tensor]:
    best, states, _ = composed(case, [])
    weights = list(best.weights.values())
    theirs = [summed_files([state[name] for state in states], weights).flatten() for name in "01"]
    return torch.cat([delta(best.adapter[name]).flatten() for name in "01"]), torch.cat(theirs)


COMPOSED_IN_MINUTES = Unchecked(
    statement="With N numbers to find, composing takes minutes.",
    source=TEXT,
    reason="N numbers and a budget of about 40 tries are so; the time is 40 losses of the model in use, whatever that "
    "costs",
)
