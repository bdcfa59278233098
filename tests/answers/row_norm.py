# %% right: the solution
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T) + b


# %% right: F.linear on the weight
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * (B @ A)
    W = (m / V.detach().norm(dim=1))[:, None] * V
    return F.linear(x, W, b)


# %% right: two paths, the norm by the identity
def dora_layer(x, W0, b, A, B, m, s):
    with torch.no_grad():
        cross = (W0 @ A.T * B).sum(1)
        square = (B @ (A @ A.T) * B).sum(1)
        norms = (W0.square().sum(1) + 2 * s * cross + s * s * square).sqrt()
    return (x @ W0.T + s * (x @ A.T) @ B.T) * (m / norms) + b


# %% right: keepdim
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    W = m.unsqueeze(1) * V / V.norm(p=2, dim=1, keepdim=True).detach()
    return x @ W.T + b


# %% right: linalg
def dora_layer(x, W0, b, A, B, m, s):
    V = torch.addmm(W0, B, A, alpha=s)
    factor = m / torch.linalg.vector_norm(V.data, dim=-1)
    return factor * F.linear(x, V) + b


# %% right: einsum
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * torch.einsum("or,ri->oi", B, A)
    norms = torch.einsum("oi,oi->o", V, V).sqrt().detach()
    return torch.einsum("o,oi,ni->no", m / norms, V, x) + b


# %% right: the transpose, as in the paper
def dora_layer(x, W0, b, A, B, m, s):
    V = W0.T + s * (A.T @ B.T)
    return x @ (V * (m / V.norm(dim=0).detach())) + b


# %% right: row by row
def dora_layer(x, W0, b, A, B, m, s):
    outputs = []
    for i in range(len(W0)):
        v = W0[i] + s * B[i] @ A
        outputs.append(m[i] * (x @ v) / v.norm().item() + b[i])
    return torch.stack(outputs, dim=1)


# %% right: the norm under no_grad
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    with torch.no_grad():
        norms = V.square().sum(dim=1).sqrt()
    return (x @ V.T) * m / norms + b


# %% right: what PEFT does, the base's output and the difference
def dora_layer(x, W0, b, A, B, m, s):
    base = F.linear(x, W0)
    lora = s * F.linear(F.linear(x, A), B)
    norms = (W0 + s * (B @ A)).norm(dim=1).detach()
    scale = m / norms
    return base + b + (scale - 1) * base + scale * lora


# %% right: NumPy for the norm
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    norms = torch.tensor(np.linalg.norm(V.detach().numpy(), axis=1))
    return (x @ V.T) * (m / norms) + b


# %% columns: dim=0
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.norm(dim=0).detach() * (x @ V.T) + b


# %% bias+columns: the pull request
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.norm(dim=0) * (x @ V.T + b)


# %% bias: scaled with its row
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T + b)


# %% no-bias: forgotten
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T)


# %% stale: the norm of W₀
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / W0.norm(dim=1).detach() * (x @ V.T) + b


# %% unnormed: V as the direction
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m * (x @ V.T) + b


# %% squared: no root
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.square().sum(1).detach() * (x @ V.T) + b


# %% no-scale: s forgotten
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T) + b


# %% scale-twice: on A and on the product
def dora_layer(x, W0, b, A, B, m, s):
    A = s * A
    V = W0 + s * B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T) + b


# %% in-graph: the norm not detached
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return m / V.norm(dim=1) * (x @ V.T) + b


# %% in-graph: everything detached but m
def dora_layer(x, W0, b, A, B, m, s):
    V = (W0 + s * B @ A).detach()
    return m / V.norm(dim=1) * (x @ V.T) + b


# %% m-still: the factor detached
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + s * B @ A
    return (m / V.norm(dim=1)).detach() * (x @ V.T) + b


# %% bias+no-scale: two mistakes
def dora_layer(x, W0, b, A, B, m, s):
    V = W0 + B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T + b)
