# %% right: one comprehension
def chat_targets(tokens, trained):
    return [token if on else -100 for token, on in zip(tokens[1:], trained[1:])]


# %% right: a loop
def chat_targets(tokens, trained):
    targets = []
    for k in range(len(tokens) - 1):
        if trained[k + 1]:
            targets.append(tokens[k + 1])
        else:
            targets.append(-100)
    return targets


# %% right: a tensor, masked
def chat_targets(tokens, trained):
    targets = torch.tensor(tokens)
    targets[torch.tensor(trained) == 0] = -100
    return targets[1:]


# %% right: torch.where
def chat_targets(tokens, trained):
    return torch.where(torch.tensor(trained[1:]).bool(), torch.tensor(tokens[1:]), -100)


# %% right: NumPy
def chat_targets(tokens, trained):
    import numpy as np

    return np.where(np.array(trained) > 0, tokens, -100)[1:]


# %% right: map
def chat_targets(tokens, trained):
    return list(map(lambda token, on: token if on else -100, tokens[1:], trained[1:]))


# %% right: a tuple
def chat_targets(tokens, trained):
    pairs = list(zip(tokens, trained))[1:]
    return tuple(t * m - 100 * (1 - m) for t, m in pairs)


# %% right: floats
def chat_targets(tokens, trained):
    t, m = torch.tensor(tokens[1:]).float(), torch.tensor(trained[1:]).float()
    return t * m - 100 * (1 - m)


# %% right: masked_fill, rolled
def chat_targets(tokens, trained):
    t = torch.tensor(tokens).masked_fill(~torch.tensor(trained).bool(), -100)
    return t.roll(-1)[:-1]


# %% right: labels first, then the shift
def chat_targets(tokens, trained):
    labels = [token if on else -100 for token, on in zip(tokens, trained)]
    return labels[1:]


# %% right: filled in from behind
def chat_targets(tokens, trained):
    targets = [-100] * (len(tokens) - 1)
    for k, on in enumerate(trained):
        if on:
            targets[k - 1] = tokens[k]
    return targets


# %% early: the pull request
def chat_targets(tokens, trained):
    return [token if on else -100 for token, on in zip(tokens[1:], trained)]


# %% early: tensors
def chat_targets(tokens, trained):
    return torch.tensor(tokens[1:]).masked_fill(torch.tensor(trained[:-1]) == 0, -100)


# %% late: shifted once more
def chat_targets(tokens, trained):
    on = trained[2:] + [0]
    return [t if o else -100 for t, o in zip(tokens[1:], on)]


# %% itself: the token of its own place
def chat_targets(tokens, trained):
    return [t if o else -100 for t, o in zip(tokens[:-1], trained[1:])]


# %% labels: as long as the chat
def chat_targets(tokens, trained):
    return [t if o else -100 for t, o in zip(tokens, trained)]


# %% inverted: the questions
def chat_targets(tokens, trained):
    return [-100 if o else t for t, o in zip(tokens[1:], trained[1:])]


# %% zero: a product
def chat_targets(tokens, trained):
    return [t * o for t, o in zip(tokens[1:], trained[1:])]


# %% unmasked: all
def chat_targets(tokens, trained):
    return tokens[1:]


# %% early+zero: both
def chat_targets(tokens, trained):
    return [t * o for t, o in zip(tokens[1:], trained)]


# %% early+itself: not shifted, and one short
def chat_targets(tokens, trained):
    return [t if o else -100 for t, o in zip(tokens[:-1], trained[:-1])]


# %% no-return: assigned
def chat_targets(tokens, trained):
    targets = [t if o else -100 for t, o in zip(tokens[1:], trained[1:])]


# %% raised: a list cannot be multiplied
def chat_targets(tokens, trained):
    return tokens[1:] * trained[1:]


# %% unknown: another number for what is left out
def chat_targets(tokens, trained):
    return [t if o else -7 for t, o in zip(tokens[1:], trained[1:])]
