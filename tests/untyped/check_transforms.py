"""torch's transforms over every form, store and layer type: vmap, per-sample gradients, jvp, hessian, compile, export.

Forms are found, not listed. What is compared with is the same model, run as it is.
"""

import copy
import gc
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacrev, jvp, stack_module_state, vjp, vmap
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from worlds import WORLDS, World, forms, fresh, shake

import lorabook as lb
from lorabook.axes.base.double_quant import DoubleQuantStorage
from lorabook.axes.base.nf4 import NF4Storage
from lorabook.core.lora import ORIGIN

# torch's own: the first forward-mode derivative of a process says that torch.jit.script is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

FORMS = forms()
STORES = {"dense": ORIGIN.base, "NF4": NF4Storage(), "double": DoubleQuantStorage()}
TYPES = {world.name: world for world in WORLDS if world.name in ("Linear", "Conv1D", "Conv2d grouped", "Embedding")}
TABLE = TYPES["Embedding"]


def adapt(form: str, store: str, world: World) -> tuple[nn.Sequential, Tensor]:
    model, x = fresh(world)
    lb.inject(model, replace(FORMS[form], r=2, alpha=5.0, rule=None, base=STORES[store]), "0")
    shake(model[0])
    return model, x


def trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def gradients(model: nn.Module, y: Tensor) -> dict[str, Tensor]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(zip(named, torch.autograd.grad(y.square().sum(), list(named.values())), strict=True))


def close(one: object, other: object) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def an_ensemble_of_adapters(model: nn.Module, x: Tensor) -> None:
    stacked = {name: torch.stack([p, 2 * p]) for name, p in trained(model).items()}
    both = vmap(lambda p: functional_call(model, p, (x,)))(stacked)
    for i in range(2):
        close(both[i], functional_call(model, {name: p[i] for name, p in stacked.items()}, (x,)))


def an_ensemble_of_models(model: nn.Module, x: Tensor) -> None:
    """As torch's tutorial has it: parameters and buffers stacked, W₀ with them, and a skeleton on the meta device."""
    models = [model, copy.deepcopy(model)]
    for tensor in [*models[1].parameters(), *(b for b in models[1].buffers() if b.is_floating_point())]:
        tensor.data *= 1.5
    skeleton = copy.deepcopy(model).to("meta")
    both = vmap(lambda p, b: functional_call(skeleton, (p, b), (x,)))(*stack_module_state(models))
    for i in range(2):
        close(both[i], models[i](x))


def gradients_per_sample(model: nn.Module, x: Tensor) -> None:
    def loss(p: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(model, p, (sample[None],)).square().sum()

    found = vmap(grad(loss), (None, 0))(trained(model), x)
    for i in range(len(x)):
        close({name: g[i] for name, g in found.items()}, gradients(model, model(x[i][None])))


def forward_mode(model: nn.Module, x: Tensor) -> None:
    def run(p: dict[str, Tensor]) -> Tensor:
        return functional_call(model, p, (x,))

    p = trained(model)
    y, along = jvp(run, (p,), ({name: torch.ones_like(value) for name, value in p.items()},))
    probe = torch.randn_like(y)
    close((along * probe).sum(), sum(g.sum() for g in vjp(run, p)[1](probe)[0].values()))


def a_hessian(model: nn.Module, x: Tensor) -> None:
    p = trained(model)
    name = next(iter(p))

    def loss(value: Tensor) -> Tensor:
        return functional_call(model, p | {name: value}, (x,)).square().sum()

    close(hessian(loss)(p[name]), jacrev(jacrev(loss))(p[name]))


FUNC = [an_ensemble_of_adapters, an_ensemble_of_models, gradients_per_sample, forward_mode, a_hessian]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("transform", FUNC, ids=lambda f: f.__name__)
def test_func(transform: Callable[[nn.Module, Tensor], None], form: str, kind: str):
    for store in STORES:
        transform(*adapt(form, store, TYPES[kind]))


@pytest.mark.parametrize("form", FORMS)
def test_an_adapter_in_16_bits(form):
    """A bfloat16 base with its float32 update, mapped: each member is what it is alone."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 6)).bfloat16(), torch.randn(2, 5, 8).bfloat16()
    lb.inject(model, replace(FORMS[form], r=2, alpha=5.0, rule=None, base=DoubleQuantStorage()), "0")
    stacked = {name: torch.stack([p + 0.1, p - 0.1]) for name, p in trained(model).items()}
    both = vmap(lambda p: functional_call(model, p, (x,)))(stacked)
    for i in range(2):
        alone = functional_call(model, {name: p[i] for name, p in stacked.items()}, (x,))
        torch.testing.assert_close(both[i], alone, rtol=0.05, atol=0.05)


CASES = [(form, "double", "Linear") for form in FORMS]
CASES += [(form, list(STORES)[i % 2], list(TYPES)[1 + i % 3]) for i, form in enumerate(FORMS)]
"""Each form on a quantised Linear, and once on another layer type; pairwise, for a compiler takes a second each."""


@pytest.mark.parametrize(("form", "store", "kind"), CASES)
def test_compiled_whole(form, store, kind):
    model, x = adapt(form, store, TYPES[kind])
    torch.compiler.reset()
    y = torch.compile(model, backend="aot_eager", fullgraph=True)(x)
    close(y, model(x))
    close(gradients(model, y), gradients(model, model(x)))


@pytest.mark.parametrize(("form", "store", "kind"), CASES)
def test_exported(form, store, kind):
    model, x = adapt(form, store, TYPES[kind])
    close(torch.export.export(model, (x,)).module()(x), model(x))
    close(model(x), model(x.clone()))  # and no table that an export dreamt up has stayed


@pytest.mark.parametrize(("form", "store", "kind"), CASES[:: len(FORMS) - 1])
def test_exported_strictly_and_for_any_batch(form, store, kind):
    model, x = adapt(form, store, TYPES[kind])
    torch.compiler.reset()
    program = torch.export.export(
        model, (x,), strict=True, dynamic_shapes=({0: torch.export.Dim("batch", min=2)},)
    ).module()
    close(program(torch.cat([x, x, x])), model(torch.cat([x, x, x])))


@pytest.mark.parametrize("form", ["LowRankForm", "LoKrForm", "HiRAForm"])
def test_compiled_gradients_per_sample(form):
    model, x = adapt(form, "double", TYPES["Linear"])

    def each(p: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        return vmap(grad(lambda p, sample: functional_call(model, p, (sample[None],)).square().sum()), (None, 0))(p, x)

    torch.compiler.reset()
    close(torch.compile(each, backend="aot_eager", fullgraph=True)(trained(model), x), each(trained(model), x))


class Alive(TorchDispatchMode):
    """Storages that were written since it began, as far as something still holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[StorageWeakRef, int]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.seen.append((StorageWeakRef(storage), storage.nbytes()))
        return result

    def largest(self) -> int:
        gc.collect()
        return max((size for ref, size in self.seen if not ref.expired()), default=0)


WIDE, TALL, ROWS = 96, 80, 4


def wide(recipe: lb.Recipe) -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDE, TALL))
    lb.inject(model, recipe, "0")
    return model, torch.randn(ROWS, WIDE)


CHEAP = sorted(set(FORMS) - {"GLoRAForm", "GLoRASupernetForm", "HiRAForm", "LoHaForm"})
"""Forms with a path that builds no dense matrix."""


@pytest.mark.parametrize("form", CHEAP)
def test_func_keeps_nothing_dense_of_a_quantised_base(form):
    model, x = wide(replace(FORMS[form], r=2, rule=None, base=DoubleQuantStorage()))
    with Alive() as alive:  # with x, as a layer inside a model has it: the gradient of x asks for W₀
        y, pull = vjp(lambda p, x: functional_call(model, p, (x,)), trained(model), x)
    assert alive.largest() < 4 * WIDE * TALL // 4
    pull(y)


@pytest.mark.parametrize("form", ["LowRankForm", "DoRAForm", "LoKrForm"])
def test_a_compiler_keeps_nothing_dense_of_a_quantised_base(form):
    model, x = wide(replace(FORMS[form], r=2, rule=None, base=DoubleQuantStorage()))
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        compiled(x.requires_grad_())
    assert kept
    assert max(tensor.numel() for tensor in kept if tensor.is_floating_point()) < WIDE * TALL // 4


def test_the_watch_sees_what_is_kept():
    model, x = wide(lb.HiRA(r=2) | lb.Recipe(base=DoubleQuantStorage()))
    with Alive() as alive:
        y, pull = vjp(lambda p, x: functional_call(model, p, (x,)), trained(model), x)
    assert alive.largest() == 4 * WIDE * TALL
    assert pull(y)


def test_no_warning_of_a_slow_fallback():
    model, x = adapt("LowRankForm", "dense", TYPES["Linear"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradients_per_sample(model, x)


def test_autocast_inside_a_transform():
    model, x = wide(lb.QLoRA(r=2))
    model[0].update.B.data.normal_()
    p = trained(model)

    def loss(p: dict[str, Tensor], x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            y = functional_call(model, p, (x,))
        assert y.dtype == torch.bfloat16
        return y.float().square().sum()

    named = dict(model.named_parameters())
    by_hand = torch.autograd.grad(loss(named, x), list(named.values()))
    for found, expected in zip(grad(loss)(p, x).values(), by_hand, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-1)
