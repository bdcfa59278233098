"""What is true of serving many adapters in one batch, and what is often said instead."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lorabook.cases import Case
from lorabook.claims import claim, foil
from lorabook.frozen import Frozen
from lorabook.many.bank import Bank
from lorabook.many.pair import Pair

ABOUT = "S-LoRA"

ROWS = (0, None, 1, 2, 0, 1)
SOURCE = "Sheng et al. 2023 (S-LoRA, 2311.03285), section 3"


def served(case: Case) -> tuple[Frozen, Bank, Tensor]:
    """Return a base, a bank of adapters of ranks r, r + 2 and 1, each with s = α/its rank, and a batch of six rows."""
    pairs = []
    for i, r in enumerate((case.r, case.r + 2, 1)):
        a, b = case.randn(r, case.d_in, stream=f"A{i}"), case.randn(case.d_out, r, stream=f"B{i}")
        pairs.append(Pair(a, b, case.alpha / r))
    base = case.linear()
    update = Bank(base, pairs)
    update.which = torch.tensor([0 if i is None else i + 1 for i in ROWS])
    return base, update, case.randn(len(ROWS), 4, case.d_in, stream="x")


@claim(
    statement=r"One pass gives every row $n$ of a batch its own $y_n=(W_0+s_{i(n)}B_{i(n)}A_{i(n)})\,x_n+b$.",
    source=f"{SOURCE}; against one merged layer per row",
)
def a_batch_is_its_rows_merged(case: Case) -> tuple[Tensor, Tensor]:
    base, update, x = served(case)
    return update(base, x), update.by_row(base, x)


@foil(
    of=a_batch_is_its_rows_merged,
    statement=r"Padded to one rank, all adapters share one scale $\alpha/r_{\max}$.",
    source="reading s = α/r off the padded shapes; padding adds zeros to a product, its scale stays the "
    "adapter's own",
)
def padding_changes_the_scale(case: Case) -> tuple[Tensor, Tensor]:
    base, update, x = served(case)
    expected = update.by_row(base, x)
    for slot, r in enumerate((case.r, case.r + 2, 1), start=1):
        update.sA[slot] *= r / (case.r + 2)
    return update(base, x), expected


@claim(
    statement=r"Serving unmerged adds $r_{\max}(d_{in}+d_{out})$ multiply-adds per position.",
    source=f"{SOURCE}: the price of not merging; counted in the products that run",
)
def serving_unmerged_costs_two_small_products(case: Case) -> tuple[Tensor, Tensor]:
    base, update, x = served(case)
    return _added(base, update, x), torch.tensor((case.r + 2) * (case.d_in + case.d_out))


@foil(
    of=serving_unmerged_costs_two_small_products,
    statement=r"LoRA has no added latency, so neither has serving many adapters.",
    source="a property of one merged adapter, said of many unmerged ones",
)
def serving_is_free(case: Case) -> tuple[Tensor, Tensor]:
    base, update, x = served(case)
    return _added(base, update, x), torch.tensor(0)


def _added(base: Frozen, update: Bank, x: Tensor) -> Tensor:
    """Return multiply-adds per position beyond those of the base."""
    return torch.tensor((_flops(update, base, x) - _flops(base, x)) / 2 / x.shape[:-1].numel())


def _flops(module, *inputs) -> int:
    with FlopCounterMode(display=False) as counted:
        module(*inputs)
    return counted.get_total_flops()
