# %% right: the solution
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), 2 * alpha


# %% right: the sign in A
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, -A0]), torch.cat([B, B0], dim=1), 2 * alpha


# %% right: vstack and hstack
def as_lora(A, B, A0, B0, alpha):
    return torch.vstack((A, A0)), torch.hstack((B, -B0)), alpha * 2


# %% right: the start first
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A0, A], 0), torch.cat([-B0, B], 1), alpha + alpha


# %% right: the two in B, α as it was
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), 2 * torch.cat([B, -B0], dim=1), alpha


# %% right: α' = r', so that the reader multiplies by 1
def as_lora(A, B, A0, B0, alpha):
    r = A.shape[0]
    return torch.cat([A, A0]), alpha / r * torch.cat([B, -B0], dim=1), 2 * r


# %% right: (B − B₀)A + B₀(A − A₀)
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A - A0]), torch.cat([B - B0, B0], dim=1), 2 * alpha


# %% right: NumPy
def as_lora(A, B, A0, B0, alpha):
    return np.concatenate([A, A0]), np.concatenate([B, -B0], axis=1), 2 * alpha


# %% right: lists
def as_lora(A, B, A0, B0, alpha):
    return [*A.tolist(), *A0.tolist()], [b + [-x for x in b0] for b, b0 in zip(B.tolist(), B0.tolist())], 2 * alpha


# %% right: filled in
def as_lora(A, B, A0, B0, alpha):
    r = len(A)
    a, b = torch.zeros(2 * r, A.shape[1]), torch.zeros(B.shape[0], 2 * r)
    a[:r], a[r:], b[:, :r], b[:, r:] = A, A0, B, -B0
    return a, b, 2.0 * alpha


# %% right: the SVD of the change
def as_lora(A, B, A0, B0, alpha):
    r = A.shape[0]
    u, s, vt = torch.linalg.svd(alpha / r * (B @ A - B0 @ A0), full_matrices=False)
    return vt[: 2 * r], u[:, : 2 * r] * s[: 2 * r], 2 * r


# %% right: α as a tensor
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=-1), torch.tensor(2 * alpha)


# %% kept: α as it is
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), alpha


# %% squared: four times α
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), 4 * alpha


# %% scale: the scale in the place of α
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), alpha / len(A)


# %% plus: the start is added
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, B0], dim=1), 2 * alpha


# %% plus: both are negated
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, -A0]), torch.cat([B, -B0], dim=1), 2 * alpha


# %% alone: padded with zeros
def as_lora(A, B, A0, B0, alpha):
    r = len(A)
    return F.pad(A, (0, 0, 0, r)), F.pad(B, (0, r)), 2 * alpha


# %% reversed: the start minus what is new
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([-B, B0], dim=1), 2 * alpha


# %% crossed: B meets A₀
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A0, A]), torch.cat([B, -B0], dim=1), 2 * alpha


# %% kept+plus: α as it is, the start is added
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, B0], dim=1), alpha


# %% alone+kept: BA, halved
def as_lora(A, B, A0, B0, alpha):
    r = len(A)
    return F.pad(A, (0, 0, 0, r)), F.pad(B, (0, r)), alpha


# %% rank: differences of factors
def as_lora(A, B, A0, B0, alpha):
    return A - A0, B - B0, alpha


# %% rank: the adapter as it is
def as_lora(A, B, A0, B0, alpha):
    return A, B, alpha


# %% swapped: B first
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([B, -B0], dim=1), torch.cat([A, A0]), 2 * alpha


# %% shape: A is stacked, B is not
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), B - B0, 2 * alpha


# %% shape: α as a list
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), [2 * alpha]


# %% unknown: three times α
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), 3 * alpha


# %% parts: α is forgotten
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1)


# %% raised: stacked the wrong way
def as_lora(A, B, A0, B0, alpha):
    return torch.cat([A, A0]), torch.cat([B.T, -B0], dim=1), 2 * alpha


# %% no-return: nothing
def as_lora(A, B, A0, B0, alpha):
    alpha = 2 * alpha
