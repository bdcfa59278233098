# %% right: the solution
def forward(x, w0, bias, A, B, s):
    frozen = F.linear(x, w0.detach(), bias.detach())
    return frozen + s * F.linear(F.linear(x, A), B)


# %% right: with @
def forward(x, w0, bias, A, B, s):
    return x @ w0.detach().T + bias.detach() + s * (x @ A.T) @ B.T


# %% right: a copy of W₀
def forward(x, w0, bias, A, B, s):
    w0, bias = w0.detach().clone(), bias.detach().clone()
    return F.linear(x, w0, bias) + F.linear(F.linear(x, A), B) * s


# %% right: einsum
def forward(x, w0, bias, A, B, s):
    h = torch.einsum("nd,rd->nr", x, A)
    up = torch.einsum("nr,or->no", h, B)
    return torch.einsum("nd,od->no", x, w0.detach()) + bias.detach() + s * up


# %% right: row by row of x
def forward(x, w0, bias, A, B, s):
    w0, bias = w0.detach(), bias.detach()
    return torch.stack([w0 @ row + bias + s * (B @ (A @ row)) for row in x])


# %% right: s on A
def forward(x, w0, bias, A, B, s):
    return F.linear(F.linear(x, s * A), B) + F.linear(x, w0.detach(), bias.detach())


# %% right: s on B
def forward(x, w0, bias, A, B, s):
    return torch.addmm(bias.detach() + x @ w0.detach().t(), x @ A.t(), (s * B).t())


# %% right: requires_grad switched off
def forward(x, w0, bias, A, B, s):
    w0.requires_grad_(False)
    bias.requires_grad = False
    return F.linear(x, w0, bias) + s * (x @ A.T @ B.T)


# %% right: .data
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.data, bias.data) + s * F.linear(F.linear(x, A), B)


# %% right: columns instead of rows
def forward(x, w0, bias, A, B, s):
    return (w0.detach() @ x.T + bias.detach()[:, None] + s * (B @ (A @ x.T))).T


# %% right: a module on the way
class LoRA(nn.Module):
    def __init__(self, w0, bias, s):
        super().__init__()
        self.register_buffer("w0", w0.detach())
        self.register_buffer("bias", bias.detach())
        self.s = s

    def forward(self, x, A, B):
        return F.linear(x, self.w0, self.bias) + self.s * F.linear(F.linear(x, A), B)


def forward(x, w0, bias, A, B, s):
    return LoRA(w0, bias, s)(x, A, B)


# %% right: layers with parameters of their own
def forward(x, w0, bias, A, B, s):
    base = nn.Linear(w0.shape[1], w0.shape[0])
    with torch.no_grad():
        base.weight.copy_(w0)
        base.bias.copy_(bias)
    return base(x) + s * F.linear(F.linear(x, A), B)


# %% right: one rank after the other, in place
def forward(x, w0, bias, A, B, s):
    y = F.linear(x, w0.detach(), bias.detach())
    for k in range(A.shape[0]):
        y = y + s * (x @ A[k])[:, None] * B[:, k]
    return y


# %% right: in place on the output
def forward(x, w0, bias, A, B, s):
    out = F.linear(x, w0.detach())
    out += bias.detach()
    out += F.linear(F.linear(x, A), B).mul(s)
    return out


# %% right: float64 on the way
def forward(x, w0, bias, A, B, s):
    x, w0, bias, A, B = (t.double() for t in (x, w0, bias, A, B))
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.linear(x, A), B)


# %% right: prints of shapes
def forward(x, w0, bias, A, B, s):
    h = F.linear(x, A)
    print(h.shape, h)
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(h, B)


# %% right: entry by entry
def forward(x, w0, bias, A, B, s):
    w0, bias = w0.detach(), bias.detach()
    h = (x[:, None, :] * A[None]).sum(-1)
    up = (h[:, None, :] * B[None]).sum(-1)
    return (x[:, None, :] * w0[None]).sum(-1) + bias + s * up


# %% right: an autograd function that freezes
class Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(w)
        return F.linear(x, w, b)

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.saved_tensors[0], None, None


def forward(x, w0, bias, A, B, s):
    return Frozen.apply(x, w0, bias) + s * F.linear(F.linear(x, A), B)


# %% no-base: the branch alone
def forward(x, w0, bias, A, B, s):
    return s * x @ A.T @ B.T


# %% no-bias: forgotten
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach()) + s * F.linear(F.linear(x, A), B)


# %% bias-twice: in both paths
def forward(x, w0, bias, A, B, s):
    b = bias.detach()
    return F.linear(x, w0.detach(), b) + (s * F.linear(F.linear(x, A), B) + b)


# %% no-branch: the frozen path alone
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach())


# %% no-scale: no s
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + F.linear(F.linear(x, A), B)


# %% scale-twice: on A and on the result
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.linear(x, s * A), B)


# %% scale-on-base: brackets
def forward(x, w0, bias, A, B, s):
    return s * (F.linear(x, w0.detach(), bias.detach()) + F.linear(F.linear(x, A), B))


# %% scale-inverted: divided
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + F.linear(F.linear(x, A), B) / s


# %% minus: subtracted
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) - s * F.linear(F.linear(x, A), B)


# %% crossed: B first
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0, bias) + s * F.linear(F.linear(x, B), A)


# %% unturned: no transposes
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s * x @ A @ B


# %% no-bias+no-scale: two slips
def forward(x, w0, bias, A, B, s):
    return x @ w0.T + x @ A.T @ B.T


# %% bias-twice+no-scale: two slips
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0, bias) + F.linear(F.linear(x, A), B, bias)


# %% no-bias+unturned: two slips
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0) + s * (x @ A) @ B


# %% built: the update as a matrix
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach() + s * B @ A, bias.detach())


# %% built: the update as a matrix, beside W₀
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(x, B @ A)


# %% built: by einsum
def forward(x, w0, bias, A, B, s):
    delta = torch.einsum("or,rd->od", B, A)
    return F.linear(x, w0.detach(), bias.detach()) + s * x @ delta.T


# %% built: row by row, none of them large
def forward(x, w0, bias, A, B, s):
    rows = [x @ (w + s * (b @ A)) for w, b in zip(w0.detach(), B)]
    return torch.stack(rows, 1) + bias.detach()


# %% built: a sum of outer products
def forward(x, w0, bias, A, B, s):
    delta = sum(torch.outer(B[:, k], A[k]) for k in range(A.shape[0]))
    return F.linear(x, w0.detach() + s * delta, bias.detach())


# %% built: by broadcasting
def forward(x, w0, bias, A, B, s):
    delta = (B[:, :, None] * A[None]).sum(1)
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(x, delta)


# %% built: the order of brackets
def forward(x, w0, bias, A, B, s):
    return x @ w0.detach().T + bias.detach() + s * x @ (A.T @ B.T)


# %% trains-base: nothing detached
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0, bias) + s * F.linear(F.linear(x, A), B)


# %% trains-base: the bias forgotten
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias) + s * F.linear(F.linear(x, A), B)


# %% built+trains-base: merged, and nothing detached
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0 + s * B @ A, bias)


# %% cuts-input: the output detached
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0, bias).detach() + s * F.linear(F.linear(x, A), B)


# %% cuts-input: the frozen path under no_grad
def forward(x, w0, bias, A, B, s):
    with torch.no_grad():
        frozen = F.linear(x, w0, bias)
    return frozen + s * F.linear(F.linear(x, A), B)


# %% factors-still: B detached
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.linear(x, A), B.detach())


# %% cuts-input+factors-still: everything detached
def forward(x, w0, bias, A, B, s):
    x, w0, bias, A, B = (t.detach() for t in (x, w0, bias, A, B))
    return F.linear(x, w0, bias) + s * F.linear(F.linear(x, A), B)


# %% cuts-input+factors-still: no_grad over all of it
@torch.no_grad()
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0, bias) + s * F.linear(F.linear(x, A), B)


# %% type: back from NumPy
def forward(x, w0, bias, A, B, s):
    x, w0, bias, A, B = (t.detach().numpy() for t in (x, w0, bias, A, B))
    return x @ w0.T + bias + s * x @ A.T @ B.T


# %% raised: NumPy from a tensor with a gradient
def forward(x, w0, bias, A, B, s):
    return x.numpy() @ w0.numpy().T + bias.numpy() + s * x.numpy() @ A.numpy().T @ B.numpy().T


# %% raised: W₀ not transposed
def forward(x, w0, bias, A, B, s):
    return x @ w0.detach() + bias.detach() + s * x @ A.T @ B.T


# %% raised: in place on a leaf
def forward(x, w0, bias, A, B, s):
    w0 += s * B @ A
    return F.linear(x, w0, bias)


# %% raised: a nonlinearity that is not there
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.silo(F.linear(x, A)), B)


# %% unknown: a nonlinearity between
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.relu(F.linear(x, A)), B)


# %% unknown: divided by the rank once more
def forward(x, w0, bias, A, B, s):
    return F.linear(x, w0.detach(), bias.detach()) + s / A.shape[0] * F.linear(F.linear(x, A), B)


# %% shape: the mean over the batch
def forward(x, w0, bias, A, B, s):
    return (F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.linear(x, A), B)).mean(0)


# %% no-return: assigned
def forward(x, w0, bias, A, B, s):
    y = F.linear(x, w0.detach(), bias.detach()) + s * F.linear(F.linear(x, A), B)
