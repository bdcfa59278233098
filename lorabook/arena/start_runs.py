"""Is it W₀'s own directions? A contender that differs from PiSSA in them alone, trained on the Bible, and kept.

    python -c "from lorabook.arena.start_runs import record; record()"

"random directions" has factors of PiSSA's own sizes along directions that W₀ knows nothing of, and takes s·BA out of W₀
again, so that it starts as the pretrained model too. Runs are the arena's own, in a record beside it.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.arena.job import REPORT_SEEDS, TUNING_SEEDS, Job, Row
from lorabook.arena.method import Adapter
from lorabook.arena.methods import BASELINE_RANK
from lorabook.arena.plan import Place, best_rate, grouped
from lorabook.arena.record import Record
from lorabook.arena.run import run
from lorabook.arena.tasks import KJV
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.models.paths import data_dir

FOLDER = "recorded/starts"
RATES = tuple(1e-3 * 2.0 ** (k / 2) for k in range(2, 8))
"""0.002 … 0.0113, a √2 apart: around PiSSA's best."""


@dataclass(frozen=True)
class RandomDirections:
    """Factors as large as PiSSA's, σᵢ(W₀)/s, along random orthonormal directions."""

    takes_from_w0: ClassVar = True

    def build(self, w0: Float[Tensor, "d_out d_in"], spec: LayerSpec) -> Factors:
        def basis(d: int) -> Tensor:
            drawn = torch.empty(d, spec.r, dtype=torch.float64).normal_(generator=spec.generator)
            return linalg.qr(drawn)[0]

        root = (linalg.svdvals(w0.double())[: spec.r] / spec.scale).sqrt()
        b, a = (basis(w0.shape[0]) * root).to(w0.dtype), (root[:, None] * basis(w0.shape[1]).T).to(w0.dtype)
        residual = w0.double() - spec.scale * (b.double() @ a.double())
        return Factors(A=a.contiguous(), B=b.contiguous(), residual=residual.to(w0.dtype))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


NAME = "random directions"
CONTENDER = Adapter(NAME, lambda r: Recipe(r, r, init=RandomDirections()), range(0), own=BASELINE_RANK)
"""PiSSA's recipe in the arena, with another start."""
PLACE = Place(NAME, KJV.name, "own")


def starts() -> Record:
    """Return the record of its runs."""
    return Record(data_dir() / FOLDER)


def missing(rows: list[Row]) -> list[Job]:
    """Return the runs without a row: every rate on the tuning seeds, then the best one on the reporting seeds."""
    group = grouped(rows)[PLACE]
    best = best_rate(group)
    asked = [PLACE.job(lr, seed) for lr in RATES for seed in TUNING_SEEDS]
    asked += [] if best is None else [PLACE.job(best, seed) for seed in REPORT_SEEDS]
    return [job for job in asked if job not in group]


def record(to: Record | None = None) -> None:
    """Train what the record lacks, and add a row for each run as it ends."""
    to = to or starts()
    while asked := missing(to.rows()):
        for job in asked:
            to.add(run(job, method=CONTENDER))
