# %% right: the solution
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    scores = q @ k.T / q.shape[1] ** 0.5
    sees = torch.ones(len(q), len(k)).tril(len(P_k)).bool()
    return scores.masked_fill(~sees, -torch.inf).softmax(1) @ v


# %% right: torch's own
def with_prefix(q, k, v, P_k, P_v):
    n, length = len(P_k), len(q)
    mask = torch.ones(length, n + length, dtype=torch.bool).tril(n)
    return F.scaled_dot_product_attention(q, torch.cat([P_k, k]), torch.cat([P_v, v]), attn_mask=mask)


# %% right: a loop over the positions
def with_prefix(q, k, v, P_k, P_v):
    rows = []
    for i in range(q.shape[0]):
        keys = torch.cat([P_k, k[: i + 1]])
        values = torch.cat([P_v, v[: i + 1]])
        weights = torch.softmax(keys @ q[i] / math.sqrt(q.shape[1]), dim=0)
        rows.append(weights @ values)
    return torch.stack(rows)


# %% right: two parts and their shares
def with_prefix(q, k, v, P_k, P_v):
    d = q.size(1)
    front = (q @ P_k.T / d**0.5).exp()
    text = (q @ k.T / d**0.5).exp().tril()
    return (front @ P_v + text @ v) / (front.sum(1, keepdim=True) + text.sum(1, keepdim=True))


# %% right: an additive mask
def with_prefix(q, k, v, P_k, P_v):
    L, n = len(q), len(P_k)
    mask = torch.zeros(L, n + L)
    mask[:, n:] = torch.full((L, L), float("-inf")).triu(1)
    return F.softmax(q @ torch.vstack([P_k, k]).T * q.shape[-1] ** -0.5 + mask, dim=-1) @ torch.vstack([P_v, v])


# %% right: comparing places
def with_prefix(q, k, v, P_k, P_v):
    keys, values = torch.cat((P_k, k), 0), torch.cat((P_v, v), 0)
    i, j = torch.arange(len(q))[:, None], torch.arange(len(keys))[None]
    scores = torch.where(j <= i + len(P_k), q @ keys.mT / q.shape[1] ** 0.5, torch.tensor(-1e9))
    return scores.softmax(-1) @ values


# %% right: the prefix behind the text
def with_prefix(q, k, v, P_k, P_v):
    text = (q @ k.T).masked_fill(torch.ones(len(q), len(k)).triu(1).bool(), -torch.inf)
    scores = torch.cat([text, q @ P_k.T], dim=1) / math.sqrt(q.shape[1])
    return scores.softmax(1) @ torch.cat([v, P_v])


# %% right: einsum
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    scores = torch.einsum("id,jd->ij", q, k) / np.sqrt(q.shape[1])
    scores[torch.ones_like(scores).triu(len(P_k) + 1).bool()] = -torch.inf
    return torch.einsum("ij,jv->iv", scores.softmax(1), v)


# %% right: λ, as He et al. write it
def with_prefix(q, k, v, P_k, P_v):
    d = q.shape[1] ** 0.5
    text = (q @ k.T / d).masked_fill(torch.ones(len(q), len(q)).triu(1).bool(), -torch.inf)
    front = q @ P_k.T / d
    share = torch.sigmoid(front.logsumexp(1) - text.logsumexp(1))[:, None]
    return (1 - share) * (text.softmax(1) @ v) + share * (front.softmax(1) @ P_v)


# %% right: float64, heads and batch of one
def with_prefix(q, k, v, P_k, P_v):
    q, k, v, P_k, P_v = (x.double()[None, None] for x in (q, k, v, P_k, P_v))
    mask = torch.cat([torch.zeros(q.shape[2], P_k.shape[2]), torch.full((q.shape[2],) * 2, -torch.inf).triu(1)], 1)
    y = F.scaled_dot_product_attention(q, torch.cat([P_k, k], 2), torch.cat([P_v, v], 2), attn_mask=mask.double())
    return y[0, 0]


# %% shifted: the pull request
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    scores = q @ k.T / q.shape[1] ** 0.5
    sees = torch.ones(len(q), len(k)).tril().bool()
    return scores.masked_fill(~sees, -torch.inf).softmax(1) @ v


# %% blind: no mask
def with_prefix(q, k, v, P_k, P_v):
    return F.scaled_dot_product_attention(q, torch.cat([P_k, k]), torch.cat([P_v, v]))


# %% late: one too few
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    scores = q @ k.T / q.shape[1] ** 0.5
    sees = torch.ones(len(q), len(k)).tril(len(P_k) - 1).bool()
    return scores.masked_fill(~sees, -torch.inf).softmax(1) @ v


# %% apart: two attentions, added
def with_prefix(q, k, v, P_k, P_v):
    text = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return text + F.scaled_dot_product_attention(q, P_k, P_v)


# %% without: the prefix is forgotten
def with_prefix(q, k, v, P_k, P_v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


# %% no-scale: a bare product
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    sees = torch.ones(len(q), len(k)).tril(len(P_k)).bool()
    return (q @ k.T).masked_fill(~sees, -torch.inf).softmax(1) @ v


# %% by-d: no root
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    sees = torch.ones(len(q), len(k)).tril(len(P_k)).bool()
    return (q @ k.T / q.shape[1]).masked_fill(~sees, -torch.inf).softmax(1) @ v


# %% longer: the root of d + n
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    sees = torch.ones(len(q), len(k)).tril(len(P_k)).bool()
    return (q @ k.T / (q.shape[1] + len(P_k)) ** 0.5).masked_fill(~sees, -torch.inf).softmax(1) @ v


# %% no-scale+shifted: two of them
def with_prefix(q, k, v, P_k, P_v):
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    sees = torch.ones(len(q), len(k)).tril().bool()
    return (q @ k.T).masked_fill(~sees, -torch.inf).softmax(1) @ v
