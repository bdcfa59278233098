# %% right: the solution
def quantise(w, codes):
    scale = w.abs().max()
    return scale * codes[(w[:, None] / scale - codes).abs().argmin(1)]


# %% right: float32
def quantise(w, codes):
    w, codes = w.to(torch.float32), codes.to(torch.float32)
    s = w.abs().max()
    return codes[torch.cdist((w / s)[:, None], codes[:, None]).argmin(dim=1)] * s


# %% right: NumPy
def quantise(w, codes):
    w, codes = w.numpy(), codes.numpy()
    s = np.abs(w).max()
    return codes[np.abs(w[:, None] / s - codes[None]).argmin(axis=1)] * s


# %% right: a list of floats
def quantise(w, codes):
    s = max(abs(x) for x in w.tolist())
    return [s * min(codes.tolist(), key=lambda c: abs(c - x / s)) for x in w.tolist()]


# %% right: a list of 0-d tensors
def quantise(w, codes):
    s = w.abs().max()
    return [s * codes[(codes - x / s).abs().argmin()] for x in w]


# %% right: searchsorted on midpoints
def quantise(w, codes):
    s = w.abs().max()
    middles = (codes[1:] + codes[:-1]) / 2
    return codes[torch.searchsorted(middles, w / s)] * s


# %% right: bucketize
def quantise(w, codes):
    s = torch.max(torch.abs(w))
    return s * codes[torch.bucketize(w / s, (codes[:-1] + codes[1:]) / 2)]


# %% right: scaled codes instead of scaled weights
def quantise(w, codes):
    scaled = codes * w.abs().max()
    return scaled[(w.unsqueeze(1) - scaled.unsqueeze(0)).abs().argmin(1)]


# %% right: squared distances
def quantise(w, codes):
    s = w.abs().amax()
    d = (w.view(-1, 1) / s - codes.view(1, -1)) ** 2
    return codes.index_select(0, d.min(dim=1).indices) * s


# %% right: the infinity norm
def quantise(w, codes):
    s = torch.linalg.vector_norm(w, ord=float("inf"))
    return s * torch.stack([codes[torch.argmin(torch.abs(codes - v))] for v in w / s])


# %% right: in place in a copy
def quantise(w, codes):
    out = w.clone()
    s = out.abs().max()
    for i in range(len(out)):
        out[i] = codes[(out[i] / s - codes).abs().argmin()] * s
    return out


# %% right: in place on the input
def quantise(w, codes):
    s = w.abs().max().item()
    w /= s
    for i, x in enumerate(w.clone()):
        w[i] = codes[(x - codes).abs().argmin()]
    w *= s
    return w


# %% right: max of w and of −w, and a sum of one-hots
def quantise(w, codes):
    s = max(w.max(), (-w).max())
    hot = F.one_hot((w[:, None] / s - codes).abs().argmin(1), len(codes)).to(codes)
    return s * hot @ codes


# %% signed: the largest weight
def quantise(w, codes):
    s = w.max()
    return s * codes[(w[:, None] / s - codes).abs().argmin(1)]


# %% sevenths: 4-bit integers
def quantise(w, codes):
    s = w.abs().max() / 7
    return (w / s).round() * s


# %% not-back: codes only
def quantise(w, codes):
    s = w.abs().max()
    return codes[(w[:, None] / s - codes).abs().argmin(1)]


# %% floor: the code below
def quantise(w, codes):
    s = w.abs().max()
    place = torch.searchsorted(codes, w / s, right=True) - 1
    return codes[place] * s


# %% unscaled: no scale at all
def quantise(w, codes):
    return codes[(w[:, None] - codes).abs().argmin(1)]


# %% spread: the standard deviation
def quantise(w, codes):
    s = w.std()
    return s * codes[(w[:, None] / s - codes).abs().argmin(1)]


# %% spread-of-all: NumPy's standard deviation
def quantise(w, codes):
    s = w.numpy().std()
    return s * codes[(w[:, None] / s - codes).abs().argmin(1)]


# %% mean: the mean size
def quantise(w, codes):
    s = w.abs().mean()
    return codes[(w[:, None] / s - codes).abs().argmin(1)] * s


# %% index: the numbers of the codes
def quantise(w, codes):
    s = w.abs().max()
    return (w[:, None] / s - codes).abs().argmin(1)


# %% not-back+signed: the largest weight, and codes only
def quantise(w, codes):
    return codes[(w[:, None] / w.max() - codes).abs().argmin(1)]


# %% floor+not-back: the code below, not scaled back
def quantise(w, codes):
    return codes[torch.searchsorted(codes, w / w.abs().max(), right=True) - 1]


# %% index+signed: numbers of the codes, by the largest weight
def quantise(w, codes):
    return (w[:, None] / w.max() - codes).abs().argmin(1)


# %% floor+signed: the code below, by the largest weight
def quantise(w, codes):
    s = w.max()
    place = (torch.searchsorted(codes, w / s, right=True) - 1).clamp_min(0)
    return codes[place] * s


# %% unknown: the code above
def quantise(w, codes):
    s = w.abs().max()
    return codes[torch.searchsorted(codes, w / s).clamp_max(len(codes) - 1)] * s


# %% unknown: the farthest code
def quantise(w, codes):
    s = w.abs().max()
    return s * codes[(w[:, None] / s - codes).abs().argmax(1)]


# %% unknown: the nearest without a sign
def quantise(w, codes):
    s = w.abs().max()
    return s * codes[(w[:, None].abs() / s - codes).abs().argmin(1)]


# %% unknown: sorted on the way
def quantise(w, codes):
    w = w.sort().values
    s = w.abs().max()
    return s * codes[(w[:, None] / s - codes).abs().argmin(1)]


# %% unknown: scaled back by the root
def quantise(w, codes):
    s = w.abs().max()
    return s.sqrt() * codes[(w[:, None] / s - codes).abs().argmin(1)]


# %% shape: the wrong axis
def quantise(w, codes):
    s = w.abs().max()
    return s * codes[(w[:, None] / s - codes).abs().argmin(0).clamp_max(8)][:5]


# %% shape: one scale for each weight
def quantise(w, codes):
    s = w.abs().max()
    return (s * codes[(w[:, None] / s - codes).abs().argmin(1)])[:, None]


# %% no-return: in place, and nothing comes back
def quantise(w, codes):
    s = w.abs().max()
    w.copy_(s * codes[(w[:, None] / s - codes).abs().argmin(1)])


# %% raised: shapes that do not fit
def quantise(w, codes):
    s = w.abs().max()
    return s * codes[(w / s - codes[:4]).abs().argmin(1)]


# %% type: the answer and its scale in a dictionary
def quantise(w, codes):
    s = w.abs().max()
    return dict(codes=(w[:, None] / s - codes).abs().argmin(1), scale=s)
