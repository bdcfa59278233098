# %% right: the solution
def groups(names, lr, ratio, decay):
    b = {"lora_B", "lora_embedding_B"}
    return [(ratio * lr if b & set(name.split(".")) else lr, decay) for name in names]


# %% right: the end of a part
def groups(names, lr, ratio, decay):
    return [(ratio * lr if "_B." in name else lr, decay) for name in names]


# %% right: a regular expression
def groups(names, lr, ratio, decay):
    import re

    fast = re.compile(r"(^|\.)lora_(embedding_)?B\.")
    return [(lr * ratio, decay) if fast.search(name) else (lr, decay) for name in names]


# %% right: two tests
def groups(names, lr, ratio, decay):
    result = []
    for name in names:
        fast = "lora_B" in name or "lora_embedding_B" in name
        result.append([lr * ratio if fast else lr, decay])
    return result


# %% right: a tensor
def groups(names, lr, ratio, decay):
    fast = torch.tensor([float("_B." in name) for name in names])
    return torch.stack([lr * (1 + (ratio - 1) * fast), torch.full_like(fast, decay)], dim=1)


# %% right: NumPy
def groups(names, lr, ratio, decay):
    rates = np.array([ratio * lr if "_B." in name else lr for name in names])
    return np.column_stack([rates, np.full(len(names), decay)])


# %% right: a helper of its own
def groups(names, lr, ratio, decay):
    def is_b(name):
        return any(part.startswith("lora_") and part.endswith("_B") for part in name.split("."))

    return [(lr * ratio ** is_b(name), decay) for name in names]


# %% right: torch's groups, read back
def groups(names, lr, ratio, decay):
    fast = {name for name in names if "_B." in name}
    of = {name: {"lr": lr, "weight_decay": decay} for name in names}
    for name in fast:
        of[name]["lr"] *= ratio
    return [(of[name]["lr"], of[name]["weight_decay"]) for name in names]


# %% right: from the right, by place
def groups(names, lr, ratio, decay):
    rates = []
    for name in names:
        parts = name.removesuffix(".weight").split(".")
        rates.append((lr * ratio if parts[-2:-1] in (["lora_B"], ["lora_embedding_B"]) else lr, decay))
    return rates


# %% right: map
def groups(names, lr, ratio, decay):
    return list(map(lambda name: (lr * (ratio if "_B." in name else 1), decay), names))


# %% right: a dictionary of rates
def groups(names, lr, ratio, decay):
    rate = {True: ratio * lr, False: lr}
    return [[rate["lora_B." in name or "lora_embedding_B." in name], decay] for name in names]


# %% pulled: the pull request
def groups(names, lr, ratio, decay):
    return [(ratio * lr, 0.0) if "B" in name else (lr, decay) for name in names]


# %% any-b: with its decay
def groups(names, lr, ratio, decay):
    return [(ratio * lr if "B" in name else lr, decay) for name in names]


# %% no-decay: for the fast ones
def groups(names, lr, ratio, decay):
    return [(ratio * lr, 0.0) if "_B." in name else (lr, decay) for name in names]


# %% no-embedding: lora_B alone
def groups(names, lr, ratio, decay):
    return [(ratio * lr if "lora_B" in name else lr, decay) for name in names]


# %% no-decay+no-embedding: both
def groups(names, lr, ratio, decay):
    return [(ratio * lr, 0) if ".lora_B." in name else (lr, decay) for name in names]


# %% on-a: the reversed ratio
def groups(names, lr, ratio, decay):
    return [(ratio * lr if "_A." in name else lr, decay) for name in names]


# %% not-a: everything else
def groups(names, lr, ratio, decay):
    return [(lr if "_A." in name else ratio * lr, decay) for name in names]


# %% slowed: A is made slower
def groups(names, lr, ratio, decay):
    return [(lr if "_B." in name else lr / ratio, decay) for name in names]


# %% divided: B is made slower
def groups(names, lr, ratio, decay):
    return [(lr / ratio if "_B." in name else lr, decay) for name in names]


# %% alone: the ratio as a rate
def groups(names, lr, ratio, decay):
    return [(ratio if "_B." in name else lr, decay) for name in names]


# %% unknown: one rate for all
def groups(names, lr, ratio, decay):
    return [(lr, decay) for name in names]


# %% unknown: the decay is divided, so that B shrinks as before
def groups(names, lr, ratio, decay):
    return [(ratio * lr, decay / ratio) if "_B." in name else (lr, decay) for name in names]


# %% shape: rates alone
def groups(names, lr, ratio, decay):
    return [ratio * lr if "_B." in name else lr for name in names]


# %% no-return: printed
def groups(names, lr, ratio, decay):
    for name in names:
        print(name, ratio * lr if "_B." in name else lr, decay)
