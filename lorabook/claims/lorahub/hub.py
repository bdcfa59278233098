"""What LoRAHub makes of several adapters and their weights, and what is said of it."""

from collections.abc import Sequence

import torch
from torch import Tensor, linalg

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.many.combine import Truncated, factors_summed, weighted_sum
from lorabook.many.hub import product_of_sums
from lorabook.many.pair import Pair

HUANG = "Huang et al. 2023 (LoraHub, 2307.13269)"
CODE = "the authors' lorahub/algorithm.py"
TEXT = "a teaching text's section on LoRAHub"
WEIGHTS = (0.8, -0.6, 1.1)


def three(case: Case, layer: str = "0") -> list[Pair]:
    """Return three adapters on one layer, of one rank and one scale."""
    a = [case.randn(case.r, case.d_in, stream=f"A{layer}{i}") / case.d_in**0.5 for i in range(3)]
    return [Pair(a[i], case.randn(case.d_out, case.r, stream=f"B{layer}{i}"), case.s) for i in range(3)]


def delta(pair: Pair) -> Tensor:
    """Return ΔW."""
    return pair.scale * pair.B @ pair.A


def summed_files(pairs: list[Pair], weights: Sequence[float] | Tensor) -> Tensor:
    """Return ΔW as the authors' loop makes it: A and B summed apart, the first adapter's scale on the product."""
    a, b = weights[0] * pairs[0].A, weights[0] * pairs[0].B
    for pair, w in zip(pairs[1:], weights[1:], strict=True):
        a, b = a + w * pair.A, b + w * pair.B
    return pairs[0].scale * b @ a


@claim(
    statement=r"LoRAHub multiplies sums: $\Delta W=s\,(\sum_iw_iB_i)(\sum_jw_jA_j)=s\sum_{i,j}w_iw_jB_iA_j$, "
    r"cross terms $B_iA_j$ included.",
    source=f"{HUANG}, COMPOSE; {CODE} sums the entries of state dicts",
)
def lorahub_multiplies_sums(case: Case) -> tuple[Tensor, Tensor]:
    pairs, terms = three(case), 0
    for one, w in zip(pairs, WEIGHTS, strict=True):
        for other, v in zip(pairs, WEIGHTS, strict=True):
            terms = terms + w * v * case.s * one.B @ other.A
    summed = delta(product_of_sums(pairs, WEIGHTS))
    return torch.stack([summed, summed]), torch.stack([terms, summed_files(pairs, WEIGHTS)])


@misconception(
    of=lorahub_multiplies_sums,
    statement=r"LoRAHub adds products: $\Delta W=\sum_iw_iB_iA_i$.",
    source=f"{TEXT}; that operator is linear in w and of rank up to Σ r_i",
)
def false_lorahub_adds_products(case: Case) -> tuple[Tensor, Tensor]:
    summed = delta(product_of_sums(three(case), WEIGHTS))
    return torch.stack([summed, summed]), weighted_sum(three(case), WEIGHTS).expand(2, -1, -1)


@claim(
    statement=r"At the weights $w_i^2$, PEFT's 'linear' is what LoRAHub makes of $w_i$.",
    source="√(w²s) = w√s on both factors",
    when="no weight is negative",
)
def pefts_linear_at_squares_is_lorahub(case: Case) -> tuple[Tensor, Tensor]:
    weights = [abs(w) for w in WEIGHTS]
    return delta(factors_summed(three(case), [w * w for w in weights])), delta(product_of_sums(three(case), weights))


@misconception(
    of=pefts_linear_at_squares_is_lorahub,
    statement="PEFT's add_weighted_adapter with 'linear' is LoRAHub's composition.",
    source="both sum factors; PEFT takes roots of the weights first, so that each own term has the weight w_i",
)
def false_pefts_linear_is_lorahub(case: Case) -> tuple[Tensor, Tensor]:
    weights = [abs(w) for w in WEIGHTS]
    return delta(factors_summed(three(case), weights)), delta(product_of_sums(three(case), weights))


@claim(
    statement=r"Of rank $r$, LoRAHub's $\Delta W$ is no nearer to $\sum_iw_is_iB_iA_i$ than the best matrix of rank "
    r"$r$ is.",
    source="Eckart, Young 1936",
    relation="<=",
)
def lorahub_is_no_nearer_than_the_best_of_its_rank(case: Case) -> tuple[Tensor, Tensor]:
    pairs = three(case)
    whole = weighted_sum(pairs, WEIGHTS)
    best, summed = delta(Truncated(case.r)(pairs, WEIGHTS)), delta(product_of_sums(pairs, WEIGHTS))
    return linalg.matrix_norm(whole - best), linalg.matrix_norm(whole - summed)


@misconception(
    of=lorahub_is_no_nearer_than_the_best_of_its_rank,
    statement=r"A sum of adapters of rank $r$ has rank $r$ and loses nothing at that rank.",
    source=f"{TEXT}, whose table says: no more parameters, and the same output as a LoRA; its rank is up to Σ r_i",
)
def false_a_sum_fits_into_one_rank(case: Case) -> tuple[Tensor, Tensor]:
    best, _ = lorahub_is_no_nearer_than_the_best_of_its_rank(case)
    return best, torch.zeros_like(best)


@claim(
    statement=r"$\Delta W(tw)=t^2\Delta W(w)$: $-w$ is the adapter of $w$, and half of $w$ is a quarter of it.",
    source="a product of two sums that are linear in w",
)
def lorahub_is_quadratic_in_its_weights(case: Case) -> tuple[Tensor, Tensor]:
    whole, negated, half = (delta(product_of_sums(three(case), [t * w for w in WEIGHTS])) for t in (1, -1, 0.5))
    return torch.stack([negated, half]), torch.stack([whole, whole / 4])


@misconception(
    of=lorahub_is_quadratic_in_its_weights,
    statement=r"A negative weight subtracts an adapter, and half a weight is half an adapter.",
    source="true of the weighted sum; here w = −1 gives +s·BA, and only the sign of one weight against another counts",
)
def false_a_negative_weight_subtracts(case: Case) -> tuple[Tensor, Tensor]:
    whole, negated, half = (delta(product_of_sums(three(case), [t * w for w in WEIGHTS])) for t in (1, -1, 0.5))
    return torch.stack([negated, half]), torch.stack([-whole, whole / 2])


@claim(
    statement=r"The weight 1 on one adapter, and 0 on all others, gives that adapter, $s_iB_iA_i$, at its own scale.",
    source="√s_i goes into each factor",
)
def one_weight_alone_gives_its_adapter(case: Case) -> tuple[Tensor, Tensor]:
    pairs = [pair._replace(scale=(i + 1) * case.s) for i, pair in enumerate(three(case))]
    return delta(product_of_sums(pairs, (0, 1, 0))), delta(pairs[1])


@misconception(
    of=one_weight_alone_gives_its_adapter,
    statement="The first adapter's scale does for all of them.",
    source=f"{CODE}: only factors are summed, into the first adapter's model; true where all scales are one",
)
def false_the_first_scale_does_for_all(case: Case) -> tuple[Tensor, Tensor]:
    pairs = [pair._replace(scale=(i + 1) * case.s) for i, pair in enumerate(three(case))]
    return summed_files(pairs, (0, 1, 0)), delta(pairs[1])


LORAHUB_IN_2024 = Unchecked(
    statement="LoRAHub is Huang et al. 2024.",
    source=TEXT,
    reason="bibliography, which no run can settle: on arXiv in July 2023 (2307.13269), at COLM in 2024",
)
