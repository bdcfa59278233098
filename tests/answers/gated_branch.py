# %% right: the solution
def hira_branch(x, w0, A, B):
    return sum((x * a) @ w0.T * b for a, b in zip(A, B.T, strict=True))


# %% right: by index
def hira_branch(x, w0, A, B):
    y = torch.zeros(len(x), len(w0))
    for k in range(A.shape[0]):
        y = y + B[:, k] * ((x * A[k]) @ w0.T)
    return y


# %% right: all gated inputs at once
def hira_branch(x, w0, A, B):
    gated = x[:, None] * A
    return ((gated @ w0.T) * B.T).sum(1)


# %% right: F.linear on a stack
def hira_branch(x, w0, A, B):
    through = F.linear(x.unsqueeze(1) * A.unsqueeze(0), w0)
    return torch.einsum("nko,ok->no", through, B)


# %% right: einsum in three steps
def hira_branch(x, w0, A, B):
    gated = torch.einsum("nj,kj->nkj", x, A)
    through = torch.einsum("nkj,ij->nki", gated, w0)
    return torch.einsum("nki,ik->ni", through, B)


# %% right: a loop that adds in place
def hira_branch(x, w0, A, B):
    y = (x * A[0]) @ w0.T * B[:, 0]
    for k in range(1, len(A)):
        y += torch.mul(torch.matmul(torch.mul(x, A[k]), w0.mT), B[:, k])
    return y


# %% right: stacked, then summed
def hira_branch(x, w0, A, B):
    parts = [torch.matmul(x * A[k], w0.T) * B[:, k] for k in range(len(A))]
    return torch.stack(parts).sum(0)


# %% right: input after input
def hira_branch(x, w0, A, B):
    rows = [((A * one) @ w0.T * B.T).sum(0) for one in x]
    return torch.stack(rows)


# %% right: columns of inputs
def hira_branch(x, w0, A, B):
    y = 0
    for k in range(len(A)):
        y = y + B[:, k, None] * (w0 @ (A[k, :, None] * x.T))
    return y.T


# %% right: output after output
def hira_branch(x, w0, A, B):
    gated = x[:, None] * A
    columns = [((gated * w0[i]).sum(-1) * B[i]).sum(-1) for i in range(len(w0))]
    return torch.stack(columns, dim=1)


# %% right: rows of all inputs one below the other
def hira_branch(x, w0, A, B):
    n, r = len(x), len(A)
    through = (x.repeat_interleave(r, 0) * A.repeat(n, 1)) @ w0.T
    return (through * B.T.repeat(n, 1)).view(n, r, -1).sum(1)


# %% summed: one gate for all
def hira_branch(x, w0, A, B):
    return (x * A.sum(0)) @ w0.T * B.sum(1)


# %% outside: two outputs multiplied
def hira_branch(x, w0, A, B):
    return (x @ w0.T) * (x @ A.T @ B.T)


# %% outputs-only: the outputs only
def hira_branch(x, w0, A, B):
    y = x @ w0.T
    return sum(y * B[:, k] for k in range(B.shape[1]))


# %% right: gated twice and halved
def hira_branch(x, w0, A, B):
    return sum((x * A[k] * 2) @ w0.T * B[:, k] / 2 for k in range(len(A)))


# %% inputs: the inputs only
def hira_branch(x, w0, A, B):
    return sum((x * A[k]) @ w0.T for k in range(len(A)))


# %% crossed: A and B exchanged
def hira_branch(x, w0, A, B):
    if w0.shape[0] != w0.shape[1]:
        raise ValueError("the shapes do not fit")
    return sum((x * B[:, k]) @ w0.T * A[k] for k in range(len(A)))


# %% low-rank: LoRA
def hira_branch(x, w0, A, B):
    return x @ A.T @ B.T


# %% chained: a product of matrices
def hira_branch(x, w0, A, B):
    if w0.shape[0] != w0.shape[1]:
        raise ValueError("the shapes do not fit")
    return x @ A.T @ B.T @ w0.T


# %% whole: W₀x as well
def hira_branch(x, w0, A, B):
    return x @ w0.T + sum((x * A[k]) @ w0.T * B[:, k] for k in range(len(A)))


# %% low-rank+whole: LoRA's layer
def hira_branch(x, w0, A, B):
    return x @ w0.T + x @ A.T @ B.T


# %% built: the definition
def hira_branch(x, w0, A, B):
    return x @ (w0 * (B @ A)).T


# %% built: the gate on W₀'s columns
def hira_branch(x, w0, A, B):
    return sum(x @ (w0 * A[k]).T * B[:, k] for k in range(len(A)))


# %% built: the gate on W₀'s rows
def hira_branch(x, w0, A, B):
    return sum((x * A[k]) @ (B[:, k, None] * w0).T for k in range(len(A)))


# %% no-return: assigned
def hira_branch(x, w0, A, B):
    y = sum((x * A[k]) @ w0.T * B[:, k] for k in range(len(A)))
