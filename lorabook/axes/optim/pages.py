"""Pages: bytes that live in slow storage and are in fast memory only while a budget lets them."""

import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lorabook.core.whole_number import refuse_unless_whole


@dataclass
class Traffic:
    """What moved between slow storage and fast memory, counted in pages and in bytes; the most that was resident."""

    ins: int = 0
    outs: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    peak: int = 0


class Pages:
    """`count` pages of `page` bytes. At most `budget` bytes are resident; the page used longest ago gives way first.

    A page is two halves of page/2 bytes, one from each of two tapes that are whole in slow storage: what belongs
    together is used together, and each tape can still be read from end to end. Slow storage is a temporary file mapped
    into memory for a device that is the CPU, and pinned host memory for any other.

    Source: Dettmers et al. 2023 (2305.14314), section 3 (paged optimisers); there the driver moves the pages.

    Raises:
        ValueError: `page` is no positive multiple of 16 bytes (two halves of whole float64 numbers), or `budget` is
            less than a page.
    """

    def __init__(self, count: int, page: int, budget: int, device: torch.device) -> None:
        refuse_page_and_budget(page, budget)
        self.count, self.page, self.budget, self.device = count, page, budget, device
        self.tapes: UInt8[Tensor, "2 bytes"] = _slow_storage(count * page, device).view(2, -1)
        self.traffic = Traffic()
        self._resident: OrderedDict[int, Tensor] = OrderedDict()
        self._changed: set[int] = set()

    @property
    def resident(self) -> int:
        """Bytes in fast memory now."""
        return len(self._resident) * self.page

    def sweep(self, wanted: Iterable[int]) -> Iterator[tuple[int, UInt8[Tensor, "2 half"]]]:
        """Give each wanted page, resident, to be changed in place; one by one."""
        for i in wanted:
            yield i, self._bring(i)

    def resize(self, budget: int) -> None:
        """Take another budget from now on: what no longer fits goes to slow storage at once, as a spike demands."""
        refuse_page_and_budget(self.page, budget)
        self.budget = budget
        self._make_room(budget)

    def write_back(self) -> None:
        """Make slow storage up to date; what is resident stays."""
        for i in sorted(self._changed):
            self._write(i)

    def forget(self) -> None:
        """Drop what is resident: slow storage has been written from outside and is what counts."""
        self._resident.clear()
        self._changed.clear()

    def _bring(self, i: int) -> Tensor:
        if i not in self._resident:
            self._make_room(self.budget - self.page)
            self._resident[i] = self._slow(i).to(self.device, copy=True)
            self.traffic.ins += 1
            self.traffic.bytes_in += self.page
        self._resident.move_to_end(i)
        self._changed.add(i)
        self.traffic.peak = max(self.traffic.peak, self.resident)
        return self._resident[i]

    def _make_room(self, most: int) -> None:
        while self.resident > most:
            oldest = next(iter(self._resident))
            if oldest in self._changed:
                self._write(oldest)
            del self._resident[oldest]

    def _write(self, i: int) -> None:
        self._slow(i).copy_(self._resident[i])
        self._changed.remove(i)
        self.traffic.outs += 1
        self.traffic.bytes_out += self.page

    def _slow(self, i: int) -> UInt8[Tensor, "2 half"]:
        half = self.page // 2
        return self.tapes[:, i * half : (i + 1) * half]


def refuse_page_and_budget(page: int, budget: int) -> None:
    """Raise ValueError for a page that cannot hold two numbers, or a budget that cannot hold a page."""
    allowed = "a multiple of 16, so that both moments of a number lie in one page (65536 is a fair size)"
    refuse_unless_whole("page", page, 16, f", {allowed}", unit="bytes")
    if page % 16:
        raise ValueError(f"page is {page} bytes; it must be {allowed}")
    least = f": an update needs one page in fast memory, so give at least {page}"
    refuse_unless_whole("budget", budget, page, least, unit="bytes")


def _slow_storage(size: int, device: torch.device) -> UInt8[Tensor, " bytes"]:
    """Return `size` zero bytes outside fast memory."""
    if device.type != "cpu":
        return torch.zeros(size, dtype=torch.uint8, device="cpu", pin_memory=True)
    # The mapping keeps the file; it has no name, and its space is given back when the last tensor on it is gone.
    with tempfile.TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="w+", shape=(size,)))
