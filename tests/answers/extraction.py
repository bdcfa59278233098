# %% right: the solution
def extract(delta, r, alpha):
    u, sigma, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * sigma[:r] * (r / alpha), vt[:r]


# %% right: the roots in both
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    root = (s[:r] * r / alpha).sqrt()
    return u[:, :r] * root, root[:, None] * vt[:r]


# %% right: all of σ in A
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta)
    return [u[:, :r], torch.diag(s[:r]) @ vt[:r] / (alpha / r)]


# %% right: the old interface, whose V is not transposed
def extract(delta, r, alpha):
    u, s, v = torch.svd(delta)
    return u[:, :r] @ torch.diag(s[:r]) * r / alpha, v[:, :r].T


# %% right: NumPy
def extract(delta, r, alpha):
    u, s, vt = np.linalg.svd(delta.numpy(), full_matrices=False)
    return u[:, :r] * s[:r] * r / alpha, vt[:r, :]


# %% right: float64
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta.double(), full_matrices=False)
    return (u[:, :r] * s[:r] / (alpha / r)).contiguous(), vt[:r].contiguous()


# %% right: lists
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return (u[:, :r] * s[:r] * r / alpha).tolist(), vt[:r].tolist()


# %% right: eigenvectors, and a projection
def extract(delta, r, alpha):
    vectors = torch.linalg.eigh(delta.T @ delta).eigenvectors
    a = vectors[:, -r:].T
    return delta @ a.T * (r / alpha), a


# %% right: a named tuple
from collections import namedtuple

Factors = namedtuple("Factors", "B A")


def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return Factors(B=u[:, :r] * s[:r] * (r / alpha), A=vt[:r])


# %% right: the other sign, and another basis
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    q = torch.linalg.qr(torch.randn(r, r))[0]
    return -(u[:, :r] * s[:r]) @ q * (r / alpha), -q.T @ vt[:r]


# %% right: parameters
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return nn.Parameter(u[:, :r] * s[:r] * r / alpha), nn.Parameter(vt[:r])


# %% right: power iteration
def extract(delta, r, alpha):
    a = torch.linalg.qr(torch.randn(delta.shape[1], r))[0]
    for _ in range(600):
        a = torch.linalg.qr(delta.T @ (delta @ a))[0]
    return delta @ a * (r / alpha), a.T


# %% right: a loop over the ranks
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta)
    B, A = torch.zeros(delta.shape[0], r), torch.zeros(r, delta.shape[1])
    for k in range(r):
        B[:, k] = u[:, k] * s[k] * r / alpha
        A[k] = vt[k]
    return B, A


# %% no-scale: the layer multiplies once more
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r], vt[:r]


# %% twice: multiplied
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r] * alpha / r, vt[:r]


# %% divided-twice: in both
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r] * r / alpha, vt[:r] * r / alpha


# %% both-sides: σ in both
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r] * r / alpha, s[:r, None] * vt[:r]


# %% no-sigma: forgotten
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * r / alpha, vt[:r]


# %% root-once: the root in one
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r].sqrt() * r / alpha, vt[:r]


# %% weakest: the last ones
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, -r:] * s[-r:] * r / alpha, vt[-r:]


# %% swapped: A first
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return vt[:r], u[:, :r] * s[:r] * r / alpha


# %% no-scale+no-sigma: directions only
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r], vt[:r]


# %% no-scale+weakest: the last, and no scale
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, -r:] * s[-r:], vt[-r:]


# %% both-sides+no-scale: σ in both, and no scale
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    s = torch.diag(s[:r])
    return u[:, :r] @ s, s @ vt[:r]


# %% parts: the update itself
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r] @ vt[:r] * r / alpha


# %% parts: the three of them
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r], s[:r], vt[:r]


# %% shape: V not transposed
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r] * r / alpha, vt[:, :r]


# %% shape: the full rank
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u * s * r / alpha, vt


# %% unknown: rsLoRA's scale
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * s[:r] * r**0.5 / alpha, vt[:r]


# %% unknown: rows of delta
def extract(delta, r, alpha):
    return torch.eye(delta.shape[0])[:, :r] * r / alpha, delta[:r]


# %% unknown: random factors
def extract(delta, r, alpha):
    return torch.ones(delta.shape[0], r), torch.ones(r, delta.shape[1])


# %% no-return: nothing
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    B, A = u[:, :r] * s[:r] * r / alpha, vt[:r]


# %% no-return: None in the place of A
def extract(delta, r, alpha):
    return torch.zeros(delta.shape[0], r), None


# %% raised: σ on the wrong side
def extract(delta, r, alpha):
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    return (s[:r, None] @ u[:, :r]) * r / alpha, vt[:r]
