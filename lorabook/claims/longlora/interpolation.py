"""Where interpolated positions lie, and what is often thought of them."""

import torch
from torch import Tensor

from lorabook.axes.attention.interpolation import interpolate
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.models.decoder import Decoder, DecoderConfig, rotate, rotations

CHEN = "Chen et al. 2023 (2306.15595)"
D_HEAD, THETA = 8, 10000.0


def _lengths(case: Case) -> tuple[int, int]:
    """Return the pretrained length L and how many times as long a text the model is to read: 2, 4 and 7."""
    return case.d_out + case.d_in, case.r + 1


def _turns(case: Case, length: int) -> tuple[Tensor, Tensor]:
    """Return the rotations with which an interpolated model reads a text of this length."""
    trained, times = _lengths(case)
    shape = DecoderConfig(vocab=3, hidden=4, layers=1, heads=1, kv_heads=1, d_head=D_HEAD, ffn=4, context=trained)
    scale = interpolate(Decoder(shape), times * trained).config.position_scale
    return rotations(length, D_HEAD, THETA, torch.device("cpu"), scale)


def _pretrained(length: int) -> tuple[Tensor, Tensor]:
    return rotations(length, D_HEAD, THETA, torch.device("cpu"))


@claim(
    statement=r"Of $k\cdot L$ interpolated tokens, every $k$-th stands where one of the $L$ pretrained did.",
    source=f"{CHEN}, section 2.3: m becomes m·L/L'; single precision",
    tol=1e-5,
)
def every_kth_token_stands_where_one_did(case: Case) -> tuple[Tensor, Tensor]:
    trained, times = _lengths(case)
    return torch.stack(_turns(case, times * trained))[:, ::times], torch.stack(_pretrained(trained))


@misconception(
    of=every_kth_token_stands_where_one_did,
    statement=r"A text that was short enough before is read as before.",
    source="a natural hope; its tokens have moved together, and the model must learn to read it again",
)
def false_a_short_text_is_read_as_before(case: Case) -> tuple[Tensor, Tensor]:
    trained, _ = _lengths(case)
    return torch.stack(_turns(case, trained)), torch.stack(_pretrained(trained))


def _farthest(turns: tuple[Tensor, Tensor]) -> Tensor:
    """Return the largest distance between two tokens, read off their slowest rotation, which never comes round."""
    cos, sin = (t[:, D_HEAD // 2 - 1].double() for t in turns)
    return (torch.atan2(sin[-1], cos[-1]) - torch.atan2(sin[0], cos[0])) * THETA ** ((D_HEAD - 2) / D_HEAD)


@claim(
    statement=r"No two tokens of a text of $L'$ are $L$ positions apart.",
    source=f"{CHEN}, section 2.3",
    relation="<=",
    when=r"positions are interpolated; the farthest two are $L-L/L'$ apart",
)
def distances_stay_below_the_pretrained_length(case: Case) -> tuple[Tensor, Tensor]:
    trained, times = _lengths(case)
    return _farthest(_turns(case, times * trained)), torch.tensor(float(trained))


@misconception(
    of=distances_stay_below_the_pretrained_length,
    statement=r"Rotary positions need no change: they go on beyond the pretrained length by themselves.",
    source="the formula has a value for every position; the weights have seen none of the new ones",
)
def false_extrapolation_stays_in_range(case: Case) -> tuple[Tensor, Tensor]:
    trained, times = _lengths(case)
    return _farthest(_pretrained(times * trained)), torch.tensor(float(trained))


@misconception(
    of=distances_stay_below_the_pretrained_length,
    statement=r"No two tokens are farther apart than the two farthest of pretraining, $L-1$ positions.",
    source="the range [0, L) of the formula, taken for the positions 0 … L − 1; the last L'/L − 1 lie beyond L − 1",
)
def false_distances_stay_within_those_trained(case: Case) -> tuple[Tensor, Tensor]:
    trained, times = _lengths(case)
    return _farthest(_turns(case, times * trained)), _farthest(_pretrained(trained))


def _used(case: Case) -> Tensor:
    """Return q·k of every two tokens of an interpolated text."""
    trained, times = _lengths(case)
    turns = [t.double() for t in _turns(case, times * trained)]
    q, k = (rotate(case.randn(1, 1, times * trained, D_HEAD, stream=name), *turns) for name in "qk")
    return q @ k.mT


def _at_distance(case: Case, scale: float) -> Tensor:
    """Return Re Σ q_c k̄_c exp(i·ω_c·(m − n)·scale): q·k in complex numbers, from the distance alone."""
    trained, times = _lengths(case)
    q, k = (torch.complex(*case.randn(times * trained, D_HEAD, stream=name).chunk(2, dim=1)) for name in "qk")
    m = torch.arange(times * trained, dtype=torch.float64)
    speed = THETA ** (-torch.arange(0, D_HEAD, 2, dtype=torch.float64) / D_HEAD)
    turned = torch.exp(1j * speed * scale * (m[:, None] - m)[..., None])
    return torch.einsum("mc,nc,mnc->mn", q, k.conj(), turned).real[None, None]


@claim(
    statement=r"A score depends on $(m-n)\cdot L/L'$ only: neighbours are $L/L'$ of a position apart.",
    source=f"{CHEN}, section 2.3; rotations keep what is relative relative, whatever the scale",
    tol=1e-5,
)
def scores_depend_on_the_scaled_distance(case: Case) -> tuple[Tensor, Tensor]:
    return _used(case), _at_distance(case, 1 / _lengths(case)[1])


@misconception(
    of=scores_depend_on_the_scaled_distance,
    statement=r"Neighbours stay one position apart.",
    source="what would be so if only far tokens were moved; it is why a few steps of training are needed",
)
def false_neighbours_stay_one_apart(case: Case) -> tuple[Tensor, Tensor]:
    return _used(case), _at_distance(case, 1.0)
