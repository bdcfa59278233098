"""Pages of one fixed size, and who holds them: S-LoRA's Unified Paging as bookkeeping, with no tensor in sight."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from lorabook.core.whole_number import refuse_unless_whole


class PoolFull(RuntimeError):
    """A pool has too few pages that are free or may be taken from somebody."""


@dataclass
class Lease:
    """What one owner holds: its pages, how many of their rows it uses, the lease's number, and its pins."""

    pages: tuple[int, ...]
    rows: int
    number: int
    pins: int = 0


class Pages:
    """A pool of `count` pages with `size` rows each; any free page serves any owner, so no gap is too small.

    A row is one rank of an adapter (a row of A and a column of B) or one position of a request's KV cache: owners of
    both kinds share the pool. Pages that an owner leaves unpinned stay its own until somebody needs them; then the
    least recently held owner goes first. S-LoRA has size = 1. A larger page makes shorter tables, and loses at most
    size − 1 rows to each owner.

    Source: Sheng et al. 2023 (S-LoRA, 2311.03285), section 5 (Unified Paging).
    """

    def __init__(self, count: int, size: int = 1) -> None:
        for name, value in (("pages", count), ("page size", size)):
            refuse_unless_whole(name, value, 1, " (page size 1 is S-LoRA's)")
        self.count, self.size = count, size
        self._free = list(range(count - 1, -1, -1))
        self._leases = 0
        self._owned: dict[Hashable, Lease] = {}  # the least recently used owner comes first

    def needed(self, rows: int) -> int:
        """Return how many pages hold `rows` rows: ⌈rows / size⌉."""
        return -(-rows // self.size)

    def rows(self, owner: Hashable) -> list[int]:
        """Return the row numbers that an owner uses, in order: page·size, page·size + 1, …

        Raises:
            KeyError: the owner holds no page.
        """
        lease = self._owned[owner]
        return [page * self.size + k for page in lease.pages for k in range(self.size)][: lease.rows]

    def lease(self, owner: Hashable) -> int:
        """Return the number of an owner's lease. It changes when pages were lost and got again: rewrite the rows then.

        Raises:
            KeyError: the owner holds no page.
        """
        return self._owned[owner].number

    def fits(self, wanted: Mapping[Hashable, int]) -> bool:
        """Return whether `hold` would succeed."""
        return self._missing_pages(wanted) <= len(self._free) + self._takeable(wanted)

    def hold(self, wanted: Mapping[Hashable, int]) -> list[Hashable]:
        """Pin every owner of `wanted` (owner → rows), and return those that had no pages and got some now.

        What a new owner's rows contain is whatever was there before: write them.

        Raises:
            ValueError: rows < 1, or not the number that the owner holds already.
            PoolFull: too few pages are free or unpinned. Nothing has changed then.
        """
        for owner, rows in wanted.items():
            refuse_unless_whole(f"the number of rows for {owner!r}", rows)
            if owner in self._owned and self._owned[owner].rows != rows:
                raise ValueError(f"{owner!r} holds {self._owned[owner].rows} rows and asks for {rows}: drop it first")
        if not self.fits(wanted):
            raise PoolFull(
                f"the pool is full: {', '.join(map(repr, list(wanted)[:4]))} need {self._missing_pages(wanted)} pages "
                f"more, and of {self.count} only {len(self._free)} are free and {self._takeable(wanted)} unpinned. "
                "Serve fewer at once, or build the bank with more pages"
            )
        missing = [owner for owner in wanted if owner not in self._owned]
        self._evict(sum(self.needed(wanted[owner]) for owner in missing), keep=wanted)
        for owner in missing:
            pages = tuple(self._free.pop() for _ in range(self.needed(wanted[owner])))
            self._leases += 1
            self._owned[owner] = Lease(pages, wanted[owner], self._leases)
        for owner in wanted:
            lease = self._owned[owner] = self._owned.pop(owner)  # to the end: used last
            lease.pins += 1
        return missing

    def let_go(self, owners: Iterable[Hashable]) -> None:
        """Take one pin off each owner. Its pages stay its own until somebody needs them.

        Raises:
            ValueError: an owner is not pinned.
        """
        owners = list(owners)
        for owner in owners:
            if not self.is_pinned(owner):
                raise ValueError(f"{owner!r} is not pinned, so it cannot be let go")
        for owner in owners:
            self._owned[owner].pins -= 1

    def drop(self, owner: Hashable) -> None:
        """Give an owner's pages back at once.

        Raises:
            ValueError: the owner is pinned, or holds nothing.
        """
        if owner not in self._owned or self.is_pinned(owner):
            state = "is in use" if owner in self._owned else "holds no page"
            raise ValueError(f"{owner!r} {state}: it cannot be dropped")
        self._free += reversed(self._owned.pop(owner).pages)

    def is_pinned(self, owner: Hashable) -> bool:
        """Return whether somebody uses this owner's pages now."""
        return owner in self._owned and self._owned[owner].pins > 0

    @property
    def owners(self) -> tuple[Hashable, ...]:
        """Who holds pages, the least recently held first."""
        return tuple(self._owned)

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free)

    @property
    def lost_rows(self) -> int:
        """Rows of held pages that nobody uses: internal fragmentation. There is no other kind."""
        return (self.count - self.free) * self.size - sum(lease.rows for lease in self._owned.values())

    def _missing_pages(self, wanted: Mapping[Hashable, int]) -> int:
        return sum(self.needed(rows) for owner, rows in wanted.items() if owner not in self._owned)

    def _takeable(self, keep: Mapping[Hashable, int]) -> int:
        owned = self._owned.items()
        return sum(len(lease.pages) for owner, lease in owned if not lease.pins and owner not in keep)

    def _evict(self, pages: int, keep: Mapping[Hashable, int]) -> None:
        for owner in self.owners:
            if len(self._free) >= pages:
                return
            if not self._owned[owner].pins and owner not in keep:
                self.drop(owner)

    def __repr__(self) -> str:
        return f"Pages({self.count} × {self.size}, {self.free} free, {len(self._owned)} owners)"
