"""Counts and the memory calculator, against numbers done by hand and against real models."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.cost import memory
from lorabook.cost.count import (
    LLAMA,
    SMOLLM2,
    decoder_parameters,
    linear_parameters,
    lora_parameters,
    materialised_flops,
    parameters,
    saved_bytes,
    trainable,
    two_path_flops,
)
from lorabook.models.decoder import Decoder, DecoderConfig, rotations

SMALL = DecoderConfig(vocab=50, hidden=48, layers=2, heads=6, kv_heads=6, d_head=8, ffn=80, context=32)
GROUPED = DecoderConfig(vocab=50, hidden=48, layers=2, heads=6, kv_heads=2, d_head=8, ffn=80, context=32)
TARGETS = ("q_proj|v_proj", "o_proj", "down_proj", "gate_proj|k_proj", "proj")


@pytest.mark.parametrize(
    ("targets", "published"),
    [("q_proj|v_proj", 8_388_608), ("[qkvo]_proj", 16_777_216), ("proj", 39_976_960)],
)
def test_the_published_counts_of_lora_on_7b_at_rank_16(targets: str, published: int) -> None:
    assert lora_parameters(LLAMA["7B"], 16, targets) == published


def test_published_sizes() -> None:
    """6.7B, 13.0B, 32.5B and 65.2B: arXiv 2302.13971, table 2. 70B: 68.98B by its released weights."""
    sizes = {name: round(decoder_parameters(shape) / 1e9, 1) for name, shape in LLAMA.items()}
    assert sizes == {"7B": 6.7, "13B": 13.0, "33B": 32.5, "65B": 65.3, "70B": 69.0}
    assert decoder_parameters(SMOLLM2) == 134_515_008


@pytest.mark.parametrize("shape", [*LLAMA.values(), SMOLLM2, SMALL, GROUPED])
def test_the_formula_is_what_the_decoder_has(shape: DecoderConfig) -> None:
    with torch.device("meta"):
        model = Decoder(shape)
    assert decoder_parameters(shape) == parameters(model)
    matrices = [p.numel() for name, p in model.named_parameters() if "proj" in name]
    assert linear_parameters(shape) == sum(matrices)


@pytest.mark.parametrize("targets", TARGETS)
def test_the_lora_formula_is_what_inject_makes(targets: str) -> None:
    model = Decoder(GROUPED)
    inject(model, LoRA(r=3), targets)
    assert trainable(model) == lora_parameters(GROUPED, 3, targets)


def test_counting_refuses_what_it_cannot_count() -> None:
    with pytest.raises(ValueError, match=r"targets='nose' matches none of self_attn\.q_proj"):
        lora_parameters(SMALL, 4, "nose")
    with pytest.raises(ValueError, match="rank r is 0"):
        lora_parameters(SMALL, 0, "proj")


def layer_and_input(r: int) -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(nn.Linear(24, 40, bias=False))
    inject(model, LoRA(r=r), "0")
    return model[0], torch.randn(16, 24, requires_grad=True)


def counter() -> FlopCounterMode:
    """torch's own counter, which does not know the in-place product."""

    def in_place(onto, a, b, out_shape=None, **others) -> int:
        return 2 * a[0] * a[1] * b[1]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place})


def test_flops_are_what_torch_counts() -> None:
    layer, x = layer_and_input(4)
    two = two_path_flops(16, 40, 24, 4)
    with counter() as forward:
        y = layer(x)
    with counter() as backward:
        y.sum().backward()
    assert (forward.get_total_flops(), backward.get_total_flops()) == (two.forward, two.backward)
    dense = materialised_flops(16, 40, 24, 4)
    with counter() as forward:
        y = layer.base.apply_matrix(x, layer.update.weight(layer.base.matrix))
    with counter() as backward:
        y.sum().backward()
    assert (forward.get_total_flops(), backward.get_total_flops()) == (dense.forward, dense.backward)


def test_the_two_paths_at_the_size_of_the_design() -> None:
    """d = 1024, 512 rows, r = 8: 1.107 against 2.181 GF in the backward pass."""
    assert two_path_flops(512, 1024, 1024, 8).backward == pytest.approx(1.107e9, rel=1e-3)
    assert materialised_flops(512, 1024, 1024, 8).backward == pytest.approx(2.181e9, rel=1e-3)


def test_saved_bytes_leaves_nothing_behind() -> None:
    """exp keeps its own output for backward: a hook that hands it back would close a circle that nothing frees."""
    w = torch.randn(4, 4, requires_grad=True)
    outputs = []

    def call() -> None:
        y = (w * 2).exp()
        outputs.append(weakref.ref(y))

    saved_bytes(call)
    gc.collect()
    assert outputs[0]() is None


def test_saved_bytes_counts_a_storage_once_and_no_parameter() -> None:
    x, w = torch.randn(6, 4, requires_grad=True), nn.Parameter(torch.randn(4, 4))
    assert saved_bytes(lambda: x @ w) == 6 * 4 * 4
    assert saved_bytes(lambda: x @ w, [x]) == 0
    assert saved_bytes(lambda: (x[:3] @ w.T, x[3:] @ w)) == 6 * 4 * 4
    assert saved_bytes(lambda: x.exp()) == 6 * 4 * 4
    assert saved_bytes(lambda: None) == 0


@pytest.mark.parametrize("targets", [None, *TARGETS])
@pytest.mark.parametrize("shape", [SMALL, GROUPED])
def test_the_activation_formula_is_what_autograd_keeps(shape: DecoderConfig, targets: str | None) -> None:
    """One layer of our decoder, norms frozen (torch's CPU norm keeps one more copy to train its gain)."""
    model = Decoder(shape)
    if targets is None:
        method = memory.FullFineTuning()
    else:
        inject(model, LoRA(r=4), targets)
        method = memory.Adapters(4, targets, memory.FP32)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.requires_grad_(False)
    batch, length = 2, 16
    h = torch.randn(batch, length, shape.hidden, requires_grad=True)
    cos, sin = rotations(length, shape.d_head, 10000.0, h.device)
    kept = saved_bytes(lambda: model.layers[0](h, cos, sin), [cos, sin, *model.buffers()])
    repeated = 2 * (shape.heads - shape.kv_heads) * shape.d_head * memory.SINGLE.activation
    formula = memory.layer_activations(shape, method, memory.SINGLE)
    assert kept / (batch * length) == pytest.approx(formula + repeated)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_backward_keeps_whatever_the_tokens_are_the_rounded_factors(dtype: torch.dtype) -> None:
    """With no token left, what is still kept is one layer's A and B in 16 bits; in float32 nothing."""
    model = Decoder(SMALL).to(dtype)
    inject(model, LoRA(r=4), "_proj")
    kept = {}
    for length in (8, 16):
        h = torch.randn(2, length, SMALL.hidden).to(dtype).requires_grad_()
        cos, sin = (angle.to(dtype) for angle in rotations(length, SMALL.d_head, 10000.0, h.device))
        beside = [cos, sin, *model.buffers()]
        kept[length] = saved_bytes(lambda h=h, cos=cos, sin=sin: model.layers[0](h, cos, sin), beside)
    precision = memory.SINGLE if dtype == torch.float32 else memory.MIXED
    assert 2 * kept[8] - kept[16] == memory.rounded_factors(SMALL, memory.Adapters(4, "_proj", memory.BF16), precision)


def test_seven_billion_by_hand() -> None:
    """Full fine-tuning in mixed precision costs 16 bytes a parameter; LoRA's factors 16 bytes each, the base 2."""
    shape, batch = LLAMA["7B"], memory.Batch(1, 1)
    full = memory.training(shape, memory.FullFineTuning(), memory.MIXED, memory.ADAMW, batch, checkpointing=False)
    assert full.weights + full.gradients + full.optimiser == 16 * 6_738_415_616
    lora = memory.Adapters(16, "proj", memory.BF16)
    budget = memory.training(shape, lora, memory.MIXED, memory.ADAMW, batch, checkpointing=False)
    assert budget.weights == 2 * 6_738_415_616
    assert budget.adapters + budget.gradients + budget.optimiser == 16 * 39_976_960
    assert (budget.constants, budget.workspace) == (0, 0)


def test_four_bits_by_hand() -> None:
    """4.5 and 4.127 bits for the matrices; embedding, head and norms stay in bf16; one matrix dense at a time."""
    shape, batch = LLAMA["70B"], memory.Batch(1, 1)
    linear = linear_parameters(shape)
    assert linear == 80 * (2 * 8192 * 8192 + 2 * 1024 * 8192 + 3 * 8192 * 28672)
    for base, bits in ((memory.NF4, 4.5), (memory.NF4_DOUBLE, 4 + 0.125 + 32 / 16384)):
        method = memory.Adapters(8, "q_proj", base)
        budget = memory.training(shape, method, memory.MIXED, memory.ADAMW, batch, checkpointing=True)
        rest = 2 * (decoder_parameters(shape) - linear)
        assert budget.weights + budget.constants == pytest.approx(linear * bits / 8 + rest)
        assert budget.workspace == 8192 * 28672 * 2
    assert budget.constants == pytest.approx(linear * 0.127 / 8, rel=2e-3)


def test_keys_and_values_by_hand() -> None:
    """70B, 8 kv heads of 128, bf16: 320 KiB a token; without grouping it would be eight times that."""
    shape = LLAMA["70B"]
    assert memory.kv_bytes(shape, memory.MIXED, memory.Batch(1, 1)) == 320 * 1024
    method, batch = memory.Adapters(16, "proj", memory.BF16), memory.Batch(4, 1000)
    served = memory.serving(shape, method, memory.MIXED, batch, adapters=3)
    assert served.kv == 4000 * 320 * 1024
    assert served.adapters == 3 * 2 * lora_parameters(shape, 16, "proj")
    assert (served.gradients, served.optimiser, served.activations) == (0, 0, 0)
    whole = memory.serving(shape, memory.FullFineTuning(), memory.MIXED, memory.Batch(1, 1), adapters=3)
    assert whole.weights == 3 * 2 * decoder_parameters(shape)


def test_checkpointing_and_paging_move_what_they_say() -> None:
    shape, batch = LLAMA["7B"], memory.Batch(2, 512)
    method = memory.Adapters(16, "proj", memory.BF16)
    plain, light = (
        memory.training(shape, method, memory.MIXED, memory.ADAMW, batch, checkpointing=on) for on in (False, True)
    )
    one = memory.layer_activations(shape, method, memory.MIXED)
    factors = 2 * 39_976_960 / 32
    assert plain.activations == 32 * (1024 * one + factors)
    assert light.activations == 1024 * (32 * 4096 * 2 + one) + factors
    paged = memory.training(shape, method, memory.MIXED, memory.Optimiser(8, paged=True), batch, checkpointing=False)
    assert paged.host == plain.optimiser == 8 * 39_976_960
    assert plain.device - paged.device == paged.host


def test_the_measured_store_has_the_bits_of_its_format() -> None:
    from lorabook.axes.base.double_quant import DoubleQuant
    from lorabook.axes.base.nf4 import NF4

    w0 = torch.randn(512, 1024, generator=torch.Generator().manual_seed(0))
    for store, form in ((NF4, memory.NF4), (DoubleQuant, memory.NF4_DOUBLE)):
        assert 8 * store(w0).nbytes / w0.numel() == pytest.approx(form.bits + form.constant_bits, rel=1e-3)


def test_a_budget_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="length is 0"):
        memory.Batch(1, 0)
    with pytest.raises(ValueError, match="adapters=-1"):
        memory.serving(LLAMA["7B"], memory.FullFineTuning(), memory.MIXED, memory.Batch(1, 1), adapters=-1)
