# %% right: the solution
def rank_for(every, chosen, r):
    budget = r * sum(d_out + d_in for d_out, d_in in every)
    return min(budget // sum(d_out + d_in for d_out, d_in in chosen), *map(min, chosen))


# %% right: a search from below
def rank_for(every, chosen, r):
    budget, best = sum(r * (o + i) for o, i in every), 0
    while sum((best + 1) * (o + i) for o, i in chosen) <= budget and all(best + 1 <= min(s) for s in chosen):
        best += 1
    return best


# %% right: math.floor
def rank_for(every, chosen, r):
    share = sum(map(sum, every)) / sum(map(sum, chosen))
    return min(math.floor(r * share + 1e-9), min(min(shape) for shape in chosen))


# %% right: int() of a quotient
def rank_for(every, chosen, r):
    total = lambda shapes: sum(a + b for a, b in shapes)
    rank = int(r * total(every) / total(chosen))
    for shape in chosen:
        rank = min(rank, shape[0], shape[1])
    return rank


# %% right: tensors
def rank_for(every, chosen, r):
    every, chosen = torch.tensor(every), torch.tensor(chosen)
    return torch.minimum(r * every.sum() // chosen.sum(), chosen.min())


# %% right: NumPy
def rank_for(every, chosen, r):
    return min(r * np.sum(every) // np.sum(chosen), np.min(chosen))


# %% right: divmod
def rank_for(every, chosen, r):
    rank, _ = divmod(r * sum(map(sum, every)), sum(map(sum, chosen)))
    return sorted([rank, *[side for shape in chosen for side in shape]])[0]


# %% right: a search from above
def rank_for(every, chosen, r):
    budget = r * sum(map(sum, every))
    for rank in range(min(map(min, chosen)), 0, -1):
        if rank * sum(map(sum, chosen)) <= budget:
            return rank
    return 0


# %% right: real adapters are counted
def rank_for(every, chosen, r):
    def trained(shapes, rank):
        layers = [nn.Linear(i, rank, False, device="meta") for _, i in shapes]
        layers += [nn.Linear(rank, o, False, device="meta") for o, _ in shapes]
        return sum(p.numel() for layer in layers for p in layer.parameters())

    return min(trained(every, r) // trained(chosen, 1), *(min(shape) for shape in chosen))


# %% right: a float
def rank_for(every, chosen, r):
    return float(min([r * sum(map(sum, every)) // sum(map(sum, chosen))] + [min(s) for s in chosen]))


# %% right: functools.reduce
def rank_for(every, chosen, r):
    total = lambda shapes: functools.reduce(lambda n, s: n + s[0] + s[1], shapes, 0)
    return functools.reduce(min, (side for s in chosen for side in s), r * total(every) // total(chosen))


# %% dense: whole matrices
def rank_for(every, chosen, r):
    budget = r * sum(d_out * d_in for d_out, d_in in every)
    return min(budget // sum(d_out * d_in for d_out, d_in in chosen), *map(min, chosen))


# %% by-number: as if all had one size
def rank_for(every, chosen, r):
    return min(r * len(every) // len(chosen), *map(min, chosen))


# %% inputs: A alone
def rank_for(every, chosen, r):
    return min(r * sum(i for _, i in every) // sum(i for _, i in chosen), *map(min, chosen))


# %% outputs: B alone
def rank_for(every, chosen, r):
    return min(r * sum(o for o, _ in every) // sum(o for o, _ in chosen), *map(min, chosen))


# %% above: rounded up
def rank_for(every, chosen, r):
    return min(math.ceil(r * sum(map(sum, every)) / sum(map(sum, chosen))), *map(min, chosen))


# %% nearest: rounded
def rank_for(every, chosen, r):
    return min(round(r * sum(map(sum, every)) / sum(map(sum, chosen))), *map(min, chosen))


# %% no-room: the budget alone
def rank_for(every, chosen, r):
    return r * sum(map(sum, every)) // sum(map(sum, chosen))


# %% longer: up to the longer side
def rank_for(every, chosen, r):
    return min(r * sum(map(sum, every)) // sum(map(sum, chosen)), *map(max, chosen))


# %% rest: what the others cost
def rank_for(every, chosen, r):
    rest = sum(map(sum, every)) - sum(map(sum, chosen))
    return min(r * rest // sum(map(sum, chosen)), *map(min, chosen))


# %% above+dense: whole matrices, rounded up
def rank_for(every, chosen, r):
    price = sum(o * i for o, i in chosen)
    return min(-(-r * sum(o * i for o, i in every) // price), *map(min, chosen))


# %% unknown: r as it is
def rank_for(every, chosen, r):
    return r


# %% raised: a list is added to a number
def rank_for(every, chosen, r):
    return r * sum(every) // sum(chosen)


# %% no-return: nothing
def rank_for(every, chosen, r):
    rank = r * sum(map(sum, every)) // sum(map(sum, chosen))
