# %% right: the solution
def melora_delta(A, B, s):
    return s * torch.block_diag(*(b @ a for a, b in zip(A, B, strict=True)))


# %% right: one product of all
def melora_delta(A, B, s):
    return s * torch.block_diag(*(B @ A))


# %% right: two block-diagonal factors
def melora_delta(A, B, s):
    return s * torch.block_diag(*B) @ torch.block_diag(*A)


# %% right: in place, slice after slice
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    w = torch.zeros(n * tall, n * wide)
    for i in range(n):
        w[i * tall : (i + 1) * tall, i * wide : (i + 1) * wide] = s * B[i] @ A[i]
    return w


# %% right: padded to its place, and summed
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    total = 0
    for i in range(n):
        left, above = i * wide, i * tall
        total = total + F.pad(B[i] @ A[i], (left, (n - 1) * wide - left, above, (n - 1) * tall - above))
    return s * total


# %% right: padded factors
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    parts = []
    for i in range(n):
        a = F.pad(A[i], (i * wide, (n - 1 - i) * wide))
        b = F.pad(B[i], (0, 0, i * tall, (n - 1 - i) * tall))
        parts.append(b @ a)
    return s * sum(parts)


# %% right: einsum over the slices
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    return s * torch.einsum("nor,nri,nm->nomi", B, A, torch.eye(n)).reshape(n * tall, n * wide)


# %% right: NumPy
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    w = np.zeros((n * tall, n * wide))
    for i, (a, b) in enumerate(zip(A.numpy(), B.numpy(), strict=True)):
        w[i * tall : (i + 1) * tall, i * wide : (i + 1) * wide] = s * (b @ a)
    return w


# %% right: what it does to unit vectors
def melora_delta(A, B, s):
    n, wide = len(A), A.shape[2]
    x = torch.eye(n * wide).view(n * wide, n, wide)
    h = torch.einsum("kni,nri->knr", x, A)
    return s * torch.einsum("knr,nor->kno", h, B).flatten(1).T


# %% right: lists
def melora_delta(A, B, s):
    n, wide = len(A), A.shape[2]
    rows = []
    for i in range(n):
        for line in (s * B[i] @ A[i]).tolist():
            rows.append([0.0] * (i * wide) + line + [0.0] * ((n - 1 - i) * wide))
    return rows


# %% right: concatenated rows
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    rows = [
        torch.cat([s * B[i] @ A[i] if i == j else torch.zeros(tall, wide) for j in range(n)], dim=1) for i in range(n)
    ]
    return torch.cat(rows)


# %% corner: the pull request
def melora_delta(A, B, s):
    n = len(A)
    small = s * sum(b @ a for a, b in zip(A, B, strict=True))
    return F.pad(small, (0, (n - 1) * A.shape[2], 0, (n - 1) * B.shape[1]))


# %% mirrored: the other diagonal
def melora_delta(A, B, s):
    n, tall, wide = len(A), B.shape[1], A.shape[2]
    w = torch.zeros(n * tall, n * wide)
    for i in range(n):
        j = n - 1 - i
        w[i * tall : (i + 1) * tall, j * wide : (j + 1) * wide] = s * B[i] @ A[i]
    return w


# %% row: side by side
def melora_delta(A, B, s):
    blocks = torch.cat([s * b @ a for a, b in zip(A, B, strict=True)], dim=1)
    return F.pad(blocks, (0, 0, 0, (len(A) - 1) * B.shape[1]))


# %% column: one above the other
def melora_delta(A, B, s):
    blocks = torch.cat([s * b @ a for a, b in zip(A, B, strict=True)])
    return F.pad(blocks, (0, (len(A) - 1) * A.shape[2]))


# %% tiled: repeated to the size
def melora_delta(A, B, s):
    n = len(A)
    return s * sum(b @ a for a, b in zip(A, B, strict=True)).repeat(n, n)


# %% crossed: B from the other end
def melora_delta(A, B, s):
    return s * torch.block_diag(*(B.flip(0) @ A))


# %% no-scale: no s
def melora_delta(A, B, s):
    return torch.block_diag(*(B @ A))


# %% scale-twice: on both factors
def melora_delta(A, B, s):
    return torch.block_diag(*((s * B) @ (s * A)))


# %% averaged: over n
def melora_delta(A, B, s):
    return s / len(A) * torch.block_diag(*(B @ A))


# %% corner+no-scale: the pull request, without s
def melora_delta(A, B, s):
    n = len(A)
    small = (B @ A).sum(0)
    return F.pad(small, (0, (n - 1) * A.shape[2], 0, (n - 1) * B.shape[1]))


# %% shape: the sum, unpadded
def melora_delta(A, B, s):
    return s * sum(b @ a for a, b in zip(A, B, strict=True))


# %% raised: factors side by side
def melora_delta(A, B, s):
    return s * torch.cat(list(A)) @ torch.cat(list(B), dim=1)


# %% no-return: assigned
def melora_delta(A, B, s):
    delta = s * torch.block_diag(*(B @ A))
