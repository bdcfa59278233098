# %% right: the solution
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return (y @ v - v @ v / 2) / (sigma * C) ** 2


# %% right: two squares
def evidence(mean, change, others, C, sigma, L):
    def clip(row):
        return row / max(1.0, float(row.norm()) / C)

    y = L * mean.double() - sum(clip(row).double() for row in others)
    v = clip(change).double()
    return (y.square().sum() - (y - v).square().sum()) / (2 * sigma**2 * C**2)


# %% right: Normal distributions
def evidence(mean, change, others, C, sigma, L):
    rows = torch.renorm(torch.cat([others, change[None]]).double(), 2, 0, C)
    y = mean.double() * L - rows[:-1].sum(0)
    noise = torch.distributions.Normal(0.0, sigma * C)
    return (noise.log_prob(y - rows[-1]) - noise.log_prob(y)).sum()


# %% right: in the mean's own units
def evidence(mean, change, others, C, sigma, L):
    short = lambda x: x * (C / x.norm(dim=-1, keepdim=True)).clamp(max=1)
    centre = short(others).sum(0) / L
    v, deviation = short(change) / L, sigma * C / L
    return ((mean - centre) @ v - v.square().sum() / 2) / deviation**2


# %% right: NumPy
def evidence(mean, change, others, C, sigma, L):
    mean, change, others = mean.numpy(), change.numpy(), others.numpy()
    v = change * min(1, C / np.linalg.norm(change))
    y = L * mean - (others * np.minimum(1, C / np.linalg.norm(others, axis=1))[:, None]).sum(0)
    return float((y @ v - v @ v / 2) / (sigma * C) ** 2)


# %% right: cross-entropies of squares
def evidence(mean, change, others, C, sigma, L):
    v = F.normalize(change, dim=0) * min(C, change.norm().item())
    known = F.normalize(others) * others.norm(dim=1, keepdim=True).clamp(max=C)
    y = L * mean - known.sum(0)
    out, into = F.mse_loss(y, torch.zeros_like(y), reduction="sum"), F.mse_loss(y, v, reduction="sum")
    return (out - into) / 2 / (sigma * C) ** 2


# %% right: loops
def evidence(mean, change, others, C, sigma, L):
    size = math.sqrt(sum(float(x) ** 2 for x in change))
    v = [float(x) * min(1, C / size) for x in change]
    y = [L * float(x) for x in mean]
    for row in others.tolist():
        factor = min(1, C / math.hypot(*row))
        y = [a - factor * b for a, b in zip(y, row)]
    return sum(a * b - b * b / 2 for a, b in zip(y, v)) / (sigma * C) ** 2


# %% right: einsum
def evidence(mean, change, others, C, sigma, L):
    v = change / (change.norm() / C).clamp(min=1)
    weights = 1 / (others.norm(dim=1) / C).clamp(min=1)
    y = L * mean - torch.einsum("n,np->p", weights, others)
    return torch.einsum("p,p->", y - v / 2, v) / (sigma * C) ** 2


# %% right: where
def evidence(mean, change, others, C, sigma, L):
    sizes = others.norm(dim=1, keepdim=True)
    y = mean * L - torch.where(sizes > C, others * C / sizes, others).sum(0)
    v = change if change.norm() <= C else C * change / change.norm()
    return (y.dot(v) - 0.5 * v.dot(v)) / (sigma**2 * C**2)


# %% right: the library's clip
def evidence(mean, change, others, C, sigma, L):
    from lorabook.axes.optim.private import clipped

    (v,) = clipped([change], C)
    y = L * mean - sum(clipped([row], C)[0] for row in others)
    return ((y - v / 2) * v).sum().item() / (sigma * C) ** 2


# %% right: everything over the deviation first
def evidence(mean, change, others, C, sigma, L):
    scale = 1 / (sigma * C)
    u = scale * change * torch.clamp(C / change.norm(), max=1.0)
    w = scale * (L * mean - (others * (C / others.norm(dim=1)).clamp(max=1)[:, None]).sum(0))
    return w @ u - u @ u / 2


# %% not-clipped: the suspect as it is
def evidence(mean, change, others, C, sigma, L):
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return (y @ change - change @ change / 2) / (sigma * C) ** 2


# %% others-not-clipped: the others as they are
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    y = L * mean - others.sum(0)
    return (y @ v - v @ v / 2) / (sigma * C) ** 2


# %% mean: not multiplied
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = mean - known.sum(0)
    return (y @ v - v @ v / 2) / (sigma * C) ** 2


# %% who-came: n + 1 in the place of L
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = (len(others) + 1) * mean - known.sum(0)
    return (y @ v - v @ v / 2) / (sigma * C) ** 2


# %% no-half: the product alone
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    return (L * mean - known.sum(0)) @ v / (sigma * C) ** 2


# %% always-c: half of C²
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return (y @ v - C**2 / 2) / (sigma * C) ** 2


# %% no-square: the deviation below
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return (y @ v - v @ v / 2) / (sigma * C)


# %% no-c: sigma alone
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return (y @ v - v @ v / 2) / sigma**2


# %% no-others: as if he were alone
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    y = L * mean
    return (y @ v - v @ v / 2) / (sigma * C) ** 2


# %% not-clipped+others-not-clipped: nothing is clipped
def evidence(mean, change, others, C, sigma, L):
    y = L * mean - others.sum(0)
    return (y @ change - change @ change / 2) / (sigma * C) ** 2


# %% no-c+no-half: the product over σ²
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    return (L * mean - known.sum(0)) @ v / sigma**2


# %% unknown: the other way round
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return -(y @ v - v @ v / 2) / (sigma * C) ** 2


# %% shape: entry by entry
def evidence(mean, change, others, C, sigma, L):
    v = change * min(1.0, C / float(change.norm()))
    return (L * mean * v - v * v / 2) / (sigma * C) ** 2


# %% raised: a matrix for a row
def evidence(mean, change, others, C, sigma, L):
    return (L * mean - others.sum(1)) @ change / (sigma * C) ** 2


# %% no-return: assigned
def evidence(mean, change, others, C, sigma, L):
    y = L * mean - others.sum(0)
