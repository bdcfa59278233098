"""Mistakes that people make, each built into the library in turn: the claims that must notice do.

The machine's own list of broken lines is in test_teeth.py; these are the slips of pull requests and texts.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from mutants import by_hand, in_place
from test_teeth import fails

from lorabook.axes.attention.longlora import Shifted
from lorabook.axes.base.blocks import quantise
from lorabook.axes.form.delta_lora import Drifting
from lorabook.axes.form.dora import RowScaled
from lorabook.axes.form.dylora import Nested
from lorabook.axes.form.hira import ElementwiseScaled
from lorabook.axes.form.loha import Hadamard
from lorabook.axes.form.vera import SharedPair
from lorabook.axes.init.olora import OrthonormalStart
from lorabook.axes.init.pissa import PrincipalStart
from lorabook.axes.optim.lora_plus import LoRAPlusAdamW
from lorabook.axes.rule.importance import Importance
from lorabook.axes.rule.schedule import CubicBudget
from lorabook.axes.scale.rslora import AlphaOverRootR
from lorabook.claims.discovery import discover
from lorabook.core.lora import AlphaOverR, LowRank, uniform_rows
from lorabook.many.row_space import outside

CLAIMS = {claim.name: claim for claim in discover()}


class Mistake(NamedTuple):
    """A slip: in which function, what is right there, what was written, and a claim that must notice."""

    slip: str
    function: Callable | property
    right: str
    wrong: str
    noticed_by: str


MISTAKES = (
    Mistake("the scale is forgotten", LowRank.weight, "self.s * (self.B @ self.A)", "self.B @ self.A",
            "two_paths_are_the_definition"),
    Mistake("the scale counts twice", LowRank.weight, "self.s *", "self.s ** 2 *", "merging_is_exact"),
    Mistake("the factors are swapped", LowRank.weight, "self.B @ self.A", "(self.A @ self.B).T", "merging_is_exact"),
    Mistake("α is not divided by r", AlphaOverR.build, "alpha / r", "alpha", "alpha_of_two_r_removes_the_rank"),
    Mistake("√ of the wrong number", AlphaOverRootR.build, "alpha / r**0.5", "alpha**0.5 / r", "root_r_divides_alpha"),
    Mistake("fan_in is the rank", uniform_rows, "math.sqrt(d_in)", "math.sqrt(rows)",
            "a_is_as_small_as_its_fan_in_asks"),
    Mistake("DoRA's norm is not held constant", RowScaled.weight, "v.detach()", "v",
            "the_full_gradient_is_orthogonal_to_v"),
    Mistake("DoRA's norm runs along the other axis", RowScaled.weight, "norm(dim=1))[:, None]", "norm(dim=0))",
            "m_is_the_length_of_each_row"),
    Mistake("DoRA's cross term once instead of twice", RowScaled.row_norms, "2 * self.s * cross", "self.s * cross",
            "row_norms_without_the_sum"),
    Mistake("DoRA's path scales the bias as well", RowScaled.forward, "self.B, self.s)", "self.B, self.s, base.bias)",
            "the_bias_is_not_scaled"),
    Mistake("LoHa's factors are added", Hadamard.weight, ") * (", ") + (",
            "loha_rank_is_at_most_r_squared"),
    Mistake("HiRA adds instead of scaling", ElementwiseScaled.weight, "w0 *", "w0 +", "a_zero_stays_zero"),
    Mistake("VeRA forgets what scales the outputs", SharedPair.weight, "torch.diag(self.b) @ b", "b",
            "vera_scales_inside_and_outside"),
    Mistake("PiSSA forgets that s multiplies its factors", PrincipalStart.build, "sigma[: spec.r] / spec.scale",
            "sigma[: spec.r]", "the_factors_are_the_top_directions"),
    Mistake("O-LoRA projects with the transposed basis", outside, "(m @ q.T) @ q", "(m @ q.T @ q).flip(1)",
            "inputs_in_an_earlier_row_space_are_left_alone"),
    Mistake("LoRA+ speeds A up", LoRAPlusAdamW.build, '"params": slow, "lr": lr',
            '"params": slow, "lr": lr * self.ratio**2', "b_moves_sixteen_times_as_far"),
    Mistake("AdaLoRA's importance keeps the sign", Importance.observe, "* g).abs()", "* g)",
            "the_score_is_sensitivity_times_uncertainty"),
    Mistake("AdaLoRA's budget falls on a square", CubicBudget.budget, "left**3", "left**2",
            "the_budget_falls_as_a_cubic"),
    Mistake("Delta-LoRA's W₀ follows without the scale", Drifting.weight, "self.rate * self.s * moved",
            "self.rate * moved", "the_moves_telescope"),
    Mistake("DyLoRA keeps α/r at every rank", Nested.scale, "self.s * len(self.A) / self.b", "self.s",
            "a_cut_is_a_lora_of_rank_b"),
    Mistake("OLoRA reads the last columns of W₀", OrthonormalStart.build, "w[:, : spec.r]", "w[:, -spec.r :]",
            "the_first_columns_decide"),
    Mistake("LongLoRA's first shifted group is not causal", Shifted.forward, "full(*(t for t, _ in cut))",
            "F.scaled_dot_product_attention(*(t for t, _ in cut))", "nobody_sees_the_future"),
    Mistake("NF4 takes the next lower code", quantise, "count_midpoints_below(x)",
            "(count_midpoints_below(x) - 1).clamp_min(0)", "nf4_stores_the_nearest_code"),
)  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.slip)
def test_the_claim_notices(mistake: Mistake) -> None:
    claim = CLAIMS[mistake.noticed_by]
    with in_place(by_hand(mistake.function, mistake.right, mistake.wrong), seconds=20.0):
        noticed = [case for case in claim.cases if fails(claim, case)]
    assert noticed, "the claim holds in spite of it"
    assert not any(fails(claim, case) for case in claim.cases), "the library was not put back"
