"""What a step of serving costs: what is timed, how the record is made, and the prices that are read off it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lorabook.arena import serving_costs
from lorabook.arena.serving_costs import ASKED, BATCH, FILE, RANKS, SIZES, Cost, Machine, measure, ratio, read, record
from lorabook.arena.serving_prices import prices
from lorabook.models.load import load
from lorabook.models.paths import data_file


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(ranks=(8,))


def test_a_merge_is_exact_whatever_was_merged_before(machine: Machine) -> None:
    base = load("tiny").model
    for name in ("8.0", "8.1"):
        machine.merge(name)
    for layer, pair in machine.held.adapters["8.1"].items():
        expected = base.get_submodule(layer).weight + pair.scale * pair.B @ pair.A
        torch.testing.assert_close(machine.plain.get_submodule(layer).weight, expected)


def test_a_copy_is_made_every_time(machine: Machine) -> None:
    before = machine.held.loads
    machine.copy("8.0")
    machine.copy("8.0")
    assert machine.held.loads == before + 2
    assert not machine.held.pages.is_pinned("8.0")


def test_both_sides_serve_the_same_rows_with_the_same_adapters(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call is made once; the rows that come out of the mixed batch are those of the merged models."""
    outputs: dict[str, list[torch.Tensor]] = {"plain": [], "banked": []}

    def once(call: Callable[[], object]) -> float:
        hooks = [
            getattr(machine, name).register_forward_hook(lambda _model, _tokens, y, found=found: found.append(y))
            for name, found in outputs.items()
        ]
        call()
        for hook in hooks:
            hook.remove()
        return 1.0

    monkeypatch.setattr(serving_costs, "_seconds", once)
    cost = measure(machine, 4, 2, (8,), rounds=2)
    assert cost.key == (4, 2, (8,))
    assert len(cost.base) == len(cost.mixed) == 2
    mixed, (_whole, first, second) = outputs["banked"][0], outputs["plain"][:3]
    assert (len(mixed), len(first), len(second)) == (4, 2, 2)
    torch.testing.assert_close(mixed[0], first[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixed[1], second[1], rtol=1e-4, atol=1e-4)


def test_a_ratio_is_taken_within_its_round() -> None:
    assert ratio((2, 40, 6), (1, 10, 2)) == pytest.approx((2.5, 3, 3.5))


def test_the_record_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []

    def measured(_machine: object, *asked: object) -> Cost:
        made.append(asked)
        return Cost(*asked, *([(1.0, 2.0)] * 5), device="CPU", versions="torch", date="2026-11-27")

    monkeypatch.setattr(serving_costs, "measure", measured)
    monkeypatch.setattr(serving_costs, "Machine", lambda ranks: None)
    path = tmp_path / "serving.jsonl"
    record(path)
    assert made == list(ASKED)
    everything = path.read_text(encoding="utf-8")
    path.write_text("".join(everything.splitlines(keepends=True)[:-2]), encoding="utf-8")
    record(path)
    assert path.read_text(encoding="utf-8") == everything
    assert len(made) == len(ASKED) + 2


def test_the_record_that_ships_is_whole() -> None:
    costs = read()
    assert [cost.key for cost in costs] == list(ASKED)
    for cost in costs:
        sides = (cost.base, cost.mixed, cost.merged, cost.swap, cost.copy)
        assert {len(side) for side in sides} == {serving_costs.ROUNDS}
        assert min(map(min, sides)) > 0
        assert all((cost.device, cost.versions, cost.date))
    assert data_file(FILE).stat().st_size < 100_000


def test_prices_are_the_base_times_ratios() -> None:
    costs = read()
    found = {cost.key: cost for cost in costs}
    for ranks in RANKS:
        paid = prices(costs, ranks)
        for n in SIZES:
            assert paid.mixed(n) / paid.plain(n) == pytest.approx(
                ratio(found[n, n, ranks].mixed, found[n, n, ranks].base)[1]
            )
        assert paid.mixed(12) == pytest.approx((paid.mixed(8) + paid.mixed(16)) / 2)
        assert paid.mixed(2 * BATCH) - paid.mixed(BATCH) == pytest.approx(
            2 * (paid.mixed(BATCH) - paid.mixed(BATCH // 2))
        )
        assert paid.merge(36) == pytest.approx((paid.merge(8) + paid.merge(64)) / 2)
