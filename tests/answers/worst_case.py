# %% right: the solution
def worst(d):
    return torch.eye(d)


# %% right: float64 and a factor
def worst(d):
    return 3.7 * torch.eye(d, dtype=torch.float64)


# %% right: NumPy
def worst(d):
    return np.identity(d)


# %% right: lists of whole numbers
def worst(d):
    return [[1 if i == j else 0 for j in range(d)] for i in range(d)]


# %% right: a permutation
def worst(d):
    return torch.eye(d)[torch.randperm(d)]


# %% right: a random rotation
def worst(d):
    return torch.linalg.qr(torch.randn(d, d))[0]


# %% right: a reflection
def worst(d):
    v = torch.ones(d, 1)
    return torch.eye(d) - 2 * v @ v.T / d


# %% right: negative signs
def worst(d):
    return torch.diag(torch.tensor([(-1.0) ** i for i in range(d)]))


# %% right: whole numbers
def worst(d):
    return torch.eye(d, dtype=torch.int64)


# %% right: booleans
def worst(d):
    return torch.eye(d).bool()


# %% right: very small
def worst(d):
    return 1e-6 * torch.eye(d)


# %% right: half precision holds ones and zeros
def worst(d):
    return torch.eye(d, dtype=torch.bfloat16)


# %% right: the orthogonal start of torch
def worst(d):
    w = torch.empty(d, d)
    nn.init.orthogonal_(w)
    return w


# %% right: a parameter of a layer
def worst(d):
    layer = nn.Linear(d, d, bias=False)
    nn.init.eye_(layer.weight)
    return layer.weight


# %% right: matrix exponential of a skew matrix
def worst(d):
    g = torch.randn(d, d)
    return torch.matrix_exp(g - g.T)


# %% right: a transposed view
def worst(d):
    return torch.eye(d).flip(0).T


# %% one-direction: ones
def worst(d):
    return torch.ones(d, d)


# %% one-direction: an outer product
def worst(d):
    x = torch.arange(1.0, d + 1)
    return x[:, None] * x


# %% zero: nothing
def worst(d):
    return torch.zeros(d, d)


# %% nearly: random
def worst(d):
    return torch.randn(d, d)


# %% nearly: a triangle
def worst(d):
    return torch.ones(d, d).tril()


# %% nearly: nearly the identity
def worst(d):
    return torch.eye(d) + 0.01 * torch.ones(d, d)


# %% nearly: counted up
def worst(d):
    return torch.arange(float(d * d)).reshape(d, d)


# %% nearly: a random symmetric one
def worst(d):
    g = torch.rand(d, d)
    return g + g.T


# %% uneven: a diagonal that rises
def worst(d):
    return torch.diag(torch.arange(1.0, d + 1))


# %% uneven: one direction missing
def worst(d):
    m = torch.eye(d)
    m[-1, -1] = 0
    return m


# %% uneven: one direction stronger
def worst(d):
    m = torch.eye(d)
    m[0, 0] = 2
    return m


# %% uneven: falling by halves
def worst(d):
    return torch.diag(0.5 ** torch.arange(d))


# %% shape: one column missing
def worst(d):
    return torch.eye(d)[:, : d - 1]


# %% shape: the diagonal alone
def worst(d):
    return torch.ones(d)


# %% shape: a batch of one
def worst(d):
    return torch.eye(d)[None]


# %% shape: always three
def worst(d):
    return torch.eye(16)


# %% sparse: the identity, sparse
def worst(d):
    return torch.eye(d).to_sparse()


# %% meta: no numbers
def worst(d):
    return torch.eye(d, device="meta")


# %% nan: divided by zero
def worst(d):
    return torch.eye(d) / 0


# %% no-return: forgotten
def worst(d):
    torch.eye(d)


# %% dtype: complex
def worst(d):
    return torch.eye(d, dtype=torch.complex64)


# %% arguments: no size
def worst():
    return torch.eye(4)


# %% type: a layer
def worst(d):
    return nn.Linear(d, d)


# %% size: a thousand times too large
def worst(d):
    return torch.zeros(100 * d, 1000 * d)
