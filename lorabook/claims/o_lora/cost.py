"""O-LoRA's penalty, its room, and what it costs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.o_lora.orthogonal import SHAPES, TEXT, WANG, earlier
from lorabook.core.inject import inject
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Recipe
from lorabook.many.apart import Projected, Pulled, absolutes, squares
from lorabook.many.orthogonal import OrthogonalLoRA
from lorabook.many.pair import Pair
from lorabook.many.row_space import capacity, outside, row_basis

WEIGHT = 0.7


def pulled(case: Case, measure: Callable) -> tuple[LowRank, Tensor, Tensor]:
    """Return the second task's update, the first task's A, and the library's penalty."""
    update, first = LowRank(case.linear(), case.factors(), case.spec()), earlier(case, 1, case.d_in)
    return update, first, Pulled({"layer": (update, first)}, WEIGHT, measure).penalty()


@claim(
    statement=r"The penalty is $\lambda\sum_{jk}(A_iA_t^\top)_{jk}^2=\lambda\,\mathrm{tr}(A_tA_i^\top A_iA_t^\top)$: "
    r"it reads $A$ only.",
    source=f"{WANG}, equation 8; the paper's A is the authors' lora_A",
    cases=SHAPES,
)
def o_lora_penalises_a_alone(case: Case):
    update, first, penalty = pulled(case, squares)
    return penalty, WEIGHT * (update.A @ first.T @ first @ update.A.T).trace()


@misconception(
    of=o_lora_penalises_a_alone,
    statement=r"The outputs are constrained too: $\lVert B_t^\top B_i\rVert_F^2$ is added.",
    source=f"{TEXT}; a possible method, and not this one: neither the paper's equation nor the code has it",
)
def false_o_lora_penalises_b_too(case: Case):
    update, _, penalty = pulled(case, squares)
    return penalty, penalty + WEIGHT * (update.B.T @ earlier(case, 1, case.d_out).T).square().sum()


@misconception(
    of=o_lora_penalises_a_alone,
    statement=r"The authors' code computes the paper's squared entries.",
    source="cmnfriend/O-LoRA, uie_trainer_lora.py, which sums absolute values: the same zeros, another pull, another λ",
)
def false_the_authors_code_sums_squares(case: Case):
    _, _, penalty = pulled(case, squares)
    return penalty, pulled(case, absolutes)[2]


@claim(
    statement=r"The pull on $A_t$ is $2\lambda\,A_tA_i^\top A_i$: along earlier rows, and fading as the overlap does.",
    source="gradient of the trace",
    cases=SHAPES,
)
def the_penalty_pulls_along_earlier_rows(case: Case):
    update, first, penalty = pulled(case, squares)
    return torch.autograd.grad(penalty, update.A)[0], 2 * WEIGHT * update.A @ first.T @ first


@claim(
    statement=r"There is room for $\lfloor d/r\rfloor$ adapters of rank $r$ that are strictly orthogonal: drawn one "
    r"after the other and projected, that many keep rank $r$.",
    source="each takes r of the d directions",
    when="d is d_in, the side that A reads; with B constrained as well it is the smaller of the two sides",
    cases=SHAPES,
)
def there_is_room_for_d_in_over_r_tasks(case: Case):
    rows, tasks = torch.zeros(0, case.d_in, dtype=torch.float64), 0
    while True:
        more = torch.cat([rows, outside(earlier(case, tasks, case.d_in), row_basis(rows))])
        if len(row_basis(more)) < len(more):
            return torch.tensor(tasks), torch.tensor(capacity(case.d_in, case.r))
        rows, tasks = more, tasks + 1


@misconception(
    of=there_is_room_for_d_in_over_r_tasks,
    statement=r"$d$ is the width of the layer's output.",
    source=f"{TEXT} leaves open which; square layers hide it",
)
def false_there_is_room_for_d_out_over_r_tasks(case: Case):
    return there_is_room_for_d_in_over_r_tasks(case)[0], torch.tensor(case.d_out // case.r)


@claim(
    statement=r"At $d=4096$, $r=16$ there is room for 256 tasks.",
    source="arithmetic",
    when="only A is constrained; with B too, keys and values of 1,024 outputs (grouped queries) leave room for 64",
    cases=(Case(1024, 4096, 16),),
)
def o_lora_has_room_for_256_tasks(case: Case):
    a_alone = capacity(case.d_in, case.r)
    return torch.tensor([a_alone, min(a_alone, capacity(case.d_out, case.r))]), torch.tensor([256, 64])


def third_task(case: Case) -> tuple[nn.Module, Recipe]:
    """Return a model with the adapter of a third task on it, and the recipe that knows the first two."""
    states = []
    for task in (1, 2):
        b = case.randn(case.d_out, case.r, stream=f"B{task}")
        states.append({"0": Pair(earlier(case, task, case.d_in), b, case.s)})
    recipe = OrthogonalLoRA(case.r, case.alpha, earlier=states)
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    inject(model, recipe, "0", case.generator("A"))
    return model, recipe


@claim(
    statement=r"No data of earlier tasks are kept, but their $A_i$ are: $r\,d_{in}$ numbers for each task and layer.",
    source=f"{WANG}, section 3.2; counted in the rule that trains the third task",
    cases=SHAPES,
)
def o_lora_keeps_every_earlier_a(case: Case):
    model, recipe = third_task(case)
    return torch.tensor(recipe.rule.build(model).kept()), torch.tensor(2 * case.r * case.d_in)


@misconception(
    of=o_lora_keeps_every_earlier_a,
    statement="Nothing of earlier tasks is kept.",
    source="reading “no replay data” as no memory",
)
def false_o_lora_keeps_nothing(case: Case):
    model, recipe = third_task(case)
    return torch.tensor(recipe.rule.build(model).kept()), torch.tensor(0)


@claim(
    statement=r"A further task trains $r(d_{in}+d_{out})$ numbers, as LoRA does.",
    source=f"{WANG}, section 3.2",
    cases=SHAPES,
)
def o_lora_trains_what_lora_trains(case: Case):
    model, _ = third_task(case)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return torch.tensor(trained), torch.tensor(case.r * (case.d_in + case.d_out))


@misconception(
    of=o_lora_trains_what_lora_trains,
    statement="A projection is trained as well.",
    source=f"{TEXT}, its table of extra parameters",
)
def false_o_lora_trains_a_projection(case: Case):
    trained, lora = o_lora_trains_what_lora_trains(case)
    return trained, lora + case.r * case.d_in


TASKS = 8
LAYER = (Case(256, 256, 4),)


def projection_flops(case: Case) -> int:
    """Return the FLOPs of one hard projection beside TASKS earlier tasks, counted in the products that run."""
    update = LowRank(case.linear(), case.factors(), case.spec())
    rule = Projected({"layer": (update, torch.cat([earlier(case, i, case.d_in) for i in range(TASKS)]))})
    with FlopCounterMode(display=False) as counted:
        rule.after_step(0)
    return counted.get_total_flops()


@claim(
    statement=r"One hard projection beside $t$ earlier tasks costs $4\,t\,r^2d_{in}$ FLOPs.",
    source="two products of r × d_in with tr × d_in",
    cases=LAYER,
)
def projecting_costs_four_t_r_squared_d(case: Case):
    return torch.tensor(projection_flops(case)), torch.tensor(4 * TASKS * case.r**2 * case.d_in)


@claim(
    statement="That is below 1% of the layer's forward and backward pass (8 earlier tasks, r = 4, 512 tokens).",
    source="both counted in the products that run",
    relation="<=",
    cases=LAYER,
)
def projecting_costs_less_than_one_percent(case: Case):
    base = case.linear()
    update, x = LowRank(base, case.factors(), case.spec()), case.x(512).requires_grad_()
    with FlopCounterMode(display=False) as counted:
        update(base, x).sum().backward()
    return torch.tensor(100 * projection_flops(case)), torch.tensor(counted.get_total_flops())
