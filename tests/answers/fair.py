# %% right: the solution
def reported_loss(losses, k):
    best = losses[:, :k].mean(1).argmin()
    return losses[best, k:].mean()


# %% right: sums choose as means do
def reported_loss(losses, k):
    best = losses[:, :k].sum(dim=1).argmin()
    return losses[best][k:].mean()


# %% right: min with its index
def reported_loss(losses, k):
    _, best = losses[:, :k].mean(dim=1).min(dim=0)
    return losses[best, k:].mean().item()


# %% right: lists
def reported_loss(losses, k):
    rows = losses.tolist()
    best = min(rows, key=lambda row: sum(row[:k]) / k)
    fresh = best[k:]
    return sum(fresh) / len(fresh)


# %% right: a loop
def reported_loss(losses, k):
    best, least = 0, float("inf")
    for i, row in enumerate(losses):
        mean = row[:k].mean()
        if mean < least:
            best, least = i, mean
    return losses[best, k:].mean()


# %% right: split
def reported_loss(losses, k):
    tuning, fresh = losses.split([k, losses.shape[1] - k], dim=1)
    return fresh.mean(1)[tuning.mean(1).argmin()]


# %% right: sorted
def reported_loss(losses, k):
    order = losses[:, :k].mean(1).argsort()
    return losses[order[0], k:].mean()


# %% right: topk
def reported_loss(losses, k):
    best = losses[:, :k].mean(1).topk(1, largest=False).indices[0]
    return losses[best, k:].mean()


# %% right: gather
def reported_loss(losses, k):
    means = torch.stack([losses[:, :k].mean(1), losses[:, k:].mean(1)])
    return means[1].gather(0, means[0].argmin(keepdim=True)).squeeze()


# %% right: a weight for each seed
def reported_loss(losses, k):
    n = losses.shape[1]
    first = torch.tensor([1.0] * k + [0.0] * (n - k), dtype=losses.dtype)
    best = (losses @ first).argmin()
    return losses[best] @ (1 - first) / (n - k)


# %% all-choose: the rate of all seeds
def reported_loss(losses, k):
    return losses[losses.mean(1).argmin(), k:].mean()


# %% peeked: chosen where it reports
def reported_loss(losses, k):
    return losses[:, k:].mean(1).min()


# %% tuned: the tuning seeds report
def reported_loss(losses, k):
    return losses[:, :k].mean(1).min()


# %% all-report: all seeds report
def reported_loss(losses, k):
    return losses[losses[:, :k].mean(1).argmin()].mean()


# %% luck: the best fresh seed
def reported_loss(losses, k):
    return losses[losses[:, :k].mean(1).argmin(), k:].min()


# %% one-run: the best single run
def reported_loss(losses, k):
    return losses[losses[:, :k].min(1).values.argmin(), k:].mean()


# %% most: the worst rate
def reported_loss(losses, k):
    return losses[losses[:, :k].mean(1).argmax(), k:].mean()


# %% pull-request: as it was
def reported_loss(losses, k):
    return losses.mean(1).min()
