# %% right: the solution
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    room = card - 2 * frozen - 16 * trained
    return max(0, room // (length * (kept + 8 * vocab)))


# %% right: term by term
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    weights, adapters, gradients, moments = 2 * frozen, 4 * trained, 4 * trained, 8 * trained
    left = card - weights - adapters - gradients - moments
    text = length * kept + 2 * 4 * length * vocab
    return int(left // text) if left > 0 else 0


# %% right: counted up
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    batch = 0
    while 2 * frozen + 16 * trained + (batch + 1) * length * (kept + 8 * vocab) <= card:
        batch += 1
    return batch


# %% right: math.floor
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(math.floor((card - 2 * frozen - 16 * trained) / (length * (kept + 8 * vocab))), 0)


# %% right: NumPy
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return np.maximum(0, np.floor_divide(card - 2 * frozen - 16 * trained, length * (kept + 8 * vocab)))


# %% right: a tensor
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    left = torch.tensor(card - 2 * frozen - 16 * trained)
    return torch.div(left, length * (kept + 8 * vocab), rounding_mode="floor").clamp(min=0)


# %% right: divmod
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    whole, _ = divmod(card - 2 * frozen - 16 * trained, length * (kept + 8 * vocab))
    return max(whole, 0)


# %% right: the element sizes are asked for
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    half, full = torch.tensor(0, dtype=torch.bfloat16).element_size(), torch.tensor(0.0).element_size()
    left = card - half * frozen - full * 4 * trained
    return max(0, left // (length * kept + 2 * full * length * vocab))


# %% right: range
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    left = card - 2 * frozen - 16 * trained
    price = length * (kept + 8 * vocab)
    return len(range(price, left + 1, price))


# %% right: a float
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    left = float(card - 2 * frozen - 16 * trained)
    return float(max(0.0, left // (length * (kept + 8 * vocab))))


# %% right: halving
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    need = lambda batch: 2 * frozen + 16 * trained + batch * length * (kept + 8 * vocab)
    low, high = 0, 10**6
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(middle) <= card else (low, middle)
    return low


# %% no-frozen: the base forgotten
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 16 * trained) // (length * (kept + 8 * vocab)))


# %% single: the base in fp32
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 4 * frozen - 16 * trained) // (length * (kept + 8 * vocab)))


# %% all-train: full fine-tuning
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 16 * (frozen + trained)) // (length * (kept + 8 * vocab)))


# %% no-weights: twelve bytes
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 12 * trained) // (length * (kept + 8 * vocab)))


# %% no-moments: eight bytes
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 8 * trained) // (length * (kept + 8 * vocab)))


# %% no-logits: activations alone
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 16 * trained) // (length * kept))


# %% one-logit: no gradient of the logits
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 16 * trained) // (length * (kept + 4 * vocab)))


# %% no-length: tokens
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 16 * trained) // (kept + 8 * vocab))


# %% above: rounded up
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, math.ceil((card - 2 * frozen - 16 * trained) / (length * (kept + 8 * vocab))))


# %% nearest: rounded
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, round((card - 2 * frozen - 16 * trained) / (length * (kept + 8 * vocab))))


# %% negative: no floor at 0
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return (card - 2 * frozen - 16 * trained) // (length * (kept + 8 * vocab))


# %% no-logits+no-moments: neither logits nor moments
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 8 * trained) // (length * kept))


# %% unknown: what is left
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, card - 2 * frozen - 16 * trained)


# %% raised: a name that is not there
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    return max(0, (card - 2 * frozen - 16 * trained) // (batch * kept))


# %% no-return: nothing
def texts_that_fit(card, frozen, trained, kept, vocab, length):
    batch = max(0, (card - 2 * frozen - 16 * trained) // (length * (kept + 8 * vocab)))
