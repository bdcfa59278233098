# %% right: the solution
def group_for(length, layers):
    return 2 * math.ceil(length / (layers + 1))


# %% right: whole numbers alone
def group_for(length, layers):
    return 2 * ((length + layers) // (layers + 1))


# %% right: the negative floor
def group_for(length, layers):
    return -(-length // (layers + 1)) * 2


# %% right: a search over pieces
def group_for(length, layers):
    half = 1
    while half * (layers + 1) < length:
        half += 1
    return 2 * half


# %% right: by the masks, as the chapter's definition has it
def group_for(length, layers):
    i = torch.arange(length)
    for group in range(2, 2 * length + 2, 2):
        homes = i // group, (i + group // 2) // group
        seen = sum((home[:, None] == home) for home in homes).clamp_max(1).tril()
        heard = torch.zeros(length)
        heard[-1] = 1
        for _ in range(layers):
            heard = (heard @ seen.float()).clamp_max(1)
        if heard[0]:
            return group


# %% right: walking back from border to border
def group_for(length, layers):
    group = 2
    while True:
        at = length - 1
        for _ in range(layers):
            at = max(0, min(at // group * group, (at + group // 2) // group * group - group // 2))
        if at == 0:
            return group
        group += 2


# %% right: a tensor
def group_for(length, layers):
    return 2 * torch.ceil(torch.tensor(length / (layers + 1)))


# %% right: NumPy
def group_for(length, layers):
    return np.ceil(length / (layers + 1)) * 2


# %% right: counting pieces
def group_for(length, layers):
    return next(g for g in range(2, 2 * length + 2, 2) if (length - 1) // (g // 2) <= layers)


# %% right: made even afterwards
def group_for(length, layers):
    group = math.ceil(2 * length / (layers + 1))
    return group + group % 2


# %% right: divmod
def group_for(length, layers):
    half, rest = divmod(length, layers + 1)
    return 2 * (half + (rest > 0))


# %% own-piece: 2L/g layers, as the card says that they suffice
def group_for(length, layers):
    return 2 * math.ceil(length / layers)


# %% one-more: one too many
def group_for(length, layers):
    return 2 * math.ceil(length / (layers + 2))


# %% whole-hops: a group a layer
def group_for(length, layers):
    group = math.ceil(length / (layers + 1))
    return group + group % 2


# %% own-piece+whole-hops: a group a layer, and no more
def group_for(length, layers):
    return 2 * math.ceil(length / layers / 2)


# %% odd: not made even
def group_for(length, layers):
    return math.ceil(2 * length / (layers + 1))


# %% rounded-down: a floor
def group_for(length, layers):
    return 2 * (length // (layers + 1))


# %% piece: half of it
def group_for(length, layers):
    return math.ceil(length / (layers + 1))


# %% alone: as long as the text
def group_for(length, layers):
    return length + length % 2


# %% quarter: the paper's
def group_for(length, layers):
    return 2 * math.ceil(length / 8)


# %% down-and-odd: twice the length, floored
def group_for(length, layers):
    return 2 * length // (layers + 1)


# %% own-piece+rounded-down: both
def group_for(length, layers):
    return 2 * (length // layers)


# %% unknown: the layers alone
def group_for(length, layers):
    return 2 * layers


# %% raised: a module that is not there
def group_for(length, layers):
    return layers.ceil(length)


# %% no-return: assigned
def group_for(length, layers):
    group = 2 * math.ceil(length / (layers + 1))
