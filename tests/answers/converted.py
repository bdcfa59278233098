# %% right: √ in both
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    return root[:, None] * vt[:r], u[:, :r] * root


# %% right: all of Σ in B
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return vt[:r], u[:, :r] * sigma[:r] / (alpha / r)


# %% right: all of Σ in A
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return torch.diag(sigma[:r]) @ vt[:r] * (r / alpha), u[:, :r]


# %% right: projected onto its directions
def nearest_lora(w0, w, r, alpha):
    change = w - w0
    u = torch.linalg.svd(change).U[:, :r]
    return u.T @ change * r / alpha, u


# %% right: through the eigenvectors of ΔWᵀΔW
def nearest_lora(w0, w, r, alpha):
    change = (w - w0).double()
    _, v = torch.linalg.eigh(change.T @ change)
    a = v[:, -r:].T
    return a, change @ a.T * (r / alpha)


# %% right: NumPy
def nearest_lora(w0, w, r, alpha):
    import numpy as np

    u, s, vt = np.linalg.svd(w.numpy() - w0.numpy(), full_matrices=False)
    return vt[:r], u[:, :r] * s[:r] * r / alpha


# %% right: full matrices
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0)
    return vt[:r] * r, u[:, :r] * sigma[:r] / alpha


# %% right: double precision
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w.double() - w0.double(), full_matrices=False)
    s = alpha / r
    return (sigma[:r] / s).sqrt().diag() @ vt[:r], u[:, :r] @ (sigma[:r] / s).sqrt().diag()


# %% right: a list of two
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd((w - w0) / (alpha / r), full_matrices=False)
    return [vt[:r], u[:, :r] * sigma[:r]]


# %% right: a loop over ranks
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    a = torch.stack([vt[i] for i in range(r)])
    b = torch.stack([u[:, i] * sigma[i] for i in range(r)], dim=1)
    return a, b * r / alpha


# %% whole: the SVD of W
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w, full_matrices=False)
    return vt[:r], u[:, :r] * sigma[:r] * r / alpha


# %% reversed: W₀ − W
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w0 - w, full_matrices=False)
    return vt[:r], u[:, :r] * sigma[:r] * r / alpha


# %% no-scale: BA is the change
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    root = sigma[:r].sqrt()
    return root[:, None] * vt[:r], u[:, :r] * root


# %% multiplied: by α/r
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return vt[:r], u[:, :r] * sigma[:r] * alpha / r


# %% divided-twice: in both
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return vt[:r] * r / alpha, u[:, :r] * sigma[:r] * r / alpha


# %% sigma-twice: Σ in both
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return sigma[:r, None] * vt[:r] * r / alpha, u[:, :r] * sigma[:r]


# %% no-sigma: directions alone
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return vt[:r] * r / alpha, u[:, :r]


# %% no-scale+whole: both
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w, full_matrices=False)
    return vt[:r], u[:, :r] * sigma[:r]


# %% swapped: B first
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return u[:, :r] * sigma[:r] * r / alpha, vt[:r]


# %% shape: all of them
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return vt, u * sigma * r / alpha


# %% parts: one value
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return u[:, :r] * sigma[:r] @ vt[:r]


# %% smallest: the last ones that are not zero
def nearest_lora(w0, w, r, alpha):
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    return vt[4 - r : 4], u[:, 4 - r : 4] * sigma[4 - r : 4] * r / alpha


# %% unknown: unit factors of another rank
def nearest_lora(w0, w, r, alpha):
    return torch.ones(r, w.shape[1]), torch.ones(w.shape[0], r)
