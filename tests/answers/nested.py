# %% right: the solution
def branch_at(x, A, B, alpha, b, frozen):
    A, B = A[:b], B[:, :b]
    if frozen:
        A = torch.cat([A[:-1].detach(), A[-1:]])
        B = torch.cat([B[:, :-1].detach(), B[:, -1:]], dim=1)
    return alpha / b * (x @ A.T) @ B.T


# %% right: two products, one of them still
def branch_at(x, A, B, alpha, b, frozen):
    k = b - 1 if frozen else 0
    still = x @ A[:k].detach().T @ B[:, :k].detach().T
    return alpha / b * (still + x @ A[k:b].T @ B[:, k:b].T)


# %% right: F.linear
def branch_at(x, A, B, alpha, b, frozen):
    k = frozen * (b - 1)
    low = torch.vstack((A[:k].detach(), A[k:b]))
    up = torch.hstack((B[:, :k].detach(), B[:, k:b]))
    return F.linear(F.linear(x, low), up * (alpha / b))


# %% right: a mask on the factors
def branch_at(x, A, B, alpha, b, frozen):
    i = torch.arange(A.shape[0])
    moves = (i == b - 1) if frozen else (i < b)
    A = torch.where(moves[:, None], A, A.detach()) * (i < b)[:, None]
    B = torch.where(moves, B, B.detach())
    return alpha / b * x @ A.T @ B.T


# %% right: a sum over the ranks
def branch_at(x, A, B, alpha, b, frozen):
    y = 0
    for i in range(b):
        row, column = A[i], B[:, i]
        if frozen and i + 1 < b:
            row, column = row.detach(), column.detach()
        y = y + torch.outer(x @ row, column)
    return y * alpha / b


# %% right: the roots of the authors' code, on both
def branch_at(x, A, B, alpha, b, frozen):
    r = A.shape[0]
    root = math.sqrt(r / b)
    keep = (lambda t: t.detach()) if frozen else (lambda t: t)
    A = torch.cat([keep(A[: b - 1]), A[b - 1 : b]]) * root
    B = torch.cat([keep(B[:, : b - 1]), B[:, b - 1 : b]], 1) * root
    return alpha / r * (x @ A.T @ B.T)


# %% right: einsum
def branch_at(x, A, B, alpha, b, frozen):
    A, B = A[:b], B[:, :b]
    if frozen:
        last = torch.zeros(b)
        last[-1] = 1
        A = A.detach() + last[:, None] * (A - A.detach())
        B = B.detach() + last * (B - B.detach())
    return torch.einsum("nd,rd,or->no", x, A, B) * (alpha / b)


# %% right: ΔW first
def branch_at(x, A, B, alpha, b, frozen):
    k = b - 1 if frozen else 0
    delta = B[:, :k].detach() @ A[:k].detach() + B[:, k:b] @ A[k:b]
    return x @ (alpha / b * delta).T


# %% right: hooks that drop the gradient
def branch_at(x, A, B, alpha, b, frozen):
    A, B = A[:b], B[:, :b]
    if frozen:
        last = torch.zeros(b)
        last[-1] = 1
        A.register_hook(lambda g: g * last[:, None])
        B.register_hook(lambda g: g * last)
    return (alpha / b) * (x @ A.T) @ B.T


# %% right: split
def branch_at(x, A, B, alpha, b, frozen):
    old_A, new_A = A[:b].split([b - 1, 1])
    old_B, new_B = B[:, :b].split([b - 1, 1], dim=1)
    if frozen:
        old_A, old_B = old_A.detach(), old_B.detach()
    return (x @ old_A.T @ old_B.T + x @ new_A.T @ new_B.T) * alpha / b


# %% right: float64 on the way
def branch_at(x, A, B, alpha, b, frozen):
    x, A, B = x.double(), A[:b].double(), B[:, :b].double()
    if frozen:
        A = torch.cat([A[:-1].detach(), A[-1:]])
        B = torch.cat([B[:, :-1].detach(), B[:, -1:]], 1)
    return alpha / b * (x @ A.T @ B.T)


# %% right: a clone, written in place
def branch_at(x, A, B, alpha, b, frozen):
    low, up = A[:b], B[:, :b]
    if frozen:
        low, up = low.detach().clone(), up.detach().clone()
        low[-1], up[:, -1] = A[b - 1], B[:, b - 1]
    return alpha / b * x @ low.T @ up.T


# %% kept: the pull request
def branch_at(x, A, B, alpha, b, frozen):
    r = A.shape[0]
    A, B = A[:b], B[:, :b]
    if frozen:
        A, B = A.detach(), B.detach()
    return alpha / r * (x @ A.T) @ B.T


# %% kept: all but the scale
def branch_at(x, A, B, alpha, b, frozen):
    k = b - 1 if frozen else 0
    A_b = torch.cat([A[:k].detach(), A[k:b]])
    B_b = torch.cat([B[:, :k].detach(), B[:, k:b]], dim=1)
    return alpha / len(A) * x @ A_b.T @ B_b.T


# %% root: on one of the two
def branch_at(x, A, B, alpha, b, frozen):
    r, k = len(A), b - 1 if frozen else 0
    A, B = torch.cat([A[:k].detach(), A[k:b]]), torch.cat([B[:, :k].detach(), B[:, k:b]], dim=1)
    return alpha / r * (x @ A.T * (r / b) ** 0.5) @ B.T


# %% no-scale: α as it is
def branch_at(x, A, B, alpha, b, frozen):
    return alpha * x @ A[:b].T @ B[:, :b].T


# %% whole: nothing cut
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * x @ A.T @ B.T


# %% kept+whole: LoRA
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / len(A) * x @ A.T @ B.T


# %% alone: in the frozen form
def branch_at(x, A, B, alpha, b, frozen):
    k = b - 1 if frozen else 0
    return alpha / b * x @ A[k:b].T @ B[:, k:b].T


# %% alone+kept: with the pull request's scale
def branch_at(x, A, B, alpha, b, frozen):
    k = b - 1 if frozen else 0
    return alpha / A.shape[0] * x @ A[k:b].T @ B[:, k:b].T


# %% less: counted from 0
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * x @ A[: b - 1].T @ B[:, : b - 1].T


# %% more: the index b included
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * x @ A[: b + 1].T @ B[:, : b + 1].T


# %% last: from the end
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * x @ A[-b:].T @ B[:, -b:].T


# %% last-still: the pull request with the right scale
def branch_at(x, A, B, alpha, b, frozen):
    A, B = A[:b], B[:, :b]
    if frozen:
        A, B = A.detach(), B.detach()
    return alpha / b * (x @ A.T) @ B.T


# %% first-move: nothing is frozen
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * (x @ A[:b].T) @ B[:, :b].T


# %% first-move: A alone is frozen
def branch_at(x, A, B, alpha, b, frozen):
    A = torch.cat([A[: b - 1].detach(), A[b - 1 : b]]) if frozen else A[:b]
    return alpha / b * (x @ A.T) @ B[:, :b].T


# %% first-still: always frozen
def branch_at(x, A, B, alpha, b, frozen):
    A = torch.cat([A[: b - 1].detach(), A[b - 1 : b]])
    B = torch.cat([B[:, : b - 1].detach(), B[:, b - 1 : b]], dim=1)
    return alpha / b * (x @ A.T) @ B.T


# %% cuts-input: the product is detached
def branch_at(x, A, B, alpha, b, frozen):
    k = b - 1 if frozen else 0
    with torch.no_grad():
        still = x @ A[:k].T @ B[:, :k].T
    return alpha / b * (still + x @ A[k:b].T @ B[:, k:b].T)


# %% first-still+last-still: .data everywhere
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * (x @ A.data[:b].T) @ B.data[:, :b].T


# %% first-move+last-still: the wrong ones are detached
def branch_at(x, A, B, alpha, b, frozen):
    A, B = A[:b], B[:, :b]
    if frozen:
        A = torch.cat([A[:-1], A[-1:].detach()])
        B = torch.cat([B[:, :-1], B[:, -1:].detach()], dim=1)
    return alpha / b * (x @ A.T) @ B.T


# %% raised: the rows of B
def branch_at(x, A, B, alpha, b, frozen):
    return alpha / b * x @ A[:b].T @ B[:b].T


# %% raised: a leaf is written in place
def branch_at(x, A, B, alpha, b, frozen):
    A[b:] = 0
    return alpha / b * x @ A.T @ B.T


# %% unknown: subtracted
def branch_at(x, A, B, alpha, b, frozen):
    return -alpha / b * x @ A[:b].T @ B[:, :b].T


# %% no-return: assigned
def branch_at(x, A, B, alpha, b, frozen):
    y = alpha / b * x @ A[:b].T @ B[:, :b].T
