# %% right: the solution
def keeps(x, A, B, T):
    g = torch.stack([(x_i @ a.T @ b.T).square().sum(1).mean() for x_i, a, b in zip(x, A, B)])
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]


# %% right: a loop that stops
def keeps(x, A, B, T):
    effects = [float(((B[i] @ A[i] @ x[i].T) ** 2).sum() / len(x[i])) for i in range(len(A))]
    whole, reached, own = sum(effects), 0.0, set()
    for i in sorted(range(len(effects)), key=lambda i: -effects[i]):
        if reached >= T:
            break
        own.add(i)
        reached += effects[i] / whole
    return [1 if i in own else 0 for i in range(len(effects))]


# %% right: bmm
def keeps(x, A, B, T):
    y = torch.bmm(torch.bmm(x, A.transpose(1, 2)), B.transpose(1, 2))
    share = y.pow(2).sum((1, 2))
    share = share / share.sum()
    top, order = share.sort(descending=True)
    many = int((top.cumsum(0) < T).sum()) + 1
    mask = torch.zeros(len(share))
    mask[order[:many]] = 1
    return mask


# %% right: einsum
def keeps(x, A, B, T):
    y = torch.einsum("lni,lri,lor->lno", x, A, B)
    share = (y**2).sum(-1).mean(-1)
    share = share / share.sum()
    return [float(share[share > own].sum() < T) for own in share]


# %% right: the trace of ΔW C ΔWᵀ
def keeps(x, A, B, T):
    g = []
    for inputs, a, b in zip(x, A, B):
        delta, c = b @ a, inputs.T @ inputs / inputs.shape[0]
        g.append(torch.trace(delta @ c @ delta.T).item())
    total = sum(g)
    return [int(sum(other for other in g if other > own) / total < T) for own in g]


# %% right: searchsorted
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).square().sum(dim=(1, 2))
    share, order = torch.sort(g / g.sum(), descending=True)
    last = torch.searchsorted(share.cumsum(0), T)
    own = torch.zeros(len(g), dtype=torch.int64)
    own[order[: last + 1]] = 1
    return own.tolist()


# %% right: topk, more and more
def keeps(x, A, B, T):
    g = torch.linalg.matrix_norm(x @ A.mT @ B.mT) ** 2
    for k in range(1, len(g) + 1):
        values, places = torch.topk(g, k)
        if values.sum() >= T * g.sum():
            break
    return [int(i in places.tolist()) for i in range(len(g))]


# %% right: what is left must not exceed 1 − T
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).square().mean(1).sum(1)
    share = g / g.sum()
    small, order = share.sort()
    rest = order[small.cumsum(0) <= 1 - T]
    own = torch.ones(len(g))
    own[rest] = 0
    return own


# %% right: numpy at the end
def keeps(x, A, B, T):
    g = np.array([float(F.linear(F.linear(x_i, a), b).pow(2).sum()) for x_i, a, b in zip(x, A, B)])
    order = np.argsort(-g)
    reached = np.cumsum(g[order]) / g.sum()
    own = np.zeros(len(g))
    own[order[: np.argmax(reached >= T) + 1]] = 1
    return own


# %% right: float64, no sum but the mean of squares
def keeps(x, A, B, T):
    x, A, B = x.double(), A.double(), B.double()
    g = (x @ A.mT @ B.mT).square().mean((1, 2))  # all layers have as many outputs
    share = (g / g.sum()).tolist()
    own, order = [0] * len(share), sorted(range(len(share)), key=share.__getitem__)
    while sum(s for s, kept in zip(share, own) if kept) < T:
        own[order.pop()] = 1
    return own


# %% pulled: the pull request
def keeps(x, A, B, T):
    g = torch.stack([(b @ a).square().sum() for a, b in zip(A, B)])
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) < T]
    return [int(i in own) for i in range(len(g))]


# %% size: the pull request, and it reaches T
def keeps(x, A, B, T):
    g = torch.stack([(b @ a).square().sum() for a, b in zip(A, B)])
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]


# %% norm: no square
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).norm(dim=2).mean(1)
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]


# %% inner: B forgotten
def keeps(x, A, B, T):
    g = (x @ A.mT).square().sum((1, 2))
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]


# %% of-mean: the mean input
def keeps(x, A, B, T):
    g = torch.stack([(b @ a @ x_i.mean(0)).square().sum() for x_i, a, b in zip(x, A, B)])
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]


# %% below: the pull request with the right effect
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).square().sum((1, 2))
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) < T]
    return [int(i in own) for i in range(len(g))]


# %% mean: above the mean
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).square().sum((1, 2))
    return (g > g.mean()).float()


# %% smallest: sorted the wrong way
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).square().sum((1, 2))
    share, order = (g / g.sum()).sort()
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]


# %% others: 1 for those that share
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).square().sum((1, 2))
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i not in own) for i in range(len(g))]


# %% pulled: the same, with a loop
def keeps(x, A, B, T):
    g = [float((b @ a).norm() ** 2) for a, b in zip(A, B)]
    own, reached = [0] * len(g), 0.0
    for i in sorted(range(len(g)), key=g.__getitem__, reverse=True):
        reached += g[i] / sum(g)
        if reached >= T:
            break
        own[i] = 1
    return own


# %% below+norm: two of them
def keeps(x, A, B, T):
    g = (x @ A.mT @ B.mT).norm(dim=2).mean(1)
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) < T]
    return [int(i in own) for i in range(len(g))]
