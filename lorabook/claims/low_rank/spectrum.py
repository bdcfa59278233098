"""What makes an update low rank, what does not, and what is often said about it."""

import torch
from torch import Tensor, linalg, nn
from torch.autograd.functional import hessian, jacobian

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.cost.spectrum import energy_kept, nearest_of_rank, singular_values

ROOMY = (Case(12, 9, 2), Case(9, 16, 3), Case(20, 20, 4))
"""Layers in which the rank of a case leaves room for several steps."""
SMALL = (Case(6, 5, 1), Case(5, 8, 2), Case(6, 6, 3))
WIDE = (Case(24, 40, 1), Case(40, 24, 2), Case(32, 32, 3))


def rank(m: Tensor) -> Tensor:
    """Return how many singular values are not rounding errors."""
    sigma = singular_values(m)
    return (sigma > 1e-9 * sigma[0]).sum().double()


def gradient(w: Tensor, x: Tensor) -> Tensor:
    """Return ∂L/∂W for a loss that mixes all outputs of the layer y = Wx, one row of `x` for each token."""
    w = w.clone().requires_grad_(True)
    (x @ w.T).tanh().logsumexp(-1).square().sum().backward()
    return w.grad


def trained(case: Case, steps: int) -> Tensor:
    """Return ΔW after SGD steps on r tokens each, fresh ones every time."""
    w = case.w0()
    for t in range(steps):
        w = w - 0.1 * gradient(w, case.randn(case.r, case.d_in, stream=f"tokens {t}"))
    return w - case.w0()


def whole(case: Case) -> Tensor:
    """Return T: a matrix of full rank with orthonormal rows or columns."""
    u, _, vt = linalg.svd(case.w0(), full_matrices=False)
    return u @ vt


@claim(
    statement=r"Every matrix keeps at least $\sum_{i\le r}\sigma_i^2/\sum_i\sigma_i^2\ge r/d$ of its energy at "
    r"rank $r$, $d=\min(d_{out},d_{in})$.",
    source="the r largest of d numbers are at least r/d of their sum",
    relation="<=",
    cases=ROOMY,
)
def no_matrix_keeps_less_than_its_share(case: Case):
    m, d = case.w0(), min(case.d_out, case.d_in)
    ranks = torch.arange(1, d + 1, dtype=torch.float64)
    return ranks / d, torch.tensor([energy_kept(m, int(r)) for r in ranks], dtype=torch.float64)


@claim(
    statement=r"One SGD step on $k$ tokens: $\operatorname{rank}(\eta G)\le k$, because $G=\sum_{t=1}^k "
    r"g_tx_t^\top$ is a sum of $k$ matrices of rank one.",
    source="chain rule for y = Wx",
    relation="<=",
    cases=ROOMY,
)
def a_step_has_no_more_rank_than_tokens(case: Case):
    return rank(trained(case, steps=1)), torch.tensor(float(case.r))


@claim(
    statement=r"$T$ SGD steps on $k$ fresh tokens each reach $\operatorname{rank}(\Delta W)=\min(Tk,d)$: ranks "
    r"add up, and 3 steps fill three times as much as one.",
    source="the bound of one step, summed; attained when the tokens are in general position",
    cases=ROOMY,
)
def steps_add_up_their_ranks(case: Case):
    return rank(trained(case, steps=3)), torch.tensor(float(min(3 * case.r, case.d_out, case.d_in)))


@misconception(
    of=steps_add_up_their_ranks,
    statement=r"Each step has rank $\le k$, so $\Delta W$ after many steps has rank $\le k$ too.",
    source="the bound of one step, read as a bound on training",
)
def false_steps_keep_the_rank_of_one(case: Case):
    return rank(trained(case, steps=3)), torch.tensor(float(case.r))


@claim(
    statement=r"Adam's first step is $-\eta\,\operatorname{sign}(G)$ (for $\epsilon\to0$), entry by entry.",
    source="Kingma, Ba 2014 (1412.6980), algorithm 1 at t = 1: m̂ = G, v̂ = G²",
    cases=WIDE,
)
def adams_first_step_is_a_sign(case: Case):
    step, g = _adam(case)
    return step, -0.1 * g.sign()


@misconception(
    of=adams_first_step_is_a_sign,
    statement=r"Adam's step has the rank of its gradient: it is the best rank-$k$ part of itself ($k$ tokens).",
    source="the bound of one SGD step, used for Adam",
)
def false_adam_keeps_the_rank_of_the_gradient(case: Case):
    step, _ = _adam(case)
    return step, nearest_of_rank(step, case.r)


def _adam(case: Case) -> tuple[Tensor, Tensor]:
    """Return Adam's first step on a gradient from r tokens, and that gradient."""
    g = gradient(case.w0(), case.randn(case.r, case.d_in, stream="tokens"))
    w = nn.Parameter(case.w0())
    w.grad = g
    torch.optim.Adam([w], lr=0.1, eps=1e-30).step()
    return w.detach() - case.w0(), g


def flat_run(case: Case) -> tuple[Tensor, Tensor]:
    """Return the Hessian of L(W) = ½(⟨T, W⟩ − 1)² and the ΔW that gradient descent from W₀ ends at."""
    t, w = whole(case), case.w0()

    def loss(flat: Tensor) -> Tensor:
        return ((t.flatten() @ flat) - 1).square() / 2

    for _ in range(20):
        flat = w.flatten().requires_grad_(True)
        w = w - 0.1 * torch.autograd.grad(loss(flat), flat)[0].view_as(w)
    return hessian(loss, w.flatten()), w - case.w0()


@claim(
    statement=r"$L(W)=\tfrac12(\langle T,W\rangle-1)^2$ with an orthogonal $T$ is flat in all directions but "
    r"one, and gradient descent ends at $\Delta W=tT$: $(\operatorname{rank}\nabla^2L,\ \operatorname{rank}\Delta "
    r"W)=(1,\,d)$.",
    source="∇L is a multiple of T at every W",
    cases=SMALL,
)
def a_flat_landscape_can_ask_for_full_rank(case: Case):
    curvature, delta = flat_run(case)
    return torch.stack([rank(curvature), rank(delta)]), torch.tensor([1.0, min(case.d_out, case.d_in)])


@misconception(
    of=a_flat_landscape_can_ask_for_full_rank,
    statement=r"The landscape is flat in most directions, so $\Delta W$ has low rank: $\operatorname{rank}\Delta "
    r"W=\operatorname{rank}\nabla^2L$.",
    source="a “proof sketch” in teaching texts: few directions in weight space, read as few directions in input space",
)
def false_a_flat_landscape_gives_low_rank(case: Case):
    curvature, delta = flat_run(case)
    return torch.stack([rank(curvature), rank(delta)]), rank(curvature).expand(2)


@claim(
    statement=r"The matrices $BA$ of rank $r$ have dimension $r(d_{out}+d_{in}-r)$: $r^2$ of LoRA's "
    r"$r(d_{out}+d_{in})$ numbers change nothing, since $BA=(BM)(M^{-1}A)$.",
    source="rank of the Jacobian of (A, B) ↦ BA",
    cases=SMALL,
)
def rank_r_matrices_have_this_dimension(case: Case):
    a, b = case.factors().A, case.factors().B
    ja, jb = jacobian(lambda a, b: b @ a, (a, b))
    columns = torch.cat([ja.flatten(2).flatten(0, 1), jb.flatten(2).flatten(0, 1)], dim=1)
    return rank(columns), torch.tensor(float(case.r * (case.d_out + case.d_in - case.r)))


@misconception(
    of=rank_r_matrices_have_this_dimension,
    statement=r"Intrinsic dimension is rank: the updates of rank $r$ form a set of dimension $r$.",
    source="teaching texts that cite Aghajanyan et al. 2020 for the rank of ΔW",
)
def false_dimension_is_rank(case: Case):
    return rank_r_matrices_have_this_dimension.sides(case)[0], torch.tensor(float(case.r))
