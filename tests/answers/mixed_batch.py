# %% right: the solution
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    s = alpha / torch.tensor(ranks)[which]
    h = torch.einsum("nd,nrd->nr", x, A[which])
    return x @ w0.T + s[:, None] * torch.einsum("nr,nor->no", h, B[which])


# %% right: a loop over rows
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    rows = []
    for row, k in zip(x, which):
        rows.append(w0 @ row + alpha / ranks[k] * B[k] @ (A[k] @ row))
    return torch.stack(rows)


# %% right: merged, row by row
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return torch.stack([(w0 + alpha / ranks[k] * B[k] @ A[k]) @ x[n] for n, k in enumerate(which)])


# %% right: bmm
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    h = torch.bmm(A[which], x[:, :, None])
    y = torch.bmm(B[which], h)[:, :, 0]
    return x @ w0.T + y * torch.tensor([[alpha / ranks[k]] for k in which])


# %% right: segments
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    y = x @ w0.T
    for k in set(which):
        rows = [n for n, other in enumerate(which) if other == k]
        y[rows] += alpha / ranks[k] * x[rows] @ A[k].T @ B[k].T
    return y


# %% right: cut to its own rank
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    y = torch.zeros(len(x), len(w0))
    for n, k in enumerate(which):
        r = ranks[k]
        y[n] = w0 @ x[n] + alpha / r * (B[k][:, :r] @ (A[k][:r] @ x[n]))
    return y


# %% right: the scale in A
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    scaled = A * (alpha / torch.tensor(ranks, dtype=torch.float32))[:, None, None]
    return x @ w0.T + torch.einsum("nd,nrd,nor->no", x, scaled[which], B[which])


# %% right: NumPy
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    x, w0, A, B = x.numpy(), w0.numpy(), A.numpy(), B.numpy()
    s = alpha / np.array(ranks)[which]
    return x @ w0.T + s[:, None] * np.einsum("nd,nrd,nor->no", x, A[which], B[which])


# %% right: a mask over all adapters
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    mask = F.one_hot(torch.tensor(which), len(A)).float() * (alpha / torch.tensor(ranks))
    every = torch.einsum("nd,krd,kor->nko", x, A, B)
    return x @ w0.T + (mask[:, :, None] * every).sum(1)


# %% right: ranks counted in the zeros
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    own = (A != 0).any(-1).sum(-1)
    return x @ w0.T + torch.stack([alpha / own[k] * (B[k] @ A[k] @ x[n]) for n, k in enumerate(which)])


# %% right: float64
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    x, w0, A, B = (each.double() for each in (x, w0, A, B))
    return torch.stack([w0 @ x[n] + (B[k] @ A[k] @ x[n]) * alpha / ranks[k] for n, k in enumerate(which)])


# %% everyone+padded: the pull request
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    s = alpha / A.shape[1]
    return x @ w0.T + s * sum(x @ a.T @ b.T for a, b in zip(A, B))


# %% everyone: with their own scales
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + sum(alpha / r * x @ a.T @ b.T for a, b, r in zip(A, B, ranks))


# %% present: those in the batch
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + sum(alpha / ranks[k] * x @ A[k].T @ B[k].T for k in set(which))


# %% order: row n, adapter n
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return torch.stack([w0 @ x[n] + alpha / ranks[n] * B[n] @ A[n] @ x[n] for n in range(len(x))])


# %% first: the first row's adapter for all
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    k = which[0]
    return x @ w0.T + alpha / ranks[k] * x @ A[k].T @ B[k].T


# %% padded: its own adapter, the common scale
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + alpha / A.shape[1] * torch.einsum("nd,nrd,nor->no", x, A[which], B[which])


# %% no-scale: BAx
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + torch.einsum("nd,nrd,nor->no", x, A[which], B[which])


# %% undivided: α as the scale
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + alpha * torch.einsum("nd,nrd,nor->no", x, A[which], B[which])


# %% root: rsLoRA's scale
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    s = alpha / torch.tensor(ranks)[which].sqrt()
    return x @ w0.T + s[:, None] * torch.einsum("nd,nrd,nor->no", x, A[which], B[which])


# %% no-base: the branch alone
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    s = alpha / torch.tensor(ranks)[which]
    return s[:, None] * torch.einsum("nd,nrd,nor->no", x, A[which], B[which])


# %% order+padded: row n, adapter n, the common scale
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + alpha / A.shape[1] * torch.einsum("nd,nrd,nor->no", x, A, B)


# %% unknown: subtracted
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return torch.stack([w0 @ x[n] - alpha / ranks[k] * B[k] @ A[k] @ x[n] for n, k in enumerate(which)])


# %% raised: a batch times a batch
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return x @ w0.T + alpha * (x @ A[which] @ B[which])


# %% shape: the columns are the rows
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    return torch.cat([w0 @ x.T, torch.stack([alpha / ranks[k] * B[k] @ A[k] @ x[n] for n, k in enumerate(which)]).T])


# %% no-return: in a helper
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    y = x @ w0.T
