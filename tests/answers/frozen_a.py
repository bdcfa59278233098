# %% right: the solution
def branch(x, A, B, s):
    return s * (x @ A.detach().T @ B.T)


# %% right: F.linear
def branch(x, A, B, s):
    h = F.linear(x, A.detach())
    return s * F.linear(h, B)


# %% right: requires_grad switched off
def branch(x, A, B, s):
    A.requires_grad_(False)
    return s * (x @ A.T) @ B.T


# %% right: .data
def branch(x, A, B, s):
    return x @ A.data.T @ B.T * s


# %% right: a copy made under no_grad
def branch(x, A, B, s):
    with torch.no_grad():
        frozen = A.clone()
    return (x @ frozen.T) @ (s * B).T


# %% right: einsum
def branch(x, A, B, s):
    h = torch.einsum("ni,ri->nr", x, A.detach())
    return s * torch.einsum("nr,or->no", h, B)


# %% right: s on the frozen A
def branch(x, A, B, s):
    return x @ (s * A.detach()).t() @ B.t()


# %% right: columns instead of rows
def branch(x, A, B, s):
    return s * (B @ (A.detach() @ x.T)).T


# %% right: row by row of x
def branch(x, A, B, s):
    a = A.detach()
    return torch.stack([s * (B @ (a @ row)) for row in x])


# %% right: modules
def branch(x, A, B, s):
    down = nn.Linear(A.shape[1], A.shape[0], bias=False)
    down.weight = nn.Parameter(A.detach(), requires_grad=False)
    return s * F.linear(down(x), B)


# %% right: addmm onto zeros
def branch(x, A, B, s):
    zeros = torch.zeros(len(x), len(B))
    return torch.addmm(zeros, x @ A.detach().T, B.T, alpha=s)


# %% right: an autograd function that keeps Ax alone
class Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, A, B, s):
        h = x @ A.T
        ctx.save_for_backward(h, A, B)
        ctx.s = s
        return s * h @ B.T

    @staticmethod
    def backward(ctx, g):
        h, A, B = ctx.saved_tensors
        return ctx.s * g @ B @ A, None, ctx.s * g.T @ h, None


def branch(x, A, B, s):
    return Frozen.apply(x, A, B, s)


# %% no-scale: no s
def branch(x, A, B, s):
    return x @ A.detach().T @ B.T


# %% scale-twice: on A and on the result
def branch(x, A, B, s):
    return s * (x @ (s * A.detach()).T @ B.T)


# %% crossed: B first
def branch(x, A, B, s):
    return s * (x @ B.T @ A.detach().T)


# %% unturned: no transposes
def branch(x, A, B, s):
    return s * (x @ A.detach() @ B)


# %% cuts-input: the pull request
def branch(x, A, B, s):
    with torch.no_grad():
        h = x @ A.T
    return s * (h @ B.T)


# %% cuts-input: the output detached
def branch(x, A, B, s):
    return s * F.linear(F.linear(x, A).detach(), B)


# %% cuts-input: x detached too
def branch(x, A, B, s):
    return s * (x.detach() @ A.detach().T @ B.T)


# %% cuts-input+trains-a: the wrong one detached
def branch(x, A, B, s):
    return s * (x.detach() @ A.T @ B.T)


# %% trains-a: plain LoRA
def branch(x, A, B, s):
    return s * (x @ A.T @ B.T)


# %% b-still: the wrong factor
def branch(x, A, B, s):
    return s * (x @ A.detach().T @ B.detach().T)


# %% b-still+trains-a: A and B exchanged
def branch(x, A, B, s):
    return s * (x @ A.T @ B.detach().T)


# %% b-still+cuts-input: no_grad over all of it
def branch(x, A, B, s):
    with torch.no_grad():
        return s * (x @ A.T @ B.T)


# %% built: the update as a matrix
def branch(x, A, B, s):
    return s * (x @ (B @ A.detach()).T)


# %% unknown: divided by the rank once more
def branch(x, A, B, s):
    return s / len(A) * (x @ A.detach().T @ B.T)


# %% type: back from NumPy
def branch(x, A, B, s):
    return s * (x.detach().numpy() @ A.detach().numpy().T @ B.detach().numpy().T)


# %% raised: NumPy from a tensor with a gradient
def branch(x, A, B, s):
    return s * (x.numpy() @ A.numpy().T @ B.numpy().T)


# %% no-return: assigned
def branch(x, A, B, s):
    y = s * (x @ A.detach().T @ B.T)
