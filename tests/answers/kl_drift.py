# %% right: the solution
def drift_from_base(before, after):
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean()


# %% right: the pull request, repaired
def drift_from_base(before, after):
    p, q = before.softmax(-1), after.softmax(-1)
    return F.kl_div(q.log(), p, reduction="batchmean")


# %% right: both as logarithms
def drift_from_base(before, after):
    return F.kl_div(after.log_softmax(-1), before.log_softmax(-1), reduction="batchmean", log_target=True)


# %% right: a sum, divided
def drift_from_base(before, after):
    return F.kl_div(after.log_softmax(-1), before.softmax(-1), reduction="sum") / len(before)


# %% right: torch.distributions
def drift_from_base(before, after):
    p, q = (torch.distributions.Categorical(logits=x) for x in (before, after))
    return torch.distributions.kl_divergence(p, q).mean()


# %% right: cross entropy minus entropy
def drift_from_base(before, after):
    p = before.softmax(-1)
    return F.cross_entropy(after, p) - F.cross_entropy(before, p)


# %% right: logsumexp
def drift_from_base(before, after):
    p = before.softmax(-1)
    return ((p * (before - after)).sum(-1) - before.logsumexp(-1) + after.logsumexp(-1)).mean()


# %% right: NumPy
def drift_from_base(before, after):
    p, q = (np.exp(x.numpy() - x.numpy().max(-1, keepdims=True)) for x in (before, after))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return np.mean(np.sum(p * np.log(p / q), axis=-1))


# %% right: a loop
def drift_from_base(before, after):
    rows = []
    for b, a in zip(before.log_softmax(-1), after.log_softmax(-1)):
        rows.append(sum(math.exp(x) * (x - y) for x, y in zip(b.tolist(), a.tolist())))
    return sum(rows) / len(rows)


# %% right: einsum
def drift_from_base(before, after):
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    return torch.einsum("nv,nv->n", p.exp(), p - q).mean()


# %% right: float64
def drift_from_base(before, after):
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    return float((p.exp() * (p - q)).sum() / before.shape[0])


# %% reversed: the arguments as they are read
def drift_from_base(before, after):
    return F.kl_div(before.log_softmax(-1), after.softmax(-1), reduction="batchmean")


# %% mean: the default reduction
def drift_from_base(before, after):
    return F.kl_div(after.log_softmax(-1), before.softmax(-1), reduction="mean")


# %% mean+reversed: the pull request
def drift_from_base(before, after):
    p, q = before.softmax(-1), after.softmax(-1)
    return F.kl_div(p.log(), q)


# %% sum: over the text
def drift_from_base(before, after):
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    return (p.exp() * (p - q)).sum()


# %% cross: without the entropy
def drift_from_base(before, after):
    return -(before.softmax(-1) * after.log_softmax(-1)).sum(-1).mean()


# %% sign: q before p
def drift_from_base(before, after):
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    return (p.exp() * (q - p)).sum(-1).mean()


# %% logits: not normalised
def drift_from_base(before, after):
    return (before.softmax(-1) * (before - after)).sum(-1).mean()


# %% bits: log2
def drift_from_base(before, after):
    p, q = before.softmax(-1), after.softmax(-1)
    return (p * (p.log2() - q.log2())).sum(-1).mean()


# %% shape: one for each position
def drift_from_base(before, after):
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


# %% unknown: a squared distance
def drift_from_base(before, after):
    return (before - after).square().mean()


# %% raised: no such method
def drift_from_base(before, after):
    return before.kl_div(after)


# %% no-return: printed
def drift_from_base(before, after):
    print(F.kl_div(after.log_softmax(-1), before.softmax(-1), reduction="batchmean"))
