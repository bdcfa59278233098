# %% right: the solution
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    return s * (C @ X @ D.T).flatten(1)


# %% right: D first, by F.linear
def lokr_branch(x, C, D, s):
    h = F.linear(x.unflatten(-1, (C.shape[1], D.shape[1])), D)
    return s * (C @ h).flatten(-2)


# %% right: C first
def lokr_branch(x, C, D, s):
    h = C @ x.reshape(x.shape[0], C.shape[1], -1)
    return s * (h @ D.T).reshape(x.shape[0], -1)


# %% right: einsum in two steps
def lokr_branch(x, C, D, s):
    X = x.reshape(-1, C.shape[1], D.shape[1])
    h = torch.einsum("bmn,kn->bmk", X, D)
    return s * torch.einsum("pm,bmk->bpk", C, h).flatten(1)


# %% right: einsum, x before D
def lokr_branch(x, C, D, s):
    X = x.reshape(-1, C.shape[1], D.shape[1])
    return torch.einsum("bmn,pm,kn->bpk", s * X, C, D).flatten(1)


# %% right: input after input
def lokr_branch(x, C, D, s):
    rows = [(s * C @ row.view(C.shape[1], D.shape[1]) @ D.T).flatten() for row in x]
    return torch.stack(rows)


# %% right: everything turned round
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1]).transpose(1, 2)
    return s * (D @ X @ C.T).transpose(1, 2).flatten(1)


# %% right: block after block
def lokr_branch(x, C, D, s):
    p, m = C.shape
    through = [F.linear(part, D) for part in x.chunk(m, dim=1)]
    return s * torch.cat([sum(C[i, j] * through[j] for j in range(m)) for i in range(p)], dim=1)


# %% right: tensordot
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    h = torch.tensordot(X, D, dims=([2], [1]))
    return s * torch.tensordot(h, C, dims=([1], [1])).transpose(1, 2).flatten(1)


# %% right: two batched products
def lokr_branch(x, C, D, s):
    n = len(x)
    X = x.view(n, C.shape[1], D.shape[1])
    h = torch.bmm(X, D.T.expand(n, -1, -1))
    return s * torch.bmm(C.expand(n, -1, -1), h).view(n, -1)


# %% right: the scale on D
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    return torch.matmul(torch.matmul(C, X), (s * D).mT).flatten(start_dim=1)


# %% right: written into an output
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    y = torch.zeros(len(x), len(C), len(D))
    for i in range(len(C)):
        y[:, i] = s * torch.einsum("m,bmn->bn", C[i], X) @ D.T
    return y.flatten(1)


# %% swapped: the pull request
def lokr_branch(x, C, D, s):
    X = x.view(len(x), D.shape[1], C.shape[1])
    return s * (D @ X @ C.T).flatten(1)


# %% folded: columns in, rows out
def lokr_branch(x, C, D, s):
    X = x.view(len(x), D.shape[1], C.shape[1]).transpose(1, 2)
    return s * (C @ X @ D.T).flatten(1)


# %% unfolded: rows in, columns out
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    return s * (C @ X @ D.T).transpose(1, 2).flatten(1)


# %% right-unturned: D as it is
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], -1)
    if D.shape[0] != D.shape[1]:
        raise ValueError("the shapes do not fit")
    return s * (C @ X @ D).flatten(1)


# %% left-turned: C transposed
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], -1)
    if C.shape[0] != C.shape[1]:
        raise ValueError("the shapes do not fit")
    return s * (C.T @ X @ D.T).flatten(1)


# %% no-scale: no s
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    return (C @ X @ D.T).flatten(1)


# %% scale-twice: on both factors
def lokr_branch(x, C, D, s):
    X = x.view(len(x), C.shape[1], D.shape[1])
    return (s * C @ X @ (s * D).T).flatten(1)


# %% no-scale+swapped: the pull request, without s
def lokr_branch(x, C, D, s):
    X = x.view(len(x), D.shape[1], C.shape[1])
    return (D @ X @ C.T).flatten(1)


# %% built: kron
def lokr_branch(x, C, D, s):
    return s * F.linear(x, torch.kron(C, D))


# %% built: an outer product
def lokr_branch(x, C, D, s):
    whole = torch.einsum("pm,kn->pkmn", C, D).reshape(len(C) * len(D), -1)
    return s * x @ whole.T


# %% no-return: assigned
def lokr_branch(x, C, D, s):
    y = s * (C @ x.view(len(x), C.shape[1], D.shape[1]) @ D.T).flatten(1)
