# %% right: the solution
def pissa_start(w0, r, alpha):
    s = alpha / r
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] / s).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - s * B @ A, A, B


# %% right: what is left, from the other directions
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = torch.sqrt(sigma[:r] * r / alpha)
    return (u[:, r:] * sigma[r:]) @ vt[r:], torch.diag(root) @ vt[:r], u[:, :r] @ torch.diag(root)


# %% right: the old interface, whose V is not transposed
def pissa_start(w0, r, alpha):
    u, sigma, v = torch.svd(w0)
    root = (sigma[:r] / (alpha / r)) ** 0.5
    A, B = (v[:, :r] * root).T, u[:, :r] * root
    return w0 - alpha / r * (B @ A), A, B


# %% right: NumPy
def pissa_start(w0, r, alpha):
    w = w0.numpy()
    u, sigma, vt = np.linalg.svd(w, full_matrices=False)
    root = np.sqrt(sigma[:r] * r / alpha)
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w - alpha / r * B @ A, A, B


# %% right: float64
def pissa_start(w0, r, alpha):
    w = w0.double()
    u, sigma, vt = torch.linalg.svd(w, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w - alpha / r * B @ A, A, B


# %% right: lists
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return [(w0 - alpha / r * B @ A).tolist(), A.tolist(), B.tolist()]


# %% right: the other sign
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = -root[:, None] * vt[:r], -u[:, :r] * root
    return w0 - alpha / r * B @ A, A, B


# %% right: parameters
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = nn.Parameter(root[:, None] * vt[:r]), nn.Parameter(u[:, :r] * root)
    return (w0 - alpha / r * B @ A).detach(), A, B


# %% right: the whole SVD
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0)
    A = torch.stack([(sigma[k] * r / alpha).sqrt() * vt[k] for k in range(r)])
    B = torch.stack([(sigma[k] * r / alpha).sqrt() * u[:, k] for k in range(r)], dim=1)
    return w0.sub(B @ A, alpha=alpha / r), A, B


# %% right: eigenvectors
def pissa_start(w0, r, alpha):
    values, vectors = torch.linalg.eigh(w0.T @ w0)
    v, sigma = vectors[:, -r:].flip(1), values[-r:].flip(0).sqrt()
    u = w0 @ v / sigma
    root = (sigma * r / alpha).sqrt()
    A, B = root[:, None] * v.T, u * root
    return w0 - alpha / r * B @ A, A, B


# %% right: the fourth root, of W₀W₀ᵀ's eigenvalues
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma**2)[:r] ** 0.25 / (alpha / r) ** 0.5
    A, B = torch.einsum("k,kj->kj", root, vt[:r]), torch.einsum("ik,k->ik", u[:, :r], root)
    return w0 - (alpha / r) * torch.einsum("ik,kj->ij", B, A), A, B


# %% pulled: the pull request
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = sigma[:r].sqrt()
    return w0, root[:, None] * vt[:r], u[:, :r] * root


# %% whole: W₀ is not replaced
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    return w0, root[:, None] * vt[:r], u[:, :r] * root


# %% at-alpha-r: no s anywhere
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = sigma[:r].sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - B @ A, A, B


# %% unscaled: s in what is left only
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = sigma[:r].sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - alpha / r * B @ A, A, B


# %% no-s: s in the factors only
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - B @ A, A, B


# %% added: the wrong sign
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 + alpha / r * B @ A, A, B


# %% root-once: √σ in A only
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    A, B = sigma[:r].sqrt()[:, None] * vt[:r], u[:, :r] * r / alpha
    return w0 - alpha / r * B @ A, A, B


# %% both: σ in both
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    A, B = sigma[:r, None] * vt[:r], u[:, :r] * sigma[:r] * r / alpha
    return w0 - alpha / r * B @ A, A, B


# %% no-sigma: the directions alone
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    A, B = vt[:r], u[:, :r] * r / alpha
    return w0 - alpha / r * B @ A, A, B


# %% weakest: the last ones
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[-r:] * r / alpha).sqrt()
    A, B = root[:, None] * vt[-r:], u[:, -r:] * root
    return w0 - alpha / r * B @ A, A, B


# %% uneven: all of σ in B
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    A, B = vt[:r], u[:, :r] * sigma[:r] * r / alpha
    return w0 - alpha / r * B @ A, A, B


# %% uneven: s in A only
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = sigma[:r].sqrt()
    A, B = root[:, None] * vt[:r] * r / alpha, u[:, :r] * root
    return w0 - alpha / r * B @ A, A, B


# %% swapped: B before A
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - alpha / r * B @ A, B, A


# %% shape: V not transposed
def pissa_start(w0, r, alpha):
    u, sigma, v = torch.svd(w0)
    root = (sigma[:r] * r / alpha).sqrt()
    A, B = v[:, :r] * root, u[:, :r] * root
    return w0 - alpha / r * B @ A.T, A, B


# %% weakest+whole: the last ones, and W₀ stays
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[-r:] * r / alpha).sqrt()
    return w0, root[:, None] * vt[-r:], u[:, -r:] * root


# %% unknown: rsLoRA's scale
def pissa_start(w0, r, alpha):
    s = alpha / r**0.5
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] / s).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - s * B @ A, A, B


# %% parts: the factors alone
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    return root[:, None] * vt[:r], u[:, :r] * root


# %% raised: √σ on the wrong side of U
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    return w0, root[:, None] * vt[:r], root[:, None] @ u[:, :r]


# %% no-return: nothing
def pissa_start(w0, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)


# %% outside-root: √σ/s in each
def pissa_start(w0, r, alpha):
    s = alpha / r
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = sigma[:r].sqrt() / s
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - s * B @ A, A, B
