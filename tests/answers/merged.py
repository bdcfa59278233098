# %% right: the solution
def merged_update(A, B, s, w):
    return ((w * s)[:, None, None] * (B @ A)).sum(0)


# %% right: einsum
def merged_update(A, B, s, w):
    return torch.einsum("n,nor,nri->oi", w * s, B, A)


# %% right: a loop
def merged_update(A, B, s, w):
    total = 0
    for a, b, scale, weight in zip(A, B, s, w):
        total = total + weight * scale * (b @ a)
    return total


# %% right: side by side: one product of rank n·r
def merged_update(A, B, s, w):
    return torch.cat(list(B), dim=1) @ torch.cat([x * y * a for a, x, y in zip(A, s, w)])


# %% right: tensordot
def merged_update(A, B, s, w):
    return torch.tensordot(w * s, torch.bmm(B, A), dims=1)


# %% right: NumPy
def merged_update(A, B, s, w):
    return np.einsum("n,n,nor,nri->oi", w.numpy(), s.numpy(), B.numpy(), A.numpy())


# %% right: weights on A
def merged_update(A, B, s, w):
    return (B @ (A * (w * s)[:, None, None])).sum(dim=0)


# %% right: roots on both factors, each product by itself
def merged_update(A, B, s, w):
    root = (w * s).sqrt()[:, None, None]
    return ((root * B) @ (root * A)).sum(0)


# %% right: from zeros
def merged_update(A, B, s, w):
    delta = torch.zeros(B.shape[1], A.shape[2])
    for i in range(len(w)):
        delta += s[i] * w[i] * B[i] @ A[i]
    return delta


# %% right: float64
def merged_update(A, B, s, w):
    return sum(x * y * (b.double() @ a.double()) for a, b, x, y in zip(A, B, s.double(), w.double()))


# %% right: functools
def merged_update(A, B, s, w):
    terms = [x * y * b.matmul(a) for a, b, x, y in zip(A, B, s, w)]
    return functools.reduce(torch.add, terms)


# %% right: on a unit matrix
def merged_update(A, B, s, w):
    eye = torch.eye(A.shape[-1])
    return sum(y * x * F.linear(F.linear(eye, a), b).T for a, b, x, y in zip(A, B, s, w))


# %% right: a lambda
merged_update = lambda A, B, s, w: (w.view(-1, 1, 1) * s.view(-1, 1, 1) * torch.matmul(B, A)).sum(0)


# %% sums: the pull request's own line
def merged_update(A, B, s, w):
    return s[0] * (w[:, None, None] * B).sum(0) @ (w[:, None, None] * A).sum(0)


# %% no-scale+sums: without any scale
def merged_update(A, B, s, w):
    return (w[:, None, None] * B).sum(0) @ (w[:, None, None] * A).sum(0)


# %% roots: PEFT's linear
def merged_update(A, B, s, w):
    root = (w * s).sqrt()[:, None, None]
    return (root * B).sum(0) @ (root * A).sum(0)


# %% first-scale: one scale for all
def merged_update(A, B, s, w):
    return s[0] * (w[:, None, None] * (B @ A)).sum(0)


# %% no-scale: weights alone
def merged_update(A, B, s, w):
    return (w[:, None, None] * (B @ A)).sum(0)


# %% no-weight: scales alone
def merged_update(A, B, s, w):
    return (s[:, None, None] * (B @ A)).sum(0)


# %% squared: weights on both factors
def merged_update(A, B, s, w):
    B, A = w[:, None, None] * B, w[:, None, None] * A
    return (s[:, None, None] * (B @ A)).sum(0)


# %% mean: a mean in place of the sum
def merged_update(A, B, s, w):
    return ((w * s)[:, None, None] * (B @ A)).mean(0)


# %% normed: weights made to add up to one
def merged_update(A, B, s, w):
    return ((w / w.sum() * s)[:, None, None] * (B @ A)).sum(0)


# %% no-scale+no-weight: bare products
def merged_update(A, B, s, w):
    return (B @ A).sum(0)


# %% mean+no-weight: the plain average
def merged_update(A, B, s, w):
    return (s[:, None, None] * (B @ A)).mean(0)


# %% unknown: weights on B only, sums multiplied
def merged_update(A, B, s, w):
    return s.mean() * (w[:, None, None] * B).sum(0) @ A.sum(0)


# %% shape: no sum
def merged_update(A, B, s, w):
    return (w * s)[:, None, None] * (B @ A)


# %% raised: the other way round
def merged_update(A, B, s, w):
    return ((w * s)[:, None, None] * (A @ B @ B)).sum(0)


# %% no-return: assigned
def merged_update(A, B, s, w):
    delta = ((w * s)[:, None, None] * (B @ A)).sum(0)
