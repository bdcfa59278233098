# %% right: the solution
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = (kept.sign() == kept.sum(0).sign()) & (kept != 0)
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% right: a mask by scatter
def merge_by_ties(deltas, keep):
    flat = deltas.flatten(1)
    places = flat.abs().topk(keep, dim=1).indices
    kept = torch.zeros_like(flat).scatter(1, places, flat.gather(1, places)).view_as(deltas)
    agrees = kept * kept.sum(0) > 0
    return torch.where(agrees, kept, 0).sum(0) / agrees.sum(0).clamp_min(1)


# %% right: sorted sizes
def merge_by_ties(deltas, keep):
    bars = deltas.flatten(1).abs().sort(dim=1, descending=True).values[:, keep - 1]
    kept = torch.where(deltas.abs() >= bars.view(-1, 1, 1), deltas, torch.zeros(()))
    agrees = kept.sign() * kept.sum(dim=0).sign() == 1
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% right: loops
def merge_by_ties(deltas, keep):
    kept = []
    for delta in deltas:
        bar = sorted(delta.abs().flatten().tolist())[-keep]
        kept.append(torch.where(delta.abs() >= bar - 1e-9, delta, torch.zeros_like(delta)))
    merged = torch.zeros_like(deltas[0])
    for i in range(merged.shape[0]):
        for j in range(merged.shape[1]):
            values = [float(delta[i, j]) for delta in kept]
            agree = [x for x in values if x * sum(values) > 0]
            merged[i, j] = sum(agree) / len(agree) if agree else 0.0
    return merged


# %% right: NumPy
def merge_by_ties(deltas, keep):
    d = deltas.numpy()
    bar = np.sort(np.abs(d).reshape(len(d), -1), axis=1)[:, -keep]
    kept = np.where(np.abs(d) >= bar[:, None, None], d, 0)
    agrees = kept * kept.sum(0) > 0
    return (kept * agrees).sum(0) / np.maximum(1, agrees.sum(0))


# %% right: positive and negative parts
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    up, down = kept.clamp(min=0), kept.clamp(max=0)
    mean_up = up.sum(0) / (up > 0).sum(0).clamp(min=1)
    mean_down = down.sum(0) / (down < 0).sum(0).clamp(min=1)
    return torch.where(kept.sum(0) > 0, mean_up, mean_down)


# %% right: nan and nanmean
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept * kept.sum(0) > 0
    return torch.where(agrees, kept, torch.nan).nanmean(0).nan_to_num()


# %% right: kthvalue
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.kthvalue(sizes.shape[1] - keep + 1, dim=1).values
    kept = torch.where(sizes >= bar[:, None], deltas.flatten(1), 0.0).view(deltas.shape)
    elected = torch.where(kept.sum(0) >= 0, 1, -1)
    agrees = kept.sign() == elected
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% right: float64
def merge_by_ties(deltas, keep):
    deltas = deltas.double()
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept * torch.sign(kept.sum(0)) > 0
    return (kept * agrees).sum(0).div(agrees.sum(0).clamp(min=1))


# %% right: a helper for the trim
def merge_by_ties(deltas, keep):
    def trim(delta):
        flat = torch.zeros(delta.numel())
        places = delta.abs().flatten().argsort(descending=True)[:keep]
        flat[places] = delta.flatten()[places]
        return flat.view(delta.shape)

    kept = torch.stack([trim(delta) for delta in deltas])
    agrees = kept.sign().eq(kept.sum(0).sign()) & kept.ne(0)
    return kept.mul(agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% right: relu with the elected sign
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    sign = kept.sum(0).sign()
    part = F.relu(kept * sign)
    return sign * part.sum(0) / (part > 0).sum(0).clamp(min=1)


# %% right: zeros that agree change nothing
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept.sign() == kept.sum(0).sign()
    number = (agrees & (kept != 0)).sum(0)
    return torch.where(number > 0, (kept * agrees).sum(0) / number.clamp(min=1), 0.0)


# %% no-trim: elect and merge alone
def merge_by_ties(deltas, keep):
    agrees = deltas * deltas.sum(0) > 0
    return (deltas * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% smallest: the wrong end
def merge_by_ties(deltas, keep):
    bar = deltas.flatten(1).abs().sort(dim=1).values[:, keep - 1]
    kept = deltas * (deltas.abs() <= bar[:, None, None])
    agrees = kept * kept.sum(0) > 0
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% signed: topk without abs
def merge_by_ties(deltas, keep):
    bar = deltas.flatten(1).topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas >= bar[:, None, None])
    agrees = kept * kept.sum(0) > 0
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% early: signs of all entries
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept * deltas.sum(0) > 0
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% count: one adapter, one vote
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept.sign() * kept.sign().sum(0) > 0
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% all: the mean over all adapters
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept * kept.sum(0) > 0
    return (kept * agrees).mean(0)


# %% sum: no mean
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    agrees = kept * kept.sum(0) > 0
    return (kept * agrees).sum(0)


# %% no-election: the mean of what was kept
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    return kept.sum(0) / (kept != 0).sum(0).clamp(min=1)


# %% all+no-trim: no trim, mean over all
def merge_by_ties(deltas, keep):
    agrees = deltas * deltas.sum(0) > 0
    return (deltas * agrees).mean(0)


# %% count+no-trim: no trim, counted votes
def merge_by_ties(deltas, keep):
    agrees = deltas.sign() * deltas.sign().sum(0) > 0
    return (deltas * agrees).sum(0) / agrees.sum(0).clamp(min=1)


# %% no-election+no-trim: the plain mean
def merge_by_ties(deltas, keep):
    return deltas.mean(0)


# %% unknown: the largest entry wins
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    return kept.gather(0, kept.abs().argmax(0, keepdim=True))[0]


# %% shape: no merge
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    return kept * (kept * kept.sum(0) > 0)


# %% no-return: assigned
def merge_by_ties(deltas, keep):
    sizes = deltas.flatten(1).abs()
    bar = sizes.topk(keep, dim=1).values[:, -1]
    kept = deltas * (deltas.abs() >= bar[:, None, None])
    merged = kept.sum(0)
