"""The explorers without a browser: every control through its whole range, and what goes wrong is said at once."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import BUILD, deltas, scale_table, seeded

from lorabook.axes.base.blocks import dequantise, quantise
from lorabook.axes.base.code_books import int4_codes, nearest_in, seventeenths
from lorabook.book.explore import codebook, memory, scale, spectrum
from lorabook.book.explore.bundle import HERE, bundle
from lorabook.book.explore.state import Choice, Slider, Steps, Toggle, control, controls, moved
from lorabook.book.explore.sweep import require_finite, sweep
from lorabook.book.explore.wire import Still, explorer, pack


@pytest.mark.parametrize("name", BUILD)
def test_every_control_over_its_whole_range(name: str) -> None:
    made = BUILD[name]()
    seen = [(state, {k: np.shape(v) for k, v in vars(result).items()}) for state, result in sweep(made)]
    assert len(seen) == sum(len(by.points()) for by in made.by.values())
    for field, by in made.by.items():
        assert {getattr(state, field) for state, _ in seen} == set(by.points())
    assert made.state == made.start, "the sweep puts the controls back"


@pytest.mark.parametrize("name", BUILD)
def test_a_viewer_without_a_kernel_sees_a_sentence_and_a_picture(name: str) -> None:
    made = BUILD[name]()
    data, _ = made._repr_mimebundle_()
    assert data["text/plain"].endswith(".")
    assert len(data["text/plain"]) < 250
    assert data["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize("name", BUILD)
def test_a_value_that_no_control_has_is_said_on_the_status_line_and_changes_nothing(name: str) -> None:
    made = BUILD[name]()
    field, before = next(iter(made.by)), made.answer
    made.values = {**made.values, field: "nonsense"}
    assert "'nonsense' is none of its values" in made.status
    assert made.answer is before
    made.values = {**made.values, field: made.by[field].points()[-1]}
    assert made.status == ""


@pytest.mark.parametrize("name", BUILD)
def test_the_bundle_is_one_module_with_no_import_left(name: str) -> None:
    text = bundle(name)
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert text.count("export default") == 1
    assert len(re.findall(r"^export ", text, re.MULTILINE)) == 1


def test_every_script_beside_the_explorers_belongs_to_a_bundle() -> None:
    views = [path.stem for path in HERE.glob("*.js") if "export default" in path.read_text(encoding="utf-8")]
    together = "".join(bundle(view) for view in views)
    for path in HERE.glob("*.js"):
        assert path.stem in views or f"const ${path.stem} = " in together, f"{path.name} is in no bundle"


def test_a_circle_of_imports_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one, other in (("left", "right"), ("right", "left")):
        (tmp_path / f"{one}.js").write_text(f'import {{ a }} from "./{other}.js";\nexport function b() {{}}\n')
    monkeypatch.setattr("lorabook.book.explore.bundle.HERE", tmp_path)
    with pytest.raises(ImportError, match="left → right → left"):
        bundle("left")


# What goes wrong at construction


@dataclass(frozen=True)
class Knob:
    x: int = control(1, Slider("x", 0, 3))


def nothing(state: Knob, result: object) -> Still:
    raise AssertionError("no picture is asked for here")


def test_an_error_in_compute_is_raised_at_construction() -> None:
    def broken(state: Knob) -> None:
        raise ArithmeticError("the third law failed")

    with pytest.raises(ArithmeticError, match="the third law"):
        explorer("memory", Knob(), broken, nothing)


def test_an_error_in_compute_later_stands_on_the_status_line_and_the_last_answer_stays() -> None:
    made = explorer("memory", Knob(), lambda state: {"y": 6 / state.x}, nothing)
    made.values = {"x": 0}
    assert made.status == "division by zero"
    assert made.answer == {"y": 6.0}
    made.values = {"x": 3}
    assert (made.status, made.answer) == ("", {"y": 2.0})
    with pytest.raises(AssertionError, match="x=0: division by zero"):
        list(sweep(made))


def test_a_state_that_cannot_be_drawn_is_refused() -> None:
    @dataclass(frozen=True)
    class Bare:
        x: int = 1

    with pytest.raises(TypeError, match="Bare.x declares no control"):
        controls(Bare(), {})
    with pytest.raises(ValueError, match="x: 7 is none of its values, 0 … 3"):
        controls(Knob(7), {})
    with pytest.raises(TypeError, match=r"Knob has no field \['y'\]"):
        controls(Knob(), {"y": Toggle("y")})
    with pytest.raises(ValueError, match="x: 9 is none"):
        moved(Knob(), controls(Knob(), {}), {"x": 9})
    with pytest.raises(ValueError, match="layer has nothing to choose"):
        controls(Knob(), {"x": Choice("layer", ())})


def test_a_view_gets_plain_numbers_or_an_error() -> None:
    packed = pack({"a": np.arange(6).reshape(2, 3), "b": float("nan"), "c": [np.float64(1.5)], "d": np.uint8([7])})
    assert packed["a"]["shape"] == [2, 3]
    assert np.frombuffer(packed["a"]["float32"], "<f4").tolist() == [0, 1, 2, 3, 4, 5]
    assert (packed["b"], packed["c"], packed["d"]) == (None, [1.5], {"shape": [1], "uint8": b"\x07"})
    with pytest.raises(TypeError, match="a Tensor cannot be sent"):
        pack(torch.ones(1))
    with pytest.raises(AssertionError, match=r"here: y\[1\] is not finite"):
        require_finite(dataclasses.make_dataclass("Z", ["y"])([1.0, float("inf")]), "here")


# What each explorer says is what the library says


def test_the_spectrum_of_a_known_matrix() -> None:
    known = torch.diag(torch.tensor([4.0, 2.0, 2.0, 1.0]))
    table = spectrum.tabulate({"one": known}, seeded())
    result = spectrum.compute(spectrum.State("one", 2), table)
    assert result.kept == pytest.approx(20 / 25)
    assert result.error == pytest.approx((5 / 25) ** 0.5)
    for bad in ({}, {"zero": torch.zeros(3, 3)}, {"nan": torch.full((2, 2), torch.nan)}, {"vector": torch.ones(3)}):
        with pytest.raises(ValueError, match="spectrum: "):
            spectrum.spectrum(bad, seeded())


def test_the_spectrum_of_a_wide_layer_fits_a_slider() -> None:
    ranks = spectrum._ranks(4096)
    assert ranks[:33] == [*range(1, 33), 35]
    assert ranks[-1] == 4096
    assert len(ranks) < 110
    assert spectrum._ranks(1) == [1]


def test_the_scale_law_in_each_regime() -> None:
    """Slopes of log size over log r: 0 or −½ for a random B, near −1 and 0 after SGD, near 0 and +½ after Adam."""
    table = scale_table()
    expected = (
        ("random B", 1, -0.5, 0.0, 0.06),
        ("one SGD step", 0, -1.0, 0.0, 0.3),
        ("10 Adam steps", 0, 0.0, 0.5, 0.3),
    )
    for regime, inputs, standard, stable, tolerance in expected:
        slope = table.slope[scale.REGIMES.index(regime), inputs]
        assert slope == pytest.approx([standard, stable], abs=tolerance), regime


def test_blocks_by_definition_are_the_librarys() -> None:
    weights = torch.randn(256, generator=seeded())
    for values, codes in zip(codebook.books()[1:], (seventeenths(), int4_codes()), strict=True):
        found, absmax = codebook.round_blocks(weights, values, 64)
        torch.testing.assert_close(values[found] * absmax, nearest_in(weights, codes).float())
    packed, constants = quantise(weights)
    found, absmax = codebook.round_blocks(weights, codebook.books()[0], 64)
    torch.testing.assert_close(
        codebook.books()[0][found] * absmax, dequantise(packed, constants, weights.shape, torch.float32)
    )


def test_an_outlier_costs_its_block_codes_and_its_neighbours_accuracy() -> None:
    table = codebook.tabulate(torch.randn(256, generator=seeded()))
    calm, wild = (codebook.compute(codebook.State(outlier=o), table) for o in (0, 8))
    small = codebook.compute(codebook.State(outlier=8, block=16), table)
    assert wild.used < calm.used
    assert wild.worse > 1.5
    assert (small.bits, wild.bits) == (6.0, 4.5)
    outside = slice(64, None)
    assert np.array_equal(calm.restored[outside], wild.restored[outside])


def test_the_memory_explorer_greys_out_what_changes_nothing() -> None:
    for state, result in sweep(BUILD["memory"]()):
        for field in result.off:
            by = memory.State.__dataclass_fields__[field].metadata["control"]
            other = dataclasses.replace(state, **{field: by.points()[-1]})
            assert memory.compute(other).device == result.device, (state, field)


def test_the_memory_sentence_says_whether_it_fits() -> None:
    fits = memory.compute(memory.State(method="QLoRA", gpu=24))
    full = memory.compute(memory.State(method=memory.FULL, gpu=80))
    assert re.fullmatch(r"QLoRA of 7B needs .* GiB: on a 24 GiB GPU .* GiB are left\.", fits.sentence)
    assert "too much" in full.sentence


def test_points_of_a_slider() -> None:
    assert Slider("x", 0, 1, 0.25).points() == [0, 0.25, 0.5, 0.75, 1]
    assert [type(p) for p in Slider("x", 1, 3).points()] == [int] * 3
    assert Steps("x", (1, 2)).parse(2.0) == 2
    assert Toggle("x").parse(True) is True


def test_deltas_of_the_tests_are_low_rank_as_a_chapters_are() -> None:
    table = spectrum.tabulate(deltas(), seeded())
    assert all(kept[3] > 0.5 for kept in table.kept)
