"""One layer of a banked model: W₀, this layer's part of the pool, and the batch that is being served."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lorabook.core.frozen import Frozen
from lorabook.core.update import Update
from lorabook.many.pair import Pair
from lorabook.many.products import Batch, Products


class Banked(Update):
    """Row n of a batch gets W_n = W₀ + s_i·B_iA_i with i its adapter; a row without one gets W₀.

    Row k of `sA` and of `B` is one rank of whichever adapter has that row of the pool: sA_k (d_in numbers) is its scale
    times a row of A, B_k (d_out numbers) a column of B. Row 0 stays zero. Nothing here trains.

    Source: Sheng et al. 2023 (S-LoRA, 2311.03285), sections 3 and 5; Chen et al. 2023 (Punica, 2310.18547).
    """

    def __init__(self, base: Frozen, rows: int, products: Products) -> None:
        super().__init__()
        w0 = base.matrix
        # Not part of a state_dict: without the table of who holds which page, the numbers mean nothing.
        self.register_buffer("sA", w0.new_zeros(rows + 1, w0.shape[1]), persistent=False)
        self.register_buffer("B", w0.new_zeros(rows + 1, w0.shape[0]), persistent=False)
        self.products = products
        self.bank = None
        self.batch: Batch | None = None

    def write(self, rows: Int[Tensor, " r"], pair: Pair | None) -> None:
        """Put one adapter's factors into its rows of the pool, and zeros into rows that they do not fill."""
        filled = 0 if pair is None else len(pair.A)
        with torch.no_grad():
            # Somebody else's numbers may still be there.
            self.sA[rows[filled:]], self.B[rows[filled:]] = 0.0, 0.0
            if pair is not None:
                self.sA[rows[:filled]] = pair.scale * pair.A.to(self.sA)
                self.B[rows[:filled]] = pair.B.to(self.B).T

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        batch = self._chosen()
        if len(set(batch.names)) != 1:
            raise ValueError(
                "the rows use different adapters, so there is no one W to give or merge: serve a single one"
            )
        return self._weight(w0, batch, 0)

    def by_row(self, base: Frozen, x: Tensor) -> Tensor:
        """Return each row's output with its own merged W, one row after the other. This is the definition."""
        w0, batch = base.matrix, self._chosen(x)
        return torch.cat([base.apply_matrix(x[n, None], self._weight(w0, batch, n), base.bias) for n in range(len(x))])

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # One large product for everybody's W₀x, then two small ones with each row's own factors.
        return self.products(base, x, self.sA, self.B, self._chosen(x))

    def _weight(self, w0: Tensor, batch: Batch, n: int) -> Tensor:
        rows = batch.rows[n]
        return w0 + self.B[rows].T @ self.sA[rows]

    def _chosen(self, x: Tensor | None = None) -> Batch:
        if self.batch is None:
            raise RuntimeError(
                "this layer holds a bank of adapters; say which row uses which: with serving(model, names)"
            )
        if x is not None and len(x) != len(self.batch.names):
            raise ValueError(
                f"the batch has {len(x)} rows and serving was given {len(self.batch.names)} adapters: one per row"
            )
        return self.batch

    def extra_repr(self) -> str:
        return f"pool={len(self.sA) - 1} rows"
