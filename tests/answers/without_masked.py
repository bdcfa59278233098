# %% right: the solution
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep], alpha * int(keep.sum()) / len(lam)


# %% right: λ in A
def smallest_lora(P, lam, Q, alpha):
    keep = lam.nonzero().flatten()
    return lam[keep, None] * Q[keep], P[:, keep], alpha * len(keep) / len(lam)


# %% right: roots in both, the sign in one
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    root = lam[keep].abs().sqrt()
    return root[:, None] * Q[keep], P[:, keep] * root * lam[keep].sign(), alpha * keep.sum() / len(lam)


# %% right: s folded in, α = k
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    k = int(keep.sum())
    return Q[keep], P[:, keep] * lam[keep] * alpha / len(lam), k


# %% right: NumPy
def smallest_lora(P, lam, Q, alpha):
    P, lam, Q = P.numpy(), lam.numpy(), Q.numpy()
    k = np.flatnonzero(lam)
    return Q[k], P[:, k] * lam[k], alpha * len(k) / len(lam)


# %% right: lists
def smallest_lora(P, lam, Q, alpha):
    k = [i for i in range(len(lam)) if lam[i]]
    A = [Q[i].tolist() for i in k]
    B = [[float(P[o, i] * lam[i]) for i in k] for o in range(len(P))]
    return A, B, alpha * len(k) / len(lam)


# %% right: an SVD of ΔW
def smallest_lora(P, lam, Q, alpha):
    k = int((lam != 0).sum())
    u, sigma, vt = torch.linalg.svd(P @ torch.diag(lam) @ Q, full_matrices=False)
    return vt[:k], u[:, :k] * sigma[:k], alpha * k / len(lam)


# %% right: in another order
def smallest_lora(P, lam, Q, alpha):
    keep = lam.abs().argsort(descending=True)[: int((lam != 0).sum())]
    return Q[keep], P[:, keep] @ torch.diag(lam[keep]), alpha / len(lam) * len(keep)


# %% right: float64
def smallest_lora(P, lam, Q, alpha):
    keep = lam.double() != 0
    return Q.double()[keep], P.double()[:, keep] * lam.double()[keep], alpha * keep.sum().item() / keep.numel()


# %% right: row after row
def smallest_lora(P, lam, Q, alpha):
    rows, columns = [], []
    for p, value, q in zip(P.T, lam, Q):
        if value != 0:
            rows.append(value * q)
            columns.append(p)
    return torch.stack(rows), torch.stack(columns, dim=1), alpha * len(rows) / len(lam)


# %% right: parameters
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    A, B = nn.Parameter(Q[keep]), nn.Parameter(P[:, keep] * lam[keep])
    return A, B, alpha * len(A) / len(Q)


# %% right: α as a tensor
def smallest_lora(P, lam, Q, alpha):
    keep = torch.where(lam != 0)[0]
    return Q.index_select(0, keep), (P * lam).index_select(1, keep), torch.tensor(alpha * len(keep) / len(lam))


# %% follows+positive: the pull request
def smallest_lora(P, lam, Q, alpha):
    keep = lam > 0
    root = lam[keep].sqrt()
    return root[:, None] * Q[keep], P[:, keep] * root, alpha


# %% positive: cut, with its own α
def smallest_lora(P, lam, Q, alpha):
    keep = lam > 0
    return Q[keep], P[:, keep] * lam[keep], alpha * keep.sum() / len(lam)


# %% follows: all but the α
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep], alpha


# %% inverse: α the other way round
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep], alpha * len(lam) / keep.sum()


# %% no-lambda: rows and columns alone
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep], alpha * keep.sum() / len(lam)


# %% sign: the root of |λ| in both
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    root = lam[keep].abs().sqrt()
    return root[:, None] * Q[keep], P[:, keep] * root, alpha * keep.sum() / len(lam)


# %% squared: λ in both
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return lam[keep, None] * Q[keep], P[:, keep] * lam[keep], alpha * keep.sum() / len(lam)


# %% positive: with zeros for the negative ones
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep].clamp(min=0), alpha * keep.sum() / len(lam)


# %% unscaled: the rank as α
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep], keep.sum()


# %% follows+sign: both
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    root = lam[keep].abs().sqrt()
    return root[:, None] * Q[keep], P[:, keep] * root, alpha


# %% carried: nothing cut
def smallest_lora(P, lam, Q, alpha):
    return Q, P * lam, alpha


# %% carried: rows of zeros
def smallest_lora(P, lam, Q, alpha):
    return Q * (lam != 0)[:, None], P * lam, alpha


# %% turned: B before A
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return P[:, keep] * lam[keep], Q[keep], alpha * keep.sum() / len(lam)


# %% shape: not transposed
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], (P[:, keep] * lam[keep]).T, alpha * keep.sum() / len(lam)


# %% unknown: another sign
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], -P[:, keep] * lam[keep], alpha * keep.sum() / len(lam)


# %% parts: without α
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep]


# %% raised: rows of P
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
    return Q[keep], P[keep] * lam[keep], alpha


# %% no-return: nothing
def smallest_lora(P, lam, Q, alpha):
    keep = lam != 0
