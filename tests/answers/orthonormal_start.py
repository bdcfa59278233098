# %% right: the solution
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0
    return w0 - alpha / r * B @ A, A, B


# %% right: the whole QR
def olora_start(w0, r, alpha):
    q, upper = torch.linalg.qr(w0)
    A, B = upper[:r], q[:, :r]
    return w0 - alpha / r * B @ A, A, B


# %% right: NumPy
def olora_start(w0, r, alpha):
    q, upper = np.linalg.qr(w0.numpy())
    A, B = upper[:r], q[:, :r]
    return w0.numpy() - alpha / r * B @ A, A, B


# %% right: float64
def olora_start(w0, r, alpha):
    w = w0.double()
    B = torch.linalg.qr(w[:, :r]).Q
    A = B.T @ w
    return w - alpha / r * B @ A, A, B


# %% right: lists
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0
    return [(w0 - alpha / r * B @ A).tolist(), A.tolist(), B.tolist()]


# %% right: the other sign
def olora_start(w0, r, alpha):
    B = -torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0
    return w0 - alpha / r * (B @ A), A, B


# %% right: an SVD of the columns
def olora_start(w0, r, alpha):
    B = torch.linalg.svd(w0[:, :r], full_matrices=False)[0]
    A = B.T @ w0
    return w0 - alpha / r * (B @ A), A, B


# %% right: complete
def olora_start(w0, r, alpha):
    q, upper = torch.linalg.qr(w0, mode="complete")
    A, B = upper[:r].contiguous(), q[:, :r].contiguous()
    return w0.sub(B @ A, alpha=alpha / r), A, B


# %% right: parameters
def olora_start(w0, r, alpha):
    B = nn.Parameter(torch.linalg.qr(w0[:, :r])[0])
    A = nn.Parameter((B.T @ w0).detach())
    return (w0 - alpha / r * B @ A).detach(), A, B


# %% right: by Gram and Schmidt
def olora_start(w0, r, alpha):
    columns = []
    for j in range(r):
        left = w0[:, j].clone()
        for q in columns:
            left -= q @ left * q
        columns.append(left / left.norm())
    B = torch.stack(columns, dim=1)
    A = B.T @ w0
    return w0 - alpha / r * B @ A, A, B


# %% right: einsum
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    A = torch.einsum("ik,ij->kj", B, w0)
    return w0 - alpha / r * torch.einsum("ik,kj->ij", B, A), A, B


# %% pulled: the pull request
def olora_start(w0, r, alpha):
    q, upper = torch.linalg.qr(w0)
    A, B = upper[:r], q[:, :r]
    return w0 - B @ A, A, B


# %% whole: W₀ is not replaced
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    return w0, B.T @ w0, B


# %% added: the wrong sign
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0
    return w0 + alpha / r * B @ A, A, B


# %% divided: as PiSSA
def olora_start(w0, r, alpha):
    s = alpha / r
    B = torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0 / s
    return w0 - s * B @ A, A, B


# %% last: the end of Q
def olora_start(w0, r, alpha):
    q, upper = torch.linalg.qr(w0)
    A, B = upper[-r:], q[:, -r:]
    return w0 - alpha / r * B @ A, A, B


# %% rows: the transpose
def olora_start(w0, r, alpha):
    q, upper = torch.linalg.qr(w0.T)
    A, B = q[:, :r].T, upper[:r].T
    return w0 - alpha / r * B @ A, A, B


# %% divided+pulled: as PiSSA, in the pull request
def olora_start(w0, r, alpha):
    s = alpha / r
    q, upper = torch.linalg.qr(w0)
    A, B = upper[:r] / s, q[:, :r]
    return w0 - B @ A, A, B


# %% oblique: R in B
def olora_start(w0, r, alpha):
    A = torch.linalg.qr(w0[:, :r])[0].T @ w0
    root = A.norm(dim=1).sqrt()
    B = torch.linalg.qr(w0[:, :r])[0] * root
    A = A / root[:, None]
    return w0 - alpha / r * B @ A, A, B


# %% swapped: B before A
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0
    return w0 - alpha / r * B @ A, B, A


# %% shape: the small R
def olora_start(w0, r, alpha):
    B, A = torch.linalg.qr(w0[:, :r])
    return w0, A, B


# %% strongest: the strongest directions
def olora_start(w0, r, alpha):
    B = torch.linalg.svd(w0, full_matrices=False)[0][:, :r]
    A = B.T @ w0
    return w0 - alpha / r * B @ A, A, B


# %% parts: the factors alone
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    return B.T @ w0, B


# %% raised: rows of W₀
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]
    return w0 - B @ (w0 @ B), w0 @ B, B


# %% no-return: nothing
def olora_start(w0, r, alpha):
    B = torch.linalg.qr(w0[:, :r])[0]


# %% pissa: PiSSA's start, √(σ/s) in each
def olora_start(w0, r, alpha):
    s = alpha / r
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] / s).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - s * B @ A, A, B
