"""What GLoRA's supernet holds, what one step of it trains, and what the search finds without training."""

import itertools
import math

import torch
from torch import Tensor, nn

from lorabook.axes.form.glora import GLoRAForm
from lorabook.axes.form.glora_subnet import cut_supernet, kinds_in_use, supernets, use_kinds
from lorabook.axes.form.glora_supernet import GLoRASupernetForm
from lorabook.axes.rule.evolution import Evolution, Genome, draw, evolve
from lorabook.axes.rule.glora_draw import DrawnKinds, GLoRASupernet
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.merge import merge

CHAVAN = "Chavan et al. 2023 (2306.07967)"
LAYERS = 3
GENES, OPTIONS, SPACES = 4, 4, 10


def trained(case: Case, seed: int = 0) -> tuple[nn.Sequential, DrawnKinds]:
    """Return three layers with supernets of which every number has moved, and the rule at its first draw."""
    widths = [(case.d_in, case.d_out), (case.d_out, case.d_in), (case.d_in, case.d_out)]
    model = nn.Sequential(*(nn.Linear(*width, dtype=torch.float64) for width in widths))
    for name, parameter in model.named_parameters():
        parameter.data = case.randn(*parameter.shape, stream=name) / parameter.shape[-1] ** 0.5
    inject(model, GLoRASupernet(case.r, seed=seed), r"\d", case.generator("start"))
    for name, parameter in model.named_parameters():
        parameter.data = case.randn(*parameter.shape, stream=name) / parameter.shape[-1] ** 0.5
    rule = DrawnKinds(model, seed + case.seed)
    rule.begin(2**31)
    return model, rule


def numbers(model: nn.Module) -> int:
    """Return how many numbers train."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def shapes(model: nn.Module) -> list[tuple[int, int]]:
    """Return d_out and d_in of every layer with a supernet."""
    return [layer.base.store.shape for layer in supernets(model).values()]


@claim(
    statement="The adapter cut out of a supernet computes what the supernet computes at its configuration, before and "
    "after merging (output, gradient at the input, merged output, stacked).",
    source=f"{CHAVAN}, section 3.3: the kinds share their numbers, so nothing is trained again",
)
def the_subnet_is_the_supernet_there(case: Case):
    model, _ = trained(case)
    before = _value_and_gradient(model, case)
    cut_supernet(model, kinds_in_use(model))
    after = _value_and_gradient(model, case)
    merged = merge(model)(case.x()).detach().flatten()
    return torch.cat([after, merged]), torch.cat([before, before[: len(merged)]])


@misconception(
    of=the_subnet_is_the_supernet_there,
    statement="A small configuration is the trained supernet with less in it, so it computes nearly the same.",
    source="a natural guess; a vector is the first column of a product's X_d, and there it meant something else",
)
def false_the_subnet_is_the_whole_supernet(case: Case):
    model, _ = trained(case)
    small = kinds_in_use(model)
    use_kinds(model, {name: GLoRASupernetForm().largest() for name in small})
    whole = _value_and_gradient(model, case)
    cut_supernet(model, small)
    return _value_and_gradient(model, case), whole


def _value_and_gradient(model: nn.Module, case: Case) -> Tensor:
    x = case.x().requires_grad_()
    y = model(x)
    (slope,) = torch.autograd.grad(y.square().sum(), x)
    return torch.cat([y.flatten(), slope.flatten()]).detach()


@claim(
    statement="A supernet trains as many numbers as its largest configuration: smaller kinds are parts of larger ones.",
    source="the authors' code: a vector is the first column of X_d, a constant its first entry",
    tol=0,
)
def a_supernet_holds_its_largest_member(case: Case):
    model, _ = trained(case)
    largest = GLoRASupernetForm().largest()
    return torch.tensor(numbers(model)), torch.tensor(sum(largest.count(*shape, case.r) for shape in shapes(model)))


@misconception(
    of=a_supernet_holds_its_largest_member,
    statement="It has numbers of its own for every kind.",
    source="a natural guess; it would then hold the sum of all kinds",
)
def false_a_supernet_holds_every_kind_apart(case: Case):
    model, _ = trained(case)
    choices = GLoRASupernetForm().on(True).items()
    kinds = [GLoRAForm(**dict.fromkeys("ABCDE", "none") | {term: kind}) for term, of in choices for kind in of]
    apart = sum(kind.count(*shape, case.r) for shape in shapes(model) for kind in kinds)
    return torch.tensor(numbers(model)), torch.tensor(apart)


@claim(
    statement=r"A layer has $4\cdot4\cdot3\cdot3\cdot3=432$ configurations.",
    source="the authors' choices: none, constant, vector, LoRA for A and B; no constant for C, no LoRA for D and E",
    tol=0,
    cases=(Case(7, 16, 3),),
)
def a_layer_has_432_configurations(case: Case):
    choices = [layer.update.choices for layer in supernets(trained(case)[0]).values()]
    return torch.tensor([math.prod(map(len, kinds.values())) for kinds in choices]), torch.tensor([432] * LAYERS)


@misconception(
    of=a_layer_has_432_configurations,
    statement=r"Five terms of four kinds: $4^5=1024$.",
    source="a natural guess; a product of rank r for the bias would be another vector",
)
def false_a_layer_has_1024_configurations(case: Case):
    return a_layer_has_432_configurations(case)[0], torch.tensor([4**5] * LAYERS)


@claim(
    statement="One step of the supernet trains the numbers of the configuration drawn for it, and no others.",
    source=f"{CHAVAN}, section 3.3",
    tol=0,
)
def a_step_trains_what_was_drawn(case: Case):
    model, _ = trained(case)
    model(case.x()).square().sum().backward()
    moving = sum(int((p.grad != 0).sum()) for p in model.parameters() if p.grad is not None)
    used = kinds_in_use(model)
    drawn = [kinds.count(*model.get_submodule(name).base.store.shape, case.r) for name, kinds in used.items()]
    return torch.tensor(moving), torch.tensor(sum(drawn))


@misconception(
    of=a_step_trains_what_was_drawn,
    statement="The optimiser works on all kinds at once, and weighs them against each other.",
    source="a teaching text (“the optimizer can learn to use any combination”)",
)
def false_a_step_trains_every_kind(case: Case):
    return a_step_trains_what_was_drawn(case)[0], torch.tensor(numbers(trained(case)[0]))


@claim(
    statement=r"Every kind of a term is drawn equally often: four kinds, a quarter of the steps each.",
    source="the authors' code: one of all configurations at random",
    relation="~",
    cases=(Case(3, 2, 1, seed=1),),
)
def kinds_are_drawn_evenly(case: Case):
    model, rule = trained(case)
    update, seen = model[1].update, []
    for t in range(1000):
        seen.append([update.kinds["A"] == kind for kind in update.choices["A"]])
        rule.after_step(t)
    expected = torch.full((4,), 0.25, dtype=torch.float64)
    return torch.tensor(seen).double().mean(0), expected, (expected * (1 - expected) / len(seen)).sqrt()


def kind_space(case: Case, space: int) -> dict[Genome, float]:
    """Return the loss of every genome: a part for each option, and a smaller one for each pair of options."""
    genomes = list(itertools.product(range(OPTIONS), repeat=GENES))
    taken = nn.functional.one_hot(torch.tensor(genomes), OPTIONS).flatten(1).double()
    single = case.randn(GENES * OPTIONS, stream=f"single {space}")
    pairs = 0.3 * case.randn(GENES * OPTIONS, GENES * OPTIONS, stream=f"pairs {space}").tril(-1)
    return dict(zip(genomes, (taken @ single + (taken @ pairs * taken).sum(1)).tolist(), strict=True))


def blind_space(case: Case, space: int) -> dict[Genome, float]:
    """Return losses in which nothing of a parent says anything of a child."""
    genomes = list(itertools.product(range(OPTIONS), repeat=GENES))
    return dict(zip(genomes, case.randn(len(genomes), stream=f"blind {space}").tolist(), strict=True))


def by_evolution(losses: dict[Genome, float], source: torch.Generator) -> bool:
    """Say whether the genomes that evolution tries have the best of a space among them."""
    plan = Evolution(population=10, parents=4, crossovers=4, mutations=4, rounds=8)
    tried = evolve([[0] * OPTIONS] * GENES, losses.__getitem__, plan=plan, generator=source, progress=False)
    return next(iter(tried.values())) == min(losses.values())


def at_random(losses: dict[Genome, float], source: torch.Generator) -> bool:
    """Say whether as many that are drawn have."""
    drawn: set[Genome] = set()
    while len(drawn) < 80:
        drawn.add(draw([[0] * OPTIONS] * GENES, source))
    return min(map(losses.__getitem__, drawn)) == min(losses.values())


@claim(
    statement=f"Of 256 configurations 80 are tried: evolution finds the best in more of {SPACES} spaces than draws do.",
    source="all of each space are tried, and compared",
    when="an option's worth depends little on the others: then what is good in a parent is good in a child",
    relation="<=",
    tol=0,
    cases=(Case(6, 5, 2),),
)
def evolution_finds_the_best_more_often(case: Case):
    spaces, source = [kind_space(case, i) for i in range(SPACES)], case.generator("search")
    hits = [sum(way(losses, source) for losses in spaces) for way in (at_random, by_evolution)]
    return torch.tensor(hits[0] + 1), torch.tensor(hits[1])


@misconception(
    of=evolution_finds_the_best_more_often,
    statement="It finds the best in every space.",
    source="a natural reading of “optimal”; where a parent says nothing of its children it is as blind as a draw",
)
def false_evolution_always_finds_the_best(case: Case):
    spaces, source = [blind_space(case, i) for i in range(SPACES)], case.generator("search")
    return torch.tensor(SPACES), torch.tensor(sum(by_evolution(losses, source) for losses in spaces))
