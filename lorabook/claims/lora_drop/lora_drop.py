"""What LoRA-drop measures, keeps and saves, and what its name suggests."""

import torch
from torch import Tensor, nn

from lorabook.axes.rule.lora_drop import importance, important, share_the_rest
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA, LowRankForm
from lorabook.cost.count import measured_flops, trainable

ZHOU = "Zhou et al. 2024 (2402.07721)"
TEXT = "a teaching text's section on LoRA-drop"
LAYERS, T = 4, 0.8


def trained(case: Case) -> nn.Sequential:
    """Return four square layers, one after the other, whose adapters have moved by different amounts."""
    d = case.d_in
    layers = [nn.Linear(d, d, dtype=torch.float64) for _ in range(LAYERS)]
    for i, layer in enumerate(layers):
        layer.weight.data = case.randn(d, d, stream=f"w{i}") / d**0.5
        layer.bias.data = case.randn(d, stream=f"b{i}")
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh())))
    for i, layer in enumerate(inject(model, LoRA(case.r, case.alpha), r"\d", case.generator("A")).values()):
        layer.update.B.data = 0.5**i * case.randn(d, case.r, stream=f"B{i}")
    return model


def deltas(model: nn.Module) -> list[Tensor]:
    """Return ΔW of every layer."""
    return [(layer.update.weight(layer.base.matrix) - layer.base.matrix).detach() for layer in adapted(model).values()]


def measured(model: nn.Module, x: Tensor) -> Tensor:
    """Return the library's importance of every layer."""
    return torch.tensor(list(importance(model, [x]).values()), dtype=torch.float64)


def shares(g: list[Tensor]) -> Tensor:
    """Return each part of the whole."""
    return torch.stack(g) / torch.stack(g).sum()


@claim(
    statement=r"A layer's importance is its share of $E\lVert\Delta Wx\rVert^2=\mathrm{tr}(\Delta W\,C\,\Delta W^\top)$"
    r", where $C=E[xx^\top]$ is that of the inputs which reach the layer.",
    source=f"{ZHOU}, equations 3 and 4",
)
def importance_is_a_share_of_the_output(case: Case):
    model, x, g = trained(case), case.x(40), []
    for i, delta in enumerate(deltas(model)):
        at = model[: 2 * i](x).detach()
        g.append(torch.trace(delta @ (at.T @ at / len(at)) @ delta.T))
    return measured(model, x), shares(g)


@misconception(
    of=importance_is_a_share_of_the_output,
    statement=r"A layer's importance is its share of $\lVert\Delta W\rVert_F^2$: the adapter's numbers say it all.",
    source="a natural guess, and what older pruning methods do; it is so for inputs with C = σ²I, alike in all layers",
)
def false_importance_is_a_share_of_the_weights(case: Case):
    model = trained(case)
    return measured(model, case.x(40)), shares([delta.square().sum() for delta in deltas(model)])


@claim(
    statement=r"The adapter with the larger $\lVert\Delta W\rVert_F$ can have no effect at all: $\Delta Wx=0$ if $A$ "
    r"does not read what comes in.",
    source="C is singular for inputs in a subspace, and ΔW can live beside it",
    relation="<=",
    cases=(Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 4)),
)
def a_large_update_can_do_nothing(case: Case):
    model, x = trained(case), case.x()
    x[:, : case.r] = 0
    first, second = list(adapted(model).values())[:2]
    first.update.A.data = 10 * torch.eye(case.r, case.d_in, dtype=torch.float64)
    effect, size = measured(model, x), torch.stack([delta.norm() for delta in deltas(model)])
    # Layer 0 is larger in size by a factor of 2 at least, and its share is 0.
    return torch.stack([effect[0] + 1e-6, 2 * size[1]]), torch.stack([effect[1], size[0]])


@claim(
    statement=r"As few layers are kept as reach the share $T$: with one less they would not.",
    source=f"{ZHOU}, section 3.2",
    relation="<=",
)
def as_few_as_reach_the_threshold(case: Case):
    shares = importance(trained(case), [case.x()])
    kept = [shares[name] for name in important(shares, T)]
    return torch.tensor([T, sum(kept[:-1])]), torch.tensor([sum(kept), T])


def after_sharing(case: Case) -> tuple[nn.Module, list[str]]:
    """Return a model that kept its important adapters, the shared one moved too; and the names of the kept."""
    model = trained(case)
    kept = important(importance(model, [case.x()]), T)
    for names in share_the_rest(model, kept, case.generator("shared")).values():
        adapted(model)[names[0]].update.B.data = case.randn(case.d_in, case.r, stream="shared B")
    return model, kept


@claim(
    statement=r"All layers stay adapted: those which do not keep an adapter of their own share one.",
    source=f"{ZHOU}, section 3.3",
    tol=0,
)
def the_rest_shares_an_adapter(case: Case):
    model, _ = after_sharing(case)
    return torch.tensor(sum(bool(delta.any()) for delta in deltas(model))), torch.tensor(LAYERS)


@misconception(
    of=the_rest_shares_an_adapter,
    statement=r"LoRA is applied to the most important layers only, and dropped elsewhere.",
    source=f"{TEXT}, and the name",
)
def false_the_rest_is_dropped(case: Case):
    model, kept = after_sharing(case)
    return torch.tensor(sum(bool(delta.any()) for delta in deltas(model))), torch.tensor(len(kept))


@claim(
    statement=r"Trained are $(k+1)\,r(d_{in}+d_{out})$ numbers for $k$ kept layers, instead of $L\,r(d_{in}+d_{out})$.",
    source=f"{ZHOU}, section 3.3",
    when="all layers that share have one shape, else there is one shared adapter for each",
    tol=0,
)
def one_more_adapter_than_kept_layers(case: Case):
    model, kept = after_sharing(case)
    each = LowRankForm().count(case.d_in, case.d_in, case.r)
    return torch.tensor(trainable(model)), torch.tensor((len(kept) + 1) * each)


@misconception(
    of=one_more_adapter_than_kept_layers,
    statement=r"Sharing is in name only: every layer still trains $r(d_{in}+d_{out})$ numbers.",
    source="a reading of a saved file, in which every layer that shares has its copy",
)
def false_every_layer_trains_its_own(case: Case):
    model, _ = after_sharing(case)
    return torch.tensor(trainable(model)), torch.tensor(LAYERS * LowRankForm().count(case.d_in, case.d_in, case.r))


@claim(
    statement=r"A forward pass costs as much as LoRA's: a shared adapter is computed in every layer that shares it.",
    source="W₀x, Ax and B(Ax) are there in every layer, whoever owns A and B",
    tol=0,
)
def sharing_computes_as_much(case: Case):
    x = case.x()
    lora, (model, _) = trained(case), after_sharing(case)
    return torch.tensor(measured_flops(lambda: model(x))), torch.tensor(measured_flops(lambda: lora(x)))


@misconception(
    of=sharing_computes_as_much,
    statement=r"It lowers the cost of computing: only the kept layers have an adapter to compute.",
    source=f"{TEXT}; what is lower is the number of trained parameters, of their gradients and moments",
)
def false_only_kept_layers_compute(case: Case):
    x = case.x()
    model, kept = after_sharing(case)
    product = 2 * len(x) * case.d_in
    return torch.tensor(measured_flops(lambda: model(x))), torch.tensor(
        LAYERS * product * case.d_in + len(kept) * product * 2 * case.r
    )


AS_GOOD_WITH_HALF = Unchecked(
    statement="With half of LoRA's parameters on average it does as well as LoRA.",
    source=f"{ZHOU}, abstract",
    reason="a benchmark of language models; how many parameters are left depends on T and on the task's shares",
)
