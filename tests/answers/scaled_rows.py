# %% right: the solution
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return factor * W0, A, factor * B


# %% right: keepdim
def over_scaled_base(W0, A, B, m, s):
    V = W0 + s * (B @ A)
    factor = m.unsqueeze(1) / V.norm(dim=1, keepdim=True)
    return W0 * factor, A.clone(), B * factor


# %% right: diagonal matrices
def over_scaled_base(W0, A, B, m, s):
    V = W0 + s * B @ A
    D = torch.diag(m) @ torch.diag(1 / V.norm(dim=1))
    return D @ W0, A, D @ B


# %% right: the identity for the norm
def over_scaled_base(W0, A, B, m, s):
    squares = W0.square().sum(1) + 2 * s * (W0 @ A.T * B).sum(1) + s**2 * (B @ (A @ A.T) * B).sum(1)
    f = m / squares.sqrt()
    return f[:, None] * W0, A, f[:, None] * B


# %% right: NumPy
def over_scaled_base(W0, A, B, m, s):
    w, a, b = W0.numpy(), A.numpy(), B.numpy()
    f = m.numpy() / np.linalg.norm(w + s * b @ a, axis=1)
    return f[:, None] * w, a, f[:, None] * b


# %% right: lists
def over_scaled_base(W0, A, B, m, s):
    f = m / (W0 + s * B @ A).norm(dim=1)
    return (f[:, None] * W0).tolist(), A.tolist(), (f[:, None] * B).tolist()


# %% right: a list of three
def over_scaled_base(W0, A, B, m, s):
    f = (m / (W0 + s * B @ A).pow(2).sum(1).sqrt()).view(-1, 1)
    return [f * W0, A, f * B]


# %% right: row by row
def over_scaled_base(W0, A, B, m, s):
    W, D = W0.clone(), B.clone()
    for i in range(len(W0)):
        factor = m[i] / (W0[i] + s * B[i] @ A).norm()
        W[i] *= factor
        D[i] *= factor
    return W, A, D


# %% right: einsum
def over_scaled_base(W0, A, B, m, s):
    V = W0 + s * torch.einsum("or,ri->oi", B, A)
    f = m * torch.rsqrt(torch.einsum("oi,oi->o", V, V))
    return torch.einsum("o,oi->oi", f, W0), A, torch.einsum("o,or->or", f, B)


# %% right: transposed
def over_scaled_base(W0, A, B, m, s):
    V = W0.T + s * A.T @ B.T
    f = m / V.norm(dim=0)
    return (W0.T * f).T, A, (B.T * f).T


# %% right: float64
def over_scaled_base(W0, A, B, m, s):
    W0, A, B, m = (one.double() for one in (W0, A, B, m))
    f = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return f * W0, A, f * B


# %% base-only: B left
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return factor * W0, A, B


# %% branch-only: W₀ left
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return W0, A, factor * B


# %% stale: the norm at the start
def over_scaled_base(W0, A, B, m, s):
    factor = (m / W0.norm(dim=1))[:, None]
    return factor * W0, A, factor * B


# %% unnormed: m alone
def over_scaled_base(W0, A, B, m, s):
    return m[:, None] * W0, A, m[:, None] * B


# %% reversed: the other way round
def over_scaled_base(W0, A, B, m, s):
    factor = ((W0 + s * B @ A).norm(dim=1) / m)[:, None]
    return factor * W0, A, factor * B


# %% columns: dim=0
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=0))[:, None]
    return factor * W0, A, factor * B


# %% no-scale: s left out of the norm
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + B @ A).norm(dim=1))[:, None]
    return factor * W0, A, factor * B


# %% base-only+stale: two mistakes
def over_scaled_base(W0, A, B, m, s):
    return (m / W0.norm(dim=1))[:, None] * W0, A, B


# %% merged: all in W', nothing in B'
def over_scaled_base(W0, A, B, m, s):
    V = W0 + s * B @ A
    return (m / V.norm(dim=1))[:, None] * V, A, 0 * B


# %% merged: the difference to the scaled B
def over_scaled_base(W0, A, B, m, s):
    V = W0 + s * B @ A
    return (m / V.norm(dim=1))[:, None] * V - s * B @ A, A, B


# %% swapped: B' first
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return factor * W0, factor * B, A


# %% shape: B' transposed
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return factor * W0, A, (factor * B).T[:, :2]


# %% into-a: s moved into A and out of B
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return factor * W0, s * A, factor * B / s


# %% parts: the factors alone
def over_scaled_base(W0, A, B, m, s):
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return A, factor * B
