# %% right: the solution
def private_round(changes, z, C, sigma, L):
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short.sum(0) + sigma * C * z) / L


# %% right: a loop
def private_round(changes, z, C, sigma, L):
    total = torch.zeros_like(z)
    for row in changes:
        total += row * min(1.0, C / float(row.norm()))
    total += sigma * C * z
    return total / L


# %% right: linalg
def private_round(changes, z, C, sigma, L):
    norms = torch.linalg.vector_norm(changes, dim=1)
    return (torch.minimum(torch.ones_like(norms), C / norms) @ changes + sigma * C * z) / L


# %% right: renorm
def private_round(changes, z, C, sigma, L):
    return (torch.renorm(changes.double(), 2, 0, C).sum(0) + sigma * C * z.double()) / L


# %% right: divided by the larger
def private_round(changes, z, C, sigma, L):
    rows = changes / (changes.norm(dim=1) / C).clamp(min=1)[:, None]
    return rows.sum(dim=0).div(L) + sigma * C / L * z


# %% right: NumPy
def private_round(changes, z, C, sigma, L):
    rows = changes.numpy()
    sizes = np.linalg.norm(rows, axis=1)
    return ((rows * np.minimum(1, C / sizes)[:, None]).sum(0) + sigma * C * z.numpy()) / L


# %% right: where
def private_round(changes, z, C, sigma, L):
    sizes = changes.square().sum(1, keepdim=True).sqrt()
    rows = torch.where(sizes > C, C * changes / sizes, changes)
    return (rows.sum(0) + C * (sigma * z)) / L


# %% right: normalize
def private_round(changes, z, C, sigma, L):
    sizes = changes.norm(dim=1, keepdim=True)
    return (F.normalize(changes) * sizes.clamp(max=C)).sum(0) / L + (sigma * C * z) / L


# %% right: einsum
def private_round(changes, z, C, sigma, L):
    sizes = torch.einsum("np,np->n", changes, changes).sqrt()
    return torch.einsum("n,np->p", 1 / torch.clamp(sizes / C, min=1), changes) / L + z * sigma * C / L


# %% right: lists
def private_round(changes, z, C, sigma, L):
    total = [sigma * C * float(x) for x in z]
    for row in changes.tolist():
        factor = min(1, C / math.sqrt(sum(x * x for x in row)))
        total = [t + factor * x for t, x in zip(total, row)]
    return torch.tensor(total) / L


# %% right: the library's own
def private_round(changes, z, C, sigma, L):
    from lorabook.axes.optim.private import clipped

    return (sum(clipped([row], C)[0] for row in changes) + sigma * C * z) / L


# %% right: a lambda
private_round = lambda changes, z, C, sigma, L: (
    ((changes / (changes.norm(dim=1, keepdim=True) / C).clamp_min(1)).sum(0) + sigma * C * z) / L
)


# %% mean-clipped: the mean is bounded, and the rest is right
def private_round(changes, z, C, sigma, L):
    mean = changes.mean(0)
    return (len(changes) * mean * min(1.0, C / float(mean.norm())) + sigma * C * z) / L


# %% sum-clipped: the sum is bounded
def private_round(changes, z, C, sigma, L):
    total = changes.sum(0)
    return (total * min(1.0, C / float(total.norm())) + sigma * C * z) / L


# %% entries: clamp
def private_round(changes, z, C, sigma, L):
    return (changes.clamp(-C, C).sum(0) + sigma * C * z) / L


# %% to-norm: every row gets norm C
def private_round(changes, z, C, sigma, L):
    return (C * F.normalize(changes, dim=1).sum(0) + sigma * C * z) / L


# %% no-clip: a noisy sum
def private_round(changes, z, C, sigma, L):
    return (changes.sum(0) + sigma * C * z) / L


# %% who-came: a mean of those who came
def private_round(changes, z, C, sigma, L):
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short.sum(0) + sigma * C * z) / len(changes)


# %% no-c: sigma alone
def private_round(changes, z, C, sigma, L):
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short.sum(0) + sigma * z) / L


# %% no-noise: only clipped
def private_round(changes, z, C, sigma, L):
    return (changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)).sum(0) / L


# %% late: noise on the mean
def private_round(changes, z, C, sigma, L):
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return short.sum(0) / L + sigma * C * z


# %% sum-clipped+who-came: the pull request's own
def private_round(changes, z, C, sigma, L):
    total = changes.sum(0)
    total = total * min(1, C / total.norm())
    return (total + sigma * C * z) / len(changes)


# %% no-c+who-came: two of three
def private_round(changes, z, C, sigma, L):
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short.sum(0) + sigma * z) / changes.shape[0]


# %% shape: a row for each client
def private_round(changes, z, C, sigma, L):
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short + sigma * C * z) / L


# %% raised: norms of columns
def private_round(changes, z, C, sigma, L):
    norms = changes.norm(dim=1)
    return (changes.T * norms[:, None]).sum(0) + z


# %% unknown: half of the clip
def private_round(changes, z, C, sigma, L):
    short = changes * (C / 2 / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short.sum(0) + sigma * C * z) / L


# %% no-return: assigned
def private_round(changes, z, C, sigma, L):
    mean = (changes.sum(0) + sigma * C * z) / L
