"""Assignment 2, as a teacher would hand it in."""

import math
import statistics

import torch
from torch import nn

from lorabook.core.update import Update


### BEGIN SOLUTION
class LoHaUpdate(Update):
    def __init__(self, base, factors, spec):
        super().__init__()
        d_out, d_in = base.store.shape
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        second_a = torch.randn(spec.r, d_in, generator=spec.generator, dtype=factors.A.dtype)
        second_b = torch.randn(d_out, spec.r, generator=spec.generator, dtype=factors.A.dtype)
        self.A2, self.B2 = nn.Parameter(second_a), nn.Parameter(second_b)
        self.s = spec.scale

    def weight(self, w0):
        return w0 + self.s * (self.B @ self.A) * (self.B2 @ self.A2)

    def forward(self, base, x):
        return base.apply_matrix(x, self.weight(base.matrix), base.bias)


class VeRAUpdate(Update):
    def __init__(self, base, spec, A, B):
        super().__init__()
        d_out, d_in = base.store.shape
        self.shared = (A, B)
        self.s = spec.scale
        self.sizes = d_out, d_in
        self.b = nn.Parameter(torch.zeros(d_out, dtype=A.dtype))
        self.d = nn.Parameter(torch.full((spec.r,), 0.1, dtype=A.dtype))

    def sliced(self):
        d_out, d_in = self.sizes
        return self.shared[0][:, :d_in], self.shared[1][:d_out]

    def weight(self, w0):
        a, b = self.sliced()
        return w0 + self.s * self.b[:, None] * (b @ (self.d[:, None] * a))

    def forward(self, base, x):
        a, b = self.sliced()
        return base.two_paths(x, x, a, self.b[:, None] * b * self.d, self.s, base.bias)


def loha_file(update, layer):
    ends = {"hada_w1_a": update.B, "hada_w1_b": update.A, "hada_w2_a": update.B2, "hada_w2_b": update.A2}
    return {f"base_model.model.{layer}.{end}": tensor.detach() for end, tensor in ends.items()}


def vera_file(update, layer):
    a, b = update.shared
    ends = {"vera_lambda_b": update.b.detach(), "vera_lambda_d": update.d.detach()}
    own = {f"base_model.model.{layer}.{end}": tensor for end, tensor in ends.items()}
    return {**own, "base_model.vera_A": a, "base_model.vera_B": b}


def loss_curve(update, base, x, y, rate, steps):
    optimizer = torch.optim.AdamW(update.parameters(), lr=rate, weight_decay=0.0)
    losses = []
    for step in range(steps + 1):
        loss = (update(base, x) - y).square().mean()
        losses.append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses


def summary(finals):
    perplexities = [[math.exp(loss) for loss in runs] for runs in finals]
    return [(statistics.fmean(runs), statistics.stdev(runs)) for runs in perplexities]


### END SOLUTION
