"""What a start from W₀ = QR gives, and what is read into the word orthonormal."""

import torch
from torch import Tensor, linalg

from lorabook.axes.init.olora import OrthonormalStart
from lorabook.axes.init.pissa import PrincipalStart
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Factors, LayerSpec
from lorabook.cost.count import measured_flops

BUYUK = "Büyükakyüz 2024 (2406.01775)"
TEXT = "a teaching text's section on OLoRA"
SHAPES = (Case(12, 5, 1), Case(9, 6, 3), Case(7, 16, 3), Case(9, 9, 6))
WIDE = (Case(5, 12, 2), Case(7, 16, 3), Case(9, 9, 4))


def uneven(case: Case, size: float = 1.0) -> Tensor:
    """Return a W₀ whose R has a large first row and small ones below it, times `size`."""
    q, r = linalg.qr(case.w0())
    return size * (q * torch.cat([torch.ones(1), torch.full((q.shape[1] - 1,), 1e-4)])) @ r


def gradients(case: Case, w0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ∂L/∂A, ∂L/∂B at OLoRA's start on this W₀, and G = ∂L/∂W, the same for every W₀."""
    factors, g = OrthonormalStart().build(w0, case.spec()), case.randn(case.d_out, case.d_in, stream="G")
    update = LowRank(case.linear(), Factors(factors.A, factors.B), case.spec())
    (g * update.weight(factors.residual)).sum().backward()
    return update.A.grad, update.B.grad, g


def condition(m: Tensor) -> Tensor:
    """Return the largest singular value over the smallest."""
    sigma = linalg.svdvals(m)
    return sigma[0] / sigma[-1]


@claim(
    statement=r"$W_0=QR$, $B=Q_{:,1:r}$, $A=R_{1:r}$ and $W_{res}=W_0-s\,BA$: the start is the pretrained model.",
    source=f"{BUYUK}, section 3; PEFT for s",
    cases=SHAPES,
)
def the_factors_are_those_of_qr(case: Case):
    w0 = case.w0()
    f, (q, r) = OrthonormalStart().build(w0, case.spec()), linalg.qr(w0)
    mine = torch.cat([f.B.flatten(), f.A.flatten(), (f.residual + case.s * f.B @ f.A).flatten()])
    return mine, torch.cat([q[:, : case.r].flatten(), r[: case.r].flatten(), w0.flatten()])


@misconception(
    of=the_factors_are_those_of_qr,
    statement=r"$W_{res}=W_0-BA$, without $s$.",
    source=f"{TEXT}; it is so at α = r only, and else the model starts elsewhere",
)
def false_the_residual_has_no_scale(case: Case):
    w0 = case.w0()
    f = OrthonormalStart().build(w0, case.spec())
    return f.residual, w0 - f.B @ f.A


@claim(
    statement=r"$B^\top B=I_r$: the columns of $B$ are an orthonormal basis of the space of $W_0$'s first $r$ columns.",
    source="B is r columns of Q",
    when="at the start; one step of training, and it is no longer so",
    cases=SHAPES,
)
def b_starts_orthonormal(case: Case):
    b, first = OrthonormalStart().build(case.w0(), case.spec()).B, case.w0()[:, : case.r]
    return torch.cat([b.T @ b, b @ b.T @ first]), torch.cat([torch.eye(case.r), first])


@misconception(
    of=b_starts_orthonormal,
    statement=r"$B$ stays orthonormal: OLoRA trains on the Stiefel manifold.",
    source="the name, read as a constraint; it is a start, and A and B train freely",
)
def false_b_stays_orthonormal(case: Case):
    _, slope, _ = gradients(case, case.w0())
    b = OrthonormalStart().build(case.w0(), case.spec()).B - 0.1 * slope
    return b.T @ b, torch.eye(case.r, dtype=torch.float64)


@misconception(
    of=b_starts_orthonormal,
    statement=r"Both factors are: $AA^\top=I_r$ as well, as for two orthogonal matrices.",
    source=f"{TEXT}, headed 'orthogonal'; A is R, which has all of W₀'s size",
)
def false_a_starts_orthonormal(case: Case):
    a = OrthonormalStart().build(case.w0(), case.spec()).A
    return a @ a.T, torch.eye(case.r, dtype=torch.float64)


@misconception(
    of=b_starts_orthonormal,
    statement=r"The columns of $B$ span $\mathbb R^{d_{out}}$: $BB^\top=I$.",
    source=f"{TEXT}; r columns span r dimensions",
)
def false_b_spans_everything(case: Case):
    b = OrthonormalStart().build(case.w0(), case.spec()).B
    return b @ b.T, torch.eye(case.d_out, dtype=torch.float64)


@claim(
    statement=r"$B$ depends on the first $r$ columns of $W_0$ alone.",
    source="Gram and Schmidt: q_j comes from the columns 1 … j",
    cases=SHAPES,
)
def the_first_columns_decide(case: Case):
    other = case.w0()
    other[:, case.r :] = case.randn(case.d_out, case.d_in - case.r, stream="other")
    return OrthonormalStart().build(other, case.spec()).B, OrthonormalStart().build(case.w0(), case.spec()).B


@misconception(
    of=the_first_columns_decide,
    statement=r"$B$ spans what is most important in $W_0$, in whatever order its inputs are numbered.",
    source="a reading of 'basis of W₀'; numbered backwards, the inputs give another space",
)
def false_the_order_of_inputs_does_not_matter(case: Case):
    one, other = (OrthonormalStart().build(w, case.spec()).B for w in (case.w0(), case.w0().flip(1)))
    return one @ one.T, other @ other.T


@claim(
    statement=r"$\lVert W_{res}\rVert_F\ge\lVert W_0-U_r\Sigma_rV_r^\top\rVert_F$: PiSSA leaves less of $W_0$ frozen "
    r"than OLoRA, at every $\alpha$.",
    source="Eckart, Young 1936: no matrix of rank r is nearer to W₀ than PiSSA's",
    relation="<=",
    cases=SHAPES,
)
def pissa_leaves_less(case: Case):
    return _left(case, PrincipalStart()), _left(case, OrthonormalStart())


@misconception(
    of=pissa_leaves_less,
    statement=r"$Q$ and $R$ capture the most variance, as an SVD does.",
    source="a reading of 'like PiSSA, only faster'",
)
def false_qr_leaves_as_little(case: Case):
    return _left(case, OrthonormalStart()), _left(case, PrincipalStart())


def _left(case: Case, init) -> Tensor:
    """Return ‖W_res‖_F at several α."""
    specs = [LayerSpec("layer", case.r, s, 0.0, case.generator("site")) for s in (0.5, 1.0, 2.0)]
    return torch.stack([init.build(case.w0(), spec).residual.norm() for spec in specs])


@claim(statement=r"$\kappa(B)=1$.", source="all singular values of Q_r are 1", cases=SHAPES)
def b_is_perfectly_conditioned(case: Case):
    return condition(OrthonormalStart().build(uneven(case), case.spec()).B), torch.ones((), dtype=torch.float64)


@misconception(
    of=b_is_perfectly_conditioned,
    statement=r"QR preserves the condition number: $\kappa(A)=\kappa(W_0)$, so the adapter is as well conditioned.",
    source=f"{TEXT}; it is so of the whole R, and r of its rows may be anything",
)
def false_a_is_conditioned_like_w0(case: Case):
    w0 = case.w0()
    return condition(OrthonormalStart().build(w0, case.spec()).A), condition(w0)


@claim(
    statement=r"$\frac{\partial L}{\partial A}=s\,B^\top G$ is no worse conditioned than "
    r"$G=\frac{\partial L}{\partial W}$.",
    source="multiplying by orthonormal rows cannot widen the range of singular values",
    relation="<=",
    when=r"at the start, and $d_{out}\le d_{in}$",
    cases=WIDE,
)
def the_gradient_of_a_is_well_conditioned(case: Case):
    of_a, _, g = gradients(case, uneven(case))
    return condition(of_a), condition(g)


@misconception(
    of=the_gradient_of_a_is_well_conditioned,
    statement=r"The gradient of $B$ is well conditioned from the start.",
    source=f"{TEXT}; ∂L/∂B = s·GAᵀ, and A = R_r; it is A's gradient that B keeps in shape",
)
def false_the_gradient_of_b_is_well_conditioned(case: Case):
    _, of_b, g = gradients(case, uneven(case))
    return condition(of_b), condition(g)


@claim(
    statement=r"$\frac{\partial L}{\partial B}$ grows with $W_0$: ten thousand times $W_0$, ten thousand times the "
    r"gradient of $B$; that of $A$ stays.",
    source="∂L/∂B = s·GR_rᵀ and ∂L/∂A = s·Q_rᵀG, for one G",
    cases=SHAPES,
)
def the_gradient_of_b_has_the_size_of_w0(case: Case):
    (a, b, _), (large_a, large_b, _) = (gradients(case, size * case.w0()) for size in (1.0, 1e4))
    return torch.cat([large_a.flatten(), large_b.flatten() / 1e4]), torch.cat([a.flatten(), b.flatten()])


@misconception(
    of=the_gradient_of_b_has_the_size_of_w0,
    statement=r"Orthonormal factors start without vanishing or exploding gradients, whatever $W_0$ is.",
    source=TEXT,
)
def false_gradients_do_not_explode(case: Case):
    (a, b, _), (large_a, large_b, _) = (gradients(case, size * case.w0()) for size in (1.0, 1e4))
    return torch.cat([large_a.flatten(), large_b.flatten()]), torch.cat([a.flatten(), b.flatten()])


@claim(
    statement=r"Beyond the QR of $r$ columns the start takes two products, $A=B^\top W_0$ and $BA$: "
    r"$4\,d_{out}d_{in}r$ operations less $2\,d_{out}r^2$.",
    source="A's first r columns are the small R",
    cases=SHAPES,
    tol=0,
)
def two_products_and_a_small_qr(case: Case):
    spent = measured_flops(lambda: OrthonormalStart().build(case.w0(), case.spec()))
    return torch.tensor(spent), torch.tensor(4 * case.d_out * case.d_in * case.r - 2 * case.d_out * case.r**2)


@misconception(
    of=two_products_and_a_small_qr,
    statement=r"It takes a QR of all of $W_0$, $2dk^2-\frac23k^3$ operations with $k=\min(d_{out},d_{in})$ and $d$ the "
    r"other side: of the order of an SVD.",
    source=f"{TEXT}; and PEFT's code does so, of which it uses r columns and r rows",
)
def false_the_whole_matrix_is_decomposed(case: Case):
    k, d = sorted((case.d_out, case.d_in))
    return two_products_and_a_small_qr(case)[0], torch.tensor(2 * d * k**2 - 2 * k**3 // 3)


FEWER_STEPS = Unchecked(
    statement="OLoRA needs 20 to 30% fewer steps than LoRA, and r = 8 to 64 is best.",
    source=TEXT,
    reason="a benchmark of language models, of which the text names none; the paper has curves of a few models",
)
