# %% right: the solution
def means_needed(linear, other, kept, again, rest, gpu):
    four = linear * 4.127 / 16
    needs = [base + other + acts + rest for base in (linear, four) for acts in (kept, again)]
    return next((i for i, gib in enumerate(needs) if gib <= gpu), 4)


# %% right: ifs
def means_needed(linear, other, kept, again, rest, gpu):
    q = linear * 4.127 / 16
    if linear + other + kept + rest <= gpu:
        return 0
    if linear + other + again + rest <= gpu:
        return 1
    if q + other + kept + rest <= gpu:
        return 2
    if q + other + again + rest <= gpu:
        return 3
    return 4


# %% right: a loop
def means_needed(linear, other, kept, again, rest, gpu):
    for i in range(4):
        w = linear * (4.127 / 16 if i > 1 else 1)
        a = again if i % 2 else kept
        if w + other + a + rest <= gpu:
            return i
    return 4


# %% right: what is left over
def means_needed(linear, other, kept, again, rest, gpu):
    room = gpu - other - rest
    four = 4.127 * linear / 16
    tried = ((linear, kept), (linear, again), (four, kept), (four, again))
    fits = [w + a <= room for w, a in tried] + [True]
    return fits.index(True)


# %% right: NumPy
def means_needed(linear, other, kept, again, rest, gpu):
    w = np.array([linear, linear, linear * 4.127 / 16, linear * 4.127 / 16])
    needs = w + other + rest + np.array([kept, again, kept, again])
    return int(np.argmax(np.append(needs <= gpu, True)))


# %% right: a tensor
def means_needed(linear, other, kept, again, rest, gpu):
    w = torch.tensor([1.0, 1.0, 4.127 / 16, 4.127 / 16], dtype=torch.float64) * linear
    a = torch.tensor([kept, again, kept, again], dtype=torch.float64)
    fits = (w + a + other + rest <= gpu).tolist() + [True]
    return fits.index(True)


# %% right: itertools
def means_needed(linear, other, kept, again, rest, gpu):
    import itertools

    steps = itertools.product((1, 4.127 / 16), (kept, again))
    needs = (share * linear + acts + other + rest for share, acts in steps)
    return next((i for i, n in enumerate(needs) if not n > gpu), 4)


# %% right: a dictionary
def means_needed(linear, other, kept, again, rest, gpu):
    q = linear / 16 * 4.127
    needs = {0: linear + kept, 1: linear + again, 2: q + kept, 3: q + again}
    fitting = [i for i, n in needs.items() if n + other + rest <= gpu]
    return min(fitting, default=4)


# %% right: counting what fails
def means_needed(linear, other, kept, again, rest, gpu):
    q = linear * (4.127 / 16)
    needs = [linear + kept, linear + again, q + kept, q + again]
    from itertools import takewhile

    failing = list(takewhile(lambda n: n + other + rest > gpu, needs))
    return len(failing)


# %% right: recursion
def means_needed(linear, other, kept, again, rest, gpu):
    def tried(i):
        w = linear * 4.127 / 16 if i >= 2 else linear
        if i == 4 or w + other + rest + (again if i % 2 else kept) <= gpu:
            return i
        return tried(i + 1)

    return tried(0)


# %% order: four bits first
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = linear * 4.127 / 16 + other, linear + other
    tried = ((whole, kept), (four, kept), (whole, again), (four, again))
    return next((i for i, (w, a) in zip((0, 2, 1, 3), tried) if w + a + rest <= gpu), 4)


# %% whole: all of it
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = (linear + other) * 4.127 / 16, linear + other
    tried = ((whole, kept), (whole, again), (four, kept), (four, again))
    return next((i for i, (w, a) in zip((0, 1, 2, 3), tried) if w + a + rest <= gpu), 4)


# %% bytes: over eight
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = linear * 4.127 / 8 + other, linear + other
    tried = ((whole, kept), (whole, again), (four, kept), (four, again))
    return next((i for i, (w, a) in zip((0, 1, 2, 3), tried) if w + a + rest <= gpu), 4)


# %% rest: left out
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = linear * 4.127 / 16 + other, linear + other
    tried = ((whole, kept), (whole, again), (four, kept), (four, again))
    return next((i for i, (w, a) in zip((0, 1, 2, 3), tried) if w + a <= gpu), 4)


# %% last: both, always
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = linear * 4.127 / 16 + other, linear + other
    tried = ((whole, kept), (whole, again), (four, kept), (four, again))
    return next((i for i, (w, a) in zip((0, 1, 2, 3), tried) if w + a + rest <= gpu), 3)


# %% one: from one
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = linear * 4.127 / 16 + other, linear + other
    tried = ((whole, kept), (whole, again), (four, kept), (four, again))
    return next((i for i, (w, a) in zip((0, 1, 2, 3), tried) if w + a + rest <= gpu), 4) + 1


# %% rest+whole: two slips
def means_needed(linear, other, kept, again, rest, gpu):
    four, whole = (linear + other) * 4.127 / 16, linear + other
    tried = ((whole, kept), (whole, again), (four, kept), (four, again))
    return next((i for i, (w, a) in zip((0, 1, 2, 3), tried) if w + a <= gpu), 4)


# %% no-return: assigned
def means_needed(linear, other, kept, again, rest, gpu):
    answer = 0 if linear + other + kept + rest <= gpu else 1
