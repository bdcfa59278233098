"""Claims about QLoRA: products, gradients, what is kept for backward, merging."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.axes.base.nf4 import NF4
from lorabook.axes.base.qlora import QLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.qlora.double_quant import QLORA, WHOLE
from lorabook.core.adapted_layer import Adapted
from lorabook.core.lora import ORIGIN, LowRank
from lorabook.core.store import Store
from lorabook.cost.count import measured_flops, two_path_flops


def layer(case: Case, storage: type[Store] = DoubleQuant) -> Adapted:
    """Return a Linear with W₀ kept by `storage` and a LoRA whose factors are both non-zero."""
    base = case.linear()
    base.store = storage(case.w0())
    recipe = QLoRA(r=case.r, alpha=case.alpha).complete(ORIGIN)
    return Adapted(base, LowRank(base, case.factors(), case.spec()), recipe, case.s, None)


def products(adapted: Adapted, x: Tensor) -> Tensor:
    """Return the floating-point operations of all matrix products, forward and backward."""
    return torch.tensor(float(measured_flops(lambda: adapted(x.requires_grad_()).sum().backward())))


def products_of_lora(case: Case) -> Tensor:
    """Return what LoRA needs on the same inputs, from the shapes."""
    flops = two_path_flops(len(case.x()), case.d_out, case.d_in, case.r)
    return torch.tensor(float(flops.forward + flops.backward))


@claim(
    statement="QLoRA computes as many products as LoRA, forward and backward.",
    source=f"{QLORA}, equation 5: the weight is dequantised first, then multiplied as ever",
    tol=0.0,
)
def qlora_saves_no_products(case: Case):
    return products(layer(case), case.x()), products_of_lora(case)


@misconception(
    of=qlora_saves_no_products,
    statement=r"QLoRA computes $\frac4{16}$ of LoRA's products: a quarter of the bits, a quarter of the work.",
    source="'compute lower than LoRA': in circulation; dequantisation comes on top of the same products",
)
def false_qlora_saves_three_quarters(case: Case):
    return products(layer(case), case.x()), products_of_lora(case) / 4


def gradient(x: Tensor, apply: Callable) -> Tensor:
    """Return ∂(½‖y‖²)/∂x of y = apply(x)."""
    x = x.requires_grad_()
    return torch.autograd.grad(apply(x).square().sum() / 2, x)[0]


@claim(
    statement=r"$\partial L/\partial x=\hat W^\top\,\partial L/\partial y$, bit for bit: the stored weight counts.",
    source="the dequantised Ŵ is rebuilt in the backward pass from the same bytes",
    tol=0.0,
)
def gradient_sees_the_dequantised_weight(case: Case):
    base = case.linear()
    base.store = DoubleQuant(case.w0())
    return gradient(case.x(), base), gradient(case.x(), lambda x: F.linear(x, base.store.dense(), base.bias))


@misconception(
    of=gradient_sees_the_dequantised_weight,
    statement=r"$\partial L/\partial x=W_0^\top\,\partial L/\partial y$: only the storage changes, not the gradient.",
    source="the original W₀ no longer exists: the adapter trains against what is stored",
)
def false_gradient_sees_the_original_weight(case: Case):
    base = case.linear()
    base.store = DoubleQuant(case.w0())
    return gradient(case.x(), base), gradient(case.x(), lambda x: F.linear(x, case.w0(), base.bias))


def kept_after_forward(case: Case, apply: Callable) -> Tensor:
    """Return the bytes of input and of dequantised Ŵ that are alive after a forward pass, its graph being held."""
    base = case.linear()
    base.store = DoubleQuant(case.w0())
    built, dense = [], base.store.dense

    def watched() -> Tensor:
        w = dense()
        built.append((StorageWeakRef(w.untyped_storage()), w.nbytes))
        return w

    base.store.dense = watched
    x = case.x().requires_grad_()
    y = apply(base, x)
    kept = sum(size for memory, size in built if not memory.expired())
    assert y.requires_grad  # the graph must outlive the count
    return torch.tensor(float(kept + x.nbytes))


@claim(
    statement=r"A layer keeps 0 bytes of $\hat W$ for the backward pass (beside its input).",
    source="lorabook.core.frozen: saved-tensor hooks keep how to view Ŵ, and the store rebuilds it",
    tol=0.0,
)
def nothing_dense_is_kept(case: Case):
    return kept_after_forward(case, lambda base, x: base(x)), torch.tensor(float(case.x().nbytes))


@misconception(
    of=nothing_dense_is_kept,
    statement="$W_0$ is stored in 4 bits, so plain autograd keeps 4 bits of it for the backward pass.",
    source="plain autograd keeps the dense Ŵ of every layer until the backward pass: the memory is not saved at all",
)
def false_autograd_keeps_four_bits(case: Case):
    kept = kept_after_forward(case, lambda base, x: F.linear(x, base.store.dense(), base.bias))
    return kept, torch.tensor(float(case.x().nbytes))


@claim(
    statement=r"$\hat Wx+s\,B(Ax)=(\hat W+s\,BA)\,x$: merging into a dense weight is exact.",
    source="Hu et al. 2021 (2106.09685), section 4.1, with Ŵ for W₀",
)
def merging_into_a_dense_weight_is_exact(case: Case):
    adapted = layer(case)
    return adapted(case.x()), adapted.plain()(case.x())


@misconception(
    of=merging_into_a_dense_weight_is_exact,
    statement=r"$\hat Wx+s\,B(Ax)=Q(\hat W+s\,BA)\,x$: merging back into 4 bits is exact.",
    source="merging back into 4 bits quantises anew; the error is that of quantising any matrix",
)
def false_merging_into_four_bits_is_exact(case: Case):
    adapted = layer(case)
    merged = adapted.plain()
    return adapted(case.x()), F.linear(case.x(), NF4(merged.weight).dense(), merged.bias)


def lost_and_update(case: Case) -> tuple[Tensor, Tensor]:
    """Return ‖Q(Ŵ + ΔW) − (Ŵ + ΔW)‖ and ‖ΔW‖ for an update of 2% of ‖Ŵ‖."""
    w, factors = NF4(case.w0()).dense(), case.factors()
    delta = factors.B @ factors.A
    delta = delta * (0.02 * w.norm() / delta.norm())
    return (NF4(w + delta).dense() - (w + delta)).norm(), delta.norm()


@claim(
    statement=r"$\|Q(W')-W'\|\ge\frac12\|\Delta W\|$ for $W'=\hat W+\Delta W$ and $\|\Delta W\|=0.02\,\|\hat W\|$.",
    source="a small update moves few weights past a midpoint, so requantising takes most of it back",
    relation="<=",
    cases=WHOLE,
)
def requantising_eats_a_small_update(case: Case):
    lost, update = lost_and_update(case)
    return update / 2, lost


@misconception(
    of=requantising_eats_a_small_update,
    statement=r"Merging into 4 bits loses less than a tenth of a small $\Delta W$.",
    source="the hope behind merging into the 4-bit base; keep the adapter apart, or merge into 16 bits",
)
def false_requantising_keeps_a_small_update(case: Case):
    lost, update = lost_and_update(case)
    return lost, update / 10
