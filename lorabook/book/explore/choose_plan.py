"""From constraints to a plan: what LoRA needs beside it to fit and to do the job, as code, and its bytes."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache

from lorabook.book.explore.choose_facts import HERE, LLAMA_CPP, MERGED, PEFT, VLLM
from lorabook.cost import memory
from lorabook.cost.count import LLAMA

ONE, IN_TURN, SERVED, AT_HAND, PRIVATE = (
    "one task", "tasks one after another", "many tasks on one server", "a mix of adapters that I have",
    "data that must not leave its owners",
)  # fmt: skip
JOBS = (ONE, IN_TURN, SERVED, AT_HAND, PRIVATE)
WAYS = (MERGED, PEFT, VLLM, LLAMA_CPP, HERE)
KNOWN, OPEN = 16, 64
"""The rank, and the one to cut from if it is to be chosen after the training."""
HELD = 8
"""How many adapters are mixed."""


@dataclass(frozen=True)
class Need:
    """What is asked: the model, one sequence of this many tokens, the job, where the result goes, the rank."""

    model: str
    length: int
    job: str
    goes: str
    rank: int

    @property
    def longer(self) -> bool:
        """Whether the texts are longer than those that the model was trained on, and it is to learn them."""
        return self.length > LLAMA[self.model].context and self.job != AT_HAND

    @property
    def targets(self) -> str:
        """LongLoRA adapts attention alone."""
        return "self_attn" if self.longer else "_proj"


@dataclass(frozen=True)
class Means:
    """What saves memory: W₀ in four bits, and each layer's activations made again."""

    four_bits: bool
    again: bool


def ladder(job: str) -> tuple[Means, ...]:
    """Return the means to try, in order. Tasks in turn are merged into W₀, and mixing trains nothing."""
    steps = (Means(False, False), Means(False, True), Means(True, False), Means(True, True))
    if job == IN_TURN:
        return steps[:2]
    return steps[::2] if job == AT_HAND else steps


def first_that_fits(need: Need, gib: float) -> tuple[Means, dict[str, float]]:
    """Return the first of the ladder whose bill is at most `gib`, and that bill; the last one if none is."""
    # Where it runs is no matter of memory, and a bill is worked out once.
    bills = _bills(replace(need, goes=HERE))
    return next((one for one in bills if sum(one[1].values()) <= gib), bills[-1])


@cache
def _bills(need: Need) -> list[tuple[Means, dict[str, float]]]:
    return [(means, bill(need, means)) for means in ladder(need.job)]


def bill(need: Need, means: Means) -> dict[str, float]:
    """Return the GiB at the peak of a step by purpose.

    LongLoRA trains the embedding as well: gradient, master copy and moments are 14 bytes a number more.
    """
    shape, batch = LLAMA[need.model], memory.Batch(1, need.length)
    method = memory.Adapters(need.rank, need.targets, memory.NF4_DOUBLE if means.four_bits else memory.BF16)
    if need.job == AT_HAND:
        budget = memory.serving(shape, method, memory.MIXED, batch, adapters=HELD)
    else:
        budget = memory.training(shape, method, memory.MIXED, memory.ADAMW, batch, checkpointing=means.again)
    sizes = {name: size for name, size in asdict(budget).items() if size}
    if need.longer:
        sizes["embedding"] = 14 * shape.vocab * shape.hidden
    return {name: size / memory.GIB for name, size in sizes.items()}


def recipe(need: Need, means: Means) -> str:
    """Return the recipe as one writes it."""
    parts = [f"lb.{'QLoRA' if means.four_bits else 'LoRA'}(r={need.rank}, alpha={2 * need.rank})"]
    if need.longer:
        parts.append(f"lb.LongLoRA({need.length // 4})")
    if need.job == IN_TURN:
        parts.append("lb.OrthogonalLoRA()")
    if need.job == PRIVATE:
        parts.append("lb.DPDyLoRA()")
    return " | ".join(parts)


def code(need: Need, means: Means) -> Iterator[str]:
    """Yield the lines, imports left out."""
    if need.job == AT_HAND:
        yield "found = lb.compose(model, adapters, few_shot_loss)"
        yield "attach(model, found.adapter)"
    else:
        if need.longer:
            yield f"interpolate(model, {need.length})"
        yield f"recipe = {recipe(need, means)}"
        if need.job != IN_TURN:
            yield f'lb.inject(model, recipe, "{need.targets}")'
        if means.again:
            yield "with recomputed(model):"
        yield ("    " if means.again else "") + _training(need)
    yield _last(need)


def _training(need: Need) -> str:
    if need.job == IN_TURN:
        return f'adapters = lb.learn_in_turn(model, tasks, recipe, "{need.targets}")'
    if need.job == PRIVATE:
        return "federate(model, federation, rounds=…, lr=…)"
    return "lb.fit(model, batches, steps=…, lr=…)"


def _last(need: Need) -> str:
    if need.job == IN_TURN:
        return "# the model is plain, with all tasks in it; adapters has them one by one"
    if need.goes == MERGED:
        return "lb.merge(model)"
    if need.job == SERVED and need.goes == HERE:
        return "adapters[task] = lb.pairs_of(model)  # and with all of them: lb.bank(model, adapters)"
    return 'lb.save_adapter(model, "adapter")'
