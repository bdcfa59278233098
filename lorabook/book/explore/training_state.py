"""The knobs of a training run, where they stand for each variant, and what each may be set to."""

from dataclasses import dataclass, replace

from lorabook.arena.method import Method
from lorabook.book.explore.state import Choice, Control, Folded, Steps, Value, control, folded
from lorabook.book.explore.training_variants import FULL, LORA, VARIANTS, Variant
from lorabook.models.decoder import DecoderConfig

NONE = "–"
"""Where a variant lacks what a control moves."""
TINY, SMOLLM2 = "1.8 M, read Austen", "SmolLM2, 135 M"
MODELS = (TINY, SMOLLM2)
ALL = "all seven"
TARGETS = {ALL: "_proj", "attention": "[qkvo]_proj", "MLP": "mlp", "q, v": "q_proj|v_proj"}
RATES = tuple(1e-3 * 2.0**i for i in range(-4, 9))
"""Powers of two, times 10⁻³: every second one of the arena's."""
TIMES_R = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class State:
    """The knobs. `r` is the variant's size, whatever it calls it, and `own` the number that only it has."""

    variant: str = control(LORA, Choice("variant", tuple(VARIANTS)))
    r: Value = control(8, Steps("rank r", (8,)))
    lr: float = control(8e-3, Steps("learning rate", RATES))
    own: Value = control(NONE, Steps("no knob of its own", (NONE,)))
    alpha: Value = folded(16.0, Steps("α", (16.0,)))
    targets: str = folded(ALL, Choice("targets", tuple(TARGETS)))
    model: str = folded(TINY, Choice("model", MODELS))
    seed: int = folded(0, Steps("seed", SEEDS))

    @property
    def chosen(self) -> Variant:
        """The variant itself."""
        return VARIANTS[self.variant]

    @property
    def size(self) -> int:
        """Its rank or width; 0 where it has none."""
        return 0 if self.r == NONE else self.r

    @property
    def method(self) -> Method:
        """The contender that the knobs make of it."""
        alpha, own = (None if value == NONE else value for value in (self.alpha, self.own))
        return self.chosen.method(alpha, own)

    def trained(self, shape: DecoderConfig) -> int:
        """Return how many numbers of a decoder of this shape would train."""
        return self.chosen.count(self.method, shape, self.pattern, self.size)

    @property
    def pattern(self) -> str:
        """What finds the layers; the arena's where the variant has its own places and does not ask."""
        return TARGETS[ALL if self.targets == NONE else self.targets]


def at(variant: str, size: int, lr: float, model: str = TINY, seed: int = 0, targets: str = ALL) -> State:
    """Return the knobs as the arena has them for a variant of this size."""
    chosen = VARIANTS[variant]
    own = NONE if chosen.knob is None else chosen.knob.start
    alpha = chosen.alpha(size)
    return State(
        variant, size if chosen.sizes else NONE, lr, own, NONE if alpha is None else alpha,
        targets if chosen.places else NONE, model, seed,
    )  # fmt: skip


def followed(before: State, now: State) -> State:
    """Return `now` with α moved as the rank was, where s is α/r: that is kept, for the update's size depends on it."""
    alpha_stood = NONE not in (before.alpha, now.alpha, before.r, now.r) and now.alpha == before.alpha
    if alpha_stood and now.chosen.divides_by_r and now.r != before.r and now.variant == before.variant:
        return replace(now, alpha=before.alpha * now.r / before.r)
    return now


def ranges(state: State, recorded: State, sizes: tuple[int, ...] = ()) -> dict[str, Control]:
    """Return the controls that depend on the variant: `recorded` is where its knobs begin, `sizes` are recorded too.

    Raises:
        ValueError: the variant has no such size.
    """
    chosen, knob = state.chosen, state.chosen.knob
    r = Steps(chosen.size, tuple(sorted({*chosen.sizes, *sizes, recorded.r})) if chosen.sizes else (NONE,))
    return {
        "r": r,
        "lr": Steps("learning rate", tuple(sorted({*RATES, recorded.lr}))),
        "own": Steps("no knob of its own", (NONE,)) if knob is None else Steps(knob.name, knob.values),
        "targets": Folded(Choice("targets", tuple(TARGETS) if chosen.places else (NONE,))),
        "alpha": Folded(Steps("α", _alphas(recorded.alpha, r.parse(state.r), state.alpha))),
    }


def off(state: State) -> list[str]:
    """Return the controls that change nothing for this variant."""
    return [name for name in ("r", "own", "alpha", "targets") if getattr(state, name) == NONE]


def _alphas(recorded: Value, r: Value, alpha: Value) -> tuple[Value, ...]:
    if recorded == NONE:
        return (NONE,)
    chosen = {alpha} if isinstance(alpha, int | float) and alpha > 0 else set()
    return tuple(sorted({times * r for times in TIMES_R} | chosen))


def is_full(state: State) -> bool:
    """Whether everything trains."""
    return state.variant == FULL
