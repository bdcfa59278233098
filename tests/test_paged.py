"""Paged AdamW: torch's AdamW bit for bit, within its budget, through a spike, a checkpoint and every recipe."""

import copy
import itertools
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import TOKENS
from torch import Tensor, nn

import lorabook as lb
from lorabook.axes.optim.paged import Paged, PagedAdamW
from lorabook.axes.optim.pages import Pages
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.models.decoder import Decoder, DecoderConfig

often = settings(max_examples=10, deadline=None, derandomize=True, database=None)
SMALL = DecoderConfig(vocab=11, hidden=16, layers=2, heads=2, kv_heads=2, d_head=8, ffn=16, context=8)


def parameters(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    shapes = [(7, 3), (5,), (33, 4), (1,), ()]
    made = [torch.randn(shape, generator=g).to(dtype) for shape in shapes]
    made.append(torch.randn(4, 6, generator=g).to(dtype).T)  # not contiguous
    return [nn.Parameter(tensor) for tensor in made]


def give(one: list[Tensor], other: list[Tensor], t: int, without: tuple[int, ...] = ()) -> None:
    g = torch.Generator().manual_seed(100 + t)
    for i, (p, q) in enumerate(zip(one, other, strict=True)):
        p.grad = q.grad = None
        gradient = torch.randn(p.shape, generator=g).to(p.dtype)
        if i not in without:
            p.grad, q.grad = gradient, gradient.clone()


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one, other, strict=True))


def pair(
    dtype: torch.dtype, page: int, budget: int
) -> tuple[list[Tensor], torch.optim.AdamW, list[Tensor], PagedAdamW]:
    plain, ours = parameters(dtype), parameters(dtype)
    adamw = torch.optim.AdamW(plain, lr=0.01, weight_decay=0.1, betas=(0.8, 0.95), foreach=False)
    paged = PagedAdamW(ours, 0.01, page=page, budget=budget, betas=(0.8, 0.95), weight_decay=0.1)
    return plain, adamw, ours, paged


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@often
@given(page=st.integers(1, 12), room=st.integers(1, 20), missing=st.sets(st.integers(0, 5)))
def test_it_is_torchs_adamw_bit_for_bit(dtype, page, room, missing):
    plain, adamw, ours, paged = pair(dtype, 16 * page, 16 * page * room)
    for t in range(6):
        give(plain, ours, t, tuple(missing) if t % 2 else ())
        adamw.step()
        paged.step()
    assert same(plain, ours)
    assert paged.pages.traffic.peak <= paged.pages.budget
    held = paged.state_dict()["state"]
    for i, state in adamw.state_dict()["state"].items():
        assert all(torch.equal(state[key], held[i][key]) for key in ("step", "exp_avg", "exp_avg_sq"))


def test_two_dtypes_and_two_groups_lie_in_pages_of_their_own():
    plain, ours = ([*parameters(torch.float32), *parameters(torch.float64)] for _ in range(2))
    groups = [[{"params": ps[::2], "lr": 0.1}, {"params": ps[1::2], "weight_decay": 0.3}] for ps in (plain, ours)]
    adamw = torch.optim.AdamW(groups[0], lr=0.01, weight_decay=0.0, foreach=False)
    paged = PagedAdamW(groups[1], 0.01, page=48, budget=96)
    for t in range(5):
        give(plain, ours, t)
        adamw.step()
        paged.step()
    assert same(plain, ours)
    assert all(len({s.parameter.dtype for s in segments}) == 1 for segments in paged.layout)


def test_every_number_lies_in_one_place_of_the_layout():
    paged = PagedAdamW(parameters(), 0.01, page=48, budget=48)
    covered = {p: torch.zeros(p.numel()) for group in paged.param_groups for p in group["params"]}
    for segments in paged.layout:
        assert sum(s.stop - s.start for s in segments) <= 48 // 2 // 8
        for s in segments:
            covered[s.parameter][s.start : s.stop] += 1
    assert all((count == 1).all() for count in covered.values())


class Device:
    """A memory of fixed size: what is claimed beyond it is an error, as on a GPU."""

    def __init__(self, size: int) -> None:
        self.size = size

    def claim(self, wanted: int) -> None:
        if wanted > self.size:
            raise MemoryError(f"{wanted} bytes wanted, {self.size} there")


def test_a_spike_kills_adamw_and_only_moves_the_pages_of_paged_adamw():
    plain, adamw, ours, paged = pair(torch.float64, 64, 64 * 40)
    state = sum(2 * p.numel() * p.element_size() for p in plain)
    device, quiet, spike = Device(state + 500), 400, state
    for t in range(5):
        give(plain, ours, t)
        adamw.step()
        activations = spike if t == 3 else quiet
        paged.pages.resize(max(64, (device.size - activations) // 64 * 64))
        device.claim(activations + paged.pages.resident)
        paged.step()
    with pytest.raises(MemoryError, match="bytes wanted"):
        device.claim(spike + state)
    assert same(plain, ours)


def test_traffic_is_what_moved():
    pages = Pages(6, page=32, budget=4 * 32, device=torch.device("cpu"))
    for _ in pages.sweep(range(6)):
        pass
    assert (pages.traffic.ins, pages.traffic.outs, pages.resident, pages.traffic.peak) == (6, 2, 128, 128)
    pages.write_back()
    assert pages.traffic.outs == 6
    pages.resize(32)
    assert (pages.traffic.outs, pages.resident) == (6, 32), "a page that slow storage has already is only dropped"
    assert (pages.traffic.bytes_in, pages.traffic.bytes_out) == (6 * 32, 6 * 32)


def test_a_step_without_gradients_moves_no_page():
    paged = PagedAdamW(parameters(), 0.01, page=48, budget=48)
    paged.step()
    assert paged.pages.traffic.ins == 0
    assert paged.state_dict()["state"] == {}


def test_a_state_goes_from_adamw_to_pages_and_back():
    plain, adamw, ours, paged = pair(torch.float64, 48, 96)
    for t in range(3):
        give(plain, ours, t)
        adamw.step()
        paged.step()
    other = [nn.Parameter(p.detach().clone()) for p in plain]
    swapped = PagedAdamW(other, 0.5, page=80, budget=80)
    swapped.load_state_dict(copy.deepcopy(adamw.state_dict()))
    back = [nn.Parameter(p.detach().clone()) for p in plain]
    returned = torch.optim.AdamW(back, lr=0.5, foreach=False)
    returned.load_state_dict(copy.deepcopy(paged.state_dict()))
    for t in range(3, 6):
        for ps, one in ((plain, adamw), (other, swapped), (back, returned)):
            give(ps, ps, t)
            one.step()
    assert same(plain, other)
    assert same(plain, back)


def net() -> nn.Module:
    torch.manual_seed(1)
    return Decoder(SMALL).eval()


def batches():
    return itertools.repeat((TOKENS[:, :-1], TOKENS[:, 1:]))


@pytest.mark.parametrize("recipe", [lb.LoRA(), lb.QLoRA(), lb.DoRA(), lb.AdaLoRA(total_steps=4), lb.PiSSA()])
def test_as_the_optimiser_of_a_recipe_it_trains_what_adamw_trains(recipe):
    losses = []
    for optim in (Recipe(), Recipe(optim=Paged(page=64, budget=256))):
        model = net()
        lb.inject(model, recipe | optim | Recipe(r=4, alpha=7.0), "q_proj|up_proj")
        losses.append(lb.fit(model, batches(), steps=4, lr=0.01, progress=False).losses)
    assert losses[0][-1] < losses[0][0]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_run_stops_and_goes_on_with_its_pages(tmp_path):
    def run(folder, *stops: int) -> list[float]:
        model = net()
        lb.inject(model, lb.LoRA(r=4, alpha=7.0) | Recipe(optim=Paged(page=64, budget=256)), "q_proj")
        for stop in stops:
            last = lb.fit(
                model, batches(), steps=6, lr=0.01, progress=False, checkpoint=folder,
                on_step=lambda t, _, stop=stop: t + 1 == stop,
            )  # fmt: skip
        return last.losses

    assert run(tmp_path / "whole", 6) == run(tmp_path / "parts", 2, 6)


def test_another_optimiser_on_the_axis_is_a_conflict():
    with pytest.raises(AxisConflict, match="optim"):
        lb.LoRAPlus() | Recipe(optim=Paged())
    assert Paged() == Paged()
    assert Paged(page=32, budget=64) != Paged()


def test_an_adapter_trained_with_pages_is_saved_and_loaded(tmp_path):
    model, again = net(), net()
    lb.inject(model, lb.LoRA(r=4, alpha=7.0) | Recipe(optim=Paged(page=64, budget=256)), "q_proj")
    lb.fit(model, batches(), steps=2, lr=0.01, progress=False)
    lb.save_adapter(model, tmp_path)
    lb.load_adapter(again, tmp_path)
    assert torch.equal(again(TOKENS), model(TOKENS))


@pytest.mark.parametrize("page", [0, -16, 8, 40, True])
def test_a_page_that_cannot_hold_both_moments_is_refused(page):
    for make in (lambda: Paged(page=page), lambda: PagedAdamW(parameters(), 0.1, page=page, budget=1 << 20)):
        with pytest.raises(ValueError, match="page is .* multiple of 16"):
            make()


@pytest.mark.parametrize("budget", [0, 63, -1])
def test_a_budget_below_a_page_is_refused(budget):
    paged = PagedAdamW(parameters(), 0.1, page=64, budget=64)
    for make in (lambda: Paged(page=64, budget=budget), lambda: paged.pages.resize(budget)):
        with pytest.raises(ValueError, match=r"budget is .* at least 64"):
            make()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"eps": 0.0}, "eps is 0.0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0"),
    ],
)
def test_a_number_out_of_range_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PagedAdamW(parameters(), **{"lr": 0.1, "page": 64, "budget": 64} | wrong)


def test_what_no_page_can_hold_is_refused():
    with pytest.raises(ValueError, match="complex64"):
        PagedAdamW([nn.Parameter(torch.zeros(3, dtype=torch.complex64))], 0.1, page=64, budget=64)
    with pytest.raises(ValueError, match="one device"):
        PagedAdamW([nn.Parameter(torch.zeros(3, device=d)) for d in ("cpu", "meta")], 0.1, page=64, budget=64)
    late = PagedAdamW(parameters(), 0.1, page=64, budget=64)
    late.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    late.param_groups[-1]["params"][0].grad = torch.zeros(2)
    with pytest.raises(RuntimeError, match="after its pages were laid out"):
        late.step()
    table = nn.Embedding(4, 3, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse"):
        PagedAdamW(table.parameters(), 0.1, page=64, budget=64).step()


def test_a_state_that_has_not_begun_begins_at_zero():
    used = parameters()
    paged = PagedAdamW(used, 0.5, page=80, budget=80)
    for t in range(3):
        give(used, used, t)
        paged.step()
    assert any(m.abs().sum() > 0 for p in used for m in paged.moments(p))
    fresh = parameters()
    paged.load_state_dict(torch.optim.AdamW(parameters(), lr=0.5).state_dict())
    with torch.no_grad():
        for p, q in zip(used, fresh, strict=True):
            p.copy_(q)
    adamw = torch.optim.AdamW(fresh, lr=0.5, foreach=False)
    give(used, fresh, 0)
    paged.step()
    adamw.step()
    assert same(used, fresh)


def test_its_own_state_can_be_loaded_into_itself():
    ours, plain = parameters(), parameters()
    paged = PagedAdamW(ours, 0.5, page=80, budget=80)
    adamw = torch.optim.AdamW(plain, lr=0.5, weight_decay=0.0, foreach=False)
    for t in range(4):
        give(ours, plain, t)
        paged.step()
        adamw.step()
        paged.load_state_dict(paged.state_dict())
    assert same(ours, plain)


def test_a_refused_step_moves_nothing():
    table, other = nn.Embedding(4, 3, sparse=True), nn.Parameter(torch.ones(3))
    paged = PagedAdamW([other, table.weight], 0.1, page=64, budget=64)
    table(torch.tensor([1])).sum().backward()
    other.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match="sparse"):
        paged.step()
    assert not paged.state
    assert torch.equal(other, torch.ones(3))


@pytest.mark.parametrize("flag", ["maximize", "amsgrad"])
def test_the_state_of_another_update_is_refused(flag):
    given = torch.optim.AdamW(parameters(), lr=0.5, **{flag: True})
    paged = PagedAdamW(parameters(), 0.1, page=64, budget=64)
    with pytest.raises(ValueError, match=f"{flag}=True"):
        paged.load_state_dict(given.state_dict())
    assert paged.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_copy_says_how_to_get_one(copied):
    with pytest.raises(TypeError, match="load_state_dict"):
        copied(PagedAdamW(parameters(), 0.1, page=64, budget=64))
