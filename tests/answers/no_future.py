# %% right: the solution
def shifted_mask(length, group):
    i = torch.arange(length)
    home = (i + group // 2) // group
    return (home[:, None] == home) & (i[:, None] >= i)


# %% right: tril of the same home
def shifted_mask(length, group):
    home = torch.div(torch.arange(length) + group // 2, group, rounding_mode="floor")
    return home.unsqueeze(1).eq(home).tril()


# %% right: moved the other way, which is the same border
def shifted_mask(length, group):
    i = torch.arange(length)
    home = (i - group // 2) // group
    return (home[:, None] == home[None, :]) & (i[None, :] <= i[:, None])


# %% right: loops
def shifted_mask(length, group):
    seen = torch.zeros(length, length, dtype=torch.bool)
    for i in range(length):
        for j in range(i + 1):
            seen[i, j] = (i + group // 2) // group == (j + group // 2) // group
    return seen


# %% right: from where each token's group starts
def shifted_mask(length, group):
    i = torch.arange(length)
    start = (i - (i + group // 2) % group).clamp_min(0)
    return (i >= start[:, None]) & (i <= i[:, None])


# %% right: a list of lists
def shifted_mask(length, group):
    home = [(i + group // 2) // group for i in range(length)]
    return [[home[i] == home[j] and j <= i for j in range(length)] for i in range(length)]


# %% right: NumPy
def shifted_mask(length, group):
    home = (np.arange(length) + group // 2) // group
    return np.tril(home[:, None] == home[None])


# %% right: blocks on the diagonal, one after the other
def shifted_mask(length, group):
    borders = [0, *range(group // 2, length, group), length]
    sizes = [b - a for a, b in zip(borders, borders[1:])]
    return torch.block_diag(*[torch.ones(n, n).tril() for n in sizes]).bool()


# %% right: block_diag cut out of a longer one
def shifted_mask(length, group):
    blocks = torch.block_diag(*[torch.ones(group, group)] * (length // group + 2))
    s = group // 2
    return blocks[s : s + length, s : s + length].tril()


# %% right: floats, and a product of one-hot rows
def shifted_mask(length, group):
    one_hot = F.one_hot((torch.arange(length) + group // 2) // group).float()
    return torch.tril(one_hot @ one_hot.T)


# %% right: the roll, where the wrapped group is cut and the rest padded
def shifted_mask(length, group):
    s = group // 2
    padded = torch.arange(-s, length)
    home = torch.arange(len(padded)) // group
    return ((home[:, None] == home) & (padded[:, None] >= padded))[s:, s:]


# %% leak: the pull request
def shifted_mask(length, group):
    place = (torch.arange(length) - group // 2) % length
    home = place // group
    return (home[:, None] == home) & (place[:, None] >= place)


# %% wrapped: the order of the text in the rolled groups
def shifted_mask(length, group):
    i = torch.arange(length)
    home = (i - group // 2) % length // group
    return (home[:, None] == home) & (i[:, None] >= i)


# %% rolled-cut: both orders
def shifted_mask(length, group):
    place = (torch.arange(length) - group // 2) % length
    home = place // group
    return ((home[:, None] == home) & (place[:, None] >= place)).tril()


# %% future: rows and columns exchanged
def shifted_mask(length, group):
    i = torch.arange(length)
    home = (i + group // 2) // group
    return (home[:, None] == home) & (i >= i[:, None])


# %% both-ways: no order
def shifted_mask(length, group):
    home = (torch.arange(length) + group // 2) // group
    return home[:, None] == home


# %% strict: without itself
def shifted_mask(length, group):
    home = (torch.arange(length) + group // 2) // group
    return (home[:, None] == home).tril(-1)


# %% unshifted: no shift
def shifted_mask(length, group):
    home = torch.arange(length) // group
    return (home[:, None] == home).tril()


# %% unshifted: a whole group
def shifted_mask(length, group):
    i = torch.arange(length)
    home = (i + group) // group
    return (home[:, None] == home) & (i[:, None] >= i)


# %% halves: groups of g/2
def shifted_mask(length, group):
    home = torch.arange(length) // (group // 2)
    return (home[:, None] == home).tril()


# %% full: causal alone
def shifted_mask(length, group):
    return torch.ones(length, length).tril().bool()


# %% future+unshifted: both
def shifted_mask(length, group):
    home = torch.arange(length) // group
    return (home[:, None] == home).triu()


# %% both-ways+wrapped: the roll without an order
def shifted_mask(length, group):
    home = torch.arange(length).roll(group // 2) // group
    home = (torch.arange(length) - group // 2) % length // group
    return home[:, None] == home


# %% unknown: everybody sees the last group
def shifted_mask(length, group):
    i = torch.arange(length)
    home = (i + group // 2) // group
    return (home[:, None] == home.max()) & (i[:, None] >= i)


# %% raised: a shape that does not fit
def shifted_mask(length, group):
    home = torch.arange(length).view(-1, group)
    return home[:, None] == home


# %% no-return: assigned
def shifted_mask(length, group):
    home = (torch.arange(length) + group // 2) // group
    mask = (home[:, None] == home).tril()
