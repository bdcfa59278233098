# %% right: the solution
def count_in_file(shapes, layers, r, with_pair):
    vectors = layers * sum(d_out + r for d_out, _ in shapes)
    tallest, widest = (max(sides) for sides in zip(*shapes, strict=True))
    return vectors + (r * (tallest + widest) if with_pair else 0)


# %% right: with_pair as a number
def count_in_file(shapes, layers, r, with_pair):
    pair = r * max(o for o, _ in shapes) + r * max(i for _, i in shapes)
    return layers * sum(o + r for o, _ in shapes) + with_pair * pair


# %% right: a loop
def count_in_file(shapes, layers, r, with_pair):
    total = tallest = widest = 0
    for d_out, d_in in shapes:
        total += d_out + r
        tallest = d_out if d_out > tallest else tallest
        widest = d_in if d_in > widest else widest
    total *= layers
    if with_pair:
        total += r * tallest + widest * r
    return total


# %% right: two sums
def count_in_file(shapes, layers, r, with_pair):
    b = sum(s[0] for s in shapes) * layers
    d = r * len(shapes) * layers
    if not with_pair:
        return b + d
    return b + d + r * (max(s[0] for s in shapes) + max(s[1] for s in shapes))


# %% right: NumPy
def count_in_file(shapes, layers, r, with_pair):
    s = np.array(shapes)
    return layers * (s[:, 0] + r).sum() + (r * s.max(axis=0).sum() if with_pair else 0)


# %% right: a tensor
def count_in_file(shapes, layers, r, with_pair):
    s = torch.tensor(shapes)
    return layers * (s[:, 0] + r).sum() + int(with_pair) * r * s.amax(0).sum()


# %% right: every layer written out
def count_in_file(shapes, layers, r, with_pair):
    whole = shapes * layers
    vectors = sum(len(range(o)) + r for o, _ in whole)
    return vectors + (r * sum(map(max, zip(*whole))) if with_pair else 0)


# %% right: sorted
def count_in_file(shapes, layers, r, with_pair):
    outs, ins = sorted(o for o, _ in shapes), sorted(i for _, i in shapes)
    return layers * (sum(outs) + r * len(outs)) + [0, r * (outs[-1] + ins[-1])][with_pair]


# %% right: reduce
def count_in_file(shapes, layers, r, with_pair):
    vectors = functools.reduce(lambda n, s: n + s[0] + r, shapes, 0)
    pair = max(shapes)[0] + max(shapes, key=lambda s: s[1])[1]
    return layers * vectors + r * pair * bool(with_pair)


# %% right: tensors that are made and counted
def count_in_file(shapes, layers, r, with_pair):
    tensors = [t for o, _ in shapes for t in (torch.empty(o, device="meta"), torch.empty(r, device="meta"))] * layers
    if with_pair:
        tensors.append(torch.empty(r, max(i for _, i in shapes), device="meta"))
        tensors.append(torch.empty(max(o for o, _ in shapes), r, device="meta"))
    return sum(t.numel() for t in tensors)


# %% lora: a pair for each, trained
def count_in_file(shapes, layers, r, with_pair):
    return layers * sum(r * (o + i) for o, i in shapes)


# %% width: two vectors of the layer's sides
def count_in_file(shapes, layers, r, with_pair):
    pair = r * (max(o for o, _ in shapes) + max(i for _, i in shapes))
    return layers * sum(o + i for o, i in shapes) + (pair if with_pair else 0)


# %% no-d: b alone
def count_in_file(shapes, layers, r, with_pair):
    pair = r * (max(o for o, _ in shapes) + max(i for _, i in shapes))
    return layers * sum(o for o, _ in shapes) + (pair if with_pair else 0)


# %% no-b: d alone
def count_in_file(shapes, layers, r, with_pair):
    pair = r * (max(o for o, _ in shapes) + max(i for _, i in shapes))
    return layers * len(shapes) * r + (pair if with_pair else 0)


# %% one-layer: layers forgotten
def count_in_file(shapes, layers, r, with_pair):
    pair = r * (max(o for o, _ in shapes) + max(i for _, i in shapes))
    return sum(o + r for o, _ in shapes) + (pair if with_pair else 0)


# %% each: a pair for each matrix
def count_in_file(shapes, layers, r, with_pair):
    return layers * sum(o + r + (r * (o + i) if with_pair else 0) for o, i in shapes)


# %% each-layer: a pair for each layer
def count_in_file(shapes, layers, r, with_pair):
    pair = r * (max(o for o, _ in shapes) + max(i for _, i in shapes))
    return layers * (sum(o + r for o, _ in shapes) + (pair if with_pair else 0))


# %% first: the first matrix's pair
def count_in_file(shapes, layers, r, with_pair):
    return layers * sum(o + r for o, _ in shapes) + (r * sum(shapes[0]) if with_pair else 0)


# %% largest: by entries
def count_in_file(shapes, layers, r, with_pair):
    o, i = max(shapes, key=lambda s: s[0] * s[1])
    return layers * sum(out + r for out, _ in shapes) + (r * (o + i) if with_pair else 0)


# %% always: with_pair not read
def count_in_file(shapes, layers, r, with_pair):
    pair = r * (max(o for o, _ in shapes) + max(i for _, i in shapes))
    return layers * sum(o + r for o, _ in shapes) + pair


# %% never: with_pair not read
def count_in_file(shapes, layers, r, with_pair):
    return layers * sum(o + r for o, _ in shapes)


# %% never+no-d: two slips
def count_in_file(shapes, layers, r, with_pair):
    return layers * sum(o for o, _ in shapes)


# %% no-return: assigned
def count_in_file(shapes, layers, r, with_pair):
    total = layers * sum(o + r for o, _ in shapes)
