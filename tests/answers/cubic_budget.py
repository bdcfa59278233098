# %% right: the solution
def budgets(steps, warm_up, final, start, target):
    b = []
    for t in range(steps):
        left = min(1, max(0, 1 - (t - warm_up) / (steps - warm_up - final)))
        b.append(int(target + (start - target) * left**3))
    return b


# %% right: by phases
def budgets(steps, warm_up, final, start, target):
    b = []
    for t in range(steps):
        if t <= warm_up:
            b.append(start)
        elif t >= steps - final:
            b.append(target)
        else:
            b.append(int(target + (start - target) * (1 - (t - warm_up) / (steps - final - warm_up)) ** 3))
    return b


# %% right: NumPy
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.floor(target + (start - target) * left**3)


# %% right: NumPy, whole numbers
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return (target + (start - target) * left**3).astype(int)


# %% right: torch
def budgets(steps, warm_up, final, start, target):
    done = (torch.arange(steps) - warm_up) / (steps - warm_up - final)
    return (target + (start - target) * (1 - done.clamp(0, 1)) ** 3).long()


# %% right: torch, floats
def budgets(steps, warm_up, final, start, target):
    done = ((torch.arange(steps).double() - warm_up) / (steps - warm_up - final)).clamp(0, 1)
    return torch.trunc(target + (start - target) * (1 - done) ** 3)


# %% right: three lists
def budgets(steps, warm_up, final, start, target):
    n = steps - warm_up - final
    falling = [int(target + (start - target) * (1 - i / n) ** 3) for i in range(1, n)]
    return [start] * (warm_up + 1) + falling + [target] * final


# %% right: the target added last
def budgets(steps, warm_up, final, start, target):
    n = steps - warm_up - final
    return [target + int((start - target) * min(1, max(0, (steps - final - t) / n)) ** 3) for t in range(steps)]


# %% right: a tuple
def budgets(steps, warm_up, final, start, target):
    def b(t):
        left = 1 - (t - warm_up) / (steps - warm_up - final)
        return start if left > 1 else target if left < 0 else math.floor(target + (start - target) * left * left * left)

    return tuple(b(t) for t in range(steps))


# %% right: whole division
def budgets(steps, warm_up, final, start, target):
    n = steps - warm_up - final
    left = [min(n, max(0, steps - final - t)) for t in range(steps)]
    return [target + (start - target) * k**3 // n**3 for k in left]


# %% right: keywords and floats
def budgets(*, steps, warm_up, final, start, target):
    n = steps - warm_up - final
    return [
        float(int(target + (start - target) * min(1.0, max(0.0, 1 - (t - warm_up) / n)) ** 3)) for t in range(steps)
    ]


# %% pulled: the pull request
def budgets(steps, warm_up, final, start, target):
    return [int(start - (start - target) * t / steps) for t in range(steps)]


# %% linear: between the phases
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.floor(target + (start - target) * left)


# %% square: the second power
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.floor(target + (start - target) * left**2)


# %% no-warm-up: from step 0
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - np.arange(steps) / (steps - final), 0, 1)
    return np.floor(target + (start - target) * left**3)


# %% no-final: to the last step
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up), 0, 1)
    return np.floor(target + (start - target) * left**3)


# %% late: the way that is done
def budgets(steps, warm_up, final, start, target):
    done = np.clip((np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.floor(start - (start - target) * done**3)


# %% rounded: to the nearest
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.round(target + (start - target) * left**3)


# %% uncut: as it is
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return target + (start - target) * left**3


# %% zero: to nothing
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.floor(start * left**3)


# %% linear+no-final: equal steps to the end
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up), 0, 1)
    return np.floor(target + (start - target) * left)


# %% linear+no-warm-up: equal steps from the start
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - np.arange(steps) / (steps - final), 0, 1)
    return np.floor(target + (start - target) * left)


# %% unknown: the fourth power
def budgets(steps, warm_up, final, start, target):
    left = np.clip(1 - (np.arange(steps) - warm_up) / (steps - warm_up - final), 0, 1)
    return np.floor(target + (start - target) * left**4)


# %% shape: a budget for one step
def budgets(steps, warm_up, final, start, target):
    return start


# %% raised: a step without a number
def budgets(steps, warm_up, final, start, target):
    return [int(target + (start - target) * (1 - (t - warm_up) / (final - final)) ** 3) for t in range(steps)]


# %% no-return: printed
def budgets(steps, warm_up, final, start, target):
    print([start for _ in range(steps)])
