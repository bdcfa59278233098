# %% right: the solution
def how_many(shapes, layers, r):
    return layers * sum(r * (d_out + d_in) for d_out, d_in in shapes)


# %% right: loops
def how_many(shapes, layers, r):
    n = 0
    for _ in range(layers):
        for shape in shapes:
            n += shape[0] * r
            n += shape[1] * r
    return n


# %% right: a tensor of whole numbers
def how_many(shapes, layers, r):
    return torch.tensor(shapes).sum() * layers * r


# %% right: a float
def how_many(shapes, layers, r):
    return float(layers) * r * sum(a + b for a, b in shapes)


# %% right: NumPy
def how_many(shapes, layers, r):
    return np.array(shapes).sum() * r * layers


# %% right: float32, which cannot hold the last digit
def how_many(shapes, layers, r):
    return torch.tensor(shapes, dtype=torch.float32).sum() * layers * r


# %% right: map and sum
def how_many(shapes, layers, r):
    return layers * r * sum(map(sum, shapes))


# %% right: real modules
def how_many(shapes, layers, r):
    per_layer = 0
    for d_out, d_in in shapes:
        a, b = nn.Linear(d_in, r, bias=False, device="meta"), nn.Linear(r, d_out, bias=False, device="meta")
        per_layer += sum(p.numel() for m in (a, b) for p in m.parameters())
    return per_layer * layers


# %% right: recursion
def how_many(shapes, layers, r):
    if not shapes:
        return 0
    (o, i), *rest = shapes
    return layers * r * (o + i) + how_many(rest, layers, r)


# %% right: the list is emptied on the way
def how_many(shapes, layers, r):
    n = 0
    while shapes:
        o, i = shapes.pop()
        n += layers * r * (o + i)
    return n


# %% right: a lambda with reduce
how_many = lambda shapes, layers, r: functools.reduce(lambda n, s: n + r * sum(s), shapes, 0) * layers


# %% right: a 1-element list
def how_many(shapes, layers, r):
    return [layers * r * sum(o + i for o, i in shapes)]


# %% right: a helper with keywords only
def of_one(*, d_out, d_in, r):
    return r * d_in + d_out * r


def how_many(shapes, layers, r):
    return layers * sum(of_one(r=r, d_out=o, d_in=i) for o, i in shapes)


# %% dense: the whole update
def how_many(shapes, layers, r):
    return layers * sum(o * i for o, i in shapes)


# %% no-b: A alone
def how_many(shapes, layers, r):
    return layers * sum(r * d_in for d_out, d_in in shapes)


# %% no-a: B alone
def how_many(shapes, layers, r):
    return layers * sum(r * d_out for d_out, d_in in shapes)


# %% one-layer: of one layer
def how_many(shapes, layers, r):
    return sum(r * (o + i) for o, i in shapes)


# %% no-rank: one row and one column
def how_many(shapes, layers, r):
    return layers * sum(o + i for o, i in shapes)


# %% square: as if square
def how_many(shapes, layers, r):
    return layers * sum(2 * r * i for o, i in shapes)


# %% product: multiplied
def how_many(shapes, layers, r):
    return layers * sum((r * o) * (r * i) for o, i in shapes)


# %% first: a return inside the loop
def how_many(shapes, layers, r):
    for o, i in shapes:
        return layers * r * (o + i)


# %% total: with the frozen matrix
def how_many(shapes, layers, r):
    return layers * sum(o * i + r * (o + i) for o, i in shapes)


# %% rank-squared: r twice
def how_many(shapes, layers, r):
    n = sum(r * (o + i) for o, i in shapes)
    return layers * r * n


# %% no-b+one-layer: two slips
def how_many(shapes, layers, r):
    return sum(r * i for o, i in shapes)


# %% first+one-layer: the first matrix of one layer
def how_many(shapes, layers, r):
    return r * sum(shapes[0])


# %% dense+one-layer: the whole update of one layer
def how_many(shapes, layers, r):
    return sum(o * i for o, i in shapes)


# %% unknown: the last matrix
def how_many(shapes, layers, r):
    for o, i in shapes:
        n = layers * r * (o + i)
    return n


# %% unknown: a bias for each
def how_many(shapes, layers, r):
    return layers * sum(r * (o + i) + o for o, i in shapes)


# %% unknown: off by one layer
def how_many(shapes, layers, r):
    return sum(r * (o + i) for _ in range(1, layers + 2) for o, i in shapes)


# %% unknown: in millions
def how_many(shapes, layers, r):
    return layers * sum(r * (o + i) for o, i in shapes) / 1e6


# %% type: a generator that nobody sums
def how_many(shapes, layers, r):
    return (layers * r * (o + i) for o, i in shapes)


# %% type: it yields
def how_many(shapes, layers, r):
    for o, i in shapes:
        yield layers * r * (o + i)


# %% no-return: an early return in the wrong branch
def how_many(shapes, layers, r):
    n = layers * sum(r * (o + i) for o, i in shapes)
    if n < 0:
        return n


# %% raised: shapes taken for tensors
def how_many(shapes, layers, r):
    return layers * r * sum(s.shape[0] + s.shape[1] for s in shapes)


# %% raised: shapes taken for one pair
def how_many(shapes, layers, r):
    d_out, d_in, rest = shapes
    return layers * r * (d_out + d_in)


# %% shape: one number for each matrix
def how_many(shapes, layers, r):
    return [layers * r * (o + i) for o, i in shapes] + [0]
