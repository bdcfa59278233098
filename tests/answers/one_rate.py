# %% right: the solution
def plain_run(A0, lr, ratio):
    p = ratio**0.5
    return p * A0, p * lr


# %% right: math
def plain_run(A0, lr, ratio):
    return A0 * math.sqrt(ratio), lr * math.sqrt(ratio)


# %% right: the geometric mean of the two rates
def plain_run(A0, lr, ratio):
    one = math.sqrt(lr * (ratio * lr))
    return A0 * (one / lr), one


# %% right: NumPy
def plain_run(A0, lr, ratio):
    return np.sqrt(ratio) * A0.numpy(), np.sqrt(ratio) * lr


# %% right: the rate as a tensor
def plain_run(A0, lr, ratio):
    p = torch.tensor(ratio).sqrt()
    return p * A0, p * lr


# %% right: in place
def plain_run(A0, lr, ratio):
    A0.mul_(ratio**0.5)
    return A0, lr * ratio**0.5


# %% right: from B
def plain_run(A0, lr, ratio):
    q = ratio**-0.5
    return A0 / q, q * ratio * lr


# %% right: logarithms
def plain_run(A0, lr, ratio):
    p = math.exp(0.5 * math.log(ratio))
    return [A0.mul(p), p * lr][:2]


# %% right: a list of rows
def plain_run(A0, lr, ratio):
    p = ratio**0.5
    return [[p * x for x in row] for row in A0.tolist()], p * lr


# %% right: a parameter
def plain_run(A0, lr, ratio):
    p = ratio**0.5
    return nn.Parameter(p * A0), p * lr


# %% right: float64
def plain_run(A0, lr, ratio):
    return A0.double() * ratio**0.5, lr * ratio**0.5


# %% whole: the ratio itself
def plain_run(A0, lr, ratio):
    return ratio * A0, ratio * lr


# %% rate-only: A begins where it began
def plain_run(A0, lr, ratio):
    return A0, ratio**0.5 * lr


# %% start-only: the rate of A
def plain_run(A0, lr, ratio):
    return ratio**0.5 * A0, lr


# %% shrunk: A is divided
def plain_run(A0, lr, ratio):
    return A0 / ratio**0.5, ratio**0.5 * lr


# %% slower: the rate is divided
def plain_run(A0, lr, ratio):
    return ratio**0.5 * A0, lr / ratio**0.5


# %% shrunk+slower: both upside down
def plain_run(A0, lr, ratio):
    p = ratio**-0.5
    return p * A0, p * lr


# %% b-rate: B's rate
def plain_run(A0, lr, ratio):
    return ratio**0.5 * A0, ratio * lr


# %% start-whole: A by the ratio
def plain_run(A0, lr, ratio):
    return ratio * A0, ratio**0.5 * lr


# %% b-rate+rate-only: nothing but B's rate
def plain_run(A0, lr, ratio):
    return A0, ratio * lr


# %% swapped: the rate first
def plain_run(A0, lr, ratio):
    return ratio**0.5 * lr, ratio**0.5 * A0


# %% shape: two rates
def plain_run(A0, lr, ratio):
    return A0, [lr, ratio * lr]


# %% parts: the rate is forgotten
def plain_run(A0, lr, ratio):
    return ratio**0.5 * A0


# %% unknown: the mean of the two rates
def plain_run(A0, lr, ratio):
    one = (lr + ratio * lr) / 2
    return one / lr * A0 / 3, one


# %% raised: one name too many
def plain_run(A0, lr, ratio):
    return ratio**0.5 * A0, ratio**0.5 * lr * alpha


# %% no-return: in place
def plain_run(A0, lr, ratio):
    A0 *= ratio**0.5
