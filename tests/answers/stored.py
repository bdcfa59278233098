# %% right: the solution
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    return weight + (delta.T if fan_in_fan_out else delta)


# %% right: the pull request, repaired
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    if fan_in_fan_out:
        delta = delta.T
    return weight + delta


# %% right: (BA)ᵀ = AᵀBᵀ
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    return weight + alpha / r * (A.T @ B.T if fan_in_fan_out else B @ A)


# %% right: there and back
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    w = weight.T if fan_in_fan_out else weight
    w = w + alpha / r * (B @ A)
    return w.T if fan_in_fan_out else w


# %% right: einsum
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    out = "io" if fan_in_fan_out else "oi"
    return weight + (alpha / r) * torch.einsum(f"or,ri->{out}", B, A)


# %% right: NumPy
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * np.dot(B.numpy(), A.numpy())
    return weight.numpy() + (delta.T if fan_in_fan_out else delta)


# %% right: in place
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    (weight.T if fan_in_fan_out else weight).add_(B @ A, alpha=alpha / r)
    return weight


# %% right: float64
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = (B.double() @ A.double()) * (alpha / r)
    return weight.double() + (delta.t() if fan_in_fan_out else delta)


# %% right: addmm
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    left, right = (A.T, B.T) if fan_in_fan_out else (B, A)
    return torch.addmm(weight, left, right, alpha=alpha / r)


# %% right: a layer is asked
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    up, down = nn.Linear(r, B.shape[0], bias=False), nn.Linear(A.shape[1], r, bias=False)
    with torch.no_grad():
        up.weight.copy_(B)
        down.weight.copy_(A)
        columns = alpha / r * up(down(torch.eye(A.shape[1])))
    return weight + (columns if fan_in_fan_out else columns.T)


# %% right: sums of outer products
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    outer = (lambda a, b: torch.outer(a, b)) if fan_in_fan_out else (lambda a, b: torch.outer(b, a))
    return weight + alpha / r * sum(outer(A[k], B[:, k]) for k in range(r))


# %% guessed: as it was pulled
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    if delta.shape != weight.shape:
        delta = delta.T
    return weight + delta


# %% guessed: by the first side
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    return weight + (delta if len(weight) == len(B) else delta.T)


# %% ignored: the flag is not read
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    return weight + alpha / r * (B @ A)


# %% reversed: the other way round
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    return weight + (delta if fan_in_fan_out else delta.T)


# %% always: transposed everywhere
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    return weight + (alpha / r * (B @ A)).T


# %% turned: not turned back
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    return (weight.T if fan_in_fan_out else weight) + alpha / r * (B @ A)


# %% undivided: α alone
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha * (B @ A)
    return weight + (delta.T if fan_in_fan_out else delta)


# %% squared: divided by r once more
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A) / r
    return weight + (delta.T if fan_in_fan_out else delta)


# %% no-scale: BA
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = B @ A
    return weight + (delta.T if fan_in_fan_out else delta)


# %% no-base: ΔW alone
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    return delta.T if fan_in_fan_out else delta


# %% guessed+undivided: as it was pulled, and α alone
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha * (B @ A)
    return weight + (delta if delta.shape == weight.shape else delta.T)


# %% dtype: in bf16
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    return (weight + (delta.T if fan_in_fan_out else delta)).bfloat16()


# %% unknown: subtracted
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    delta = alpha / r * (B @ A)
    return weight - (delta.T if fan_in_fan_out else delta)


# %% raised: A and B exchanged
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    return weight + alpha / r * torch.mm(A, B.T)


# %% no-return: nothing
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    weight = weight + alpha / r * (B @ A)
