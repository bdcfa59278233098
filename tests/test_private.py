"""Private training: Opacus' per-example gradients and accountant, the training loop, and accuracy against ε."""

import itertools
import statistics

import pytest
import torch
from small import TOKENS
from torch import Tensor, nn
from torch.nn import functional as F

import lorabook as lb
from lorabook.axes.optim.accountant import epsilon, loss_distribution, renyi, sigma_for
from lorabook.axes.optim.private import Noise, Private, clipped, noisy_mean, norm, poisson
from lorabook.core.recipe import Recipe
from lorabook.models.decoder import Decoder, DecoderConfig

N, D, R, ALPHA = 12, 6, 2, 5.0
SMALL = DecoderConfig(vocab=11, hidden=16, layers=2, heads=2, kv_heads=2, d_head=8, ffn=16, context=8)


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


class Branch(nn.Module):
    """LoRA in Linear layers, which Opacus knows: W₀x + s·B(Ax)."""

    def __init__(self, base: nn.Linear, a: Tensor, b: Tensor, s: float) -> None:
        super().__init__()
        self.base, self.s = base.requires_grad_(False), s
        self.A, self.B = nn.Linear(D, R, bias=False), nn.Linear(R, D, bias=False)
        self.A.weight, self.B.weight = nn.Parameter(a.clone()), nn.Parameter(b.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.s * self.B(self.A(x))


def ours_and_theirs() -> tuple[nn.Module, nn.Module, tuple[Tensor, Tensor]]:
    """The same two-layer LoRA in the library and for Opacus, and a batch."""
    torch.manual_seed(0)
    plain = [nn.Linear(D, D).double() for _ in range(2)]
    model = nn.Sequential(plain[0], nn.Tanh(), plain[1])
    layers = lb.inject(model, lb.LoRA(r=R, alpha=ALPHA), "0|2")
    for layer in layers.values():
        layer.update.B.data.normal_()
    branches = [
        Branch(layer, update.A.detach(), update.B.detach(), ALPHA / R)
        for layer, update in zip(plain, (one.update for one in layers.values()), strict=True)
    ]
    batch = (torch.randn(N, D, dtype=torch.float64), torch.randn(N, D, dtype=torch.float64))
    return model, nn.Sequential(branches[0], nn.Tanh(), branches[1]).double(), batch


def trained(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def opacus_gradients(theirs: nn.Module, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Opacus' gradients of every example: one tensor a parameter, the example first."""
    from opacus.grad_sample import GradSampleModule

    wrapped = GradSampleModule(theirs, loss_reduction="sum")
    # Opacus' hooks warn if no input asks for a gradient.
    (wrapped(batch[0].clone().requires_grad_()) - batch[1]).square().mean(dim=1).sum().backward()
    found = [p.grad_sample for p in trained(wrapped)]
    wrapped.to_standard_module()
    return found


def test_per_example_gradients_are_opacus():
    model, theirs, batch = ours_and_theirs()
    expected = opacus_gradients(theirs, batch)
    private = Private(Noise(C=1e9, sigma=0.0, expected=1), torch.Generator(), squared)
    for i in range(N):
        loss = private(model, (batch[0][i : i + 1], batch[1][i : i + 1]))
        for p, g in zip(torch.autograd.grad(loss, trained(model)), expected, strict=True):
            torch.testing.assert_close(p, g[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_the_clipped_mean_is_opacus(share):
    """Opacus divides by ‖g‖ + 10⁻⁶ where the paper divides by ‖g‖: a difference of 10⁻⁶ in what is clipped."""
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    model, theirs, batch = ours_and_theirs()
    sizes = [norm([g[i] for g in opacus_gradients(theirs, batch)]).item() for i in range(N)]
    C = max(share, 0.01) * statistics.median(sizes)
    wrapped = GradSampleModule(theirs, loss_reduction="sum")
    steps = DPOptimizer(
        torch.optim.SGD(trained(wrapped), lr=1.0), noise_multiplier=0.0, max_grad_norm=C, expected_batch_size=N,
        loss_reduction="mean",
    )  # fmt: skip
    # Opacus' hooks warn if no input asks for a gradient.
    (wrapped(batch[0].clone().requires_grad_()) - batch[1]).square().mean(dim=1).sum().backward()
    steps.pre_step()
    private = Private(Noise(C, sigma=0.0, expected=N), torch.Generator(), squared)
    ours = torch.autograd.grad(private(model, batch), trained(model))
    for p, g in zip(trained(wrapped), ours, strict=True):
        torch.testing.assert_close(g, p.grad, rtol=3e-6 / C, atol=1e-12)
    assert norm(list(ours)) <= C * (1 + 1e-12)


def test_the_clipped_mean_is_the_formula_with_noise():
    model, _, batch = ours_and_theirs()
    noise = Noise(C=0.3, sigma=1.7, expected=10)
    private = Private(noise, torch.Generator().manual_seed(5), squared)
    ours = torch.autograd.grad(private(model, batch), trained(model))
    total = [torch.zeros_like(p) for p in trained(model)]
    for i in range(N):
        g = torch.autograd.grad((model(batch[0])[i] - batch[1][i]).square().mean(), trained(model))
        size = torch.cat([part.flatten() for part in g]).norm()
        total = [t + part / max(1.0, size.item() / 0.3) for t, part in zip(total, g, strict=True)]
    source = torch.Generator().manual_seed(5)
    for t, part in zip(total, ours, strict=True):
        z = torch.randn(t.shape, generator=source, dtype=t.dtype)
        torch.testing.assert_close(part, (t + 1.7 * 0.3 * z) / 10, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("sigma", "q", "steps"), [(1.0, 0.01, 500), (0.8, 0.004, 2000), (4.0, 1.0, 30), (2.0, 0.1, 50)]
)
def test_renyi_accounting_is_opacus(sigma, q, steps):
    from opacus.accountants.analysis import rdp

    orders = [*range(2, 65), 80, 96, 128, 192, 256, 512, 1024]
    spent = rdp.compute_rdp(q=q, noise_multiplier=sigma, steps=steps, orders=orders)
    theirs, _ = rdp.get_privacy_spent(orders=orders, rdp=spent, delta=1e-5)
    assert epsilon(sigma=sigma, q=q, steps=steps, delta=1e-5) == pytest.approx(theirs, rel=1e-5)


def test_whole_orders_lose_little_against_opacus_own_choice():
    from opacus.accountants import RDPAccountant

    theirs = RDPAccountant()
    theirs.history = [(1.0, 0.01, 500)]
    ours = epsilon(sigma=1.0, q=0.01, steps=500, delta=1e-5)
    assert theirs.get_epsilon(1e-5) <= ours * (1 + 1e-6) <= theirs.get_epsilon(1e-5) * 1.02


@pytest.mark.parametrize(("target", "accountant"), [(0.3, renyi), (2.0, renyi), (8.0, renyi), (0.3, loss_distribution)])
def test_the_solved_noise_meets_its_target(target, accountant):
    run = {"q": 1.0, "steps": 4, "delta": 1e-5, "accountant": accountant}
    sigma = sigma_for(epsilon=target, **run)
    assert 0.97 * target < epsilon(sigma=sigma, **run) <= target
    assert epsilon(sigma=sigma - 2e-3, **run) > target


def test_poisson_batches_draw_each_example_on_its_own():
    x = torch.arange(40)
    drawn = list(itertools.islice(poisson(x, 2 * x, q=0.2, generator=torch.Generator().manual_seed(0)), 500))
    assert all(torch.equal(y, 2 * x) for x, y in drawn)
    sizes = torch.tensor([float(len(x)) for x, _ in drawn])
    error = (40 * 0.2 * 0.8 / 500) ** 0.5
    assert abs(sizes.mean() - 8) < 5 * error
    assert sizes.var() == pytest.approx(40 * 0.2 * 0.8, rel=0.35), "sizes vary as a sum of independent draws does"
    times = torch.stack([torch.isin(x, drawn_x) for drawn_x, _ in drawn]).double().mean(0)
    assert (times - 0.2).abs().max() < 5 * (0.2 * 0.8 / 500) ** 0.5


def test_an_empty_batch_is_noise_alone():
    model, _, batch = ours_and_theirs()
    private = Private(Noise(C=1.0, sigma=1.0, expected=4), torch.Generator().manual_seed(0), squared)
    loss = private(model, (batch[0][:0], batch[1][:0]))
    assert loss.item() == 0
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(loss, trained(model)))


@pytest.mark.parametrize(
    "recipe", [lb.LoRA(), lb.QLoRA(), lb.DoRA(), lb.LoHa(), lb.LoRAPlus(), lb.AdaLoRA(total_steps=6)]
)
def test_every_kind_of_recipe_trains_privately_in_the_common_loop(recipe):
    torch.manual_seed(1)
    model = Decoder(SMALL).eval()
    lb.inject(model, recipe | Recipe(r=4, alpha=7.0), "q_proj|up_proj")
    private = Private(Noise(C=10.0, sigma=0.01, expected=len(TOKENS)), torch.Generator().manual_seed(0))
    batches = itertools.repeat((TOKENS[:, :-1], TOKENS[:, 1:]))
    losses = lb.fit(model, batches, steps=6, lr=0.02, loss=private, progress=False).losses
    assert losses[-1] < losses[0]


def test_the_same_generator_gives_the_same_run():
    def run(seed: int) -> Tensor:
        model, _, batch = ours_and_theirs()
        private = Private(Noise(1.0, 1.0, N), torch.Generator().manual_seed(seed), squared)
        lb.fit(model, itertools.repeat(batch), steps=3, lr=0.01, loss=private, progress=False)
        return torch.cat([p.detach().flatten() for p in trained(model)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


EXAMPLES, STEPS, RATE, SEEDS = 200, 25, 0.1, 3


def accuracy(sigma: float, seed: int) -> float:
    """Train LoRA on four clusters with noise σ; return the share of unseen examples that it gets right."""
    g = torch.Generator().manual_seed(seed)
    base = nn.Linear(16, 4)
    with torch.no_grad():
        base.weight.copy_(torch.randn(4, 16, generator=g) / 4)
    centres = torch.randn(4, 16, generator=g)
    labels = torch.randint(4, (2 * EXAMPLES,), generator=g)
    x = centres[labels] + 1.5 * torch.randn(2 * EXAMPLES, 16, generator=g)
    model = nn.Sequential(base)
    lb.inject(model, lb.LoRA(r=2, alpha=4.0), "0", g)
    private = Private(Noise(C=1.0, sigma=sigma, expected=RATE * EXAMPLES), g)
    batches = poisson(x[:EXAMPLES], labels[:EXAMPLES], q=RATE, generator=g)
    lb.fit(model, batches, steps=STEPS, lr=0.1, loss=private, progress=False)
    with torch.no_grad():
        return (model(x[EXAMPLES:]).argmax(1) == labels[EXAMPLES:]).double().mean().item()


def test_accuracy_falls_as_epsilon_does():
    """An experiment: seeds and spread, one budget of steps. A small ε costs accuracy, a large one little or nothing."""
    run = {"q": RATE, "steps": STEPS, "delta": 1e-4}
    noise = {"none": 0.0} | {target: sigma_for(epsilon=target, **run) for target in (8.0, 0.1)}
    found = {target: [accuracy(sigma, seed) for seed in range(SEEDS)] for target, sigma in noise.items()}
    mean = {target: statistics.mean(values) for target, values in found.items()}
    error = {target: statistics.stdev(values) / SEEDS**0.5 for target, values in found.items()}
    assert abs(mean["none"] - mean[8.0]) < 0.1, found
    assert mean[8.0] - mean[0.1] > 3 * (error[8.0] ** 2 + error[0.1] ** 2) ** 0.5, found
    assert mean[8.0] - mean[0.1] > 0.15, found


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_no_budget_is_refused(value):
    with pytest.raises(ValueError, match="epsilon is .* budget"):
        sigma_for(epsilon=value, q=0.1, steps=10, delta=1e-5)
    with pytest.raises(ValueError, match="sigma is .* noise multiplier"):
        epsilon(sigma=value, q=0.1, steps=10, delta=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"delta": 0.0}, "delta is 0.0; it must lie between 0 and 1"),
        ({"delta": 1.0}, "delta is 1.0"),
        ({"delta": -1e-5}, "delta is -1e-05"),
        ({"q": 0.0}, r"q is 0.0; .* \(0, 1\]"),
        ({"q": 1.5}, "q is 1.5"),
        ({"steps": 0}, "steps is 0; it must be a whole number ≥ 1"),
    ],
)
def test_what_the_accountant_cannot_count_is_refused(wrong, message):
    run = {"q": 0.1, "steps": 10, "delta": 1e-5} | wrong
    for ask in (lambda: sigma_for(epsilon=1.0, **run), lambda: epsilon(sigma=1.0, **run)):
        with pytest.raises(ValueError, match=message):
            ask()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"C": 0.0}, "C is 0.0"), ({"sigma": -0.1}, "sigma is -0.1"), ({"expected": 0.0}, "expected is 0.0"),
     ({"C": float("inf")}, "C is inf"), ({"sigma": float("nan")}, "sigma is nan")],
)  # fmt: skip
def test_noise_out_of_range_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Noise(**{"C": 1.0, "sigma": 1.0, "expected": 4.0} | wrong)


def test_what_cannot_be_made_private_is_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    private = Private(Noise(1.0, 1.0, 4.0), torch.Generator())
    with pytest.raises(ValueError, match="1 is a BatchNorm1d .* GroupNorm"):
        private(model, (torch.randn(4, 3), torch.zeros(4, dtype=torch.long)))
    counting = nn.Sequential(nn.Conv1d(2, 3, 1), nn.InstanceNorm1d(3, track_running_stats=True), nn.Flatten())
    with pytest.raises(ValueError, match="1 is a InstanceNorm1d .* GroupNorm"):
        private(counting, (torch.randn(4, 2, 5), torch.zeros(4, dtype=torch.long)))
    assert torch.equal(counting[1].running_mean, torch.zeros(3))
    with pytest.raises(ArithmeticError, match="norm of a contribution is nan"):
        clipped([torch.tensor([float("nan")])], 1.0)
    with pytest.raises(ValueError, match="q is 2"):
        poisson(torch.zeros(3), torch.zeros(3), q=2, generator=torch.Generator())
    with pytest.raises(ValueError, match="3 examples and y 2"):
        poisson(torch.zeros(3), torch.zeros(2), q=0.5, generator=torch.Generator())


def test_a_zero_contribution_stays_zero_and_a_short_one_stays_whole():
    zero, short = [torch.zeros(3)], [torch.full((4,), 0.1), torch.full((2,), -0.1)]
    assert torch.equal(clipped(zero, 1.0)[0], zero[0])
    assert all(torch.equal(a, b) for a, b in zip(clipped(short, 1.0), short, strict=True))
    kept = noisy_mean([short, zero + [torch.zeros(2)]][:1], Noise(1.0, 0.0, 2), short, torch.Generator())
    assert torch.equal(kept[0], short[0] / 2)
    assert F.mse_loss(kept[1], short[1] / 2) == 0
