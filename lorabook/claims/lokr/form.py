"""What a Kronecker product of small factors reaches, and why it must never be built."""

import torch
from torch import Tensor, linalg

from lorabook.axes.form.lokr import Kronecker, LoKrForm, factors_whole, split
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.frozen import Frozen
from lorabook.core.update import materialised
from lorabook.cost.count import measured_flops

LYCORIS = "Yeh et al. 2023 (LyCORIS, 2309.14859)"
GRIDS = (Case(12, 36, 1), Case(64, 36, 2), Case(100, 144, 3))
ROWS = 32


def trained(case: Case) -> tuple[Frozen, Kronecker]:
    """Return a frozen layer and a LoKr update with C away from zero."""
    base = case.linear()
    update = LoKrForm().build(base, case.factors(), case.spec())
    update.C.data = case.randn(*update.C.shape, stream="C")
    return base, update


def delta(case: Case) -> Tensor:
    """Return ΔW."""
    base, update = trained(case)
    return (update.weight(base.matrix) - base.matrix).detach()


@claim(
    statement=r"$\operatorname{rank}(C\otimes BA)=\operatorname{rank}(C)\cdot r$: ranks multiply.",
    source=f"{LYCORIS}, section 3; the singular values of C ⊗ D are all products",
    when=r"$D=BA$ is kept factored; then $\operatorname{rank}(\Delta W)\le\min(p,m)\cdot r$, not full",
    tol=0,
    cases=GRIDS,
)
def lokr_ranks_multiply(case: Case):
    _, update = trained(case)
    return linalg.matrix_rank(delta(case), rtol=1e-10), linalg.matrix_rank(update.C) * case.r


@misconception(
    of=lokr_ranks_multiply,
    statement=r"LoKr keeps the rank of the matrix: $\Delta W$ has full rank.",
    source="a teaching text; only if both factors have",
)
def false_lokr_has_full_rank(case: Case):
    return linalg.matrix_rank(delta(case), rtol=1e-10), torch.tensor(min(case.d_out, case.d_in))


@claim(
    statement=r"$(C\otimes D)\operatorname{vec}(X)=\operatorname{vec}(C X D^\top)$, rows first: $x$ is folded to "
    r"$m\times n$, and $C\otimes D$ is never built.",
    source="Horn, Johnson, Topics in Matrix Analysis, lemma 4.3.1, for row-major vec",
    cases=GRIDS,
)
def the_vec_trick(case: Case):
    base, update = trained(case)
    x = case.x()
    return (update(base, x) - base(x)).detach(), x @ delta(case).T


@misconception(
    of=the_vec_trick,
    statement=r"$C\otimes D$ and $D\otimes C$ act alike: only the sizes of the factors matter.",
    source="a natural guess; the product does not commute, and a file of one read as the other is another adapter",
)
def false_the_factors_may_be_swapped(case: Case):
    base, update = trained(case)
    x = case.x()
    swapped = update.s * torch.kron(update.right(), update.C).detach()
    return (update(base, x) - base(x)).detach(), x @ swapped.T


@claim(
    statement=r"Folded, a forward and a backward pass cost fewer operations than building $W$ and applying it.",
    source="counted product by product, on 32 rows: a built W needs its own gradient, d_out × d_in",
    relation="<=",
    when="the vec trick is used; the libraries build ΔW in every forward pass",
    cases=(Case(256, 256, 4), Case(512, 256, 4)),
)
def folding_is_cheaper_than_building(case: Case):
    base, update = trained(case)
    x = case.x(ROWS)
    folded = measured_flops(lambda: update(base, x).sum().backward())
    return torch.tensor(folded), torch.tensor(measured_flops(lambda: materialised(base, update, x).sum().backward()))


@claim(
    statement=r"LoKr trains $pm+r(k+n)$ numbers, with $d_{out}=pk$ and $d_{in}=mn$.",
    source=f"{LYCORIS}, section 3",
    tol=0,
    cases=GRIDS,
)
def lokr_counts(case: Case):
    (p, k), (m, n) = split(case.d_out), split(case.d_in)
    assert not factors_whole(k, n, case.r)
    return torch.tensor(sum(p.numel() for p in trained(case)[1].parameters())), torch.tensor(p * m + case.r * (k + n))


@misconception(
    of=lokr_counts,
    statement=r"LoKr trains as many numbers as LoRA of the same $r$.",
    source="a natural guess; r counts the inner size of one small factor",
)
def false_lokr_counts_as_lora(case: Case):
    return lokr_counts(case)[0], torch.tensor(case.r * (case.d_in + case.d_out))
