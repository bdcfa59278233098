"""What a variant adds to the task's loss."""

import torch
from torch import Tensor, nn

from lorabook.axes.form.dora import DoRA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe

GAMMA = 0.1


def added(case: Case, recipe: Recipe) -> tuple[Tensor, nn.Module]:
    """Return what a recipe's step rule adds to the loss of a trained layer, and the layer's update."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data = case.w0()
    layer = inject(model, Recipe(case.r, case.alpha) | recipe, "0", case.generator("A"))["0"]
    for name, parameter in layer.update.named_parameters():
        parameter.data = case.randn(*parameter.shape, stream=name)
    rule = layer.recipe.rule
    return torch.zeros(()).double() if rule is None else rule.build(model).penalty().detach(), layer.update


def added_by_all(case: Case) -> tuple[Tensor, nn.Module]:
    """Return what LoRA, rsLoRA, LoRA+, DoRA and AdaLoRA add, and AdaLoRA's update."""
    recipes = (LoRA(), rsLoRA(), LoRAPlus(), DoRA(), AdaLoRA(target_r=1, orthogonality=GAMMA))
    results = [added(case, recipe) for recipe in recipes]
    return torch.stack([penalty for penalty, _ in results]), results[-1][1]


@claim(
    statement=r"LoRA, rsLoRA, LoRA+ and DoRA train on the task's loss as it is; AdaLoRA adds "
    r"$\gamma(\lVert P^\top P-I\rVert_F^2+\lVert QQ^\top-I\rVert_F^2)$ (stacked, what is added).",
    source="Hu et al. 2021 (2106.09685), equation 2; Zhang et al. 2023 (2303.10512), equation 4",
    when="the variant has no step rule with a penalty, as AdaLoRA and O-LoRA have",
)
def most_variants_train_on_the_task_alone(case: Case) -> tuple[Tensor, Tensor]:
    penalties, plq = added_by_all(case)
    p, q, eye = plq.B.detach(), plq.A.detach(), torch.eye(case.r, dtype=torch.float64)
    pull = GAMMA * ((p.T @ p - eye).square().sum() + (q @ q.T - eye).square().sum())
    return penalties, torch.stack([torch.zeros_like(pull)] * 4 + [pull])


@misconception(
    of=most_variants_train_on_the_task_alone,
    statement="Every variant keeps the loss of plain fine-tuning.",
    source="a teaching text, true of LoRA itself",
)
def false_every_variant_trains_on_the_task_alone(case: Case) -> tuple[Tensor, Tensor]:
    penalties, _ = added_by_all(case)
    return penalties, torch.zeros_like(penalties)
