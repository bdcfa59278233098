"""Storage in four bits: against bitsandbytes bit for bit, and under everything that a model goes through."""

import copy
import io
import logging
import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import lorabook as lb
from lorabook.axes.base.blocks import BLOCK, dequantise, pack, quantise, unpack
from lorabook.axes.base.code_books import lloyd_max, nearest_in, nf4_codes
from lorabook.axes.base.double_quant import DoubleQuant, dequantise_constants, dynamic_code, quantise_constants
from lorabook.axes.base.nf4 import NF4, NF4Storage
from lorabook.axes.base.normal_float import CODES, code_table, midpoints, nearest_code
from lorabook.core.dense import Dense
from lorabook.core.layer_types import freeze
from lorabook.core.optimizer import optimizer

logging.disable(logging.WARNING)  # bitsandbytes logs that an optional kernel package is absent
import bitsandbytes  # noqa: E402
import bitsandbytes.functional as bnb  # noqa: E402

logging.disable(logging.NOTSET)

FLOATS = [torch.float32, torch.bfloat16, torch.float16]
STORES = [NF4, DoubleQuant]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def theirs(w: torch.Tensor, double: bool = False):
    """bitsandbytes' packed bytes and state, never compiled (its fallback for odd shapes is)."""
    return bnb.quantize_4bit(w, quant_type="nf4", blocksize=BLOCK, compress_statistics=double)


def their_dense(packed, state) -> torch.Tensor:
    with torch.compiler.set_stance("force_eager"):
        return bnb.dequantize_4bit(packed, state)


def edge_cases() -> dict[str, torch.Tensor]:
    table, middle = code_table(), torch.tensor(midpoints())
    up, down = torch.tensor(float("inf")), torch.tensor(-float("inf"))
    ties = torch.cat([middle, torch.nextafter(middle, up), torch.nextafter(middle, down), torch.ones(1)])
    return {
        "zeros": torch.zeros(2, 64),
        "one zero block among others": torch.cat([randn(64), torch.zeros(64), randn(64)])[None],
        "minus zero": torch.full((1, 64), -0.0),
        "all alike": torch.full((3, 64), -2.5),
        "one number in a block": F.one_hot(torch.arange(64), 64).float(),
        "the codes themselves": table.repeat(4)[None] * 3,
        "midpoints and their neighbours": F.pad(ties, (0, 64 - len(ties)))[None],
        "midpoints, scaled": F.pad(ties, (0, 64 - len(ties)))[None] * 0.37,
        "large": randn(4, 64) * 1e37,
        "small": randn(4, 64) * 1e-30,
        "outlier": torch.cat([randn(63), torch.tensor([1e4])])[None],
    }


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1024, 1100), (300, 4096), (7, 9), (1, 1), (3, 43), (1, 65), (5, 128)])
def test_nf4_is_bitsandbytes_byte_for_byte(shape, dtype):
    w = randn(*shape).to(dtype)
    packed, state = theirs(w)
    store = NF4(w)
    assert torch.equal(store.packed, packed.view(-1))
    assert torch.equal(store.absmax, state.absmax)
    assert torch.equal(store.dense(), their_dense(packed, state))
    assert store.dense().dtype == dtype == store.dtype
    assert store.dense().shape == w.shape == store.shape


@pytest.mark.parametrize("name", edge_cases())
def test_nf4_is_bitsandbytes_on_edge_cases(name):
    w = edge_cases()[name]
    packed, state = theirs(w)
    store = NF4(w)
    assert torch.equal(store.packed, packed.view(-1))
    assert torch.equal(store.dense(), their_dense(packed, state))
    assert store.dense().isfinite().all()


def test_the_codes_and_the_dynamic_code_are_bitsandbytes():
    _, state = theirs(randn(2, 64), double=True)
    assert torch.equal(code_table(), state.code)
    assert torch.equal(dynamic_code(), state.state2.code)
    assert len(CODES) == 16
    assert sum(code < 0 for code in CODES) == 7
    assert sum(code > 0 for code in CODES) == 8


@pytest.mark.parametrize("dtype", FLOATS)
def test_double_quantisation_reads_what_bitsandbytes_wrote(dtype):
    w = randn(300, 1000).to(dtype)
    packed, state = theirs(w, double=True)
    store = DoubleQuant(w)
    assert torch.equal(store.mean_bits.view(torch.float32), state.offset)
    assert torch.equal(store.group_absmax_bits.view(torch.float32), state.state2.absmax)
    store.absmax_codes.copy_(state.absmax)
    assert torch.equal(store.dense(), their_dense(packed, state))


def test_bitsandbytes_reads_what_double_quantisation_wrote():
    w = randn(300, 1000)
    store = DoubleQuant(w)
    packed, state = theirs(w, double=True)
    state.absmax = store.absmax_codes
    assert torch.equal(their_dense(store.packed[:, None], state), store.dense())


def test_constants_get_the_nearest_code_where_bitsandbytes_rounds_first():
    constants = torch.rand(100_003, generator=torch.Generator().manual_seed(1)) - 0.5
    codes, absmax = quantise_constants(constants)
    other, state = bnb.quantize_blockwise(constants, blocksize=256)
    ours, far = dequantise_constants(codes, absmax), bnb.dequantize_blockwise(other, state)
    assert ((codes.int() - other.int()).abs() <= 1).all()
    assert (codes != other).double().mean() < 3e-3
    assert ((ours - constants).abs() <= (far - constants).abs() + 3e-7).all()
    exact = (constants.double() / absmax.double().repeat_interleave(256)[: len(constants)])[::50]
    nearest = (exact[:, None] - dynamic_code().double()).abs().argmin(1)
    assert torch.equal(nearest.to(torch.uint8), codes[::50])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_qlora_is_bitsandbytes_linear_and_lora_by_hand(double, dtype):
    torch.manual_seed(0)
    plain = nn.Linear(128, 64, dtype=dtype)
    oracle = bitsandbytes.nn.Linear4bit(
        128, 64, compute_dtype=dtype, quant_type="nf4", compress_statistics=double, quant_storage=torch.uint8
    )
    oracle.load_state_dict(plain.state_dict())
    oracle = oracle.to(dtype).to("cpu")
    model = nn.Sequential(plain)
    recipe = lb.QLoRA(r=4, alpha=6) if double else lb.LoRA(r=4, alpha=6) | lb.Recipe(base=NF4Storage())
    layer = lb.inject(model, recipe, "0")["0"]
    assert torch.equal(layer.base.store.packed, oracle.weight.data.view(-1))
    if double:
        layer.base.store.absmax_codes.copy_(oracle.weight.quant_state.absmax)
    layer.update.B.data = randn(64, 4, seed=2)
    a, b = (p.detach().clone().requires_grad_() for p in (layer.update.A, layer.update.B))
    inputs = [randn(5, 128, seed=3).to(dtype).requires_grad_() for _ in range(2)]
    outputs = model(inputs[0]), oracle(inputs[1]) + 6 / 4 * (inputs[1] @ a.T.to(dtype) @ b.T.to(dtype))
    for y in outputs:
        y.square().mean().backward()
    tolerance = 1e-5 if dtype is torch.float32 else 2e-2
    for mine, other in [outputs, (inputs[0].grad, inputs[1].grad), (layer.update.A.grad, a.grad)]:
        assert (mine - other).abs().max() <= tolerance * other.abs().max()
    assert (layer.update.B.grad - b.grad).abs().max() <= tolerance * b.grad.abs().max()
    for parameters in (layer.update.parameters(), [a, b]):
        torch.optim.SGD(parameters, lr=0.1).step()
    assert (layer.update.A - a).abs().max() <= tolerance * a.abs().max()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40), columns=st.integers(1, 200), seed=st.integers(0, 2**20),
    dtype=st.sampled_from([*FLOATS, torch.float64]), size=st.sampled_from([1e-2, 1.0, 300.0]),
)  # fmt: skip
def test_any_matrix(rows, columns, seed, dtype, size):
    w = (randn(rows, columns, seed=seed) * size).to(dtype)
    before = w.clone()
    single, double = NF4(w), DoubleQuant(w)
    assert torch.equal(w, before)
    assert torch.equal(single.packed, double.packed)
    blocks = -(-w.numel() // 64)
    assert single.nbytes == -(-w.numel() // 2) + 4 * blocks
    assert double.nbytes == -(-w.numel() // 2) + blocks + 4 * -(-blocks // 256) + 4
    once = single.dense()
    assert (once.dtype, once.shape) == (dtype, w.shape)
    assert torch.equal(NF4(once).dense(), once)
    bound = single.absmax.double().repeat_interleave(64)[: w.numel()].view(w.shape)
    assert ((once.double() - w.double()).abs() <= 0.152 * bound + torch.finfo(dtype).eps * bound).all()
    x = w.double() / torch.where(bound > 0, bound, 1)
    elsewhere = nearest_code(x).view(-1) != unpack(single.packed)[: w.numel()]
    from_midpoint = (x.view(-1, 1) - torch.tensor(midpoints(), dtype=torch.float64)).abs().amin(1)
    assert (from_midpoint[elsewhere] < 1e-6).all()  # float32 may round across a midpoint, and nowhere else
    if dtype in FLOATS:
        assert torch.equal(single.packed, theirs(w)[0].view(-1))


@given(codes=st.lists(st.integers(0, 15), min_size=2, max_size=80).filter(lambda codes: len(codes) % 2 == 0))
def test_two_codes_a_byte(codes):
    codes = torch.tensor(codes, dtype=torch.uint8)
    assert torch.equal(unpack(pack(codes)), codes)
    assert pack(codes)[0] == 16 * codes[0] + codes[1]


def test_large_matrices_take_other_memory_and_give_the_same_numbers():
    w = randn(1030, 1100)
    packed, absmax = quantise(w)
    whole = dequantise(packed, absmax, w.shape, w.dtype)
    assert whole.nbytes > 2**22
    rows = torch.cat([dequantise(packed[i * 32 : (i + 1) * 32], absmax[i : i + 1], torch.Size([64]), w.dtype)
                      for i in range(0, 200)])  # fmt: skip
    assert torch.equal(whole.view(-1)[: len(rows)], rows)
    whole.add_(1)  # memory of its own, writable
    assert whole.is_contiguous()
    assert torch.equal(dequantise(packed, absmax, w.shape, w.dtype) + 1, whole)


def test_a_transposed_matrix_is_read_row_by_row():
    w = randn(30, 50)
    assert torch.equal(NF4(w.T).dense(), NF4(w.T.contiguous()).dense())


@pytest.mark.parametrize("storage", STORES)
def test_a_cast_changes_the_dtype_of_dense_and_nothing_else(storage):
    store = storage(randn(20, 70) * 1e5)  # constants that float16 could not keep
    before, dense = {k: v.clone() for k, v in store.state_dict().items()}, store.dense()
    for cast, dtype in [("half", torch.float16), ("bfloat16", torch.bfloat16), ("double", torch.float64)]:
        getattr(store, cast)()
        assert store.dtype == store.dense().dtype == dtype
        assert torch.equal(store.dense(), dense.to(dtype))
        for key in before.keys() - {"like"}:
            assert torch.equal(store.state_dict()[key], before[key])
    store.float()
    assert torch.equal(store.dense(), dense)


@pytest.mark.parametrize("storage", STORES)
def test_a_store_survives_copying_pickling_and_saving(storage):
    store = storage(randn(20, 70))
    file = io.BytesIO()
    torch.save(store.state_dict(), file)
    file.seek(0)
    loaded, safe = storage(randn(20, 70, seed=1)), storage(randn(20, 70, seed=2))
    loaded.load_state_dict(torch.load(file))
    safe.load_state_dict(safetensors_load(safetensors_save(store.state_dict())))
    for other in (copy.deepcopy(store), pickle.loads(pickle.dumps(store)), loaded, safe):
        assert torch.equal(other.dense(), store.dense())
        assert other.nbytes == store.nbytes
    assert not list(store.parameters())


@pytest.mark.parametrize("storage", STORES)
def test_a_store_of_another_shape_is_refused(storage):
    with pytest.raises(RuntimeError, match="size mismatch"):
        storage(randn(8, 16)).load_state_dict(storage(randn(16, 8)).state_dict())


@pytest.mark.parametrize("storage", STORES)
def test_a_store_moves(storage):
    store = storage(randn(20, 70)).to("meta")
    assert store.device.type == store.dense().device.type == "meta"
    assert store.dense().shape == (20, 70)


def test_tables_do_not_depend_on_the_default_device():
    w = randn(4, 64)
    with torch.device("meta"):
        store = DoubleQuant(w)
        assert store.dense().device.type == "cpu"
    assert torch.equal(store.dense(), DoubleQuant(w).dense())


@pytest.mark.parametrize("storage", STORES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_cannot_be_quantised_is_named(storage, bad):
    w = randn(6, 70).double()
    w[4, 3] = bad
    with pytest.raises(ValueError, match=re.escape(f"entry (4, 3) of W₀ is {bad}")):
        storage(w)
    with pytest.raises(ValueError, match="no numbers to quantise"):
        storage(randn(0, 5))


class Watch(TorchDispatchMode):
    """Remembers the memory of every result of every operation, those that autocast makes inside included."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[StorageWeakRef, int]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                memory = tensor.untyped_storage()
                self.made.append((StorageWeakRef(memory), memory.nbytes()))
        return result

    def bytes_alive(self) -> int:
        return sum({memory.cdata: size for memory, size in self.made if not memory.expired()}.values())


def bytes_alive_after_forward(base, x: torch.Tensor) -> int:
    with Watch() as watch:
        y = base(x)
    assert y.requires_grad
    return watch.bytes_alive()


LAYERS = {
    "linear": (lambda: nn.Linear(256, 300), (1, 256)),
    "conv2d": (lambda: nn.Conv2d(64, 96, 3, padding=1, stride=2, dilation=2, groups=2), (1, 64, 3, 3)),
    "conv2d reflect": (lambda: nn.Conv2d(64, 96, 3, padding=1, padding_mode="reflect"), (1, 64, 3, 3)),
}


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("storage", STORES)
@pytest.mark.parametrize("kind", LAYERS)
def test_nothing_dense_is_kept_for_backward_and_the_gradient_is_the_same(kind, storage, mixed):
    make, shape = LAYERS[kind]
    torch.manual_seed(0)
    quantised = freeze(make())
    quantised.store = storage(quantised.matrix)
    reference = freeze(quantised.to_layer(quantised.matrix, quantised.bias))
    assert isinstance(reference.store, Dense)
    gradients = []
    for base in (quantised, reference):
        x = randn(*shape).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            y = base(x)
        assert y.dtype == (torch.bfloat16 if mixed else torch.float32)
        y.square().sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)
    x, weights = randn(*shape).requires_grad_(), quantised.store.shape.numel()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        # Its own buffers are viewed (0.6 bytes a weight), input and output are small, and a copy would be 2 bytes or 4.
        assert bytes_alive_after_forward(quantised, x) < weights
        plain = bytes_alive_after_forward(lambda x: quantised.apply_matrix(x, quantised.matrix, quantised.bias), x)
    assert plain > 2 * weights


def test_an_embedding_on_four_bits_keeps_its_dtype_under_autocast():
    base = freeze(nn.Embedding(30, 16))
    base.store = NF4(base.matrix)
    with torch.autocast("cpu", torch.bfloat16):
        assert base(torch.arange(30)).dtype == torch.float32
    assert torch.equal(base(torch.arange(30)), base.matrix.T)


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40), nn.Tanh(), nn.Linear(40, 16))


COMBINATIONS = {
    "QLoRA": lb.QLoRA(r=3, alpha=5),
    "QLoRA | rsLoRA | LoRA+": lb.QLoRA(r=3, alpha=5) | lb.rsLoRA() | lb.LoRAPlus(4),
    "QDoRA": lb.QLoRA(r=3, alpha=5) | lb.DoRA(),
    "QPiSSA": lb.QLoRA(r=3, alpha=5) | lb.PiSSA(),
    "all": lb.QLoRA(r=3, alpha=5) | lb.DoRA() | lb.PiSSA() | lb.rsLoRA() | lb.LoRAPlus(4),
    "single": lb.LoRA(r=3, alpha=5) | lb.Recipe(base=NF4Storage()),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_combinations_train_and_merge(name):
    model, x, target = two_layers(), randn(32, 24), randn(32, 16, seed=1)
    layers = lb.inject(model, COMBINATIONS[name], r"^[02]$")
    packed = [layer.base.store.packed.clone() for layer in layers.values()]
    adamw = optimizer(model, lr=1e-2)
    losses = []
    for _ in range(20):
        loss = F.mse_loss(model(x), target)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(layer.base.store.packed, p) for layer, p in zip(layers.values(), packed, strict=True))
    before = model(x)
    lb.merge(model)
    assert [type(module) for module in model] == [nn.Linear, nn.Tanh, nn.Linear]
    assert (model(x) - before).abs().max() <= 1e-5 * before.abs().max()


def test_qdora_takes_its_magnitude_from_what_is_stored():
    model = two_layers()
    w0 = model[0].weight.detach().clone()
    layer = lb.inject(model, COMBINATIONS["QDoRA"], "^0$")["0"]
    assert torch.equal(layer.update.m, DoubleQuant(w0).dense().norm(dim=1))
    assert not torch.allclose(layer.update.m, w0.norm(dim=1), rtol=1e-4)


def test_qpissa_quantises_what_pissa_leaves():
    model, plain = two_layers(), two_layers()
    quantised = lb.inject(model, COMBINATIONS["QPiSSA"], "^0$")["0"]
    dense = lb.inject(plain, lb.PiSSA(r=3, alpha=5), "^0$")["0"]
    assert torch.equal(quantised.base.matrix, DoubleQuant(dense.base.matrix).dense())
    assert torch.equal(quantised.update.A, dense.update.A)


def test_two_ways_to_store_are_a_conflict():
    with pytest.raises(lb.AxisConflict, match=r"'base'.*DoubleQuant.*NF4"):
        lb.QLoRA() | lb.Recipe(base=NF4Storage())


def test_an_adapted_model_casts_copies_and_pickles():
    model, x = two_layers(), randn(4, 24)
    lb.inject(model, COMBINATIONS["QLoRA"], r"^[02]$")
    expected = model(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(x), expected)
    model.bfloat16()
    assert model(x.bfloat16()).dtype == torch.bfloat16
    model.double()
    assert (model(x.double()) - expected).abs().max() <= 0.05 * expected.abs().max()


@pytest.mark.parametrize("w", [torch.zeros(130), torch.ones(130), torch.linspace(0, 1, 260) * (torch.arange(260) > 63)])
def test_lloyd_keeps_a_code_that_no_number_has(w):
    w = w.double()
    codes = lloyd_max(w)
    assert codes.isfinite().all()
    assert (w - nearest_in(w, codes)).square().sum() <= (w - nearest_in(w, nf4_codes())).square().sum() + 1e-12


def test_lloyd_never_raises_the_error():
    w = randn(128, 128).double()
    errors = [(w - nearest_in(w, lloyd_max(w, rounds))).square().mean() for rounds in (0, 1, 2, 5, 20, 200)]
    assert all(later <= earlier for earlier, later in zip(errors, errors[1:], strict=False))
    assert errors[-1] < 0.95 * errors[0]
