"""Paged AdamW: the two moments of every number live in pages that leave fast memory when it is short."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.optim.pages import Pages, refuse_page_and_budget
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe

MiB = 2**20


@dataclass(frozen=True)
class Segment:
    """Entries start … stop of one parameter, and where in its page they begin (in entries)."""

    parameter: Tensor
    start: int
    stop: int
    at: int


class PagedAdamW(torch.optim.Optimizer):
    """AdamW, word for word, on state that is paged:

        m ← β₁m + (1 − β₁)g,   v ← β₂v + (1 − β₂)g²,   p ← (1 − ηλ)p − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)

    The update is made entry by entry, so the order of pages is free: steps sweep them forwards and backwards in turn,
    and find what the last sweep left resident. A sweep always in one direction would find nothing once a page is
    missing. `state_dict` has the form of torch's AdamW, and either loads the other's.

    Args:
        params: as for every torch optimiser; all on one device.
        page: bytes of a page, of which both moments take one half.
        budget: most bytes of state in fast memory; change it with `pages.resize`, at any time between steps.

    Raises:
        ValueError: a number out of range, no real floating-point parameters, or more than one device.

    Source: Loshchilov, Hutter 2017 (1711.05101), algorithm 2; pages: Dettmers et al. 2023 (2305.14314), section 3.
    """

    def __init__(
        self, params: Iterable, lr: float, *, page: int, budget: int, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        refuse_page_and_budget(page, budget)
        _refuse_numbers(lr, betas, eps, weight_decay)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.layout, self._begins = _lay_out(parameters, page)
        self.pages = Pages(len(self.layout), page, budget, _only_device(parameters))
        self._steps = 0
        self.register_state_dict_pre_hook(_write_back)
        self.register_load_state_dict_pre_hook(_refuse_other_updates)
        self.register_load_state_dict_post_hook(_take_over)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; pages in which none has stay where they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = {p: group for group in self.param_groups for p in group["params"] if p.grad is not None}
        for p in moving:
            self._refuse(p)
        for p in moving:
            self._begin(p)
        flat = {p: (p.detach().reshape(-1), p.grad.reshape(-1)) for p in moving}
        wanted = [i for i, segments in enumerate(self.layout) if any(s.parameter in moving for s in segments)]
        self._steps += 1
        for i, halves in self.pages.sweep(wanted if self._steps % 2 else wanted[::-1]):
            for s in self.layout[i]:
                if s.parameter in moving:
                    m, v = halves.view(s.parameter.dtype)[:, s.at : s.at + s.stop - s.start]
                    p, g = (whole[s.start : s.stop] for whole in flat[s.parameter])
                    _update(p, g, m, v, self.state[s.parameter]["step"].item(), moving[s.parameter])
        for p, (updated, _) in flat.items():
            if not p.is_contiguous():  # reshape made a copy
                p.copy_(updated.view_as(p))
        return loss

    def moments(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return m and v of a parameter as they lie in slow storage; `pages.write_back` makes them up to date."""
        begin, size = self._begins[p], p.numel() * p.element_size()
        m, v = self.pages.tapes[:, begin : begin + size].view(p.dtype)
        return m.view(p.shape), v.view(p.shape)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "a paged AdamW can be neither copied nor pickled, for its moments lie in pages of its own: build a new one "
            "over the copied parameters and call its load_state_dict with this one's state_dict()"
        )

    def _refuse(self, p: Tensor) -> None:
        if p not in self._begins:
            raise RuntimeError("paged AdamW got a parameter after its pages were laid out: build a new optimiser")
        if p.grad.is_sparse:
            raise RuntimeError("paged AdamW has no update for a sparse gradient: build the Embedding with sparse=False")

    def _begin(self, p: Tensor) -> None:
        if not self.state[p]:
            m, v = self.moments(p)
            self.state[p] = {"step": torch.tensor(0.0), "exp_avg": m, "exp_avg_sq": v}
        self.state[p]["step"] += 1


@dataclass(frozen=True)
class Paged:
    """The value on the optimiser axis: paged AdamW without weight decay, as `Recipe(optim=Paged())`.

    Args:
        page: bytes of a page. Smaller ones follow the budget more closely and cost more calls: at 1 MiB a step takes as
            long as torch's AdamW, at 64 KiB about three times as long (`tests/bench/bench_paged.py`).
        budget: most bytes of state in fast memory.
    """

    page: int = MiB
    budget: int = 64 * MiB

    def __post_init__(self) -> None:
        refuse_page_and_budget(self.page, self.budget)

    def build(self, named: dict[str, Tensor], lr: float) -> PagedAdamW:
        return PagedAdamW(list(named.values()), lr, page=self.page, budget=self.budget)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def _update(
    p: Float[Tensor, " n"], g: Float[Tensor, " n"], m: Float[Tensor, " n"], v: Float[Tensor, " n"], t: float,
    group: dict,
) -> None:  # fmt: skip
    """Make one step of AdamW in place, operation by operation as torch does, so that rounding is the same."""
    (beta1, beta2), lr = group["betas"], group["lr"]
    p.mul_(1 - lr * group["weight_decay"])
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    root = (v.sqrt() / (1 - beta2**t) ** 0.5).add_(group["eps"])
    p.addcdiv_(m, root, value=-lr / (1 - beta1**t))


def _lay_out(parameters: list[Tensor], page: int) -> tuple[list[list[Segment]], dict[Tensor, int]]:
    """Cut the parameters, laid end to end, into pages of one dtype each; return also where each begins, in bytes."""
    layout: list[list[Segment]] = []
    begins: dict[Tensor, int] = {}
    for dtype in dict.fromkeys(p.dtype for p in parameters):
        room, at = page // 2 // dtype.itemsize, 0
        first = len(layout)
        for p in (p for p in parameters if p.dtype == dtype):
            begins[p] = first * (page // 2) + at * dtype.itemsize
            start = 0
            while start < p.numel():
                if at // room == len(layout) - first:
                    layout.append([])
                stop = min(p.numel(), start + room - at % room)
                layout[-1].append(Segment(p, start, stop, at % room))
                at, start = at + stop - start, stop
    return layout, begins


def _write_back(optimizer: PagedAdamW) -> None:
    optimizer.pages.write_back()


def _refuse_other_updates(optimizer: PagedAdamW, state: dict[str, Any]) -> None:
    for group in state["param_groups"]:
        for other in ("amsgrad", "maximize"):
            if group.get(other):
                raise ValueError(f"the state to load is of an AdamW with {other}=True, which paged AdamW does not have")


def _take_over(optimizer: PagedAdamW) -> None:
    """Put a loaded state into slow storage, and let the state be views of it again."""
    optimizer.pages.forget()
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        if p not in optimizer.state:  # its first step is still to come, and begins at zero
            for tape in optimizer.moments(p):
                tape.zero_()
    for p, state in optimizer.state.items():
        for name, tape in zip(("exp_avg", "exp_avg_sq"), optimizer.moments(p), strict=True):
            tape.copy_(state[name])
            state[name] = tape


def _only_device(parameters: list[Tensor]) -> torch.device:
    devices = {p.device for p in parameters}
    if len(devices) > 1:
        raise ValueError(f"paged AdamW pages to one device and the parameters are on {sorted(map(str, devices))}")
    odd = [p.dtype for p in parameters if not p.is_floating_point()]
    if odd:
        raise ValueError(f"paged AdamW updates real floating-point numbers; a parameter is {odd[0]}")
    return devices.pop()


def _refuse_numbers(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr is {lr!r}; it must be a finite number > 0")
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas are {betas!r}; each must lie in [0, 1)")
    if not (0 < eps < float("inf") and 0 <= weight_decay < float("inf")):
        raise ValueError(f"eps is {eps!r} and weight_decay {weight_decay!r}; eps must be > 0, weight_decay ≥ 0")
