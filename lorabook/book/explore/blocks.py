"""Block explorer: how much of a wanted ΔW one LoRA, n LoRAs on slices (MELoRA) and n whole LoRAs in sum can write.

All three are given their best: the nearest matrix of that form to the wanted one, by singular values (Eckart and Young
1936), for the blocks in each block. What is reached is the share of ‖ΔW‖² that it keeps.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.axes.form.melora import MELoRAForm
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.core.lora import LowRankForm
from lorabook.cost.spectrum import nearest_of_rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 24
FEW, BLOCKS, NOISE = "two directions", "four blocks", "no pattern"
MINIS = (1, 2, 3, 4, 6, 8, 12, 24)
RANKS = (1, 2, 3, 4)


@dataclass(frozen=True)
class State:
    """How many LoRAs, the rank of each, and what ΔW should become."""

    n: int = control(4, Steps("n LoRAs", MINIS))
    r: int = control(1, Steps("rank r of each", RANKS))
    wanted: str = control(FEW, Choice("wanted ΔW", (FEW, BLOCKS, NOISE)))


@dataclass(frozen=True)
class Result:
    """The wanted ΔW and the nearest of each form, with their ranks, trained numbers and shares of ‖ΔW‖² reached."""

    names: tuple[str, ...]
    matrices: tuple[np.ndarray, ...]
    ranks: tuple[int, ...]
    numbers: tuple[int, ...]
    reached: tuple[float, ...]
    n: int
    sentence: str


def blocks(generator: torch.Generator) -> Explorer:
    """Return the block explorer."""
    return tabled_explorer("blocks", State(), partial(compute, wanted=targets(generator)), still)


def targets(generator: torch.Generator) -> dict[str, Float[Tensor, "24 24"]]:
    """Return what ΔW may have to become: of rank 2, four equal blocks of rank 1, random; each of norm 1."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    quarter = SIDE // 4
    alike = [draw(quarter, 1) @ draw(1, quarter) for _ in range(4)]
    found = {
        FEW: draw(SIDE, 2) @ draw(2, SIDE),
        BLOCKS: torch.block_diag(*(block / block.norm() for block in alike)),
        NOISE: draw(SIDE, SIDE),
    }
    return {name: m / m.norm() for name, m in found.items()}


def compute(state: State, wanted: dict[str, Float[Tensor, "24 24"]]) -> Result:
    """Give each form its best."""
    m, n, r = wanted[state.wanted], state.n, state.r
    one, many = nearest_of_rank(m, r), nearest_of_rank(m, n * r)
    small = nearest_blocks(m, n, r)
    matrices = (m, one, small, many)
    each = LowRankForm().count(SIDE, SIDE, r)
    numbers = (SIDE * SIDE, each, MELoRAForm(n).count(SIDE, SIDE, r), n * each)
    ranks = tuple(int(torch.linalg.matrix_rank(x, rtol=1e-9)) for x in matrices)
    reached = tuple(1 - float((m - x).square().sum()) for x in matrices)
    names = ("wanted", "one LoRA", f"MELoRA, {n} minis", f"sum of {n} LoRAs")
    return Result(
        names, tuple(x.numpy() for x in matrices), ranks, numbers, reached, n, _sentence(state, numbers, reached)
    )


def nearest_blocks(m: Float[Tensor, "d d"], n: int, r: int) -> Float[Tensor, "d d"]:
    """Return the matrix of n diagonal blocks of rank r that is nearest to m: in each block the nearest of rank r."""
    side = len(m) // n
    places = [slice(side * i, side * (i + 1)) for i in range(n)]
    return torch.block_diag(*(nearest_of_rank(m[place, place], r) for place in places))


def still(state: State, result: Result) -> "Figure":
    """Draw the four matrices without a browser."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = style.figure(5.2, 2.2)
    colours = LinearSegmentedColormap.from_list(
        "signs", [style.TRAINABLE.light, style.NEUTRAL.grid[:7] + "22", style.variant("rsLoRA").light]
    )
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    most = np.abs(result.matrices[0]).max()
    for i, (name, matrix) in enumerate(zip(result.names, result.matrices, strict=True)):
        axes = style.axes(figure, "", f"reaches {result.reached[i]:.0%}" if i else "", "", (1, 4, i + 1))
        axes.set_title(name, color=style.NEUTRAL.text, fontsize=8)
        axes.imshow(matrix, cmap=colours, vmin=-most, vmax=most)
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _sentence(state: State, numbers: tuple[int, ...], reached: tuple[float, ...]) -> str:
    one, small, many = (f"{share:.0%}" for share in reached[1:])
    return (
        f"{state.wanted.capitalize()}: with {numbers[1]} numbers one LoRA of rank {state.r} reaches {one} of ΔW, and "
        f"MELoRA with {state.n} minis {small}; {state.n} whole LoRAs reach {many}, with {numbers[3]:,}."
    )
