"""What chapter 08 stands on: the explorer's tasks, the record of random directions, the curves against LoRA."""

from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import pretrained
from torch import linalg

import lorabook as lb
from lorabook.arena import start_runs
from lorabook.arena.experiment import at
from lorabook.arena.job import REPORT_SEEDS, TUNING_SEEDS, Job, Row
from lorabook.arena.record import Record
from lorabook.arena.start_runs import PLACE, RATES, RandomDirections, missing, record, starts
from lorabook.axes.base.nf4 import NF4
from lorabook.book.explore import principal
from lorabook.book.explore.principal import Principal, State, compute, decompose, explore
from lorabook.book.figures.first_steps import Ahead, against_lora, ahead, recorded
from lorabook.core.recipe import LayerSpec


@pytest.fixture(scope="module")
def matrices() -> dict[tuple[int, str], Principal]:
    model = lb.load("tiny").model
    layers = {name: principal.NAMED.search(name) for name, _ in model.named_modules()}
    return decompose(
        {(int(hit[1]), hit[2]): model.get_submodule(n).weight.detach() for n, hit in layers.items() if hit}
    )


def test_the_tasks_of_the_explorer_have_the_answers_that_the_chapter_gives(matrices: dict) -> None:
    assert len(matrices) == 28
    at_eight = {key: compute(State(*key, 8), matrices) for key in matrices}
    assert {key for key, result in at_eight.items() if result.taken > 0.9} == {(0, "k_proj")}
    assert {key for key, result in at_eight.items() if result.taken < 1 / 7} == {(0, "up_proj"), (0, "down_proj")}
    for key in matrices:
        for r in principal.RANKS:
            result = compute(State(*key, r), matrices)
            assert result.error / result.own == pytest.approx(result.stays**0.5, abs=0.03)
            assert 0.085 < result.own < 0.095, "four bits cost 9% of the norm"


def test_the_explorer_takes_out_what_pissa_takes_out() -> None:
    weights = pretrained()
    one = compute(State(0, "q_proj", 4), decompose(weights))
    w0 = weights[0, "q_proj"]
    spec = LayerSpec("layer", 4, 2.0, 0.0, torch.Generator())
    left = lb.PiSSA().init.build(w0, spec).residual
    assert one.stays == pytest.approx((left.norm() / w0.norm()).item() ** 2, rel=1e-4)
    assert one.error == pytest.approx((torch.dist(NF4(left).dense(), left) / w0.norm()).item(), rel=1e-3)
    whole = compute(State(0, "k_proj", 64), decompose(weights))
    assert (whole.rank, whole.stays, whole.error, whole.ranks[-1]) == (16, 0.0, 0.0, 16)
    with pytest.raises(ValueError, match=r"there is no W₀ for \[\(1, 'k_proj'\)\]"):
        explore({key: one for key, one in decompose(weights).items() if key != (1, "k_proj")})
    with pytest.raises(ValueError, match="no W₀ given"):
        principal.principal(torch.nn.Linear(2, 2))


def test_random_directions_have_pissas_sizes_and_start_as_the_pretrained_model() -> None:
    w0 = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    spec = LayerSpec("layer", 3, 2.0, 0.0, torch.Generator().manual_seed(1))
    mine, pissa = RandomDirections().build(w0, spec), lb.PiSSA().init.build(w0, spec)
    torch.testing.assert_close(mine.residual + 2.0 * mine.B @ mine.A, w0)
    for letter in ("A", "B"):
        sizes = [linalg.svdvals(getattr(factors, letter)) for factors in (mine, pissa)]
        torch.testing.assert_close(*sizes)
    assert (mine.A @ pissa.A.T).abs().max() < 0.9 * (pissa.A @ pissa.A.T).abs().max()


def test_the_record_of_random_directions_is_whole() -> None:
    rows = starts().rows()
    assert missing(rows) == []
    assert {(row.seed, row.task, row.state) for row in rows} == {
        (seed, "kjv", "finished") for seed in (*TUNING_SEEDS, *REPORT_SEEDS)
    }


def test_what_is_missing_is_run_and_what_is_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Job] = []

    def run(job: Job, method: object) -> Row:
        ran.append(job)
        return Row(*job, state="finished", score=abs(job.lr - 4e-3))

    monkeypatch.setattr(start_runs, "run", run)
    record(Record(tmp_path))
    assert ran == [PLACE.job(lr, s) for lr in RATES for s in TUNING_SEEDS] + [PLACE.job(4e-3, s) for s in REPORT_SEEDS]
    ran.clear()
    record(Record(tmp_path))
    assert ran == []


def test_the_record_says_what_the_chapter_says_in_words() -> None:
    lines = recorded("LoRA", "PiSSA", "random directions")
    lora, pissa, random = lines.values()
    assert 0.4 < random.after(5).mean() / pissa.after(5).mean() < 0.65, "half of the early lead needs no W₀"
    assert pissa.after(10).mean() < 0 < pissa.after(20).mean(), "ahead for a dozen steps"
    assert 0.02 < (random.scores - lora.scores).mean() < (pissa.scores - lora.scores).mean() < 0.04, "both end behind"
    assert 1.4 < pissa.forgotten.mean() / lora.forgotten.mean() < 1.6, "half as much again"
    assert random.forgotten.mean() < 1.1 * lora.forgotten.mean()
    assert pissa.rates[4e-3] < lora.rates[4e-3] - 0.02, "at a low rate for both PiSSA is ahead"
    assert min(pissa.rates.values()) > min(lora.rates.values()) + 0.02, "tuned, it is behind"


def test_lora_against_itself_is_zero_and_a_contender_is_compared_seed_by_seed() -> None:
    lines = recorded("LoRA", "PiSSA", "random directions")
    assert not lines["LoRA"].apart.any()
    pissa = lines["PiSSA"]
    assert pissa.apart.shape == (10, len(pissa.steps))
    assert (pissa.apart[:, 0] == 0).all(), "one batch, and one model before the first step"
    assert pissa.half[1] == pytest.approx(2.262 * pissa.apart[:, 1].std(ddof=1) / 10**0.5)
    picture = against_lora(lines, "they differ")
    assert picture._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no reported row of PiSSA and LoRA on kjv"):
        ahead([], at("PiSSA", "kjv"))
    np.testing.assert_array_equal(
        Ahead((0, 5), np.array([[0, 1.0], [0, 2.0]]), *[np.zeros(2)] * 2, {}).after(5), [1, 2]
    )
