# %% right: the solution
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    kept = energy.cumsum(0) / energy.sum()
    return (kept < share - 1e-6).sum() + 1


# %% right: without a thought for rounding
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return (energy.cumsum(0) / energy.sum() < share).sum() + 1


# %% right: float64 and an item
def rank_needed(m, share):
    s = torch.linalg.svdvals(m.double())
    kept = torch.cumsum(s * s, 0) / (m.double() ** 2).sum()
    return int((kept >= share).nonzero()[0]) + 1


# %% right: NumPy
def rank_needed(m, share):
    s = np.linalg.svd(m.numpy(), compute_uv=False)
    kept = np.cumsum(s**2) / np.sum(s**2)
    return np.searchsorted(kept, share) + 1


# %% right: a loop
def rank_needed(m, share):
    sigma = torch.linalg.svdvals(m).tolist()
    goal = share * sum(s * s for s in sigma)
    so_far = 0
    for r, s in enumerate(sigma, 1):
        so_far += s**2
        if so_far >= goal:
            return r


# %% right: a float
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m).square()
    return float((energy.cumsum(0) < share * energy.sum()).sum()) + 1.0


# %% right: eigenvalues of the Gram matrix
def rank_needed(m, share):
    energy = torch.linalg.eigvalsh(m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m).flip(0)
    return (energy.cumsum(0) / energy.sum() < share).sum().item() + 1


# %% right: the error of each approximation
def rank_needed(m, share):
    u, s, vt = torch.linalg.svd(m, full_matrices=False)
    for r in range(1, len(s) + 1):
        approximation = u[:, :r] @ torch.diag(s[:r]) @ vt[:r]
        if 1 - torch.dist(m, approximation) ** 2 / m.norm() ** 2 >= share:
            return r
    return len(s)


# %% right: argmax of a mask, in float32
def rank_needed(m, share):
    s = torch.linalg.svd(m.float())[1]
    return torch.argmax((torch.cumsum(s**2, 0) / s.pow(2).sum() >= share).int()) + 1


# %% right: a 1-element tensor
def rank_needed(m, share):
    e = torch.linalg.svdvals(m) ** 2
    return (e.cumsum(0) / e.sum() < share).sum().reshape(1) + 1


# %% right: a while loop and a helper
def kept(sigma, r):
    return (sigma[:r] ** 2).sum() / (sigma**2).sum()


def rank_needed(m, share):
    sigma = torch.linalg.svdvals(m)
    r = 1
    while kept(sigma, r) < share:
        r += 1
    return r


# %% right: what is lost, from the other end
def rank_needed(m, share):
    e = (torch.linalg.svdvals(m) ** 2).flip(0)
    lost = e.cumsum(0) / e.sum()
    return len(e) - (lost <= 1 - share).sum()


# %% right: prints and a plot that is not there
def rank_needed(m, share):
    e = torch.linalg.svdvals(m) ** 2
    print("energies", e / e.sum())
    return next(r for r in range(1, 99) if e[:r].sum() / e.sum() >= share)


# %% not-squared+one-short: the pull request's own lines
def rank_needed(m, share):
    sigma = torch.linalg.svdvals(m)
    return (sigma.cumsum(0) / sigma.sum() < share).sum()


# %% not-squared: half repaired
def rank_needed(m, share):
    sigma = torch.linalg.svdvals(m)
    return (sigma.cumsum(0) / sigma.sum() < share).sum() + 1


# %% one-short: the other half repaired
def rank_needed(m, share):
    sigma = torch.linalg.svdvals(m) ** 2
    return (sigma.cumsum(0) / sigma.sum() < share).sum()


# %% one-long: two too many added
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return (energy.cumsum(0) / energy.sum() < share).sum() + 2


# %% norm: the root of the energy
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return ((energy.cumsum(0) / energy.sum()).sqrt() < share).sum() + 1


# %% lost: how many may go
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return len(energy) - ((energy.cumsum(0) / energy.sum() < share).sum() + 1)


# %% smallest: eigenvalues come in rising order
def rank_needed(m, share):
    energy = torch.linalg.eigvalsh(m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m)
    return (energy.cumsum(0) / energy.sum() < share).sum() + 1


# %% not-squared+smallest: from the least, not squared
def rank_needed(m, share):
    sigma = torch.linalg.svdvals(m).sort().values
    return (sigma.cumsum(0) / sigma.sum() < share).sum() + 1


# %% norm+one-short: the norm, one short
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return ((energy.cumsum(0) / energy.sum()) ** 0.5 < share).sum()


# %% one-short+smallest: the index in rising order
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m).flip(0) ** 2
    return (energy.cumsum(0) / energy.sum() < share).sum()


# %% unknown: single directions above the share
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return (energy / energy.max() > 1 - share).sum() + 1


# %% one: no division
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return (energy.cumsum(0) < share).sum() + 1


# %% full: the rank of the matrix
def rank_needed(m, share):
    return torch.linalg.matrix_rank(m)


# %% unknown: a share of the directions
def rank_needed(m, share):
    return math.ceil(share * min(m.shape))


# %% shape: the mask, not its sum
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    return energy.cumsum(0) / energy.sum() < share


# %% unknown: the energy that is kept
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    kept = energy.cumsum(0) / energy.sum()
    return kept[kept >= share][0]


# %% no-return: a loop that forgets to
def rank_needed(m, share):
    energy = torch.linalg.svdvals(m) ** 2
    for r in range(1, len(energy) + 1):
        if energy[:r].sum() >= share * energy.sum():
            break


# %% raised: a matrix that is not square
def rank_needed(m, share):
    return (torch.linalg.eigvals(m).abs().cumsum(0) < share).sum() + 1


# %% raised: a slip in a name
def rank_needed(m, share):
    energy = torch.linalg.svdval(m) ** 2
    return (energy.cumsum(0) / energy.sum() < share).sum() + 1
