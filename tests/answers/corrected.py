# %% right: the solution
def holm(p):
    order = p.argsort()
    factors = torch.arange(len(p), 0, -1)
    q = (p[order] * factors).cummax(0).values.clamp(max=1)
    return q[order.argsort()]


# %% right: put back by assignment
def holm(p):
    order = p.argsort()
    q = torch.empty_like(p)
    q[order] = (p[order] * torch.arange(len(p), 0, -1)).cummax(0).values.clamp(max=1)
    return q


# %% right: sort gives both
def holm(p):
    low, order = p.sort()
    q = torch.cummax(low * (len(p) - torch.arange(len(p))), dim=0).values
    return torch.minimum(q, torch.ones_like(q))[order.argsort()]


# %% right: a loop
def holm(p):
    m = len(p)
    out, most = [0.0] * m, 0.0
    for i, place in enumerate(sorted(range(m), key=lambda j: p[j])):
        most = max(most, (m - i) * p[place].item())
        out[place] = min(1.0, most)
    return out


# %% right: scatter
def holm(p):
    low, order = torch.sort(p)
    q = (low * torch.arange(len(p), 0, -1, dtype=p.dtype)).cummax(0).values.clamp(max=1)
    return torch.zeros_like(p).scatter(0, order, q)


# %% right: the definition, each for itself
def holm(p):
    m, q = len(p), []
    for mine in p:
        worst = max((m - int((p < other).sum())) * other for other in p if other <= mine)
        q.append(min(1.0, float(worst)))
    return torch.tensor(q)


# %% right: cut first, then rise
def holm(p):
    order = p.argsort()
    q = (p[order] * torch.arange(len(p), 0, -1)).clamp(max=1).cummax(0).values
    return q[order.argsort()]


# %% right: a matrix of who comes before
def holm(p):
    m = len(p)
    before = p[None, :] <= p[:, None]
    rank = (p[None, :] < p[:, None]).sum(1)
    raw = (m - rank) * p
    return torch.where(before, raw[None, :], torch.zeros(())).max(1).values.clamp(max=1)


# %% right: itertools
def holm(p):
    from itertools import accumulate

    m = len(p)
    low, order = p.sort()
    rising = list(accumulate([(m - i) * x for i, x in enumerate(low.tolist())], max))
    q = torch.tensor(rising).clamp(max=1)
    return q[order.argsort()]


# %% right: step by step down the list
def holm(p):
    q, left = p.clone(), list(range(len(p)))
    floor = 0.0
    while left:
        i = min(left, key=lambda j: p[j])
        floor = max(floor, len(left) * float(p[i]))
        q[i] = min(floor, 1.0)
        left.remove(i)
    return q


# %% bonferroni: times m
def holm(p):
    return (len(p) * p).clamp(max=1)


# %% one-less: m - 1 … 0
def holm(p):
    order = p.argsort()
    q = (p[order] * torch.arange(len(p) - 1, -1, -1)).cummax(0).values.clamp(max=1)
    return q[order.argsort()]


# %% reversed: 1 … m
def holm(p):
    order = p.argsort()
    q = (p[order] * torch.arange(1, len(p) + 1)).cummax(0).values.clamp(max=1)
    return q[order.argsort()]


# %% fdr: Benjamini and Hochberg
def holm(p):
    m, order = len(p), p.argsort()
    raw = p[order] * m / torch.arange(1, m + 1)
    q = raw.flip(0).cummin(0).values.flip(0).clamp(max=1)
    return q[order.argsort()]


# %% loose: not rising
def holm(p):
    order = p.argsort()
    q = (p[order] * torch.arange(len(p), 0, -1)).clamp(max=1)
    return q[order.argsort()]


# %% hochberg: from the largest down
def holm(p):
    order = p.argsort()
    raw = p[order] * torch.arange(len(p), 0, -1)
    q = raw.flip(0).cummin(0).values.flip(0).clamp(max=1)
    return q[order.argsort()]


# %% uncapped: above 1
def holm(p):
    order = p.argsort()
    q = (p[order] * torch.arange(len(p), 0, -1)).cummax(0).values
    return q[order.argsort()]


# %% sorted: in the order of size
def holm(p):
    low = p.sort().values
    return (low * torch.arange(len(p), 0, -1)).cummax(0).values.clamp(max=1)
