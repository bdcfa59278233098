# %% right: the solution
def delta_w(A, B, alpha, r):
    return alpha / r * (B @ A)


# %% right: float32
def delta_w(A, B, alpha, r):
    return (alpha / r) * torch.matmul(B.float(), A.float())


# %% right: float64
def delta_w(A, B, alpha, r):
    return (alpha / r * (B.double() @ A.double())).to(torch.float64)


# %% right: NumPy
def delta_w(A, B, alpha, r):
    return np.dot(B.numpy(), A.numpy()) * alpha / r


# %% right: lists in three loops
def delta_w(A, B, alpha, r):
    out = []
    for i in range(B.shape[0]):
        row = []
        for j in range(A.shape[1]):
            total = 0.0
            for k in range(r):
                total += float(B[i, k]) * float(A[k, j])
            row.append(total * alpha / r)
        out.append(row)
    return out


# %% right: a list of rows that are tensors
def delta_w(A, B, alpha, r):
    return [alpha / r * (b @ A) for b in B]


# %% right: a tuple of rows of 0-d tensors
def delta_w(A, B, alpha, r):
    return tuple([alpha / r * (B[i] * A[:, j]).sum() for j in range(A.shape[1])] for i in range(B.shape[0]))


# %% right: einsum with other letters
def delta_w(down, up, a, rank):
    return torch.einsum("rj,ir->ij", down, up) * (a / rank)


# %% right: a lambda
delta_w = lambda A, B, alpha, r: B @ (alpha / r * A)


# %% right: a class with __call__
class Update:
    def __call__(self, A, B, alpha, r):
        return self.scale(alpha, r) * B.mm(A)

    def scale(self, alpha, r):
        return alpha / r


delta_w = Update()


# %% right: functools.partial
def update(mode, A, B, alpha, r):
    return B @ A * alpha / r if mode == "lora" else None


delta_w = functools.partial(update, "lora")


# %% right: a keyword-only helper and a global constant
ONE = 1.0


def scaled(*, product, alpha, r):
    return ONE * product * alpha / r


def delta_w(A, B, alpha, r):
    return scaled(product=B @ A, r=r, alpha=alpha)


# %% right: keyword-only itself
def delta_w(*, A, B, alpha, r):
    return alpha / r * (B @ A)


# %% right: extra prints
def delta_w(A, B, alpha, r):
    print("A", A.shape, "B", B.shape)
    result = alpha / r * B @ A
    print(result)
    return result


# %% right: a thousand prints
def delta_w(A, B, alpha, r):
    for i in range(1_000):
        print("still here", i)
    return alpha / r * B @ A


# %% right: in place on the input
def delta_w(A, B, alpha, r):
    A *= alpha / r
    return B @ A


# %% right: a transposed view
def delta_w(A, B, alpha, r):
    return (A.T @ B.T).T * (alpha / r)


# %% right: under no_grad
@torch.no_grad()
def delta_w(A, B, alpha, r):
    return (alpha / r) * B @ A


# %% right: parameters that ask for a gradient
def delta_w(A, B, alpha, r):
    A, B = nn.Parameter(A), nn.Parameter(B)
    return alpha / r * B @ A


# %% right: a sum of outer products
def delta_w(A, B, alpha, r):
    return sum(torch.outer(B[:, k], A[k]) for k in range(r)) * alpha / r


# %% right: a buffer that is filled
def delta_w(A, B, alpha, r):
    out = torch.zeros(B.shape[0], A.shape[1])
    for k in range(r):
        out += B[:, k : k + 1] * A[k : k + 1]
    return out * alpha / r


# %% right: the root of the scale in both
def delta_w(A, B, alpha, r):
    root = (alpha / r) ** 0.5
    return (root * B) @ (root * A)


# %% right: baddbmm
def delta_w(A, B, alpha, r):
    return torch.addmm(torch.zeros(B.size(0), A.size(1)), B, A, alpha=alpha / r)


# %% right: np.matrix
def delta_w(A, B, alpha, r):
    return np.matrix(B.tolist()) * np.matrix(A.tolist()) * (alpha / r)


# %% right: warnings, a seed and a default dtype on the way
def delta_w(A, B, alpha, r):
    import warnings

    warnings.warn("careful", stacklevel=1)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    return alpha / r * (B @ A)


# %% right: recursion
def delta_w(A, B, alpha, r):
    if B.shape[1] == 1:
        return alpha / r * B * A
    return alpha / r * B[:, :1] * A[:1] + delta_w(A[1:], B[:, 1:], alpha, r)


# %% right: default arguments and a docstring
def delta_w(A, B, alpha=16, r=8):
    """Return LoRA's update."""
    s: float = alpha / r
    assert s > 0
    return s * (B @ A)


# %% alpha+swapped: the pull request's own line
def delta_w(A, B, alpha, r):
    return alpha * (A @ B)


# %% alpha: the pull request, half repaired
def delta_w(A, B, alpha, r):
    return alpha * (B @ A)


# %% swapped: the other half repaired
def delta_w(A, B, alpha, r):
    return alpha / r * (A @ B)


# %% root: rsLoRA
def delta_w(A, B, alpha, r):
    return alpha / math.sqrt(r) * B @ A


# %% twice: on both factors
def delta_w(A, B, alpha, r):
    s = alpha / r
    return (s * B) @ (s * A)


# %% upside-down: r over alpha
def delta_w(A, B, alpha, r):
    return B @ A * r / alpha


# %% no-scale: BA alone
def delta_w(A, B, alpha, r):
    return B @ A


# %% no-alpha: divided by r only
def delta_w(A, B, alpha, r):
    return (B @ A) / r


# %% root-of-both: the root once
def delta_w(A, B, alpha, r):
    return (alpha / r) ** 0.5 * (B @ A)


# %% turned: the transpose
def delta_w(A, B, alpha, r):
    return alpha / r * (B @ A).T


# %% no-scale+turned: the transpose, without a scale
def delta_w(A, B, alpha, r):
    return A.T @ B.T


# %% root+turned: rsLoRA, transposed
def delta_w(A, B, alpha, r):
    return alpha / r**0.5 * A.t() @ B.t()


# %% no-scale+swapped: the order, no scale
def delta_w(A, B, alpha, r):
    return A.matmul(B)


# %% unknown: whole numbers in the division
def delta_w(A, B, alpha, r):
    return alpha // r * (B @ A)


# %% unknown: the sign
def delta_w(A, B, alpha, r):
    return -alpha / r * (B @ A)


# %% unknown: twice as much
def delta_w(A, B, alpha, r):
    return 2 * alpha / r * (B @ A)


# %% unknown: rounded
def delta_w(A, B, alpha, r):
    return (alpha / r * (B @ A)).round(decimals=1)


# %% dtype: half precision
def delta_w(A, B, alpha, r):
    return alpha / r * (B.bfloat16() @ A.bfloat16())


# %% raised: elementwise
def delta_w(A, B, alpha, r):
    return alpha / r * B * A


# %% shape: the mean over the ranks
def delta_w(A, B, alpha, r):
    return alpha / r * (B @ A).mean(0)


# %% shape: one axis too many
def delta_w(A, B, alpha, r):
    return (alpha / r * (B @ A))[None]


# %% no-return: printed instead of returned
def delta_w(A, B, alpha, r):
    print(alpha / r * B @ A)


# %% nan: a division by zero
def delta_w(A, B, alpha, r):
    return alpha / torch.tensor(0.0) * (B @ A)


# %% meta: no numbers
def delta_w(A, B, alpha, r):
    return alpha / r * (B.to("meta") @ A.to("meta"))


# %% sparse: a sparse tensor
def delta_w(A, B, alpha, r):
    return (alpha / r * (B @ A)).to_sparse()


# %% dtype: complex
def delta_w(A, B, alpha, r):
    return alpha / r * (B @ A) * 1j


# %% type: a function, not its value
def delta_w(A, B, alpha, r):
    return lambda: alpha / r * (B @ A)


# %% type: a dictionary
def delta_w(A, B, alpha, r):
    return {"delta_w": alpha / r * (B @ A)}


# %% type: text
def delta_w(A, B, alpha, r):
    return f"{alpha / r * (B @ A)}"


# %% ragged: rows that shrink
def delta_w(A, B, alpha, r):
    return [[1.0] * (i + 1) for i in range(B.shape[0])]


# %% arguments: no r
def delta_w(A, B, alpha):
    return alpha * (B @ A)


# %% raised: a name that is not there
def delta_w(A, B, alpha, r):
    return scale * (B @ A)


# %% raised: two dtypes
def delta_w(A, B, alpha, r):
    return alpha / r * (B.double() @ A.float())


# %% raised: torch's own NotImplementedError is no stub
def delta_w(A, B, alpha, r):
    return torch.linalg.svd((B @ A).to_sparse()).S


# %% raised: a module without forward is no stub
def delta_w(A, B, alpha, r):
    return nn.Module()(A)


# %% not-attempted: the stub
def delta_w(A, B, alpha, r):
    # YOUR CODE HERE
    raise NotImplementedError()


# %% recursion: without an end
def delta_w(A, B, alpha, r):
    return delta_w(A, B, alpha, r)


# %% exit: ends Python
def delta_w(A, B, alpha, r):
    exit()


# %% not-a-function: a value
delta_w = 3.0
