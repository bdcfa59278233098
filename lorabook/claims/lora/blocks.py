"""LoRA inside a decoder and on other convolutions: what is read, what is merged, what every layer gets."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.layers import CONVOLUTIONS, trained
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merged
from lorabook.models.decoder import MLP, Decoder, DecoderConfig

CONFIG = DecoderConfig(vocab=11, hidden=16, layers=3, heads=2, kv_heads=1, d_head=8, ffn=24, context=8)
TOKENS = torch.tensor([[3, 1, 4, 1, 5]])
RANKS = (Case(16, 16, 1), Case(16, 16, 3), Case(16, 16, 8))


def filled(model: nn.Module, case: Case) -> nn.Module:
    """Return the model in float64, its matrices drawn anew and every adapter moved from its start."""
    model = model.double()
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            weight.data = case.randn(*weight.shape, stream=name) / weight.shape[1] ** 0.5
    for name, layer in inject(model, LoRA(case.r, case.alpha), "_proj", case.generator("A")).items():
        layer.update.B.data = case.randn(*layer.update.B.shape, stream="B" + name)
    return model


@claim(
    statement=r"SwiGLU with adapters on gate, up and down is SwiGLU with the three merged weights.",
    source="each of the three is one matrix",
)
def swiglu_merges(case: Case):
    mlp = filled(MLP(DecoderConfig(hidden=case.d_in, ffn=case.d_out)), case)
    beside = mlp(case.x())
    with merged(mlp):
        return beside, mlp(case.x())


@claim(
    statement=r"$sBA$ on a $k\times k$ convolution takes over stride, padding and dilation $(s,p,d)$: $(1,0,1)$, "
    r"$(2,1,1)$, $(1,2,2)$.",
    source="A's kernels look at the patch that the layer looks at",
    when="the layer has one group; with several, A is applied in each group",
    cases=CONVOLUTIONS,
)
def a_bottleneck_takes_over_the_geometry(case: Case):
    ours, by_hand = [], []
    for geometry in ((1, 0, 1), (2, 1, 1), (1, 2, 2)):
        layer = trained(nn.Conv2d(case.d_in, case.d_out, 3, *geometry), case)
        x = case.randn(2, case.d_in, 7, 7, stream="pictures")
        narrow = F.conv2d(x, layer.update.A.view(case.r, case.d_in, 3, 3), None, *geometry)
        ours.append((layer(x) - layer.base(x)).flatten())
        by_hand.append((case.s * F.conv2d(narrow, layer.update.B[:, :, None, None])).flatten())
    return torch.cat(ours), torch.cat(by_hand)


def projected(case: Case, block: int) -> tuple[Tensor, Tensor]:
    """Return what a block's q_proj puts out, and W₀x + sB(Ax) for x the normalised embedding of the tokens."""
    model = filled(Decoder(CONFIG), case)
    layer, seen = model.layers[block].self_attn.q_proj, []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model(TOKENS)
        handle.remove()
        x = model.layers[block].input_layernorm(model.embed_tokens(TOKENS))
        return seen[0], x @ layer.base.matrix.T + case.s * (x @ layer.update.A.T) @ layer.update.B.T


@claim(
    statement=r"In $h=W_0x+sB(Ax)$ on a projection, $x$ is the token's embedding, normalised.",
    source="the decoder's own forward pass",
    when="the layer is in the first block; later ones read the hidden state",
    cases=RANKS,
)
def the_first_block_reads_the_embedding(case: Case):
    return projected(case, 0)


@misconception(
    of=the_first_block_reads_the_embedding,
    statement=r"In every block it is the embedding.",
    source="a teaching text that calls x the token embedding throughout",
)
def false_every_block_reads_the_embedding(case: Case):
    return projected(case, 1)


@claim(
    statement=r"LoRA gives every matrix the same rank $r$, whatever its shape and depth.",
    source="LoRA has no rule that moves rank between layers; AdaLoRA has",
    cases=RANKS,
    tol=0,
)
def every_layer_gets_the_same_rank(case: Case):
    layers = adapted(filled(Decoder(CONFIG), case)).values()
    deltas = torch.stack([torch.linalg.matrix_rank(layer.update.B @ layer.update.A) for layer in layers])
    return deltas, torch.full_like(deltas, case.r)
