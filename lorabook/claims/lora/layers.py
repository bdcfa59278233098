"""LoRA beyond one Linear: on a convolution, on an embedding, and on the three matrices of SwiGLU."""

import torch
from torch import nn
from torch.nn import functional as F

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.models.decoder import MLP, DecoderConfig

CONVOLUTIONS = (Case(6, 3, 1), Case(4, 5, 2), Case(8, 8, 4))
TOKENS = torch.tensor([[0, 2, 2, 1]])


def trained(layer: nn.Module, case: Case) -> nn.Module:
    """Return the layer in float64 with an adapter that has left its start."""
    model = nn.Sequential(layer.double())
    with torch.no_grad():
        layer.weight.copy_(case.randn(*layer.weight.shape, stream="w0"))
        if isinstance(layer, nn.Conv2d):
            layer.bias.copy_(case.randn(*layer.bias.shape, stream="bias"))
    adapted = inject(model, LoRA(case.r, case.alpha), "0", case.generator("A"))["0"]
    adapted.update.B.data.copy_(case.randn(*adapted.update.B.shape, stream="B"))
    return adapted


@claim(
    statement=r"On a $k\times k$ convolution, $sBA$ is a $k\times k$ convolution to $r$ channels (stride and padding "
    r"of the layer), then a $1\times1$ convolution back.",
    source="W₀ is the kernel flattened to c_out × c_in·k²; each row of A is a kernel",
    cases=CONVOLUTIONS,
)
def a_convolution_is_a_bottleneck(case: Case):
    layer = trained(nn.Conv2d(case.d_in, case.d_out, 3, stride=2, padding=1), case)
    x = case.randn(2, case.d_in, 7, 7, stream="pictures")
    kernels = layer.update.A.view(case.r, case.d_in, 3, 3)
    narrow = F.conv2d(x, kernels, stride=2, padding=1)
    return layer(x), layer.base(x) + case.s * F.conv2d(narrow, layer.update.B[:, :, None, None])


@misconception(
    of=a_convolution_is_a_bottleneck,
    statement=r"First $1\times1$ to $r$ channels, then $k\times k$: the order does not matter.",
    source="another factorisation of a convolution; as an update it spans other kernels",
)
def false_one_by_one_comes_first(case: Case):
    layer = trained(nn.Conv2d(case.d_in, case.d_out, 3, stride=2, padding=1), case)
    x = case.randn(2, case.d_in, 7, 7, stream="pictures")
    middle = layer.update.A.view(case.r, case.d_in, 3, 3)[:, :, 1:2, 1:2]
    back = layer.update.B[:, :, None, None].expand(-1, -1, 3, 3)
    return layer(x), layer.base(x) + case.s * F.conv2d(F.conv2d(x, middle), back, stride=2, padding=1)


@claim(
    statement=r"On an embedding, $\partial L/\partial A$ is zero except in the columns of the tokens in the batch.",
    source="row i of the table is W applied to the one-hot vector of i",
    cases=(Case(6, 5, 1), Case(7, 9, 3), Case(6, 6, 6)),
)
def an_embedding_learns_what_it_reads(case: Case):
    layer = trained(nn.Embedding(case.d_in, case.d_out), case)
    layer(TOKENS).square().sum().backward()
    seen = torch.zeros(case.d_in, dtype=torch.float64)
    seen[TOKENS.unique()] = 1
    return layer.update.A.grad, layer.update.A.grad * seen


@misconception(
    of=an_embedding_learns_what_it_reads,
    statement=r"So the table itself changes only in rows of tokens that were read.",
    source="A's columns do; B is shared by all rows, so once B moves every row moves",
)
def false_only_rows_that_were_read_change(case: Case):
    layer = trained(nn.Embedding(case.d_in, case.d_out), case)
    before = layer.weight.tensor().detach()
    layer(TOKENS).square().sum().backward()
    with torch.no_grad():
        for factor in layer.update.parameters():
            factor -= 0.1 * factor.grad
    change = layer.weight.tensor().detach() - before
    seen = torch.zeros(case.d_in, 1, dtype=torch.float64)
    seen[TOKENS.unique()] = 1
    return change, change * seen


def block(case: Case) -> MLP:
    """Return a SwiGLU block with trained adapters on gate and on up."""
    mlp = MLP(DecoderConfig(hidden=case.d_in, ffn=case.d_out)).double()
    for name, layer in mlp.named_children():
        layer.weight.data = case.randn(*layer.weight.shape, stream=name)
    for name, layer in inject(mlp, LoRA(case.r, case.alpha), "gate_proj|up_proj", case.generator("A")).items():
        layer.update.B.data = case.randn(case.d_out, case.r, stream="B" + name)
    return mlp


def gated(case: Case, gate: bool, up: bool) -> torch.Tensor:
    """Return down(silu(g) ⊙ u) with the adapters of gate and of up on or off."""
    mlp = block(case)
    mlp.gate_proj = mlp.gate_proj if gate else mlp.gate_proj.base
    mlp.up_proj = mlp.up_proj if up else mlp.up_proj.base
    return mlp(case.x())


@claim(
    statement=r"In SwiGLU the adapters of gate and up multiply: together they add "
    r"$(\mathrm{silu}(g)-\mathrm{silu}(g_0))\odot\Delta u$ to the sum of what each does alone.",
    source="silu(g) ⊙ u expanded in Δg and Δu",
)
def gate_and_up_multiply(case: Case):
    together = gated(case, True, True) - gated(case, False, False)
    alone = gated(case, True, False) + gated(case, False, True) - 2 * gated(case, False, False)
    x, mlp = case.x(), block(case)
    g0, g, du = mlp.gate_proj.base(x), mlp.gate_proj(x), mlp.up_proj(x) - mlp.up_proj.base(x)
    return together, alone + mlp.down_proj((F.silu(g) - F.silu(g0)) * du)


@misconception(
    of=gate_and_up_multiply,
    statement=r"Adapters on different matrices of one block add up.",
    source="true of stacked adapters on one matrix; between gate and up stands a product",
)
def false_adapters_of_a_block_add_up(case: Case):
    nothing = gated(case, False, False)
    return gated(case, True, True) - nothing, gated(case, True, False) + gated(case, False, True) - 2 * nothing
