"""LoRAHub: adapters of other tasks, composed into one for a new task by weights that a few examples choose."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lorabook.core.modes import evaluating
from lorabook.core.training_step import Diverged
from lorabook.core.whole_number import refuse_unless_whole
from lorabook.many.combine import Combine, combined, same_rank
from lorabook.many.pair import Pair, State
from lorabook.many.stacking import attached, fill


def product_of_sums(pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
    """Return (Σ w_i√s_i B_i)(Σ w_i√s_i A_i): what is summed are the factors, and the rank stays r.

        ΔW = Σ_i Σ_j w_iw_j √(s_is_j) B_iA_j

    Beside the adapters' own terms, w_i²s_iB_iA_i, stand cross terms that no adapter was trained for. ΔW is quadratic:
    w and −w are one adapter, and half of w is a quarter of ΔW. A weight of 1 on one adapter gives that adapter. The
    authors sum files, which hold no scale, and take the first adapter's: for adapters of one scale that is the same.

    Raises:
        ValueError: the ranks differ.

    Source: Huang et al. 2023 (LoraHub, 2307.13269), its COMPOSE stage, and the authors' `get_final_weights`.
    """
    same_rank(pairs)
    roots = [math.sqrt(abs(pair.scale)) for pair in pairs]
    signs = [math.copysign(1.0, pair.scale) for pair in pairs]
    a = sum(w * sign * root * pair.A for pair, w, root, sign in zip(pairs, weights, roots, signs, strict=True))
    return Pair(a, sum(w * root * pair.B for pair, w, root in zip(pairs, weights, roots, strict=True)), 1.0)


@dataclass(frozen=True)
class Composed:
    """One adapter made of many, and how it was found.

    adapter: a pair for every layer, as `attach` and `bank` take it. weights: one for each adapter.
    loss: of the few examples, with these weights. objectives: loss + λ·mean|w| of every evaluation, in order; the first
        is that of the base alone.
    """

    adapter: dict[str, Pair]
    weights: dict[str, float]
    loss: float
    objectives: tuple[float, ...]


def compose(
    model: nn.Module,
    adapters: Mapping[str, State],
    few_shot_loss: Callable[[nn.Module], Tensor | float],
    *,
    how: Combine = product_of_sums,
    budget: int = 40,
    bound: float = 1.5,
    penalty: float = 0.05,
    generator: torch.Generator | None = None,
    progress: bool = True,
) -> Composed:
    """Find the weights with which adapters of other tasks serve a new one; return them and the adapter that they make.

        min_w  loss(W₀ + ΔW(w)) + λ·(1/N) Σ|w_i|,   |w_i| ≤ bound

    The search uses no gradient and begins at w = 0, the base alone, so on the few examples what it returns is no worse
    than the base. Inside it the model is in evaluation mode; after it, or an error, the model is as it was, without
    adapters: `attach(model, composed.adapter)` puts the result on.

    Args:
        adapters: by name, all of one rank on each layer; `pairs_of(adapted_model)` gives one.
        few_shot_loss: the mean loss of a model on the few examples: `lambda model: cross_entropy(model, batch)`.
        how: `concatenated` searches Σ w_is_iB_iA_i instead, at rank Σ r_i and with ranks that may differ.
        budget: how many times the loss is computed.
        penalty: λ. The mean is the authors' code; for λ·Σ|w_i| pass λ·N.
        generator: source of the search's random numbers; seed 0 if None.

    Raises:
        ValueError: a number out of range, no adapter, ranks that differ, or an adapter that does not fit the model.
            Nothing was computed then. Also a loss that is not one number.
        TypeError: a loss that is no function, or adapters that are not given by name, each as `pairs_of` gives it.
        Diverged: the loss is not finite; the message says for which weights.

    Source: Huang et al. 2023 (LoraHub, 2307.13269), its ADAPT stage; the authors' `lorahub_learning`.
    """
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"penalty is {penalty!r}; it must be a finite number ≥ 0 (0.05 in the authors' code)")
    _refuse_search(budget, bound)
    if not callable(few_shot_loss):
        raise TypeError(
            f"few_shot_loss is a {type(few_shot_loss).__name__}; give a function of the model that returns its mean "
            "loss on the few examples: lambda model: cross_entropy(model, batch)"
        )
    names, losses = list(adapters), []
    base_alone = combined(adapters, dict.fromkeys(names, 0.0), how)
    with evaluating(model), attached(model, base_alone) as layers, torch.no_grad():

        def objective(w: np.ndarray) -> float:
            weights = dict(zip(names, w.tolist(), strict=True))
            fill(layers, combined(adapters, weights, how))
            losses.append(_finite(few_shot_loss(model), weights))
            return losses[-1] + penalty * float(np.abs(w).mean())

        w, objectives = minimise(
            objective, len(names), bound=bound, budget=budget, generator=generator, progress=progress
        )
    weights = dict(zip(names, w.tolist(), strict=True))
    return Composed(combined(adapters, weights, how), weights, losses[int(np.argmin(objectives))], tuple(objectives))


def minimise(
    objective: Callable[[np.ndarray], float],
    dimensions: int,
    *,
    bound: float,
    budget: int,
    generator: torch.Generator | None = None,
    progress: bool = True,
) -> tuple[np.ndarray, list[float]]:
    """Return the best point met within |w_i| ≤ bound, and the objective at every point in the order they were met.

    CMA-ES (Hansen 2016) from w = 0 with step bound/3; 0 itself is met first. The search is the package `cmaes`; the
    authors use Nevergrad, which for such problems chooses a method of the same family. It ends before the budget where
    all points of a generation have become one.

    Raises:
        ValueError: budget < 1, or a bound that is not a finite number > 0.
    """
    _refuse_search(budget, bound)
    generator = generator or torch.Generator().manual_seed(0)
    seed = int(torch.randint(2**32 - 1, (), generator=generator, device=generator.device))
    box = np.tile([-bound, bound], (dimensions, 1))
    from cmaes import CMA  # 0.6 s where scipy is there too, which only a search need spend

    search = CMA(np.zeros(dimensions), bound / 3, bounds=box, seed=seed)
    points, values = [np.zeros(dimensions)], [objective(np.zeros(dimensions))]
    with tqdm(total=budget, initial=1, desc="composing", unit="try", disable=not progress, leave=False) as bar:
        while len(values) < budget and not search.should_stop():
            for _ in range(min(search.population_size, budget - len(values))):
                points.append(search.ask())
                values.append(objective(points[-1]))
                bar.update()
                bar.set_postfix_str(f"best {min(values):.3f}", refresh=False)
            if (len(values) - 1) % search.population_size == 0:
                last = slice(-search.population_size, None)
                search.tell(list(zip(points[last], values[last], strict=True)))
    return points[int(np.argmin(values))], values


def _refuse_search(budget: int, bound: float) -> None:
    refuse_unless_whole("budget", budget, 1, " (the authors take 40)", unit="evaluations")
    if not (math.isfinite(bound) and bound > 0):
        raise ValueError(f"bound is {bound!r}; it must be a finite number > 0 (1.5 in the authors' code)")


def _finite(loss: Tensor | float, weights: Mapping[str, float]) -> float:
    if loss is None:
        raise TypeError("few_shot_loss gave None; it must return one number, the mean loss on the few examples")
    value = torch.as_tensor(loss)
    if value.numel() != 1:
        raise ValueError(f"few_shot_loss gave a tensor of shape {tuple(value.shape)}; expected one number, the mean")
    if not value.isfinite():
        listed = ", ".join(f"{name!r}: {weight:.3g}" for name, weight in weights.items())
        raise Diverged(
            f"the few-shot loss is {value.item()} with the weights {{{listed}}}"
            + ("" if any(weights.values()) else ", which is the base alone: look at the examples")
            + ("; a smaller bound keeps the search nearer to the base" if any(weights.values()) else "")
        )
    return float(value)
