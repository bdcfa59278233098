# %% right: the solution
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 * A + B, b0 + D * b0 + E + w0 @ C


# %% right: factors
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 * (1 + A) + B, (1 + D) * b0 + E + w0.mv(C)


# %% right: torch.mul
def merged_glora(w0, b0, A, B, C, D, E):
    W = torch.add(w0, torch.mul(w0, A)).add(B)
    return W, torch.addcmul(b0, D, b0) + E + torch.mv(w0, C)


# %% right: whole matrices first
def merged_glora(w0, b0, A, B, C, D, E):
    A, B = A.expand_as(w0), B.expand_as(w0)
    return w0 + A * w0 + B, b0 + b0 * D + E + (w0 @ C[:, None])[:, 0]


# %% right: NumPy
def merged_glora(w0, b0, A, B, C, D, E):
    w0, b0, A, B, C, D, E = (each.numpy() for each in (w0, b0, A, B, C, D, E))
    return w0 + w0 * A + B, b0 + D * b0 + E + np.dot(w0, C)


# %% right: lists
def merged_glora(w0, b0, A, B, C, D, E):
    return (w0 + w0 * A + B).tolist(), (b0 + D * b0 + E + w0 @ C).tolist()


# %% right: row by row
def merged_glora(w0, b0, A, B, C, D, E):
    A, B, W, b = A.expand_as(w0), B.expand_as(w0), w0.clone(), b0.clone()
    for i in range(len(w0)):
        W[i] += w0[i] * A[i] + B[i]
        b[i] += D[i] * b0[i] + E[i] + torch.dot(w0[i], C)
    return W, b


# %% right: einsum
def merged_glora(w0, b0, A, B, C, D, E):
    W = w0 + torch.einsum("oi,oi->oi", w0, A.expand_as(w0)) + B
    return W, b0 + D * b0 + E + torch.einsum("oi,i->o", w0, C)


# %% right: by what the layer does
def merged_glora(w0, b0, A, B, C, D, E):
    def f(x):
        return x @ (w0 + w0 * A + B).T + w0 @ C + D * b0 + E + b0

    zero = f(torch.zeros(1, w0.shape[1]))
    return (f(torch.eye(w0.shape[1])) - zero).T, zero[0]


# %% right: F.linear, and a pair in brackets
def merged_glora(w0, b0, A, B, C, D, E):
    return [w0 + w0 * A + B, F.linear(C, w0, b0 + D * b0 + E)]


# %% right: double on the way
def merged_glora(w0, b0, A, B, C, D, E):
    w = w0.double()
    return (w + w * A + B).float(), (b0 + D * b0 + E + (w @ C.double())).float()


# %% right: in place, on copies
def merged_glora(w0, b0, A, B, C, D, E):
    W, b = w0.clone(), b0.clone()
    W *= 1 + A
    W += B
    b *= 1 + D
    b += E + w0 @ C
    return W, b


# %% merged-w+product: the pull request
def merged_glora(w0, b0, A, B, C, D, E):
    W = w0 + w0 @ A + B
    return W, b0 + D * b0 + E + W @ C


# %% product: a matrix product
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 @ A + B, b0 + D * b0 + E + w0 @ C


# %% columns: a column turned
def merged_glora(w0, b0, A, B, C, D, E):
    A = A.T if A.shape[1] == 1 else A
    return w0 + w0 * A + B, b0 + D * b0 + E + w0 @ C


# %% no-w0: the change alone
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 * A + B, b0 + D * b0 + E + w0 @ C


# %% merged-w: half of the pull request is mended
def merged_glora(w0, b0, A, B, C, D, E):
    W = w0 + w0 * A + B
    return W, b0 + D * b0 + E + W @ C


# %% added: D as another E
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 * A + B, b0 + D + E + w0 @ C


# %% no-b0: D for 1 + D
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 * A + B, D * b0 + E + w0 @ C


# %% no-b0+no-w0: both changes alone
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 * A + B, D * b0 + E + w0 @ C


# %% all: D before a bracket
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 * A + B, (1 + D) * (b0 + E + w0 @ C)


# %% shape: the bias as a column
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 * A + B, (b0 + D * b0 + E + w0 @ C)[:, None]


# %% parts: the weight alone
def merged_glora(w0, b0, A, B, C, D, E):
    return w0 + w0 * A + B


# %% no-return: assigned
def merged_glora(w0, b0, A, B, C, D, E):
    W, b = w0 + w0 * A + B, b0 + D * b0 + E + w0 @ C
