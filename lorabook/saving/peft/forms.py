"""The one table of PEFT's names, shapes and options: every form that PEFT has, and every start that it knows by name.

To add a form that PEFT has, or to follow a change of PEFT's names, this is the file.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from lorabook.axes.form.adalora import AdaLoRAForm
from lorabook.axes.form.dora import DoRAForm
from lorabook.axes.form.glora import GLoRAForm
from lorabook.axes.form.hira import HiRAForm
from lorabook.axes.form.loha import LoHaForm
from lorabook.axes.form.lokr import LoKrForm
from lorabook.axes.form.lora_fa import LoRAFAForm
from lorabook.axes.form.vera import VeRAForm
from lorabook.axes.init.olora import OrthonormalStart
from lorabook.axes.init.pissa import PrincipalStart
from lorabook.core.conv2d import FrozenConv2d
from lorabook.core.embedding import FrozenEmbedding
from lorabook.core.frozen import Frozen
from lorabook.core.linear import FrozenLinear
from lorabook.core.lora import LowRankForm
from lorabook.core.recipe import Form, Init
from lorabook.core.transformers_conv1d import FrozenConv1D
from lorabook.saving.peft.form import LayerKeys, PeftForm, Shape, as_here, same
from lorabook.saving.peft.masked import with_masked_triplets

INITS: dict[str, Init] = {"pissa": PrincipalStart(), "olora": OrthonormalStart()}
"""The inits that take part of W₀, by the value of PEFT's `init_lora_weights`."""

WHOLE_W0 = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
"""Values of `init_lora_weights` that leave W₀ as it is, so that the file's tensors are the whole story."""

UNREAD_BY_ADALORA = frozenset(
    "use_rslora alpha_pattern lora_bias velora_config alora_invocation_tokens use_qalora monteclora_config kasa_config "
    "use_bdlora arrow_config".split()
)
"""Options that AdaLoRA's configuration has from LoRA's, and its layers never look at."""


def same_unless_bypassed(base: FrozenLinear) -> str | None:
    """nn.MultiheadAttention reads its out_proj's weight and never calls the layer, so PEFT's branch is never run."""
    if base.shell.layer_type is nn.Linear:
        return None
    return "PEFT's adapter on nn.MultiheadAttention.out_proj is silently ignored"


def same_if_zero_padded(base: FrozenConv2d) -> str | None:
    """PEFT convolves ΔW with zero padding, whatever the layer's padding_mode."""
    if base.padding_mode == "zeros":
        return None
    return f"PEFT pads its branch of a Conv2d with zeros, and this one has padding_mode={base.padding_mode!r}"


def same_if_plain(base: FrozenConv2d) -> str | None:
    """PEFT builds LoRA's convolutions without dilation, and with A across the groups."""
    if base.groups > 1:
        return f"PEFT's A runs across the {base.groups} groups of this Conv2d: another ΔW"
    if any(step != 1 for step in base.dilation):
        return f"PEFT's LoRA leaves out this Conv2d's dilation={tuple(base.dilation)} and cannot run"
    return same_if_zero_padded(base)


def same_if_one_group(base: FrozenConv2d) -> str | None:
    """PEFT builds HiRA's convolutions without groups."""
    return f"PEFT has no HiRA on {base.groups} groups" if base.groups > 1 else same_if_zero_padded(base)


def filters(base: FrozenConv2d, letter: str, shape: Shape) -> Shape:
    """PEFT keeps A as r filters, B as a 1×1 convolution, m as one number per channel of a picture."""
    return {"A": (shape[0], *base.kernel), "B": (*shape, 1, 1), "m": (1, *shape, 1, 1)}[letter]


def kernels_of_d(base: FrozenConv2d, letter: str, shape: Shape) -> Shape:
    """PEFT keeps LoKr's D, which holds the kernels, with their two axes."""
    return (shape[0], shape[1] // base.patch, *base.kernel[1:]) if letter == "D" else shape


def one_axis(base: Frozen, letter: str, shape: Shape) -> Shape:
    """PEFT keeps GLoRA's D and E, and constants, with one axis."""
    return (shape[0],) if letter in ("D", "E") or (letter in ("A", "B") and shape == (1, 1)) else shape


def zeros_of_glora(form: GLoRAForm, base: Frozen) -> dict[str, Shape]:
    """PEFT writes a tensor of zeros for every term of kind "none"."""
    d_out, d_in = base.store.shape
    whole = {"A": (d_out, d_in), "B": (d_out, d_in), "C": (d_in, 1), "D": (d_out,), "E": (d_out,)}
    kinds = form.on(base.bias is not None)
    return {f"glora_{term}.zeros": shape for term, shape in whole.items() if kinds[term] == "none"}


def dense_layers(
    ends: dict[str, str], *types: type[Frozen], conv: Callable[[Any, str, Shape], Shape] = as_here
) -> dict[type[Frozen], LayerKeys]:
    """Return the layer types of a form that PEFT applies as a dense ΔW, with the same keys for each."""
    differs = {FrozenLinear: same_unless_bypassed, FrozenConv2d: same_if_zero_padded}
    shape = {FrozenConv2d: conv}
    return {each: LayerKeys(ends, shape.get(each, as_here), differs.get(each, same)) for each in types}


_LORA_ENDS = {"A": "lora_A.weight", "B": "lora_B.weight", "m": "lora_magnitude_vector.weight"}
_LORA_TABLE = {"A": "lora_embedding_A", "B": "lora_embedding_B", "m": "lora_magnitude_vector.weight"}
_LORA_LAYERS = {
    FrozenLinear: LayerKeys(_LORA_ENDS, differs=same_unless_bypassed),
    FrozenConv1D: LayerKeys(_LORA_ENDS),
    FrozenConv2d: LayerKeys(_LORA_ENDS, filters, same_if_plain),
    FrozenEmbedding: LayerKeys(_LORA_TABLE),
}
_LOHA_ENDS = {"B": "hada_w1_a", "A": "hada_w1_b", "B2": "hada_w2_a", "A2": "hada_w2_b"}
_LOKR_ENDS = {"C": "lokr_w1", "D": "lokr_w2", "B": "lokr_w2_a", "A": "lokr_w2_b"}
_HIRA_ENDS = {"A": "hira_A", "B": "hira_B"}
_VERA_ENDS = {"b": "vera_lambda_b", "d": "vera_lambda_d"}
_GLORA_ENDS = {f"{x}_{part}": f"glora_{x}.X{part}" for x in "ABC" for part in "du"}
_GLORA_ENDS |= {x: f"glora_{x}.X" for x in "ABCDE"}

_LORA = PeftForm(
    "LORA", _LORA_LAYERS, {"A": "r d_in", "B": "d_out r"}, root="use_rslora", marks={"use_dora": False}, folds="B",
    starts=INITS, whole=WHOLE_W0, passed_over=("lora_velora_embed",),
    # PEFT writes DoRA's m without the last part, under which transformers' AutoModel does not find it; it reads both.
    also_read={"lora_magnitude_vector": "lora_magnitude_vector.weight"},
)  # fmt: skip

FORMS: dict[type[Form], PeftForm] = {
    LowRankForm: _LORA,
    # PEFT keeps such an adapter as a LoRA, and its file is read as one.
    LoRAFAForm: replace(_LORA, read_as=LowRankForm),
    DoRAForm: replace(_LORA, sizes={"A": "r d_in", "B": "d_out r", "m": "d_out"}, marks={"use_dora": True}),
    # PEFT insists on a schedule, on which the numbers do not depend; it divides α by r + 10⁻⁵, not by r.
    AdaLoRAForm: PeftForm(
        "ADALORA",
        dense_layers({"A": "lora_A", "B": "lora_B", "E": "lora_E"}, FrozenLinear, FrozenConv1D, FrozenConv2d),
        {"A": "r d_in", "B": "d_out r", "E": "r 1"},
        rank="init_r", required={"total_step": 1}, per_layer=False, restore=with_masked_triplets,
        whole=(*WHOLE_W0, *INITS, "corda", "loftq", "lora_ga"), ignores=UNREAD_BY_ADALORA,
    ),
    # PEFT drops rows of ΔW or whole layers, never inputs: our dropout has no place in the options of LoHa and LoKr.
    LoHaForm: PeftForm(
        "LOHA",
        dense_layers(_LOHA_ENDS, FrozenLinear, FrozenConv2d),
        {"A": "r d_in", "B": "d_out r", "A2": "r d_in", "B2": "d_out r"},
        alpha="alpha", dropout=None, init="init_weights", transposed=None,
    ),
    LoKrForm: PeftForm(
        "LOKR",
        dense_layers(_LOKR_ENDS, FrozenLinear, FrozenConv2d, conv=kernels_of_d),
        dict.fromkeys("CDBA", ""),
        alpha="alpha", dropout=None, init="init_weights", transposed=None, numbers={"factor": "decompose_factor"},
        layout=LoKrForm.shapes, whole=(True, False, None, "lycoris"),
    ),
    HiRAForm: PeftForm(
        "HIRA",
        {
            FrozenLinear: LayerKeys(_HIRA_ENDS, differs=same_unless_bypassed),
            FrozenConv1D: LayerKeys(_HIRA_ENDS),
            FrozenConv2d: LayerKeys(_HIRA_ENDS, filters, same_if_one_group),
            FrozenEmbedding: LayerKeys({"A": "hira_embedding_A", "B": "hira_embedding_B"}),
        },
        {"A": "r d_in", "B": "d_out r"},
        # PEFT reads `rank_pattern` and builds every layer with r.
        alpha=None, dropout="hira_dropout", init="init_weights", per_layer=False, rank_letter="A",
        whole=(True, False, None, "gaussian"), ignores=frozenset({"rank_pattern"}),
    ),
    VeRAForm: PeftForm(
        "VERA",
        {
            FrozenLinear: LayerKeys(_VERA_ENDS, differs=same_unless_bypassed),
            FrozenConv1D: LayerKeys(_VERA_ENDS),
        },
        {"b": "d_out", "d": "r"},
        alpha=None, dropout="vera_dropout", init="init_weights", numbers={"d_initial": "d_initial"},
        shared={"pair.A": "base_model.vera_A", "pair.B": "base_model.vera_B"},
        required={"projection_prng_key": 0, "save_projection": True}, per_layer=False,
    ),
    GLoRAForm: PeftForm(
        "GLORA",
        {FrozenLinear: LayerKeys(_GLORA_ENDS, one_axis, same_unless_bypassed)},
        dict.fromkeys(_GLORA_ENDS, ""),
        alpha=None, dropout=None, init="init_weights", transposed=None, layout=GLoRAForm.shapes, zeros=zeros_of_glora,
        per_layer=False,
        numbers={"A": "config_A_B", "B": "config_A_B", "C": "config_C", "D": "config_D_E", "E": "config_D_E"},
    ),
}  # fmt: skip
"""Every form that PEFT has, by the class of our value on the form axis."""
