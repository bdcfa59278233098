"""S-LoRA's pool of pages and its scheduler: invariants over random histories, and whole runs against single models."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import lorabook as lb
from lorabook.axes.base.double_quant import DoubleQuantStorage
from lorabook.axes.base.nf4 import NF4Storage
from lorabook.many.bank import bank, serving
from lorabook.many.pages import Pages, PoolFull
from lorabook.many.pair import Pair, State, pairs_of
from lorabook.many.products import gathered, segmented
from lorabook.many.scheduler import InTime, Request, Scheduler, latest_in_time
from lorabook.models.decoder import Decoder, DecoderConfig, initialise

often = settings(max_examples=60, deadline=None, derandomize=True, database=None)
RANKS = {"anna": 2, "ben": 5, "carl": 1, "dora": 3}


def states(d_out: int, d_in: int, ranks: dict[str, int] = RANKS, layers: tuple[str, ...] = ("0",)) -> dict[str, State]:
    """Return an adapter of each rank, each with a scale of its own."""
    g = torch.Generator().manual_seed(0)

    def pair(r: int) -> Pair:
        a, b = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in ((r, d_in), (d_out, r)))
        return Pair(a, b, 7.0 / (r + 1))

    return {name: {layer: pair(r) for layer in layers} for name, r in ranks.items()}


def single(layer: nn.Linear, state: State | None, x: Tensor) -> Tensor:
    """Return the output of one row, with its own merged weight: no line of the library takes part."""
    w = layer.weight if state is None else layer.weight + state["0"].scale * state["0"].B @ state["0"].A
    return nn.functional.linear(x, w, layer.bias)


@often
@given(
    size=st.integers(1, 4),
    batches=st.lists(st.lists(st.sampled_from([*RANKS, None]), min_size=1, max_size=5), min_size=1, max_size=6),
    products=st.sampled_from([gathered, segmented]),
)
def test_whatever_was_evicted_before_each_row_gets_its_own_adapter(size, batches, products):
    torch.manual_seed(0)
    layer, adapters = nn.Linear(6, 4).double(), states(4, 6)
    plain, model = copy.deepcopy(layer), nn.Sequential(layer)
    held = bank(model, adapters, pages=-(-8 // size), page=size, products=products)
    for names in batches:
        x = torch.randn(len(names), 3, 6, dtype=torch.float64)
        needed = sum(held.pages.needed(RANKS[name]) for name in set(names) - {None})
        if needed > held.pages.count:
            before = held.pages.owners
            with pytest.raises(PoolFull, match="the pool is full"), serving(model, names):
                pass
            assert held.pages.owners == before, "nobody was evicted for a batch that cannot be served"
            continue
        with serving(model, names), torch.no_grad():
            y = model(x)
        expected = torch.stack([single(plain, adapters.get(n), x[i]) for i, n in enumerate(names)])
        torch.testing.assert_close(y, expected.detach(), rtol=1e-12, atol=1e-12)


def test_an_adapter_is_copied_once_while_it_stays_and_the_least_recently_used_goes():
    model = nn.Sequential(nn.Linear(6, 4).double())
    held = bank(model, states(4, 6, {"anna": 2, "ben": 2, "carl": 2}), pages=4)
    for names, loads, owners in (
        (["anna"], 1, ("anna",)),
        (["ben"], 2, ("anna", "ben")),
        (["anna", None], 2, ("ben", "anna")),
        (["carl"], 3, ("anna", "carl")),
        (["anna", "carl"], 3, ("anna", "carl")),
    ):
        with serving(model, names):
            pass
        assert (held.loads, held.pages.owners) == (loads, owners)


def test_an_open_block_keeps_its_adapters_and_a_full_pool_says_so():
    model = nn.Sequential(nn.Linear(6, 4).double())
    held = bank(model, states(4, 6), pages=6)
    with serving(model, ["ben"]):
        with pytest.raises(PoolFull, match="'anna' need 2 pages more, and of 6 only 1 are free and 0 unpinned"):
            serving(model, ["anna"]).__enter__()
        with serving(model, ["carl"]):
            pass
    assert held.pages.owners == ("ben", "carl")


def test_a_layer_on_which_an_adapter_is_smaller_or_absent_never_sees_what_was_there_before():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5)).double()
    plain = copy.deepcopy(model)
    wide, narrow = states(5, 5, {"wide": 4, "other": 1}, ("0", "1")).values()
    small = {"0": Pair(narrow["0"].A.repeat(4, 1), narrow["0"].B.repeat(1, 4), 0.5)}
    bank(model, {"wide": wide, "small": small, "uneven": {"0": narrow["0"], "1": wide["1"]}}, pages=4)
    x = torch.randn(1, 5, dtype=torch.float64)
    for name, state in (("wide", wide), ("small", small), ("wide", wide), ("uneven", {**wide, "0": narrow["0"]})):
        with serving(model, [name]), torch.no_grad():
            y = model(x)
        hidden = single(plain[0], {"0": state["0"]}, x)
        expected = single(plain[1], {"0": state["1"]} if "1" in state else None, hidden)
        torch.testing.assert_close(y, expected.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("storage", [NF4Storage(), DoubleQuantStorage()], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_on_a_quantised_base_each_row_is_its_own_qlora_model(storage, dtype):
    def plain() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(70, 30), nn.Tanh(), nn.Linear(30, 20)).to(dtype)

    models = {}
    for i, (name, r) in enumerate(RANKS.items()):
        models[name] = plain()
        lb.inject(models[name], lb.Recipe(r=r, alpha=7.0, base=storage), "0|2", torch.Generator().manual_seed(i))
        for layer in lb.adapted(models[name]).values():
            nn.init.normal_(layer.update.B)
    served = plain()
    bank(served, {name: pairs_of(model) for name, model in models.items()}, base=storage)
    assert type(served[0].base.store) is type(storage.build(torch.ones(1, 64)))
    x = torch.randn(6, 3, 70, dtype=dtype)
    names = ["ben", "anna", "ben", "dora", "carl", "ben"]
    with serving(served, names), torch.no_grad():
        y = served(x)
    expected = torch.stack([models[name](x[i]).detach() for i, name in enumerate(names)])
    torch.testing.assert_close(y, expected, rtol=1e-11 if dtype == torch.float64 else 1e-4, atol=1e-5)


def test_a_base_that_is_an_adapters_own_cannot_be_shared():
    model = nn.Sequential(nn.Linear(64, 64))
    lb.inject(model, lb.PiSSA(2) | lb.QLoRA(), "0")
    with pytest.raises(ValueError, match="0 was quantised after s·BA had been taken out of W₀"):
        pairs_of(model)


def test_a_copy_of_a_banked_model_has_a_pool_of_its_own():
    model = nn.Sequential(nn.Linear(6, 4).double())
    held = bank(model, states(4, 6), pages=5)
    twin = copy.deepcopy(model)
    x = torch.randn(1, 6, dtype=torch.float64)
    with serving(twin, ["ben"]), torch.no_grad():
        of_twin = twin(x)
    assert held.pages.owners == ()
    with serving(model, ["ben"]), torch.no_grad():
        assert torch.equal(model(x), of_twin)


def test_a_bank_is_no_adapter_and_is_not_saved_as_one(tmp_path):
    model = nn.Sequential(nn.Linear(6, 4).double())
    bank(model, states(4, 6))
    with pytest.raises(ValueError, match="save each adapter from the model that trained it"):
        lb.save_adapter(model, tmp_path / "bank")
    assert list(tmp_path.iterdir()) == []


# -- pages -------------------------------------------------------------------------------------------------------------

Step = st.tuples(st.sampled_from(["hold", "let go", "drop"]), st.integers(0, 7))


@often
@given(count=st.integers(1, 12), size=st.integers(1, 5), steps=st.lists(Step, max_size=40))
def test_pages_are_never_shared_never_lost_and_never_taken_while_pinned(count, size, steps):
    pages = Pages(count, size)
    pins, recent = {}, []  # the model: what must be true, kept in the plainest way
    for what, owner in steps:
        rows = 2 * owner + 1
        before = {name: pages.rows(name) for name in pages.owners}
        if what == "hold":
            taken = -(-rows // size) if owner not in recent else 0
            spare = pages.free + sum(-(-(2 * o + 1) // size) for o in recent if not pins[o] and o != owner)
            if taken > spare:
                with pytest.raises(PoolFull):
                    pages.hold({owner: rows})
                assert {name: pages.rows(name) for name in pages.owners} == before
                continue
            pages.hold({owner: rows})
            while sum(-(-(2 * o + 1) // size) for o in recent) + taken > count:
                recent.remove(next(o for o in recent if not pins[o] and o != owner))
            recent = [*(o for o in recent if o != owner), owner]
            pins = {o: pins.get(o, 0) + (o == owner) for o in recent}
        elif what == "let go" and pins.get(owner):
            pages.let_go([owner])
            pins[owner] -= 1
        elif what == "drop" and owner in recent and not pins[owner]:
            pages.drop(owner)
            recent.remove(owner)
        elif what == "let go" or (what == "drop" and owner not in recent) or pins.get(owner):
            with pytest.raises(ValueError, match="pinned|dropped"):
                (pages.let_go([owner]) if what == "let go" else pages.drop(owner))
        assert list(pages.owners) == recent
        rows_in_use = [row for name in pages.owners for row in pages.rows(name)]
        assert len(set(rows_in_use)) == len(rows_in_use) == sum(2 * o + 1 for o in recent)
        assert all(0 <= row < count * size for row in rows_in_use)
        assert pages.free == count - sum(-(-(2 * o + 1) // size) for o in recent)
        assert pages.lost_rows == (count - pages.free) * size - len(rows_in_use)
        assert pages.lost_rows <= len(recent) * (size - 1)
        assert all(pages.rows(o) == before[o] for o in recent if o in before and pins[o]), "what is pinned stays put"


def test_pages_refuse_what_makes_no_sense():
    for count, size in ((0, 1), (1, 0), (-1, 1), (True, 1)):
        with pytest.raises(ValueError, match="must be a whole number ≥ 1"):
            Pages(count, size)
    pages = Pages(4)
    with pytest.raises(ValueError, match="rows for 'anna' is 0; it must be a whole number ≥ 1"):
        pages.hold({"anna": 0})
    pages.hold({"anna": 2})
    with pytest.raises(ValueError, match="'anna' holds 2 rows and asks for 3"):
        pages.hold({"anna": 3})
    with pytest.raises(ValueError, match="'anna' is in use"):
        pages.drop("anna")
    with pytest.raises(ValueError, match="'ben' holds no page"):
        pages.drop("ben")


# -- scheduler ---------------------------------------------------------------------------------------------------------

Arrivals = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([*RANKS, None]), st.integers(1, 9), st.integers(1, 5)),
    min_size=1, max_size=14,
)  # fmt: skip


def play(asked, pages: int, size: int, batch: int, promise: InTime | None) -> list[tuple]:
    """Run a whole day and return its history. Everything that must be true at every moment is asserted on the way."""
    scheduler = Scheduler(Pages(pages, size), RANKS, batch, promise)
    todo, history, left, clock = [], [], {}, 0.0
    for i, (gap, adapter, rows, steps) in enumerate(asked):
        clock += gap
        todo.append((Request(i, adapter, clock, rows), steps))
    finished, now = [], 0.0
    for _ in range(2000):
        while todo and todo[0][0].arrival <= now:
            request, steps = todo.pop(0)
            needed = -(-rows_of(request.adapter) // size) + -(-request.rows // size)
            if needed > pages:
                with pytest.raises(PoolFull, match="the whole pool has"):
                    scheduler.submit(request)
                history.append(("refused", request.name))
                continue
            scheduler.submit(request)
            left[request.name] = steps
        for request in scheduler.abort(now):
            history.append(("aborted", request.name, now))
            assert promise is not None
        queue = [request.name for request in scheduler.waiting]
        admitted = [request.name for request in scheduler.admit(now)]
        assert admitted == queue[: len(admitted)], "first come, first admitted"
        history += [("admitted", name, now) for name in admitted]
        check(scheduler, size, batch)
        if scheduler.waiting:
            assert scheduler.running, "with an empty machine the head of the queue always fits"
        for name in list(scheduler.running):
            left[name] -= 1
            if left[name] == 0:
                scheduler.finish(name)
                finished.append(name)
                history.append(("finished", name, now))
        check(scheduler, size, batch)
        if not todo and not scheduler.waiting and not scheduler.running:
            break
        now += 1.0
    assert not todo
    assert not scheduler.waiting
    ends = [name for what, name, *_ in history if what in ("finished", "aborted", "refused")]
    assert sorted(ends) == list(range(len(asked))), "each request ends in exactly one way"
    assert not any(scheduler.pages.is_pinned(owner) for owner in scheduler.pages.owners)
    assert set(scheduler.pages.owners) <= set(RANKS), "no cache is left behind"
    return history


def rows_of(adapter: str | None) -> int:
    return RANKS.get(adapter, 0)


def check(scheduler: Scheduler, size: int, batch: int) -> None:
    pages, running = scheduler.pages, list(scheduler.running.values())
    assert len(running) <= batch
    for request in running:
        assert pages.is_pinned(("cache", request.name))
        assert request.adapter is None or pages.is_pinned(request.adapter)
    pinned = sum(-(-rows_of(a) // size) for a in {r.adapter for r in running}) + sum(
        -(-r.rows // size) for r in running
    )
    assert pinned <= pages.count
    assert sum(pages.is_pinned(owner) for owner in pages.owners) == len({r.adapter for r in running} - {None}) + len(
        running
    )


@often
@given(asked=Arrivals, pages=st.integers(4, 20), size=st.integers(1, 3), batch=st.integers(1, 4))
def test_every_request_is_served_once_in_order_and_within_memory(asked, pages, size, batch):
    history = play(asked, pages, size, batch, None)
    assert history == play(asked, pages, size, batch, None), "the same day twice"
    order = [name for what, name, *_ in history if what == "admitted"]
    assert order == sorted(order), "nobody overtakes"


@often
@given(asked=Arrivals, promised=st.integers(1, 6), batch=st.integers(1, 3))
def test_with_a_true_estimate_everybody_who_is_not_aborted_is_in_time(asked, promised, batch):
    asked = [(gap // 3, adapter, rows, 1) for gap, adapter, rows, _ in asked]  # one step each: `after` is exact
    arrivals = list(itertools.accumulate(float(gap) for gap, *_ in asked))
    promise = InTime(float(promised), lambda k: 1.0 + k // batch)

    def in_time(history: list[tuple]) -> int:
        return sum(e[0] == "finished" and e[2] + 1.0 <= arrivals[e[1]] + promised for e in history)

    aborting, patient = (play(asked, 400, 1, batch, some) for some in (promise, None))
    assert aborting == play(asked, 400, 1, batch, promise), "the same day twice"
    assert in_time(aborting) == sum(what == "finished" for what, *_ in aborting)
    assert in_time(aborting) >= in_time(patient), "no more are in time if nobody is aborted"


@often
@given(
    gaps=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    promised=st.integers(1, 9),
    now=st.integers(0, 12),
    batch=st.integers(1, 3),
)
def test_no_choice_of_requests_has_more_of_them_in_time_than_the_latest(gaps, promised, now, batch):
    arrivals = [float(t) for t in itertools.accumulate(gaps)]
    promise = InTime(float(promised), lambda k: 1.0 + k // batch)

    def in_time(chosen: tuple[float, ...]) -> bool:
        return all(now + promise.after(k) <= arrival + promised for k, arrival in enumerate(chosen))

    best = max(
        n for n in range(len(arrivals) + 1) if any(in_time(some) for some in itertools.combinations(arrivals, n))
    )
    assert latest_in_time(arrivals, float(now), promise) == best


def test_the_head_of_the_queue_is_not_overtaken_and_an_unpinned_adapter_makes_room():
    scheduler = Scheduler(Pages(8), RANKS, batch=4)
    for name, adapter, rows in (("a", "anna", 3), ("b", "ben", 3), ("c", None, 1)):
        scheduler.submit(Request(name, adapter, 0.0, rows))
    assert [r.name for r in scheduler.admit(0.0)] == ["a"], "b does not fit beside a, and c may not pass b"
    scheduler.finish("a")
    assert scheduler.pages.owners == ("anna",)
    assert [r.name for r in scheduler.admit(1.0)] == ["b"], "anna is evicted for ben; c has no page left"
    scheduler.finish("b")
    assert [r.name for r in scheduler.admit(2.0)] == ["c"]
    assert "ben" in scheduler.pages.owners


def test_bad_requests_are_refused_before_anything_changes():
    scheduler = Scheduler(Pages(8), RANKS, batch=2)
    scheduler.submit(Request("a", "anna", 5.0, 2))
    for request, error, message in (
        (Request("b", "zoe", 5.0, 2), ValueError, "'zoe', which is not one of 'anna', 'ben', 'carl', 'dora'"),
        (Request("b", "ben", 5.0, 0), ValueError, "rows = 0"),
        (Request("a", "ben", 5.0, 1), ValueError, "named 'a' is waiting or running"),
        (Request("b", "ben", 4.0, 1), ValueError, "submit in order of arrival"),
        (
            Request("b", "ben", 5.0, 4),
            PoolFull,
            "needs 9 pages for its adapter and its cache, and the whole pool has 8",
        ),
    ):
        with pytest.raises(error, match=message):
            scheduler.submit(request)
    assert [r.name for r in scheduler.waiting] == ["a"]
    assert scheduler.admit(4.0) == [], "a has not arrived yet"
    with pytest.raises(ValueError, match="'a' is not running"):
        scheduler.finish("a")
    with pytest.raises(ValueError, match="batch is 0"):
        Scheduler(Pages(8), RANKS, batch=0)
    with pytest.raises(ValueError, match=r"the promise is 0\.0 seconds"):
        InTime(0.0, lambda k: 1.0)


# -- all of it ---------------------------------------------------------------------------------------------------------


def decoder() -> Decoder:
    model = Decoder(DecoderConfig(vocab=19, hidden=24, layers=2, heads=3, kv_heads=1, d_head=8, ffn=32, context=16))
    initialise(model, torch.Generator().manual_seed(0))
    return model.double().eval()


@torch.no_grad()
def continued(model: nn.Module, prompt: list[int], length: int) -> list[int]:
    """Return the likeliest `length` tokens after a prompt, one request alone."""
    tokens = list(prompt)
    for _ in range(length):
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


def test_a_day_of_mixed_batches_says_what_each_adapter_says_alone():
    models = {}
    for i, (name, r) in enumerate(RANKS.items()):
        models[name] = decoder()
        lb.inject(models[name], lb.LoRA(r, 7.0), r"[qv]_proj|mlp", generator=torch.Generator().manual_seed(i))
        for layer in lb.adapted(models[name]).values():
            nn.init.normal_(layer.update.B, std=0.5, generator=torch.Generator().manual_seed(i))
    served = decoder()
    held = bank(served, {name: pairs_of(model) for name, model in models.items()}, pages=24)
    scheduler = Scheduler(held.pages, held.ranks, batch=3)
    g = torch.Generator().manual_seed(1)
    asked = {}
    for i in range(10):
        adapter = [*RANKS, None][i % 5]
        prompt = torch.randint(19, (int(torch.randint(2, 7, (), generator=g)),), generator=g).tolist()
        asked[i] = SimpleNamespace(adapter=adapter, prompt=prompt, said=[], length=2 + i % 4)
        scheduler.submit(Request(i, adapter, 0.0, len(prompt) + 2 + i % 4))
    steps = 0
    while scheduler.waiting or scheduler.running:
        scheduler.admit(float(steps))
        batch = [asked[name] for name in scheduler.running]
        texts = [one.prompt + one.said for one in batch]
        padded = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
        with serving(served, [one.adapter for one in batch]), torch.no_grad():
            logits = served(padded)  # causal: what is padded on the right is never looked at
        for row, (name, one) in enumerate(zip(list(scheduler.running), batch, strict=True)):
            one.said.append(int(logits[row, len(texts[row]) - 1].argmax()))
            if len(one.said) == one.length:
                scheduler.finish(name)
        steps += 1
    base = decoder()
    for one in asked.values():
        assert one.said == continued(models.get(one.adapter, base), one.prompt, one.length)
    assert steps < sum(one.length for one in asked.values()), "requests shared steps"
    assert held.loads > len(RANKS), "the pool is too small for all adapters, so one was copied in twice"
