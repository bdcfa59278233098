# %% right: the solution
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).square().sum()


# %% right: the other way round
def penalty(A, B, A1, B1, weight):
    return weight * (A @ A1.T).pow(2).sum()


# %% right: a trace
def penalty(A, B, A1, B1, weight):
    return weight * torch.trace(A @ A1.T @ A1 @ A.T)


# %% right: the Frobenius norm, squared
def penalty(A, B, A1, B1, weight):
    return weight * torch.linalg.matrix_norm(A1 @ A.T) ** 2


# %% right: loops
def penalty(A, B, A1, B1, weight):
    total = 0.0
    for old in A1:
        for new in A:
            total += float(old @ new) ** 2
    return weight * total


# %% right: einsum
def penalty(A, B, A1, B1, weight):
    overlap = torch.einsum("id,jd->ij", A1, A)
    return weight * (overlap * overlap).sum()


# %% right: NumPy
def penalty(A, B, A1, B1, weight):
    return weight * np.square(A1.numpy() @ A.numpy().T).sum()


# %% right: float64
def penalty(A, B, A1, B1, weight):
    return (weight * F.linear(A1.double(), A.double()).square()).sum()


# %% right: the projector of the rows
def penalty(A, B, A1, B1, weight):
    pulled = A @ A1.T @ A1
    return weight * (pulled * A).sum()


# %% right: a lambda with einsum of three
penalty = lambda A, B, A1, B1, weight: weight * torch.einsum("id,jd,ie,je->", A1, A, A1, A)


# %% right: a mean that is scaled back
def penalty(A, B, A1, B1, weight):
    overlap = A1.matmul(A.mT)
    return weight * overlap.square().mean() * overlap.numel()


# %% right: the root of the weight in the overlap
def penalty(A, B, A1, B1, weight):
    return (math.sqrt(weight) * A1 @ A.t()).square().sum().item()


# %% sum-squared+writers: the pull request's own line
def penalty(A, B, A1, B1, weight):
    return weight * (B1.T @ B).sum() ** 2


# %% writers: the measure repaired, the factor not
def penalty(A, B, A1, B1, weight):
    return weight * (B1.T @ B).square().sum()


# %% sum-squared: the factor repaired, the measure not
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).sum() ** 2


# %% turned: rank with rank
def penalty(A, B, A1, B1, weight):
    return weight * (A1.T @ A).square().sum()


# %% sum: no square
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).sum()


# %% absolutes: the authors' code
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).abs().sum()


# %% mean: over the entries
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).square().mean()


# %% mean: mse_loss against zero
def penalty(A, B, A1, B1, weight):
    overlap = A1 @ A.T
    return weight * F.mse_loss(overlap, torch.zeros_like(overlap))


# %% norm: not squared
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).norm()


# %% diagonal: row by row
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T).diagonal().square().sum()


# %% no-weight: the measure alone
def penalty(A, B, A1, B1, weight):
    return (A1 @ A.T).square().sum()


# %% divided: by the weight
def penalty(A, B, A1, B1, weight):
    return (A1 @ A.T).square().sum() / weight


# %% absolutes+no-weight: the authors' measure alone
def penalty(A, B, A1, B1, weight):
    return torch.abs(A1 @ A.T).sum()


# %% unknown: both factors
def penalty(A, B, A1, B1, weight):
    return weight * ((A1 @ A.T).square().sum() + (B1.T @ B).square().sum())


# %% unknown: the products
def penalty(A, B, A1, B1, weight):
    return weight * ((B1 @ A1) * (B @ A)).sum() ** 2


# %% shape: a number for each pair of rows
def penalty(A, B, A1, B1, weight):
    return weight * (A1 @ A.T) ** 2


# %% raised: entry by entry
def penalty(A, B, A1, B1, weight):
    return weight * (A1 * A).sum() ** 2


# %% no-return: assigned
def penalty(A, B, A1, B1, weight):
    loss = weight * (A1 @ A.T).square().sum()
