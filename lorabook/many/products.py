"""A mixed batch in one pass: two ways to give every row of x its own BA, out of one pool of rows.

Row i of the pool is one rank of some adapter: a row of s·A (d_in numbers) and a column of B (d_out numbers). Row 0 is
all zeros and belongs to nobody.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lorabook.core.frozen import Frozen


@dataclass(frozen=True)
class Segment:
    """The batch rows of one adapter, and its rows in the pool: a slice, which copies nothing, where they adjoin."""

    batch: Int[Tensor, " n"]
    pool: slice | Int[Tensor, " r"]


@dataclass(frozen=True)
class Batch:
    """Which adapter each row of a batch uses, as both products want to read it.

    `rows` has every batch row's pool rows, filled up to the largest rank in the batch with row 0, whose zeros change no
    product. `segments` has one entry for each adapter in the batch.
    """

    names: tuple[Hashable, ...]
    rows: Int[Tensor, "batch r"]
    segments: tuple[Segment, ...]


def batch_of(names: Sequence[Hashable], rows: Mapping[Hashable, Sequence[int]], device: torch.device) -> Batch:
    """Return the batch in which row n uses the pool rows rows[names[n]]. A name that `rows` lacks is the bare base."""
    widest = max((len(rows[name]) for name in names if name in rows), default=1)
    filled = {name: [*own, *[0] * (widest - len(own))] for name, own in rows.items()}
    table = torch.tensor([filled.get(name, [0] * widest) for name in names], dtype=torch.long, device=device)
    places: dict[Hashable, list[int]] = {}
    for n, name in enumerate(names):
        if name in rows:
            places.setdefault(name, []).append(n)
    segments = (Segment(torch.tensor(n, device=device), _adjoining(rows[name], device)) for name, n in places.items())
    return Batch(tuple(names), table.view(len(names), widest), tuple(segments))


def _adjoining(rows: Sequence[int], device: torch.device) -> slice | Tensor:
    if list(rows) == list(range(rows[0], rows[0] + len(rows))):
        return slice(rows[0], rows[0] + len(rows))
    return torch.tensor(rows, device=device)


Products = Callable[[Frozen, Tensor, Float[Tensor, "pool d_in"], Float[Tensor, "pool d_out"], Batch], Tensor]
"""Return W₀x + b and each row's own B(sA x): (base, x, sA, B, batch) -> y."""


def gathered(
    base: Frozen, x: Tensor, sa: Float[Tensor, "pool d_in"], b: Float[Tensor, "pool d_out"], batch: Batch
) -> Tensor:
    """Fetch every batch row's own factors from the pool, then multiply all rows at once (BGMV: gathered matrix-vector).

    Copies r(d_in + d_out) numbers for each row of the batch, whoever else uses the same adapter, and multiplies by the
    zeros that a smaller rank is filled up with. Best where few rows share an adapter.

    Source: Chen et al. 2023 (Punica, 2310.18547), section 4; S-LoRA, section 5.3.
    """
    # F.embedding fetches whole rows: three to four times as fast as sa[batch.rows].
    return one_pair_a_row(base, x, F.embedding(batch.rows, sa), F.embedding(batch.rows, b).mT)


def one_pair_a_row(base: Frozen, x: Tensor, a: Float[Tensor, "n r d_in"], b: Float[Tensor, "n d_out r"]) -> Tensor:
    """Return W₀x_n + b + B_n(A_n x_n) for every row n of a batch: each row has factors of its own."""
    y = base(x)
    if not base.reads_vectors:  # the paths of a single layer, mapped over the rows by torch
        return torch.vmap(base.up_project)(torch.vmap(base.down_project)(x, a), b, y)
    h = torch.bmm(x.reshape(len(x), -1, x.shape[-1]), a.mT)
    # y is fresh from W₀x, and may be written into.
    return y.view(*h.shape[:2], -1).baddbmm_(h, b.mT).view(y.shape)


def segmented(
    base: Frozen, x: Tensor, sa: Float[Tensor, "pool d_in"], b: Float[Tensor, "pool d_out"], batch: Batch
) -> Tensor:
    """Bring the rows of one adapter together, and multiply them by its factors where they lie (SGMV: segments).

    Copies no factors where an adapter's rows adjoin, and pays each adapter's own rank. Two products for every adapter
    in the batch: best where many rows share one.

    Source: Chen et al. 2023 (Punica, 2310.18547), section 4; S-LoRA, section 5.3.
    """
    y = base(x)
    if len(batch.segments) == 1 and len(batch.segments[0].batch) == len(x):
        own = batch.segments[0].pool
        return base.up_project(base.down_project(x, sa[own]), b[own].T, onto=y)
    order = torch.cat([torch.zeros(0, dtype=torch.long, device=x.device), *(s.batch for s in batch.segments)])
    sizes = [len(segment.batch) for segment in batch.segments]
    parts = [
        base.up_project(base.down_project(part, sa[segment.pool]), b[segment.pool].T, onto=under)
        for segment, part, under in zip(batch.segments, x[order].split(sizes), y[order].split(sizes), strict=True)
    ]
    return y.index_copy(0, order, torch.cat(parts)) if parts else y


def whichever_is_cheaper(
    base: Frozen, x: Tensor, sa: Float[Tensor, "pool d_in"], b: Float[Tensor, "pool d_out"], batch: Batch
) -> Tensor:
    """Segments where SHARED rows or more of the batch use each adapter on average, gathering elsewhere."""
    often = len(batch.names) >= SHARED * len(batch.segments)
    return (segmented if often else gathered)(base, x, sa, b, batch)


SHARED = 4
"""Measured by tests/bench/bench_serve.py: from here on two products for an adapter cost less than copying its factors
for every row."""
