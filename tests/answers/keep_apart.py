# %% right: the solution
def stay_outside(A, earlier):
    q = torch.linalg.qr(earlier.T).Q
    return A - A @ q @ q.T


# %% right: a pseudo-inverse
def stay_outside(A, earlier):
    return A - A @ torch.linalg.pinv(earlier) @ earlier


# %% right: the inverse in the middle
def stay_outside(A, earlier):
    return A - A @ earlier.T @ torch.linalg.inv(earlier @ earlier.T) @ earlier


# %% right: solve
def stay_outside(A, earlier):
    coefficients = torch.linalg.solve(earlier @ earlier.T, earlier @ A.T)
    return A - coefficients.T @ earlier


# %% right: least squares
def stay_outside(A, earlier):
    return A - (earlier.T @ torch.linalg.lstsq(earlier.T, A.T).solution).T


# %% right: the right singular vectors
def stay_outside(A, earlier):
    _, s, vt = torch.linalg.svd(earlier, full_matrices=False)
    v = vt[s > 1e-6 * s.max()]
    return A - (A @ v.T) @ v


# %% right: what spans the rest
def stay_outside(A, earlier):
    full = torch.linalg.svd(earlier.double(), full_matrices=True)[2]
    rest = full[earlier.shape[0] :]
    return A.double() @ rest.T @ rest


# %% right: Gram and Schmidt
def stay_outside(A, earlier):
    basis = []
    for row in earlier:
        for q in basis:
            row = row - (row @ q) * q
        basis.append(row / row.norm())
    for q in basis:
        A = A - torch.outer(A @ q, q)
    return A


# %% right: NumPy
def stay_outside(A, earlier):
    q, _ = np.linalg.qr(earlier.numpy().T)
    return A.numpy() @ (np.eye(len(q)) - q @ q.T)


# %% right: a projector, row by row
def stay_outside(A, earlier):
    away = torch.eye(A.shape[1]) - torch.linalg.pinv(earlier) @ earlier
    return torch.stack([away @ row for row in A])


# %% right: the library's own
def stay_outside(A, earlier):
    from lorabook.many.row_space import outside, row_basis

    return outside(A.double(), row_basis(earlier))


# %% right: a lambda
stay_outside = lambda A, earlier: A - (q := torch.linalg.qr(earlier.T)[0]).matmul(q.T).matmul(A.T).T


# %% right: one after the other, many times over
def stay_outside(A, earlier):
    A, earlier = A.double(), F.normalize(earlier.double())
    for _ in range(3000):
        for q in earlier:
            A = A - torch.outer(A @ q, q)
    return A


# %% one-by-one: all subtracted
def stay_outside(A, earlier):
    q = F.normalize(earlier)
    return A - A @ q.T @ q


# %% in-turn: one row after the other
def stay_outside(A, earlier):
    for row in earlier:
        A = A - torch.outer(A @ row, row) / (row @ row)
    return A


# %% not-normed: as if orthonormal
def stay_outside(A, earlier):
    return A - A @ earlier.T @ earlier


# %% last: only the task before
def stay_outside(A, earlier):
    q = F.normalize(earlier[-1:])
    return A - A @ q.T @ q


# %% first: only the first
def stay_outside(A, earlier):
    q = earlier[0] / earlier[0].norm()
    return A - torch.outer(A @ q, q)


# %% inside: the part itself
def stay_outside(A, earlier):
    return A @ torch.linalg.pinv(earlier) @ earlier


# %% mirror: twice
def stay_outside(A, earlier):
    q = torch.linalg.qr(earlier.T).Q
    return A - 2 * A @ q @ q.T


# %% added: the sign
def stay_outside(A, earlier):
    q = torch.linalg.qr(earlier.T).Q
    return A + A @ q @ q.T


# %% inside+one-by-one: the sum of the parts
def stay_outside(A, earlier):
    q = F.normalize(earlier)
    return A @ q.T @ q


# %% added+not-normed: as if orthonormal, and added
def stay_outside(A, earlier):
    return A + A @ earlier.T @ earlier


# %% raised: the inverse last, which needs equal ranks
def stay_outside(A, earlier):
    return A - torch.linalg.inv(earlier @ earlier.T) @ (A @ earlier.T) @ earlier


# %% shape: the rows of the others
def stay_outside(A, earlier):
    q = torch.linalg.qr(A.T).Q
    return torch.cat([earlier, A]) - torch.cat([earlier, A]) @ q @ q.T


# %% unknown: orthonormal rows of what is left
def stay_outside(A, earlier):
    q = torch.linalg.qr(earlier.T).Q
    return F.normalize(A - A @ q @ q.T)


# %% raised: QR of the rows, not of the columns
def stay_outside(A, earlier):
    q = torch.linalg.qr(earlier).Q
    return A - A @ q @ q.T


# %% no-return: in a helper
def stay_outside(A, earlier):
    q = torch.linalg.qr(earlier.T).Q
    A = A - A @ q @ q.T
