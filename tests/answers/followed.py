# %% right: the solution
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    return W0 + s * ((1 + rate) * B @ A - rate * B_K @ A_K)


# %% right: branch and moves apart
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / len(A)
    moved = rate * s * (B @ A - B_K @ A_K)
    return W0 + moved + s * B @ A


# %% right: a step of the paper, all steps at once
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / B.shape[1]
    W = W0.clone()
    W += rate * s * (B @ A)
    W -= rate * s * (B_K @ A_K)
    return W + s * (B @ A)


# %% right: two steps by way of a middle
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.size(0)
    A_m, B_m = (A_K + A) / 2, (B_K + B) / 2
    snapshots = [(A_K, B_K), (A_m, B_m), (A, B)]
    W = W0
    for (a, b), (a_next, b_next) in zip(snapshots, snapshots[1:]):
        W = W + rate * s * (b_next @ a_next - b @ a)
    return W + s * B @ A


# %% right: one pair of rank 2r
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    left = torch.cat([(1 + rate) * B, -rate * B_K], dim=1)
    return W0 + s * left @ torch.cat([A, A_K])


# %% right: einsum
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    last, first = (torch.einsum("or,ri->oi", b, a) for b, a in ((B, A), (B_K, A_K)))
    return W0 + s * (last + rate * (last - first))


# %% right: addmm
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    return torch.addmm(torch.addmm(W0, B, A, alpha=s * (1 + rate)), B_K, A_K, alpha=-s * rate)


# %% right: a base that moved once, and a larger α
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    r = A.shape[0]
    base = W0 - rate * alpha / r * B_K @ A_K
    return base + alpha * (1 + rate) / r * B @ A


# %% right: NumPy
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    W0, A_K, B_K, A, B = (m.numpy() for m in (W0, A_K, B_K, A, B))
    s = alpha / A.shape[0]
    return W0 + s * (B @ A + rate * (B @ A - B_K @ A_K))


# %% right: a sum of outer products
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s, W = alpha / len(A), W0.clone()
    for k in range(len(A)):
        W = W + s * (1 + rate) * torch.outer(B[:, k], A[k]) - s * rate * torch.outer(B_K[:, k], A_K[k])
    return W


# %% right: transposed and back
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    last, first = A.T @ B.T, A_K.T @ B_K.T
    return (W0.T + s * last + s * rate * (last - first)).T


# %% lora: saved as LoRA
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    return W0 + alpha / A.shape[0] * B @ A


# %% way: W₀ alone
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    return W0 + rate * s * (B @ A - B_K @ A_K)


# %% first: from step 0 on
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    return W0 + alpha / A.shape[0] * (1 + rate) * B @ A


# %% unscaled: the text's update
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    return W0 + s * B @ A + rate * (B @ A - B_K @ A_K)


# %% no-scale: no s at all
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    return W0 + (1 + rate) * B @ A - rate * B_K @ A_K


# %% alpha: not over r
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    return W0 + alpha * ((1 + rate) * B @ A - rate * B_K @ A_K)


# %% sum: the wrong sign
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    return W0 + s * ((1 + rate) * B @ A + rate * B_K @ A_K)


# %% both: taken from the branch too
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    s = alpha / A.shape[0]
    return W0 + s * (1 + rate) * (B @ A - B_K @ A_K)


# %% first+no-scale: the pull request
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    return W0 + (1 + rate) * B @ A


# %% no-return: assigned
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    W = W0 + alpha / A.shape[0] * B @ A
