"""S-LoRA's bank: many adapters of one model, and a batch in which every row uses its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lorabook.frozen import Frozen
from lorabook.kinds import freeze
from lorabook.layer import Adapted, adapted
from lorabook.many.pair import Pair, State, check_pair
from lorabook.recipe import Recipe
from lorabook.update.update import Update


class Bank(Update):
    """Row n of a batch gets W_n = W₀ + s_i·B_iA_i, with i = which[n]; None leaves the row to W₀.

    The ranks and scales may differ. B and s·A are kept padded with zeros to the largest rank, which changes no product;
    slot 0 is all zeros and stands for the bare base. Nothing here trains.

    Source: Sheng et al. 2023 (S-LoRA, 2311.03285), section 3; Chen et al. 2023 (Punica, 2310.18547).
    """

    def __init__(self, base: Frozen, pairs: Sequence[Pair | None]) -> None:
        super().__init__()
        w0 = base.matrix
        r = max(len(pair.A) for pair in pairs if pair is not None)
        self.register_buffer("sA", w0.new_zeros(len(pairs) + 1, r, w0.shape[1]))
        self.register_buffer("B", w0.new_zeros(len(pairs) + 1, w0.shape[0], r))
        for slot, pair in enumerate(pairs, start=1):
            if pair is not None:
                self.sA[slot, : len(pair.A)], self.B[slot, :, : len(pair.A)] = pair.scale * pair.A, pair.B
        self.which: Int[Tensor, " rows"] | None = None

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        slots = set(self._chosen().tolist())
        if len(slots) != 1:
            raise ValueError(
                "the rows use different adapters, so there is no one W to give or merge: serve a single one"
            )
        return self._weight(w0, slots.pop())

    def by_row(self, base: Frozen, x: Tensor) -> Tensor:
        """Return each row's output with its own merged W, one row after the other. This is the definition."""
        w0, which = base.matrix, self._chosen(x)
        rows = [base.apply_matrix(x[n, None], self._weight(w0, i), base.bias) for n, i in enumerate(which.tolist())]
        return torch.cat(rows)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # One large product for everybody's W₀x, then two small ones per row with that row's own factors.
        which = self._chosen(x)
        h = torch.vmap(base.reduce)(x, self.sA[which])
        return torch.vmap(base.mix)(h, self.B[which], base(x))

    def _weight(self, w0: Tensor, slot: int) -> Tensor:
        return w0 + self.B[slot] @ self.sA[slot]

    def _chosen(self, x: Tensor | None = None) -> Int[Tensor, " rows"]:
        if self.which is None:
            raise RuntimeError(
                "this layer holds a bank of adapters; say which row uses which: with serving(model, which)"
            )
        if x is not None and len(x) != len(self.which):
            raise ValueError(
                f"the batch has {len(x)} rows and serving was given {len(self.which)} adapters: one per row"
            )
        return self.which

    def extra_repr(self) -> str:
        return f"adapters={len(self.sA) - 1}, r={self.sA.shape[1]}"

    @staticmethod
    def count(d_out: int, d_in: int, r: int) -> int:
        return r * (d_in + d_out)


def bank(model: nn.Module, adapters: Sequence[State]) -> dict[str, Adapted]:
    """Put a bank on every layer that one of the adapters touches, freeze the model, and return those layers by name.

    Adapter i is adapters[i]; use the model inside `with serving(model, which):`.

    Raises:
        ValueError: no adapter, a layer that the model lacks or that has an adapter already, or factors that do not fit.
        UnsupportedLayer: a layer of no known kind.
    """
    names = [name for name, _ in model.named_modules() if any(name in state for state in adapters)]
    missing = sorted({name for state in adapters for name in state} - set(names))
    if missing:
        known = ", ".join(name for name, module in model.named_modules() if not list(module.children()))[:300]
        raise ValueError(
            f"an adapter is for the layer {missing[0]!r}, which this model does not have; it has: {known} …"
        )
    if not names:
        raise ValueError("the bank is empty: give at least one adapter with at least one layer, e.g. [pairs_of(model)]")
    if adapted(model):
        raise ValueError(f"{next(iter(adapted(model)))} has an adapter already: bank the plain model (merge it first)")
    layers = {name: _banked(name, model.get_submodule(name), adapters) for name in names}
    banked = {id(model.get_submodule(name)): layer for name, layer in layers.items()}
    for parent in list(model.modules()):
        for child, held in list(parent._modules.items()):  # named_children would give a layer that is held twice once
            if id(held) in banked:
                setattr(parent, child, banked[id(held)])
    model.requires_grad_(False)
    return layers


def _banked(name: str, layer: nn.Module, adapters: Sequence[State]) -> Adapted:
    base = freeze(layer, name)
    pairs = [Pair(*state[name]) if name in state else None for state in adapters]
    for i, pair in enumerate(pairs):
        if pair is not None:
            check_pair(f"adapter {i} on {name}", pair, *base.store.shape)
    with torch.no_grad():
        update = Bank(base, pairs)
    recipe = Recipe(r=update.sA.shape[1], names=frozenset({"S-LoRA"})).complete()
    return Adapted(base, update, recipe, 1.0, None).train(layer.training)


@contextmanager
def serving(model: nn.Module, which: Sequence[int | None]) -> Iterator[nn.Module]:
    """Inside the block, row n of every batch uses adapter which[n], or the bare base where that is None.

    After the block the choice before it is back, error or not; without a choice a banked model refuses to run. The
    choice lives in the model's banks: do not serve one model from two threads.

    Raises:
        ValueError: the model has no bank, or an adapter number is unknown.
    """
    banks = [layer.update for layer in adapted(model).values() if isinstance(layer.update, Bank)]
    if not banks:
        raise ValueError("this model has no bank of adapters: call bank(model, adapters) first")
    slots = [_slot(i, len(banks[0].sA) - 1) for i in which]
    before = [layer.which for layer in banks]
    try:
        for layer in banks:
            layer.which = torch.tensor(slots, dtype=torch.long, device=layer.sA.device)
        yield model
    finally:
        for layer, choice in zip(banks, before, strict=True):
            layer.which = choice


def _slot(i: int | None, adapters: int) -> int:
    if i is None:
        return 0
    if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < adapters:
        raise ValueError(f"adapter {i!r} is not in this bank, which has 0 … {adapters - 1}; None means the bare base")
    return i + 1
