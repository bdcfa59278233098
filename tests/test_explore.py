"""The explorers without a browser: every control through its whole range, and what goes wrong is said at once."""

import dataclasses
import itertools
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from explorers import BUILD, deltas, seeded, sizes

from lorabook.axes.base.blocks import dequantise, quantise
from lorabook.axes.base.code_books import int4_codes, nearest_in, seventeenths
from lorabook.book.explore import codebook, memory, scale, spectrum
from lorabook.book.explore.explorer import explorer
from lorabook.book.explore.pack import pack
from lorabook.book.explore.state import Choice, Slider, Steps, Toggle, control, controls, moved
from lorabook.book.explore.sweep import require_finite, sweep


@pytest.mark.parametrize("name", BUILD)
def test_every_control_over_its_whole_range(name: str) -> None:
    view = BUILD[name]()
    seen = [(state, result.sentence) for state, result in sweep(view)]
    points = {field: by.points() for field, by in view.controls.items()}
    assert len(seen) == sum(map(len, points.values()))
    for field, values in points.items():
        assert {getattr(state, field) for state, _ in seen} >= set(values)
    for state, sentence in seen:
        assert sentence.endswith("."), state
        assert len(sentence) < 250, state
    assert view.state == view.start, "the sweep puts the controls back"


@pytest.mark.parametrize("name", BUILD)
def test_a_viewer_without_a_kernel_sees_the_sentence_and_a_picture(name: str) -> None:
    view = BUILD[name]()
    data, _ = view._repr_mimebundle_()
    assert data["text/plain"] == view.result.sentence
    assert data["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize("name", BUILD)
def test_a_value_that_no_control_has_is_said_on_the_status_line_and_changes_nothing(name: str) -> None:
    view = BUILD[name]()
    field, before = next(iter(view.controls)), view.answer
    view.values = {**view.values, field: "nonsense"}
    assert "'nonsense' is none of its values" in view.status
    assert view.answer is before
    view.values = {**view.values, field: view.controls[field].points()[-1]}
    assert view.status == ""


@pytest.mark.parametrize("name", BUILD)
def test_at_most_four_controls_are_seen_at_once_and_the_others_fold_away(name: str) -> None:
    view = BUILD[name]()
    assert sum(not spec.get("folded") for spec in view.specs.values()) <= 4


# What goes wrong at construction


@dataclass(frozen=True)
class Knob:
    x: int = control(1, Slider("x", 0, 3))


def nothing(state: Knob, result: object) -> None:
    raise AssertionError("no picture is asked for here")


def test_an_error_in_compute_is_raised_at_construction() -> None:
    def broken(state: Knob) -> None:
        raise ArithmeticError("the third law failed")

    with pytest.raises(ArithmeticError, match="the third law"):
        explorer("memory", Knob(), broken, nothing)


def test_an_error_in_compute_later_stands_on_the_status_line_and_the_last_answer_stays() -> None:
    view = explorer("memory", Knob(), lambda state: {"y": 6 / state.x}, nothing)
    view.values = {"x": 0}
    assert view.status == "division by zero"
    assert view.answer == {"y": 6.0}
    view.values = {"x": 3}
    assert (view.status, view.answer) == ("", {"y": 2.0})
    with pytest.raises(AssertionError, match="x=0: division by zero"):
        list(sweep(view))


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
    key = ("one job", 0, "q_proj")
    result = spectrum.compute(spectrum.State(*key, 2), spectrum.decompose({key: known}, seeded()))
    assert result.energy == pytest.approx([16 / 25, 20 / 25, 24 / 25, 1])
    assert result.rank == 2
    assert result.missed == pytest.approx((5 / 25) ** 0.5)
    start = "one job: rank 2 keeps 80% of the energy of ΔW in q_proj of layer 0 (4 × 4); of a random matrix"
    assert result.sentence.startswith(start)


def test_a_rank_above_a_layers_own_keeps_all_of_it() -> None:
    state = spectrum.State("CAPITALS", 1, "k_proj", 24)
    small = spectrum.compute(state, spectrum.decompose(deltas(), seeded()))
    assert (small.rank, len(small.energy)) == (7, 7)
    assert small.missed == pytest.approx(0, abs=1e-3)
    assert small.sentence.startswith("CAPITALS: rank 24 keeps 100%")


def test_a_spectrum_needs_matrices_that_are_finite_and_not_zero() -> None:
    for bad in (torch.zeros(3, 3), torch.full((2, 2), torch.nan), torch.ones(3)):
        with pytest.raises(ValueError, match=r"spectrum: ΔW of \('job', 0, 'q_proj'\) has shape"):
            spectrum.spectrum({("job", 0, "q_proj"): bad}, seeded())
    with pytest.raises(ValueError, match="spectrum: no ΔW given"):
        spectrum.spectrum({}, seeded())


def test_a_spectrum_needs_every_matrix_of_every_layer_and_job() -> None:
    some = {key: delta for key, delta in deltas().items() if key != ("CAPITALS", 1, "k_proj")}
    with pytest.raises(ValueError, match=r"there is no ΔW for \[\('CAPITALS', 1, 'k_proj'\)\]"):
        spectrum.spectrum(some, seeded())


def test_the_spectrum_of_a_wide_layer_fits_a_slider() -> None:
    ranks = spectrum._ranks(4096)
    assert ranks[:33] == [*range(1, 33), 35]
    assert ranks[-1] == 4096
    assert len(ranks) < 110
    assert spectrum._ranks(1) == [1]


def test_the_scale_law_in_each_regime() -> None:
    """Slopes of log size over log r: 0 or −½ for a random B, near −1 and 0 after SGD, near 0 and +½ after Adam."""
    measured = sizes()
    expected = (
        ("random B", 1, -0.5, 0.0, 0.06),
        ("one SGD step", 0, -1.0, 0.0, 0.3),
        ("10 Adam steps", 0, 0.0, 0.5, 0.3),
    )
    for regime, inputs, standard, stable, tolerance in expected:
        slope = measured.slope[scale.REGIMES.index(regime), inputs]
        assert slope == pytest.approx([standard, stable], abs=tolerance), regime


def test_the_scale_sentence_names_the_flatter_scale_and_how_the_other_goes() -> None:
    start = scale.compute(scale.State("random B"), sizes())
    pattern = r"With a random B, on new inputs, α/√r comes .* \(∝ (r\^\S+)\); with α/r it shrinks as (r\^−\S+)\."
    assert re.fullmatch(pattern, start.sentence).groups() == start.laws[::-1]
    adam = scale.compute(scale.State("10 Adam steps", "the training inputs"), sizes())
    assert adam.sentence.startswith("After 10 Adam steps, on the training inputs, α/r comes closest")
    assert f"with α/√r it grows as {adam.laws[1]}." in adam.sentence
    assert [scale._power(x) for x in (-0.5, 0.004, -0.004, 0.25)] == ["r^−0.50", "r^0.00", "r^0.00", "r^+0.25"]


def test_the_span_of_a_regime_holds_every_size_on_any_inputs() -> None:
    for regime, inputs in itertools.product(scale.REGIMES, scale.INPUTS):
        result = scale.compute(scale.State(regime, inputs), sizes())
        assert result.span[0] <= result.low.min()
        assert result.span[1] >= result.high.max()


def test_blocks_by_definition_are_the_librarys() -> None:
    weights = torch.randn(256, generator=seeded())
    for values, codes in zip(codebook.books()[1:], (seventeenths(), int4_codes()), strict=True):
        places, absmax = codebook.round_blocks(weights, values, 64)
        torch.testing.assert_close(values[places] * absmax, nearest_in(weights, codes).float())
    packed, constants = quantise(weights)
    places, absmax = codebook.round_blocks(weights, codebook.books()[0], 64)
    torch.testing.assert_close(
        codebook.books()[0][places] * absmax, dequantise(packed, constants, weights.shape, torch.float32)
    )


def test_an_outlier_costs_its_block_codes_and_its_neighbours_accuracy() -> None:
    weights = torch.randn(256, generator=seeded())
    calm, wild = (codebook.compute(codebook.State(outlier=o), weights) for o in (0, 8))
    small = codebook.compute(codebook.State(outlier=8, block=16), weights)
    assert len(wild.used) < len(calm.used)
    assert calm.worse == 1
    assert wild.worse > 1.5
    assert (small.bits, wild.bits) == (6.0, 4.5)
    assert (len(small.restored), len(wild.restored)) == (16, 4)
    np.testing.assert_array_equal(np.stack(calm.restored)[1:], np.stack(wild.restored)[1:])
    assert wild.absmax == 8
    assert wild.scaled[codebook.AT] == 1
    neighbours = np.delete(np.concatenate(wild.restored) - wild.weights, codebook.AT)[:63]
    assert wild.error == pytest.approx(np.sqrt((neighbours**2).mean()))


def test_the_codebook_sentence_says_what_the_outlier_costs() -> None:
    weights = torch.randn(256, generator=seeded())
    calm, wild = (codebook.compute(codebook.State(outlier=o), weights) for o in (0, 6.5))
    assert calm.sentence == (
        f"Without an outlier a block of 64 uses {len(calm.used)} of 16 codes; its weights come back with an RMS error "
        f"of {calm.error:.3f}σ."
    )
    assert wild.sentence == (
        f"One weight of 6.5σ leaves its block of 64 only {len(wild.used)} of 16 codes: its neighbours come back "
        f"{wild.worse:.1f} times as wrong as without it (RMS error {wild.error:.3f}σ)."
    )


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
    spectra = spectrum.decompose(deltas(), seeded())
    assert all(spectrum.compute(spectrum.State(*key, 4), spectra).energy[3] > 0.5 for key in spectra)
