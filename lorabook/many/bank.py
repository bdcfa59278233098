"""S-LoRA's bank: many adapters of one model, a pool for those in use, and a batch in which every row uses its own."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe, Storage
from lorabook.core.targets import Target, exactly, find_targets
from lorabook.many.banked import Banked
from lorabook.many.pages import Pages, PoolFull
from lorabook.many.pair import State, check_named, check_pair
from lorabook.many.products import Products, batch_of, whichever_is_cheaper


class Bank:
    """All adapters of a model by name, in main memory, and the pool of pages into which those in use are copied.

    A page number means the same rows in the pools of all layers, so an adapter of rank r takes ⌈r / page size⌉ pages. r
    is its largest rank on any layer; on the others the rest of its rows is zero.

    Source: Sheng et al. 2023 (S-LoRA, 2311.03285), sections 3 and 5.
    """

    def __init__(self, adapters: Mapping[str, State], pages: Pages, layers: Mapping[str, Adapted]) -> None:
        self.adapters, self.pages, self.layers = dict(adapters), pages, dict(layers)
        self.ranks = ranks_of(adapters)
        self.loads = 0
        """How many times an adapter was copied into the pool."""
        self._copied: dict[str, int] = {}  # the lease under which each adapter was copied last

    def known(self, names: Sequence[str | None]) -> list[str]:
        """Return the distinct adapters among `names`, in order.

        Raises:
            ValueError: a name that is no adapter of this bank; the message lists those that are.
        """
        for name in names:
            if name is not None and name not in self.adapters:
                have = ", ".join(map(repr, list(self.adapters)[:20])) + (" …" if len(self.adapters) > 20 else "")
                raise ValueError(
                    f"adapter {name!r} is not in this bank, which has {len(self.adapters)}: {have}; None means the "
                    "bare base"
                )
        return list(dict.fromkeys(name for name in names if name is not None))

    def hold(self, names: Sequence[str | None]) -> list[str]:
        """Pin these adapters, copying in those that the pool lacks, and return the distinct ones.

        Raises:
            ValueError: an unknown adapter.
            PoolFull: they do not fit beside what is pinned. Nothing has changed then.
        """
        wanted = self.known(names)
        self.pages.hold({name: self.ranks[name] for name in wanted})
        for name in wanted:
            # Whoever took the pages (a scheduler may have): what counts is whether this lease was written.
            if self._copied.get(name) != self.pages.lease(name):
                self._copied[name] = self.pages.lease(name)
                self._copy(name)
        return wanted

    def _copy(self, name: str) -> None:
        self.loads += 1
        # Made once: on a GPU, a list of numbers would be sent there again, and waited for, at every layer.
        rows = torch.tensor(self.rows(name), device=next(iter(self.layers.values())).update.sA.device)
        for layer_name, layer in self.layers.items():
            layer.update.write(rows, self.adapters[name].get(layer_name))

    def rows(self, name: str) -> list[int]:
        """Return the rows of an adapter in the layers' pools. Row 0 there is nobody's, so pages begin at row 1."""
        return [1 + row for row in self.pages.rows(name)]


def ranks_of(adapters: Mapping[Hashable, State]) -> dict[Hashable, int]:
    """Return each adapter's rank: the largest on any of its layers."""
    return {name: max(len(pair.A) for pair in state.values()) for name, state in adapters.items()}


def bank(
    model: nn.Module,
    adapters: Mapping[str, State],
    pages: int | None = None,
    page: int = 1,
    base: Storage = ORIGIN.base,
    products: Products = whichever_is_cheaper,
) -> Bank:
    """Put a pool on every layer that one of the adapters touches, freeze the model, and return the bank.

    Use the model inside `with serving(model, names):`. Everything is checked before the first layer changes.

    Args:
        adapters: by name; `pairs_of(adapted_model)` gives one.
        pages: how many the pool has; None makes room for all adapters at once.
        page: rows (ranks) in a page.
        base: how W₀ is kept: `DoubleQuantStorage()` serves adapters that were trained with QLoRA.
        products: how a mixed batch is computed: `gathered`, `segmented`, or whichever is cheaper for the batch.

    Raises:
        ValueError: no adapter, pages or page < 1, a layer that the model lacks, that has an adapter already or is tied
            to another, or factors that do not fit.
        PoolFull: an adapter that alone needs more pages than there are.
        TypeError: adapters that are not given by name, each as `pairs_of` gives it.
        UnsupportedLayer: a layer of no known type.
    """
    check_named(adapters)
    names = _layers_of(model, adapters)
    table = _pages_for(ranks_of(adapters), pages, page)
    recipe = Recipe(base=base, names=frozenset({"S-LoRA"})).complete(ORIGIN)
    targets = {target.name: target for target in find_targets(model, exactly(names), recipe)}
    layers = {name: _banked(targets[name], adapters, table, recipe, products) for name in names}
    new_bank = Bank(adapters, table, layers)
    for name, layer in layers.items():
        targets[name].put(layer)
        layer.update.bank = new_bank
    model.requires_grad_(False)
    return new_bank


def _pages_for(ranks: Mapping[str, int], pages: int | None, page: int) -> Pages:
    """Return an empty pool that has room for each adapter alone; `pages` None: for all of them together."""
    sizes = Pages(1, page)
    table = Pages(sum(sizes.needed(r) for r in ranks.values()) if pages is None else pages, page)
    for name, r in ranks.items():
        if table.needed(r) > table.count:
            raise PoolFull(
                f"adapter {name!r} has rank {r} and needs {table.needed(r)} pages of {page}, and the pool has "
                f"{table.count}: build the bank with more pages"
            )
    return table


def _layers_of(model: nn.Module, adapters: Mapping[str, State]) -> list[str]:
    """Return the names of the layers to bank, in the model's order, or refuse."""
    empty = [name for name, state in adapters.items() if not state]
    if not adapters or empty:
        what = f"adapter {empty[0]!r} has no layer" if empty else "the bank is empty"
        raise ValueError(f"{what}: give each adapter at least one, e.g. {{'anna': pairs_of(model)}}")
    if adapted(model):
        raise ValueError(f"{next(iter(adapted(model)))} has an adapter already: bank the plain model (merge it first)")
    wanted = {layer: name for name, state in adapters.items() for layer in state}
    names = [name for name, _ in model.named_modules() if name in wanted]
    missing = sorted(set(wanted) - set(names))
    if missing:
        known = ", ".join(name for name, module in model.named_modules() if not list(module.children()))[:300]
        raise ValueError(
            f"adapter {wanted[missing[0]]!r} is for the layer {missing[0]!r}, which this model does not have; it has: "
            f"{known} …"
        )
    return names


def _banked(target: Target, adapters: Mapping[str, State], table: Pages, recipe: Recipe, products: Products) -> Adapted:
    base = target.base
    for adapter, state in adapters.items():
        if target.name in state:
            check_pair(f"adapter {adapter!r} on {target.name}", state[target.name], *base.store.shape)
    with torch.no_grad():
        base.store = recipe.base.build(base.matrix)
        update = Banked(base, table.count * table.size, products)
    return Adapted(base, update, recipe, 1.0, None).train(target.layer.training)


@contextmanager
def serving(model: nn.Module, names: Sequence[str | None]) -> Iterator[nn.Module]:
    """Inside the block, row n of every batch uses adapter names[n], or the bare base where that is None.

    The block pins its adapters: no other block can take their pages. After it the choice before it is back, error or
    not; without a choice a banked model refuses to run. Do not serve one model from two threads.

    Raises:
        ValueError: the model has no bank, or an adapter is unknown.
        TypeError: the bank in place of its model, or one name in place of a list of them.
        PoolFull: the adapters do not fit into the pool together.
    """
    if isinstance(model, Bank):
        raise TypeError("serving takes the model that was given to bank(model, adapters), not the bank it returned")
    if isinstance(names, str):
        raise TypeError(f"names is {names!r}; give one name for every row of the batch, as in [{names!r}, None]")
    banks = {id(layer.update.bank): layer.update.bank for layer in adapted(model).values() if _is_banked(layer)}
    if not banks:
        raise ValueError("this model has no bank of adapters: call bank(model, adapters) first")
    (shared_bank,) = banks.values()
    updates = [layer.update for layer in shared_bank.layers.values()]
    before = updates[0].batch
    pinned = shared_bank.hold(names)
    try:
        batch = batch_of(names, {name: shared_bank.rows(name) for name in pinned}, updates[0].sA.device)
        for update in updates:
            update.batch = batch
        yield model
    finally:
        for update in updates:
            update.batch = before
        shared_bank.pages.let_go(pinned)


def _is_banked(layer: Adapted) -> bool:
    return isinstance(layer.update, Banked)
