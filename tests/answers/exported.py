# %% right: the solution
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), alpha * R / r**0.5


# %% right: zeros that are filled
def for_server(A, B, alpha, R):
    r = A.shape[0]
    wide_a, wide_b = torch.zeros(R, A.shape[1]), torch.zeros(B.shape[0], R)
    wide_a[:r], wide_b[:, :r] = A, B
    return wide_a, wide_b, alpha / math.sqrt(r) * R


# %% right: concatenated
def for_server(A, B, alpha, R):
    r = len(A)
    more = R - r
    a = torch.cat([A, torch.zeros(more, A.shape[1])])
    b = torch.cat([B, torch.zeros(len(B), more)], dim=1)
    return [a, b, R * alpha * r**-0.5]


# %% right: α stays, B carries the scale
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B * R / r**0.5, (0, R - r)), alpha


# %% right: α is R, so that the server multiplies by 1
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(alpha / r**0.5 * A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), R


# %% right: random rows where B is zero
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return torch.cat([A, torch.randn(R - r, A.shape[1])]), F.pad(B, (0, R - r)), alpha * R / r**0.5


# %% right: random columns where A is zero
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), torch.cat([B, torch.ones(len(B), R - r)], 1), alpha * R / r**0.5


# %% right: NumPy
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return np.pad(A.numpy(), ((0, R - r), (0, 0))), np.pad(B.numpy(), ((0, 0), (0, R - r))), alpha * R / np.sqrt(r)


# %% right: lists
def for_server(A, B, alpha, R):
    r = len(A)
    a = A.tolist() + [[0.0] * A.shape[1] for _ in range(R - r)]
    return a, [row + [0.0] * (R - r) for row in B.tolist()], alpha * R / r**0.5


# %% right: α as a tensor
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), torch.tensor(alpha * R / r**0.5)


# %% right: the padding in front
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, R - r, 0)), F.pad(B, (R - r, 0)), alpha * R / r**0.5


# %% right: the SVD of the update
def for_server(A, B, alpha, R):
    u, s, vt = torch.linalg.svd(alpha / A.shape[0] ** 0.5 * B @ A, full_matrices=False)
    return vt[:R], u[:, :R] * s[:R], R


# %% kept: α as it is
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), alpha


# %% old-rank: α√r
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), alpha * r**0.5


# %% new-rank: α√R
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), alpha * R**0.5


# %% plain: LoRA's scale
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), alpha * R / r


# %% scale: s in the place of α
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), alpha / r**0.5


# %% unpadded: the scale alone
def for_server(A, B, alpha, R):
    return A, B, alpha * A.shape[0] ** 0.5


# %% swapped: B first
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(B, (0, R - r)), F.pad(A, (0, 0, 0, R - r)), alpha * R / r**0.5


# %% shape: A is padded, B is not
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), B, alpha * R / r**0.5


# %% shape: α as a list
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r)), [alpha * R / r**0.5]


# %% unknown: repeated until it fits
def for_server(A, B, alpha, R):
    r = A.shape[0]
    i = torch.arange(R) % r
    return A[i], B[:, i], alpha * R / r**0.5


# %% parts: α is forgotten
def for_server(A, B, alpha, R):
    r = A.shape[0]
    return F.pad(A, (0, 0, 0, R - r)), F.pad(B, (0, R - r))


# %% no-return: nothing
def for_server(A, B, alpha, R):
    alpha = alpha * R / A.shape[0] ** 0.5
