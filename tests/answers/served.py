# %% right: the solution
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / r**0.5 if use_rslora else alpha / r
    return w0 + s * (B @ A)


# %% right: the pull request, repaired
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / r
    if use_rslora:
        s = s * r**0.5
    return w0 + s * (B @ A)


# %% right: the exponent
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + alpha * r ** -(0.5 if use_rslora else 1) * B @ A


# %% right: α is changed, and divided by r
def merged(w0, A, B, alpha, r, use_rslora):
    if use_rslora:
        alpha *= math.sqrt(r)
    return w0 + alpha / r * (B @ A)


# %% right: a dictionary of scales
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + {True: alpha / math.sqrt(r), False: alpha / r}[use_rslora] * B.mm(A)


# %% right: NumPy
def merged(w0, A, B, alpha, r, use_rslora):
    divisor = np.sqrt(r) if use_rslora else r
    return w0.numpy() + alpha / divisor * np.dot(B.numpy(), A.numpy())


# %% right: float64
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / (r**0.5 if use_rslora else r)
    return w0.double() + s * B.double() @ A.double()


# %% right: in place
def merged(w0, A, B, alpha, r, use_rslora):
    w0 += (alpha / r**0.5 if use_rslora else alpha / r) * B @ A
    return w0


# %% right: addmm
def merged(w0, A, B, alpha, r, use_rslora):
    return torch.addmm(w0, B, A, alpha=alpha / r**0.5 if use_rslora else alpha / r)


# %% right: a sum of outer products
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / (math.sqrt(r) if use_rslora else r)
    return w0 + s * sum(torch.outer(B[:, k], A[k]) for k in range(r))


# %% right: lists
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / r**0.5 if use_rslora else alpha / r
    return [[(w0[i, j] + s * B[i] @ A[:, j]).item() for j in range(A.shape[1])] for i in range(len(w0))]


# %% right: the root on both sides
def merged(w0, A, B, alpha, r, use_rslora):
    half = (alpha / r**0.5 if use_rslora else alpha / r) ** 0.5
    return w0 + (half * B) @ (half * A)


# %% pulled: the pull request
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / r
    if use_rslora:
        s = s / r**0.5
    return w0 + s * (B @ A)


# %% ignored: the flag is not read
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + alpha / r * (B @ A)


# %% always: the root for all
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + alpha / r**0.5 * (B @ A)


# %% exchanged: the two cases
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + (alpha / r if use_rslora else alpha / r**0.5) * (B @ A)


# %% root-of-both: over α too
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / r
    return w0 + (math.sqrt(s) if use_rslora else s) * (B @ A)


# %% undivided: α√r as the scale
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + (alpha * r**0.5 if use_rslora else alpha / r) * (B @ A)


# %% no-base: the update alone
def merged(w0, A, B, alpha, r, use_rslora):
    return (alpha / r**0.5 if use_rslora else alpha / r) * (B @ A)


# %% twice: on both factors
def merged(w0, A, B, alpha, r, use_rslora):
    s = alpha / r**0.5 if use_rslora else alpha / r
    return w0 + (s * B) @ (s * A)


# %% no-base+pulled: the pull request, without W₀
def merged(w0, A, B, alpha, r, use_rslora):
    return alpha / (r**1.5 if use_rslora else r) * (B @ A)


# %% unknown: subtracted
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 - (alpha / r**0.5 if use_rslora else alpha / r) * (B @ A)


# %% raised: the other order
def merged(w0, A, B, alpha, r, use_rslora):
    return w0 + alpha / r * (A @ B)


# %% no-return: changed in place only
def merged(w0, A, B, alpha, r, use_rslora):
    w0 += alpha / r**0.5 * (B @ A)
