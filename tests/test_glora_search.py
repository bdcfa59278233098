"""GLoRA's supernet and its search: enumeration, LyCORIS and the official way to share weights as oracles."""

import copy
import itertools
import random
import statistics

import pytest
import torch
from lycoris.modules.glora import GLoRAModule
from small import gap
from torch import Tensor, nn

from lorabook.axes.form.glora import SIZES, GLoRA, GLoRAForm
from lorabook.axes.form.glora_subnet import cut_supernet, kinds_in_use, supernets, use_kinds
from lorabook.axes.rule.evolution import Evolution, cost, cross, draw, evolve, mutate
from lorabook.axes.rule.glora_draw import GLoRASupernet
from lorabook.axes.rule.glora_search import search_kinds
from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.saving.save import load_adapter, save_adapter

R = 2
ALL_NONE = GLoRAForm(*["none"] * 5)
SMALL = {"A": "none vector", "B": "none lora", "C": "none", "D": "none vector", "E": "none constant vector"}


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5)).double()


def net(recipe: Recipe | None = None, seed: int = 3) -> nn.Sequential:
    """Two layers with supernets of which every number has moved."""
    model, source = plain(), torch.Generator().manual_seed(seed)
    inject(model, recipe or GLoRASupernet(R), r"\d", torch.Generator().manual_seed(1))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.6 * torch.randn(parameter.shape, generator=source, dtype=parameter.dtype)
    return model


def inputs(rows: int = 32) -> Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def random_configuration(source: random.Random) -> dict[str, GLoRAForm]:
    return {name: GLoRAForm(**{t: source.choice(k.split()) for t, k in choices().items()}) for name in ("0", "2")}


def choices() -> dict[str, str]:
    return SIZES | {"C": "none vector lora"}


def official(layer: Adapted, kinds: GLoRAForm, x: Tensor) -> Tensor:
    """The layer as the official code computes it: every kind is read off one pair X_d, X_u, or off one vector."""
    held, w0, b0 = dict(layer.update.named_parameters()), layer.base.matrix, layer.base.bias
    full = {"A": w0, "B": w0, "C": w0[:1].T, "D": b0, "E": b0}

    def path(term: str, kind: str) -> Tensor:
        if kind == "none":
            return torch.zeros_like(full[term])
        if term in "DE":
            vector = held[term][:, 0]
            return vector if kind == "vector" else vector[0].expand_as(b0)
        down, up = held[f"{term}_d"], held[f"{term}_u"]
        made = {"lora": down @ up, "vector": down[:, :1], "constant": down[0, 0]}[kind]
        return made.expand(full[term].shape)

    a, b, c, d, e = (path(term, getattr(kinds, term)) for term in "ABCDE")
    return x @ (w0 + w0 * a + b).T + b0 + b0 * d + e + (w0 @ c)[:, 0]


@pytest.mark.parametrize("seed", range(6))
def test_a_supernet_is_the_official_layer_at_every_configuration(seed: int) -> None:
    model, x, wanted = net(), inputs(), random_configuration(random.Random(seed))
    use_kinds(model, wanted)
    assert kinds_in_use(model) == wanted
    first, last = (model.get_submodule(name) for name in ("0", "2"))
    theirs = official(last, wanted["2"], torch.tanh(official(first, wanted["0"], x)))
    assert gap(model(x), theirs) <= 1e-12
    parameters = [p for p in model.parameters() if p.requires_grad]
    mine, other = (torch.autograd.grad(torch.sin(y).sum(), parameters, allow_unused=True) for y in (model(x), theirs))
    for one, two in zip(mine, other, strict=True):
        assert (one is None or not one.any()) == (two is None or not two.any())
        assert one is None or not one.any() or gap(one, two) <= 1e-11


@pytest.mark.parametrize("seed", range(6))
def test_the_cut_adapter_is_the_supernet_there_trains_on_saves_and_merges(seed: int, tmp_path) -> None:
    model, x, wanted = net(), inputs(), random_configuration(random.Random(seed))
    use_kinds(model, wanted)
    before, (slope,) = model(x), torch.autograd.grad(model(x).square().sum(), model[0].update.E, allow_unused=True)
    layers = cut_supernet(model, wanted)
    assert torch.equal(model(x), before)
    assert {name: layer.recipe.form for name, layer in layers.items()} == wanted
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == sum(
        kinds.count(*model.get_submodule(name).base.store.shape, R) for name, kinds in wanted.items()
    )
    if wanted["0"].E == "vector":
        (again,) = torch.autograd.grad(model(x).square().sum(), layers["0"].update.E)
        assert gap(again, slope) <= 1e-12
    data = [(x, x[:, :5])] * 5
    losses = fit(model, data, steps=5, lr=0.01, loss=squares, progress=False).losses
    assert losses[-1] < losses[0]
    save_adapter(model, tmp_path)
    loaded = load(tmp_path)
    assert torch.equal(loaded(x), model(x))
    after = model(x)
    assert gap(merge(model)(x), after) <= 1e-12


def load(folder) -> nn.Sequential:
    model = plain()
    load_adapter(model, folder)
    return model


def squares(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def test_a_layer_that_is_cut_to_nothing_is_the_plain_layer_again() -> None:
    model, x = net(), inputs()
    layers = cut_supernet(model, {"0": ALL_NONE, "2": GLoRAForm()})
    assert list(layers) == list(adapted(model)) == ["2"]
    assert type(model[0]) is nn.Linear
    assert torch.equal(model[0](x), plain()[0](x))


def test_the_search_finds_what_enumeration_finds_and_the_cut_keeps_it() -> None:
    recipe, x = GLoRASupernet(R, **SMALL), inputs()
    space = [GLoRAForm(*kinds) for kinds in itertools.product(*(words.split() for words in SMALL.values()))]
    planted = {
        "0": GLoRAForm("vector", "none", "none", "vector", "constant"),
        "2": GLoRAForm("none", "lora", "none", "none", "vector"),
    }  # fmt: skip
    plan = Evolution(population=24, parents=6, crossovers=8, mutations=8, rounds=10)
    hits = 0
    for seed in range(3):
        model = net(recipe, seed)
        use_kinds(model, planted)
        wanted = model(x).detach()

        def loss(model: nn.Module, wanted: Tensor = wanted) -> float:
            return squares(model, (x, wanted)).item()

        losses = {}
        for pair in itertools.product(space, space):
            use_kinds(model, dict(zip("02", pair, strict=True)))
            losses[pair] = loss(model)
        best = min(losses, key=losses.__getitem__)
        assert dict(zip("02", best, strict=True)) == planted, "what was planted is the best of all 576"
        found = search_kinds(model, loss, plan=plan, generator=torch.Generator().manual_seed(seed), progress=False)
        assert found.tried <= 240
        assert found.loss == losses[tuple(found.configuration[name] for name in "02")]
        hits += found.configuration == planted
        assert kinds_in_use(model) == found.configuration
        cut_supernet(model, found.configuration)
        assert loss(model) == found.loss
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) == found.parameters
    assert hits == 3, f"found in {hits} of 3 spaces, of which it tries less than half"


def test_the_limit_is_kept_by_all_that_is_tried_and_bought_with_loss() -> None:
    x, seen = inputs(), []
    model = net()
    wanted = model(x).detach()

    def loss(model: nn.Module) -> float:
        sizes = [kinds.count(*model.get_submodule(n).base.store.shape, R) for n, kinds in kinds_in_use(model).items()]
        seen.append(sum(sizes))
        return squares(model, (x, wanted)).item()

    plan = Evolution(population=20, parents=5, crossovers=8, mutations=8, rounds=6)
    free = search_kinds(model, loss, plan=plan, progress=False)
    assert max(seen) > 30
    seen.clear()
    tight = search_kinds(model, loss, limit=30, plan=plan, progress=False)
    assert max(seen) <= 30
    assert tight.parameters <= 30 < free.parameters
    assert free.loss < tight.loss


def test_one_generator_one_search_and_the_mode_comes_back() -> None:
    x = inputs()
    found = []
    for seed in (7, 7, 8):
        model = net().train()
        model[1].eval()  # as a frozen norm would be
        tried = []

        def loss(model: nn.Module, tried: list = tried) -> float:
            assert not model.training
            tried.append(kinds_in_use(model))
            return squares(model, (x, x[:, :5])).item()

        plan = Evolution(population=6, parents=2, crossovers=2, mutations=2, rounds=3)
        search_kinds(model, loss, plan=plan, generator=torch.Generator().manual_seed(seed), progress=False)
        assert (model.training, model[1].training) == (True, False)
        found.append(tried)
    assert found[0] == found[1] != found[2]


def test_nothing_is_tried_twice_and_a_small_space_comes_to_an_end() -> None:
    seen: list[tuple[int, ...]] = []

    def loss(genome: tuple[int, ...]) -> float:
        seen.append(genome)
        return float(sum(genome))

    found = evolve([[1, 2]] * 3, loss, generator=torch.Generator().manual_seed(0), progress=False)
    assert len(seen) == len(set(seen)) == len(found) == 8
    assert list(found.values()) == sorted(found.values())
    assert next(iter(found)) == (0, 0, 0)


def test_children_come_from_their_parents() -> None:
    source, costs = torch.Generator().manual_seed(0), [[0] * 50] * 400
    one, other = draw(costs, source), draw(costs, source)
    child = cross(one, other, source)
    assert all(gene in pair for gene, *pair in zip(child, one, other, strict=True))
    from_one = [gene == a for gene, a, b in zip(child, one, other, strict=True) if a != b]
    assert abs(statistics.mean(from_one) - 0.5) < 5 * 0.5 / len(from_one) ** 0.5
    changed = [a != b for a, b in zip(one, mutate(one, costs, 0.2, source), strict=True)]
    rate = 0.2 * 49 / 50  # a new draw may be the old gene
    assert abs(statistics.mean(changed) - rate) < 5 * (rate * (1 - rate) / len(changed)) ** 0.5
    assert cost((1, 0), [[3, 5], [7, 9]]) == 12


def test_training_draws_a_configuration_for_each_step_and_ends_at_the_largest(tmp_path) -> None:
    def run(steps_now: int, file=None) -> tuple[nn.Sequential, list]:
        model, drawn = plain(), []
        inject(model, GLoRASupernet(R, seed=5), r"\d", torch.Generator().manual_seed(1))
        x = inputs()
        data = [(x, x[:, :5])] * 12

        def watch(step: int, loss: float) -> bool:
            drawn.append(kinds_in_use(model))
            return step + 1 == steps_now

        fit(model, data, steps=12, lr=0.01, loss=squares, progress=False, on_step=watch, checkpoint=file)
        return model, drawn

    whole, drawn = run(12)
    assert kinds_in_use(whole) == {"0": GLoRAForm(C="lora"), "2": GLoRAForm(C="lora")}
    assert len({str(one) for one in drawn}) >= 11
    run(5, tmp_path / "run.pt")
    resumed, rest = run(12, tmp_path / "run.pt")
    assert rest == drawn[5:]
    assert torch.equal(resumed(inputs()), whole(inputs()))


def test_a_run_that_is_stopped_leaves_the_largest_and_so_does_the_next() -> None:
    model, drawn = plain(), []
    inject(model, GLoRASupernet(R, seed=5), r"\d", torch.Generator().manual_seed(1))
    data, largest = [(inputs(), inputs()[:, :5])] * 6, {"0": GLoRAForm(C="lora"), "2": GLoRAForm(C="lora")}

    def watch(step: int, loss: float) -> bool:
        drawn.append(kinds_in_use(model))
        return len(drawn) == 3

    fit(model, data, steps=6, lr=0.01, loss=squares, progress=False, on_step=watch)
    assert drawn[-1] != largest
    assert kinds_in_use(model) == largest
    use_kinds(model, drawn[-1])
    fit(model, data, steps=6, lr=0.01, loss=squares, progress=False)
    assert kinds_in_use(model) == largest


def test_a_supernet_searched_after_training_keeps_what_helps() -> None:
    # Another bias for both layers is all that is asked: under a tight limit the search must keep terms that move it.
    target, x = plain(), inputs()
    with torch.no_grad():
        target[0].bias += 1.0
        target[2].bias -= 2.0
    model = plain()
    inject(model, GLoRASupernet(R), r"\d", torch.Generator().manual_seed(1))
    batch = x, target(x).detach()
    start = squares(plain(), batch).item()
    fit(model, [batch] * 300, steps=300, lr=0.02, loss=squares, progress=False)
    plan = Evolution(rounds=8)
    found = search_kinds(model, lambda m: squares(m, batch).item(), limit=14, plan=plan, progress=False)
    cut_supernet(model, found.configuration)
    fit(model, [batch] * 200, steps=200, lr=0.02, loss=squares, progress=False)
    assert found.parameters <= 14
    assert any(kinds.D != "none" or kinds.E != "none" or kinds.C != "none" for kinds in found.configuration.values())
    assert found.loss < 0.5 * start
    assert squares(model, batch).item() < 0.1 * start


def test_lycoris_glora_is_another_method() -> None:
    torch.manual_seed(0)
    square = nn.Linear(6, 6).double()
    theirs = GLoRAModule("one", square, lora_dim=R, alpha=R).double()
    ours = nn.Sequential(copy.deepcopy(square))
    update = inject(ours, GLoRA(R, C="none", D="none", E="none"), "0")["0"].update
    with torch.no_grad():
        update.A_d.normal_()
        update.B_d.normal_()
        for name, held in {"a1": update.A_d, "a2": update.A_u, "b1": update.B_d, "b2": update.B_u}.items():
            getattr(theirs, name).weight.copy_(held)
    w0, a, b = square.weight, update.A_d @ update.A_u, update.B_d @ update.B_u
    assert gap(theirs.get_diff_weight()[0], w0 @ a + b) <= 1e-12, "LyCORIS: a matrix product"
    assert gap(update.weight(w0) - w0, w0 * a + b) <= 1e-12, "the paper's code, PEFT and ours: entry by entry"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"population": 1, "crossovers": 0, "mutations": 0}, "population is 1; it must be a whole number ≥ 2"),
        ({"population": True}, "population is True"),
        ({"parents": 0}, "parents is 0; it must be a whole number ≥ 1"),
        ({"mutations": -1}, "mutations is -1"),
        ({"rounds": 0}, "rounds is 0"),
        ({"population": 20}, "25 crossovers and 25 mutations are more than the population of 20"),
        ({"rate": 0.0}, "rate is 0.0; it must be a probability"),
        ({"rate": float("nan")}, "rate is nan"),
    ],
)
def test_numbers_that_make_no_evolution_are_refused(numbers: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Evolution(**numbers)


def test_a_search_that_cannot_work_is_refused_before_anything_is_tried() -> None:
    model, tried = net(GLoRASupernet(R, A="vector lora")), []
    with pytest.raises(ValueError, match="the limit is 11, and the cheapest genome costs 12: raise the limit"):
        search_kinds(model, lambda m: tried.append(1) or 0.0, limit=11, progress=False)
    assert not tried
    assert search_kinds(model, lambda m: 0.0, limit=12, plan=Evolution(2, 1, 0, 0), progress=False).parameters == 12
    other = plain()
    inject(other, LoRA(R), r"\d")
    with pytest.raises(ValueError, match="holds no supernet of GLoRA: inject a GLoRASupernet recipe first"):
        search_kinds(other, lambda m: 0.0)
    with pytest.raises(ValueError, match="every gene needs an option"):
        evolve([[1], []], lambda genome: 0.0, generator=torch.Generator())


def test_a_loss_that_is_no_number_stops_the_search_and_leaves_the_model_as_it_was() -> None:
    model = net().train()
    before = kinds_in_use(model)
    with pytest.raises(ValueError, match="is nan; it must be a finite number"):
        search_kinds(model, lambda m: float("nan"), progress=False)
    assert kinds_in_use(model) == before
    assert model.training


def test_configurations_that_do_not_fit_are_refused_and_nothing_changes() -> None:
    model = net(GLoRASupernet(R, **SMALL))
    before = kinds_in_use(model)
    for wrong, said in (
        ({"0": ALL_NONE}, "differ in 2; name exactly 0, 2"),
        ({"0": ALL_NONE, "2": GLoRAForm("lora", "none", "none", "none", "none")}, "2: A is 'lora'.*none, vector"),
    ):
        with pytest.raises(ValueError, match=said):
            use_kinds(model, wrong)
    assert kinds_in_use(model) == before
    with pytest.raises(ValueError, match="every term of every layer is none"):
        cut_supernet(model, {"0": ALL_NONE, "2": ALL_NONE})
    assert list(supernets(model)) == ["0", "2"]


@pytest.mark.parametrize("words", ["", "lora lora", "lora, vector", "rank"])
def test_choices_that_are_none_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match="the choices of A are"):
        GLoRASupernet(A=words)


def test_what_has_no_branch_takes_no_dropout_and_a_layer_without_bias_needs_a_or_b() -> None:
    with pytest.raises(AxisConflict, match="no branch whose input dropout = 0.1"):
        inject(plain(), GLoRASupernet(R) | Recipe(dropout=0.1), r"\d")
    bare = nn.Sequential(nn.Linear(4, 4, bias=False))
    with pytest.raises(ValueError, match="every term is none on 0"):
        inject(bare, GLoRASupernet(R, A="none", B="none"), "0")
    inject(bare, GLoRASupernet(R), "0")
    assert kinds_in_use(bare)["0"] == GLoRAForm("lora", "lora", "none", "none", "none")
