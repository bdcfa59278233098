"""Delta-LoRA, DyLoRA and LoRA-drop against their papers' loops, written out here; no package to compare with, but one.

LyCORIS has a DyLoRA; its weight at a given rank is compared. Everything in float64.
"""

import copy
import statistics

import pytest
import torch
from lycoris.modules.dylora import DyLoraModule
from small import gap
from torch import Tensor, linalg, nn

from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dylora import truncate
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.rule.delta_lora import DeltaLoRA
from lorabook.axes.rule.dylora import DyLoRA, FrozenDyLoRA
from lorabook.axes.rule.lora_drop import importance, important, learn_with_drop, share_the_rest
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.core.optimizer import optimizer
from lorabook.core.recipe import AxisConflict
from lorabook.saving.save import load_adapter, save_adapter

R, ALPHA, LAMBDA = 3, 7.0, 0.6


def plain(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(9, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12)).double()


def batches(seed: int = 3):
    source = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(16, 9, generator=source, dtype=torch.float64)
        yield x, torch.cat([x.sin(), x[:, :3].cos()], dim=1)


def squares(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: layer.update.weight(layer.base.matrix).detach() for name, layer in adapted(model).items()}


@pytest.mark.parametrize("start", [0, 1, 4])
def test_delta_lora_is_the_papers_loop_that_really_moves_w0(start: int) -> None:
    steps, ours = 9, plain()
    recipe = DeltaLoRA(R, ALPHA, rate=LAMBDA, start=start)
    inject(ours, recipe, r"\d", torch.Generator().manual_seed(1))
    theirs = plain()
    inject(theirs, LoRA(R, ALPHA), r"\d", torch.Generator().manual_seed(1))
    fit(ours, batches(), steps=steps, lr=0.02, loss=squares, progress=False)
    adam, stream = optimizer(theirs, lr=0.02), batches()
    for t in range(steps):
        adam.zero_grad()
        squares(theirs, next(stream)).backward()
        before = {n: (layer.update.B @ layer.update.A).detach() for n, layer in adapted(theirs).items()}
        adam.step()
        for name, layer in adapted(theirs).items():
            if t >= start:
                moved = (layer.update.B @ layer.update.A).detach() - before[name]
                layer.base.store.w0 += LAMBDA * (ALPHA / R) * moved
    for name, w in weights(ours).items():
        assert gap(w, weights(theirs)[name]) <= 1e-12, name


def test_delta_lora_saves_merges_and_resumes(tmp_path) -> None:
    recipe = DeltaLoRA(R, ALPHA, rate=LAMBDA, start=3)
    whole, parts, stream = plain(), plain(), list(zip(range(8), batches(), strict=False))
    data = [batch for _, batch in stream]
    for model in (whole, parts):
        inject(model, recipe, r"\d", torch.Generator().manual_seed(1))
    fit(whole, data, steps=8, lr=0.02, loss=squares, progress=False)
    file = tmp_path / "run.pt"
    fit(parts, data, steps=8, lr=0.02, loss=squares, progress=False, checkpoint=file, on_step=lambda t, _: t == 4)
    parts = plain()
    inject(parts, recipe, r"\d", torch.Generator().manual_seed(2))
    fit(parts, data, steps=8, lr=0.02, loss=squares, progress=False, checkpoint=file)
    x = data[0][0]
    assert torch.equal(parts(x), whole(x))
    save_adapter(whole, tmp_path)
    again = plain()
    load_adapter(again, tmp_path)
    assert torch.equal(again(x), whole(x))
    assert gap(merge(again)(x), whole(x)) <= 1e-12


@pytest.mark.parametrize("start", [0, 2])
def test_a_further_run_of_delta_lora_goes_on_from_where_w0_has_come(start: int) -> None:
    recipe, data = DeltaLoRA(R, ALPHA, rate=LAMBDA, start=start), [b for _, b in zip(range(8), batches(), strict=False)]
    model = plain()
    layers = inject(model, recipe, r"\d", torch.Generator().manual_seed(1))
    fit(model, data, steps=4, lr=0.02, loss=squares, progress=False)
    since = {name: (layer.update.A_K.clone(), layer.update.B_K.clone()) for name, layer in layers.items()}
    fit(model, data[4:], steps=4, lr=0.02, loss=squares, progress=False)
    for name, layer in layers.items():
        assert torch.equal(layer.update.A_K, since[name][0]), "W₀ would jump back to where it was"
        assert torch.equal(layer.update.B_K, since[name][1])
    with pytest.raises(ValueError, match="differ in '0.A_K'"):
        recipe.rule.build(model).load_state_dict({})


def test_a_delta_lora_that_would_never_start_is_refused() -> None:
    model = plain()
    inject(model, DeltaLoRA(R, ALPHA, start=9), r"\d")
    with pytest.raises(ValueError, match="start = 9, and the run has 8 steps"):
        fit(model, batches(), steps=8, lr=0.01, loss=squares, progress=False)
    fit(model, batches(), steps=9, lr=0.01, loss=squares, progress=False)
    fit(model, batches(), steps=8, lr=0.01, loss=squares, progress=False)  # it follows already


def test_delta_lora_moves_a_base_in_four_bits_too() -> None:
    model = plain().float()
    inject(model, DeltaLoRA(R, ALPHA, rate=LAMBDA) | QLoRA(), r"\d")
    losses = fit(model, ((x.float(), y.float()) for x, y in batches()), steps=20, lr=0.02, loss=squares,
                 progress=False).losses  # fmt: skip
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("recipe", [DyLoRA(R, ALPHA), FrozenDyLoRA(R, ALPHA)])
@pytest.mark.parametrize("b", [1, 2, 3])
def test_dylora_at_rank_b_is_lycoris(recipe, b: int) -> None:
    torch.manual_seed(2)
    layer = nn.Linear(9, 12).double()
    theirs = DyLoraModule("one", layer, multiplier=1.0, lora_dim=R, alpha=ALPHA, block_size=1).double()
    ours = nn.Sequential(copy.deepcopy(layer))
    update = inject(ours, recipe, "0")["0"].update
    with torch.no_grad():
        update.B.normal_()
        for i in range(R):
            theirs.down_list[i].copy_(update.A[i : i + 1])
            theirs.up_list[i].copy_(update.B[:, i : i + 1])
    truncate(ours, b)
    w, _ = theirs.get_diff_weight(rank=b - 1)  # its rank counts what comes before the block that trains
    assert gap(update.weight(layer.weight) - layer.weight, w) <= 1e-12


@pytest.mark.parametrize(("recipe", "rows"), [(DyLoRA(R, ALPHA), [0, 1]), (FrozenDyLoRA(R, ALPHA), [1])])
def test_which_rows_get_a_gradient_at_rank_b(recipe, rows: list[int]) -> None:
    model = plain()
    inject(model, recipe, r"\d")
    truncate(model, 2)
    update = adapted(model)["0"].update
    update.B.data.normal_()
    squares(model, next(batches())).backward()
    moved = update.A.grad.abs().sum(1) > 0
    assert [i for i in range(R) if moved[i]] == rows
    assert [i for i in range(R) if update.B.grad.abs().sum(0)[i] > 0] == rows


def test_dylora_draws_every_rank_ends_at_the_largest_and_resumes(tmp_path) -> None:
    seen: list[int] = []
    model = plain()
    inject(model, DyLoRA(6, ALPHA, r_min=2, r_max=5), r"\d")
    first = adapted(model)["0"].update
    data = [batch for _, batch in zip(range(60), batches(), strict=False)]
    fit(model, data, steps=60, lr=0.01, loss=squares, progress=False,
        on_step=lambda t, _: seen.append(first.b) and None)  # fmt: skip
    assert set(seen[:-1]) == {2, 3, 4, 5}
    assert first.b == 5
    parts, file = plain(), tmp_path / "run.pt"
    inject(parts, DyLoRA(6, ALPHA, r_min=2, r_max=5), r"\d")
    fit(parts, data, steps=60, lr=0.01, loss=squares, progress=False, checkpoint=file, on_step=lambda t, _: t == 20)
    fit(parts, data, steps=60, lr=0.01, loss=squares, progress=False, checkpoint=file)
    x = data[0][0]
    assert torch.equal(parts(x), model(x))


def test_a_run_that_is_stopped_leaves_dylora_at_its_largest_rank() -> None:
    drawn = []
    for stop in range(4):
        model = plain()
        inject(model, DyLoRA(6, ALPHA, r_max=5), r"\d")
        used = adapted(model)["0"].update
        fit(model, batches(), steps=60, lr=0.01, loss=squares, progress=False,
            on_step=lambda t, _, stop=stop, used=used: bool(drawn.append(used.b)) or t == stop)  # fmt: skip
        assert used.b == 5
    assert set(drawn) - {5}


def test_a_truncated_adapter_is_saved_whole(tmp_path) -> None:
    model, other = plain(), plain()
    inject(model, DyLoRA(6, ALPHA), r"\d")
    fit(model, batches(), steps=5, lr=0.01, loss=squares, progress=False)
    x = next(batches())[0]
    whole = model(x)
    truncate(model, 2)
    save_adapter(model, tmp_path)
    load_adapter(other, tmp_path)
    assert torch.equal(other(x), whole)
    truncate(other, 2)
    assert torch.equal(other(x), model(x))


def wide_target(seed: int) -> tuple[nn.Sequential, Tensor]:
    """A linear layer, and the W it should become: W₀ and six directions of falling size."""
    source = torch.Generator().manual_seed(seed)
    layer = nn.Linear(24, 24, bias=False, dtype=torch.float64)
    layer.weight.data = torch.randn(24, 24, generator=source, dtype=torch.float64) / 5
    u, v = (linalg.qr(torch.randn(24, 6, generator=source, dtype=torch.float64))[0] for _ in range(2))
    sizes = torch.tensor([3.0, 2.5, 2.0, 1.5, 1.0, 0.5], dtype=torch.float64)
    return nn.Sequential(layer), layer.weight.data + (u * sizes) @ v.T


def left_at_rank(recipe, b: int, seed: int) -> float:
    """What is left of the update when an adapter trained at r = 6 is cut to rank b: 1 is nothing learnt."""
    model, wanted = wide_target(seed)
    layer = inject(model, recipe, "0", torch.Generator().manual_seed(seed))["0"]
    w0 = layer.base.matrix.clone()
    fit(model, iter(lambda: (torch.eye(24, dtype=torch.float64), wanted.T), None), steps=250, lr=0.04, loss=squares,
        schedule=lambda t, n: 1 - t / n, progress=False)  # fmt: skip
    a, bb, s = layer.update.A.detach(), layer.update.B.detach(), layer.scale
    share = 6 / b if recipe.rule is not None else 1.0
    return ((w0 + s * share * bb[:, :b] @ a[:b] - wanted).square().sum() / (w0 - wanted).square().sum()).item()


def test_dylora_works_at_every_rank_and_a_cut_lora_does_not() -> None:
    for b in (1, 3):
        nested = [left_at_rank(DyLoRA(6, 6.0), b, seed) for seed in range(3)]
        cut = [left_at_rank(LoRA(6, 6.0), b, seed) for seed in range(3)]
        assert max(nested) < min(cut), (b, nested, cut)
        assert statistics.mean(cut) - statistics.mean(nested) > 2 * statistics.stdev(cut), (b, nested, cut)


def test_lora_drop_finds_the_layers_that_matter_and_the_rest_share() -> None:
    model = plain()
    inject(model, LoRA(R, ALPHA), r"2|4")
    layers = adapted(model)
    layers["4"].update.B.data.normal_()
    layers["2"].update.B.data.normal_().mul_(0.05)
    inputs = [x for x, _ in zip((b[0] for b in batches()), range(4), strict=False)]
    shares = importance(model, inputs)
    # The paper's quantity, by hand: the mean of ‖ΔWx‖² at what enters each layer.
    by_hand = {}
    for name in ("2", "4"):
        x = torch.cat([model[: int(name)](x) for x in inputs])
        layer = layers[name]
        by_hand[name] = (x @ (layer.update.weight(layer.base.matrix) - layer.base.matrix).T).square().sum(1).mean()
    assert shares["2"] == pytest.approx((by_hand["2"] / sum(by_hand.values())).item(), rel=1e-9)
    assert important(shares, 0.9) == ["4"]
    assert important(shares, 1.0) == ["4", "2"]
    kept = layers["4"].update
    groups = share_the_rest(model, [])
    assert list(groups.values()) == [["2", "4"]]
    assert layers["2"].update is layers["4"].update is not kept
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(p) for p in layers["2"].update.parameters()}


class SideBySide(nn.Module):
    """Six layers, each with an input of its own, so that each can need an adapter or not."""

    def __init__(self, source: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(12, 12, bias=False, dtype=torch.float64) for _ in range(6))
        for layer in self.layers:
            layer.weight.data = torch.randn(12, 12, generator=source, dtype=torch.float64) / 12**0.5

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([layer(x[:, i]) for i, layer in enumerate(self.layers)], dim=1)


def two_of_six(seed: int, kept: list[str] | None = None) -> tuple[list[str], float, int]:
    """Learn ΔW in layers 1 and 4 with LoRA-drop; return what it kept, the share of the loss left, what trains.

    With `kept` given, these layers keep their adapters whatever their importance.
    """
    source = torch.Generator().manual_seed(seed)
    model = SideBySide(source)
    wanted = torch.stack([layer.weight.detach().clone() for layer in model.layers])
    for i in (1, 4):
        u, v = (torch.randn(12, 2, generator=source, dtype=torch.float64) for _ in range(2))
        wanted[i] += u @ v.T / 6
    inject(model, LoRA(2, 4.0), "layers", source)

    def drawn(rows: int) -> Tensor:
        return torch.randn(rows, 6, 12, generator=source, dtype=torch.float64)

    def train(model: nn.Module, steps: int) -> list[float]:
        def pairs():
            while True:
                x = drawn(48)
                yield x, torch.einsum("bni,noi->bno", x, wanted)

        return fit(model, pairs(), steps=steps, lr=0.02, loss=squares, progress=False).losses

    losses: list[float] = []

    def first(model: nn.Module) -> None:
        losses.extend(train(model, 30))

    def then(model: nn.Module) -> None:
        losses.extend(train(model, 200))

    if kept is None:
        found = learn_with_drop(model, first, [drawn(64)], then, 0.9, source)
        kept = found.kept
        assert sum(found.shares.values()) == pytest.approx(1)
        assert sorted(found.kept + sum(found.shared.values(), [])) == sorted(found.shares)
    else:
        first(model)
        share_the_rest(model, kept, source)
        then(model)
    left = statistics.mean(losses[-10:]) / losses[0]
    return kept, left, sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_lora_drop_in_two_phases_keeps_the_layers_that_matter_and_learns_the_task() -> None:
    for seed in range(3):
        kept, left, trained = two_of_six(seed)
        assert sorted(kept) == ["layers.1", "layers.4"]
        assert trained == 3 * 2 * 24, "two adapters and the shared one, of six"
        _, wrong, as_many = two_of_six(seed, kept=["layers.0", "layers.2"])
        assert as_many == trained
        assert left < 0.01 < 0.1 < wrong, (seed, left, wrong)


def test_importance_hears_no_dropout_and_leaves_the_modes_alone() -> None:
    model = plain()
    inject(model, LoRA(R, ALPHA, dropout=0.5), r"\d")
    for layer in adapted(model).values():
        layer.update.B.data.normal_()
    model.train()
    model[1].eval()
    x = next(batches())[0]
    modes = [module.training for module in model.modules()]
    assert importance(model, [x]) == importance(model, [x])
    assert [module.training for module in model.modules()] == modes
    model.eval()
    share_the_rest(model, ["0"])
    assert not any(module.training for module in model.modules()), "a shared adapter would drop out in evaluation"


def test_a_small_effect_is_heard_in_16_bits_too() -> None:
    model = plain()
    inject(model, LoRA(R, ALPHA), r"\d")
    for layer in adapted(model).values():
        layer.update.B.data.normal_().mul_(1e-4)
    exact, x = importance(model, [next(batches())[0]]), next(batches())[0]
    rough = importance(model.bfloat16(), [x.bfloat16()])
    assert rough == pytest.approx(exact, rel=0.05)


def test_layers_that_share_resume_where_they_stopped(tmp_path) -> None:
    def shared() -> nn.Module:
        model = plain()
        inject(model, LoRA(R, ALPHA), r"\d", torch.Generator().manual_seed(1))
        share_the_rest(model, ["0"])
        return model

    data, whole, file = [b for _, b in zip(range(8), batches(), strict=False)], shared(), tmp_path / "run.pt"
    fit(whole, data, steps=8, lr=0.02, loss=squares, progress=False)
    fit(shared(), data, steps=8, lr=0.02, loss=squares, progress=False, checkpoint=file, on_step=lambda t, _: t == 3)
    parts = shared()
    fit(parts, data, steps=8, lr=0.02, loss=squares, progress=False, checkpoint=file)
    assert torch.equal(parts(data[0][0]), whole(data[0][0]))


def test_layers_that_share_train_together_save_and_load(tmp_path) -> None:
    model = plain()
    inject(model, LoRA(R, ALPHA), r"2|4")
    for layer in adapted(model).values():
        layer.update.B.data.normal_()
    share_the_rest(model, [], torch.Generator().manual_seed(4))
    losses = fit(model, batches(), steps=30, lr=0.02, loss=squares, progress=False).losses
    assert statistics.mean(losses[-5:]) < statistics.mean(losses[:5])
    save_adapter(model, tmp_path)
    again = plain()
    load_adapter(again, tmp_path)
    x = next(batches())[0]
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DyLoRA(r_min=0), "r_min is 0"),
        (lambda: DyLoRA(r_min=5, r_max=3), "r_min = 5 is more than r_max = 3"),
        (lambda: DeltaLoRA(rate=0), "rate λ is 0"),
        (lambda: DeltaLoRA(start=-1), "start is -1"),
        (lambda: important({"a": 1.0}, 0), "threshold T is 0"),
        (lambda: importance(plain(), []), "this model has none"),
        (lambda: truncate(plain(), 1), "no DyLoRA adapter"),
    ],
)
def test_bad_numbers_are_named(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_bad_models_are_named() -> None:
    model = plain()
    with pytest.raises(AxisConflict, match="takes no dropout"):
        inject(model, DeltaLoRA(R) | LoRA(dropout=0.1), r"\d")
    assert not adapted(model)
    with pytest.raises(ValueError, match="r_max = 9 must both lie in 1"):
        inject(model, DyLoRA(R, r_max=9), r"\d")
    assert not adapted(model)
    inject(model, DyLoRA(R), r"\d")
    with pytest.raises(ValueError, match="b is 4"):
        truncate(model, 4)
    model = plain()
    inject(model, rsLoRA(R), r"\d")
    with pytest.raises(ValueError, match="no adapter of this model has any effect yet"):
        importance(model, [next(batches())[0]])
    with pytest.raises(ValueError, match="x is no adapted layer"):
        share_the_rest(model, ["x"])
    never = pytest.fail
    with pytest.raises(ValueError, match="threshold T is 1.5"):
        learn_with_drop(model, never, [], never, threshold=1.5)
    for recipe, what in ((DyLoRA(R), "NestedLowRank"), (PiSSA(R), "PiSSA")):
        other = plain()
        inject(other, recipe, r"\d")
        with pytest.raises(ValueError, match=f"0 is a {what}; only a plain LoRA"):
            learn_with_drop(other, never, [], never)
