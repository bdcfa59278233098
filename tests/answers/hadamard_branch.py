# %% right: the solution
def loha_branch(x, A1, B1, A2, B2, s):
    return x @ (s * (B1 @ A1) * (B2 @ A2)).T


# %% right: F.linear
def loha_branch(x, A1, B1, A2, B2, s):
    return F.linear(x, s * (B1 @ A1).mul(B2 @ A2))


# %% right: all pairs of rows and columns, as LoRA of rank r²
def loha_branch(x, A1, B1, A2, B2, s):
    A = (A1[:, None] * A2[None]).flatten(0, 1)
    B = (B1[:, :, None] * B2[:, None, :]).flatten(1)
    return s * (x @ A.T) @ B.T


# %% right: einsum
def loha_branch(x, A1, B1, A2, B2, s):
    return s * torch.einsum("nj,kj,ik,lj,il->ni", x, A1, B1, A2, B2)


# %% right: one index of the first pair after the other
def loha_branch(x, A1, B1, A2, B2, s):
    y = torch.zeros(len(x), len(B1))
    for k in range(len(A1)):
        y = y + ((x * A1[k]) @ A2.T @ B2.T) * B1[:, k]
    return s * y


# %% right: input after input
def loha_branch(x, A1, B1, A2, B2, s):
    delta = s * (B1 @ A1) * (B2 @ A2)
    return torch.stack([delta @ row for row in x])


# %% right: turned factors
def loha_branch(x, A1, B1, A2, B2, s):
    return s * torch.matmul(x, torch.mul(A1.T @ B1.T, A2.T @ B2.T))


# %% right: the scale on one factor
def loha_branch(x, A1, B1, A2, B2, s):
    return x @ ((s * B1 @ A1) * (B2 @ A2)).T


# %% right: the scale on x
def loha_branch(x, A1, B1, A2, B2, s):
    first = torch.einsum("ik,kj->ij", B1, A1)
    second = torch.einsum("ik,kj->ij", B2, A2)
    return torch.einsum("nj,ij->ni", s * x, first * second)


# %% right: output after output
def loha_branch(x, A1, B1, A2, B2, s):
    columns = [(x * (B1[i] @ A1) * (B2[i] @ A2)).sum(1) for i in range(len(B1))]
    return s * torch.stack(columns, dim=1)


# %% right: column by column, where the order does not matter
def loha_branch(x, A1, B1, A2, B2, s):
    one = torch.eye(x.shape[1])
    delta = (one @ A1.T @ B1.T) * (one @ A2.T @ B2.T)
    return s * x @ delta


# %% outputs: the pull request
def loha_branch(x, A1, B1, A2, B2, s):
    return s * (x @ A1.T @ B1.T) * (x @ A2.T @ B2.T)


# %% paired: factor times factor
def loha_branch(x, A1, B1, A2, B2, s):
    return s * x @ (A1 * A2).T @ (B1 * B2).T


# %% added: a sum
def loha_branch(x, A1, B1, A2, B2, s):
    return s * (x @ (B1 @ A1).T + x @ (B2 @ A2).T)


# %% chained: a product of matrices
def loha_branch(x, A1, B1, A2, B2, s):
    return s * x @ (B1 @ A1 @ (B2 @ A2)).T


# %% turned: not transposed
def loha_branch(x, A1, B1, A2, B2, s):
    return s * x @ ((B1 @ A1) * (B2 @ A2))


# %% no-scale: no s
def loha_branch(x, A1, B1, A2, B2, s):
    return x @ ((B1 @ A1) * (B2 @ A2)).T


# %% scale-twice: on both products
def loha_branch(x, A1, B1, A2, B2, s):
    return x @ ((s * B1 @ A1) * (s * B2 @ A2)).T


# %% no-scale+outputs: the pull request, without s
def loha_branch(x, A1, B1, A2, B2, s):
    return (x @ A1.T @ B1.T) * (x @ A2.T @ B2.T)


# %% no-return: assigned
def loha_branch(x, A1, B1, A2, B2, s):
    y = x @ (s * (B1 @ A1) * (B2 @ A2)).T
