# %% right: the solution
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for count, (adapter, rows) in enumerate(queue):
        brought = 0 if adapter in there else -(-ranks[adapter] // size)
        free -= brought - (-rows // size)
        if free < 0:
            return count
        there.add(adapter)
    return len(queue)


# %% right: math.ceil
def let_in(queue, ranks, loaded, free, size):
    here, count = list(loaded), 0
    for adapter, rows in queue:
        need = math.ceil(rows / size)
        if adapter not in here:
            need += math.ceil(ranks[adapter] / size)
        if need > free:
            break
        free -= need
        here.append(adapter)
        count += 1
    return count


# %% right: recursion
def let_in(queue, ranks, loaded, free, size):
    if not queue:
        return 0
    (adapter, rows), *rest = queue
    need = (rows + size - 1) // size + (adapter not in loaded) * ((ranks[adapter] + size - 1) // size)
    return 0 if need > free else 1 + let_in(rest, ranks, [*loaded, adapter], free - need, size)


# %% right: the longest beginning that fits
def let_in(queue, ranks, loaded, free, size):
    def pages(some):
        new = {adapter for adapter, _ in some} - set(loaded)
        return sum(-(-ranks[a] // size) for a in new) + sum(-(-rows // size) for _, rows in some)

    return max(n for n in range(len(queue) + 1) if pages(queue[:n]) <= free)


# %% right: the library's own pool
def let_in(queue, ranks, loaded, free, size):
    from lorabook.many.pages import Pages

    pool = Pages(free + sum(-(-ranks[a] // size) for a in loaded), size)
    if loaded:
        pool.hold({a: ranks[a] for a in loaded})
    for n, (adapter, rows) in enumerate(queue):
        wanted = {adapter: ranks[adapter], n: rows}
        if not pool.fits(wanted):
            return n
        pool.hold(wanted)
    return len(queue)


# %% right: divmod
def let_in(queue, ranks, loaded, free, size):
    def up(rows):
        whole, rest = divmod(rows, size)
        return whole + bool(rest)

    known = dict.fromkeys(loaded)
    n = 0
    while n < len(queue):
        adapter, rows = queue[n]
        free -= up(rows) + (0 if adapter in known else up(ranks[adapter]))
        if free < 0:
            break
        known[adapter] = None
        n += 1
    return n


# %% right: sums that grow
def let_in(queue, ranks, loaded, free, size):
    total, there, fits = 0, set(loaded), 0
    for adapter, rows in queue:
        total += math.ceil(rows / size) + (0 if adapter in there else math.ceil(ranks[adapter] / size))
        there |= {adapter}
        fits += total <= free
    return fits


# %% right: a float
def let_in(queue, ranks, loaded, free, size):
    there, n = set(loaded), 0.0
    for adapter, rows in queue:
        need = -(-rows // size) + (adapter not in there and -(-ranks[adapter] // size))
        if need > free:
            return n
        free, n = free - need, n + 1
        there.add(adapter)
    return n


# %% right: a tensor
def let_in(queue, ranks, loaded, free, size):
    seen, needs = set(loaded), []
    for adapter, rows in queue:
        needs.append(-(-rows // size) + (0 if adapter in seen else -(-ranks[adapter] // size)))
        seen.add(adapter)
    return (torch.tensor(needs).cumsum(0) <= free).sum()


# %% right: NumPy
def let_in(queue, ranks, loaded, free, size):
    seen, needs = set(loaded), []
    for adapter, rows in queue:
        needs.append(np.ceil(rows / size) + (0 if adapter in seen else np.ceil(ranks[adapter] / size)))
        seen.add(adapter)
    return int(np.searchsorted(np.cumsum(needs), free, side="right"))


# %% right: an iterator
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)

    def left():
        room = free
        for adapter, rows in queue:
            room -= -(-rows // size) + (0 if adapter in there else -(-ranks[adapter] // size))
            there.add(adapter)
            yield room

    return next((n for n, room in enumerate(left()) if room < 0), len(queue))


# %% each: every request brings its adapter
def let_in(queue, ranks, loaded, free, size):
    for n, (adapter, rows) in enumerate(queue):
        free -= -(-rows // size) + (0 if adapter in loaded else -(-ranks[adapter] // size))
        if free < 0:
            return n
    return len(queue)


# %% not-loaded: what is there is copied again
def let_in(queue, ranks, loaded, free, size):
    there = set()
    for n, (adapter, rows) in enumerate(queue):
        free -= -(-rows // size) + (0 if adapter in there else -(-ranks[adapter] // size))
        if free < 0:
            return n
        there.add(adapter)
    return len(queue)


# %% no-adapter: caches alone
def let_in(queue, ranks, loaded, free, size):
    for n, (_, rows) in enumerate(queue):
        free -= -(-rows // size)
        if free < 0:
            return n
    return len(queue)


# %% no-cache: adapters alone
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for n, (adapter, _) in enumerate(queue):
        free -= 0 if adapter in there else -(-ranks[adapter] // size)
        if free < 0:
            return n
        there.add(adapter)
    return len(queue)


# %% rows: rows for pages
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for n, (adapter, rows) in enumerate(queue):
        free -= rows + (0 if adapter in there else ranks[adapter])
        if free < 0:
            return n
        there.add(adapter)
    return len(queue)


# %% floor: rounded down
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for n, (adapter, rows) in enumerate(queue):
        free -= rows // size + (0 if adapter in there else ranks[adapter] // size)
        if free < 0:
            return n
        there.add(adapter)
    return len(queue)


# %% together: one rounding for both
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for n, (adapter, rows) in enumerate(queue):
        free -= math.ceil((rows + (0 if adapter in there else ranks[adapter])) / size)
        if free < 0:
            return n
        there.add(adapter)
    return len(queue)


# %% skips: later ones overtake
def let_in(queue, ranks, loaded, free, size):
    there, count = set(loaded), 0
    for adapter, rows in queue:
        need = -(-rows // size) + (0 if adapter in there else -(-ranks[adapter] // size))
        if need <= free:
            free, count = free - need, count + 1
            there.add(adapter)
    return count


# %% strict: one page is kept back
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for n, (adapter, rows) in enumerate(queue):
        free -= -(-rows // size) + (0 if adapter in there else -(-ranks[adapter] // size))
        if free <= 0:
            return n
        there.add(adapter)
    return len(queue)


# %% each+skips: both
def let_in(queue, ranks, loaded, free, size):
    count = 0
    for adapter, rows in queue:
        need = -(-rows // size) + (0 if adapter in loaded else -(-ranks[adapter] // size))
        if need <= free:
            free, count = free - need, count + 1
    return count


# %% unknown: how many do not start
def let_in(queue, ranks, loaded, free, size):
    there = set(loaded)
    for n, (adapter, rows) in enumerate(queue):
        free -= -(-rows // size) + (0 if adapter in there else -(-ranks[adapter] // size))
        if free < 0:
            return len(queue) - n
        there.add(adapter)
    return 0


# %% raised: a queue of names
def let_in(queue, ranks, loaded, free, size):
    return sum(ranks[request] for request in queue)


# %% no-return: printed
def let_in(queue, ranks, loaded, free, size):
    print(len(queue))
