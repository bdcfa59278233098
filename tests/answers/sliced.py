# %% right: the solution
def vera_delta(A, B, b, d, d_in):
    return b[:, None] * (B[: len(b)] @ (d[:, None] * A[:, :d_in]))


# %% right: both vectors on B
def vera_delta(A, B, b, d, d_in):
    return (b[:, None] * B[: len(b)] * d) @ A[:, :d_in]


# %% right: diagonal matrices
def vera_delta(A, B, b, d, d_in):
    return torch.diag(b) @ B[: b.numel()] @ torch.diag(d) @ A[:, :d_in]


# %% right: einsum
def vera_delta(A, B, b, d, d_in):
    return torch.einsum("o,or,r,ri->oi", b, B[: len(b)], d, A[:, :d_in])


# %% right: all of the pair, then cut
def vera_delta(A, B, b, d, d_in):
    whole = (B * d) @ A
    return b.unsqueeze(1) * whole[: len(b), :d_in]


# %% right: transposed and back
def vera_delta(A, B, b, d, d_in):
    return (b * (A[:, :d_in].T @ (d * B[: len(b)]).T)).T


# %% right: a sum of outer products
def vera_delta(A, B, b, d, d_in):
    return sum(d[k] * torch.outer(b * B[: len(b), k], A[k, :d_in]) for k in range(len(d)))


# %% right: NumPy
def vera_delta(A, B, b, d, d_in):
    A, B, b, d = (m.numpy() for m in (A, B, b, d))
    return b[:, np.newaxis] * B[: b.size] @ (d[:, np.newaxis] * A[:, :d_in])


# %% right: row after row
def vera_delta(A, B, b, d, d_in):
    return torch.stack([b[i] * (B[i] * d) @ A[:, :d_in] for i in range(len(b))])


# %% right: what it does to unit vectors
def vera_delta(A, B, b, d, d_in):
    x = torch.eye(d_in)
    h = F.linear(x, A[:, :d_in]) * d
    return (F.linear(h, B[: len(b)]) * b).T


# %% right: narrow
def vera_delta(A, B, b, d, d_in):
    a, lower = A.narrow(1, 0, d_in), B.narrow(0, 0, b.shape[0])
    return lower.mul(d).mul(b.view(-1, 1)).mm(a)


# %% right: lists
def vera_delta(A, B, b, d, d_in):
    A, B, b, d = A.tolist(), B.tolist(), b.tolist(), d.tolist()
    return [[b[i] * sum(B[i][k] * d[k] * A[k][j] for k in range(len(d))) for j in range(d_in)] for i in range(len(b))]


# %% pulled: the pull request, cut to size
def vera_delta(A, B, b, d, d_in):
    return b * (B[: len(b)] @ (d * A[:, :d_in]))


# %% inner: d on the inputs
def vera_delta(A, B, b, d, d_in):
    return b[:, None] * (B[: len(b)] @ (d * A[:, :d_in]))


# %% outer: b on the inputs
def vera_delta(A, B, b, d, d_in):
    return b * (B[: len(b)] @ (d[:, None] * A[:, :d_in]))


# %% last-inputs: from the end
def vera_delta(A, B, b, d, d_in):
    return (b[:, None] * B[: len(b)] * d) @ A[:, -d_in:]


# %% last-outputs: from the end
def vera_delta(A, B, b, d, d_in):
    return (b[:, None] * B[-len(b) :] * d) @ A[:, :d_in]


# %% last-inputs+last-outputs: both from the end
def vera_delta(A, B, b, d, d_in):
    return (b[:, None] * B[-len(b) :] * d) @ A[:, -d_in:]


# %% no-d: b alone
def vera_delta(A, B, b, d, d_in):
    return b[:, None] * (B[: len(b)] @ A[:, :d_in])


# %% no-b: d alone
def vera_delta(A, B, b, d, d_in):
    return (B[: len(b)] * d) @ A[:, :d_in]


# %% shape: as large as the pair
def vera_delta(A, B, b, d, d_in):
    return F.pad(b, (0, len(B) - len(b)))[:, None] * ((B * d) @ A)


# %% no-return: assigned
def vera_delta(A, B, b, d, d_in):
    delta = (b[:, None] * B[: len(b)] * d) @ A[:, :d_in]
