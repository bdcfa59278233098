"""Claims about NF4: where the 16 numbers come from, what they cost, what they lose."""

import torch

from lorabook.axes.base.blocks import in_blocks, unpack
from lorabook.axes.base.code_books import int4_codes, lloyd_max, nearest_in, nf4_codes, seventeenths
from lorabook.axes.base.nf4 import NF4
from lorabook.axes.base.normal_float import count_midpoints_below, nearest_code, quantile_codes
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception

QLORA = "Dettmers et al. 2023 (2305.14314)"
MANY = (Case(d_out=128, d_in=256, r=8),)
"""512 blocks of normal weights: enough to compare mean errors, which differ by 10% and more."""


@claim(
    statement=r"NF4 is $\{-\Phi^{-1}(p^-_i)\}_7\cup\{0\}\cup\{\Phi^{-1}(p^+_i)\}_8$ over the largest: two rows.",
    source=f"{QLORA}, section 3 and appendix E; bitsandbytes, create_normal_map",
    tol=1.2e-7,  # the table is printed in float32
)
def nf4_is_two_rows_of_quantiles(case: Case):
    return quantile_codes(), nf4_codes()


@misconception(
    of=nf4_is_two_rows_of_quantiles,
    statement=r"NF4 is $\Phi^{-1}\!\left(i/(2^4+1)\right)$ for $i=1\dots16$, scaled to $[-1,1]$.",
    source="often printed; it is symmetric, so it has no zero, and lies up to 0.069 away",
)
def false_nf4_is_seventeenths(case: Case):
    return seventeenths(), nf4_codes()


@claim(
    statement=r"$\arg\min_k|x-q_k|=\#\{k:x>\frac12(q_k+q_{k+1})\}$: the nearest code is a count of midpoints.",
    source="the codes are sorted, so the nearest is found by counting the midpoints below x",
    tol=0.0,
)
def nearest_code_is_a_count(case: Case):
    rows = in_blocks(case.w0()).float()
    x = rows / rows.abs().amax(1, keepdim=True)
    return nearest_code(x), count_midpoints_below(x)


@claim(
    statement=r"$\hat w=c\,\mathrm{NF4}[\arg\min_k|w/c-\mathrm{NF4}_k|]$, where $c$ is the block's largest $|w|$.",
    source=f"{QLORA}, section 3",
    tol=2e-7,  # constants and products are float32
)
def nf4_stores_the_nearest_code(case: Case):
    return NF4(case.w0()).dense(), nearest_in(case.w0(), nf4_codes())


@misconception(
    of=nf4_stores_the_nearest_code,
    statement=r"$\hat w=s\cdot\operatorname{round}(w/s)$ with $s=c/7$ is NF4.",
    source="often printed as QLoRA's quantisation; it is symmetric INT4, on 15 evenly spaced levels",
)
def false_nf4_is_rounding_by_sevenths(case: Case):
    rows = in_blocks(case.w0())
    s = rows.abs().amax(1, keepdim=True) / 7
    rounded = (s * (rows / s).round()).view(-1)[: case.w0().numel()].view(case.w0().shape)
    return NF4(case.w0()).dense(), rounded


def share_of_zeros_kept(quantised: torch.Tensor, pruned: torch.Tensor) -> torch.Tensor:
    """Return the share of exact zeros of `pruned` that are exact zeros of `quantised`."""
    return (quantised[pruned == 0] == 0).double().mean()


@claim(
    statement=r"$w=0\Rightarrow\hat w=0$: NF4 keeps every zero.",
    source=f"{QLORA}, section 3: the two rows of quantiles share one exact zero",
    tol=0.0,
)
def zero_stays_zero(case: Case):
    pruned = case.w0() * (case.randn(case.d_out, case.d_in) > 0)
    return share_of_zeros_kept(NF4(pruned).dense(), pruned), torch.ones(())


@misconception(
    of=zero_stays_zero,
    statement="16 evenly likely quantiles keep every zero.",
    source="an even number of symmetric codes has none in the middle; pruned or padded weights then drift",
)
def false_symmetric_quantiles_keep_zero(case: Case):
    pruned = case.w0() * (case.randn(case.d_out, case.d_in) > 0)
    return share_of_zeros_kept(nearest_in(pruned, seventeenths()), pruned), torch.ones(())


@claim(
    statement=r"$|w-\hat w|\le\frac12\max_k(\mathrm{NF4}_{k+1}-\mathrm{NF4}_k)\,c=0.152\,c$: half the widest gap.",
    source="between two codes, no number is farther from both than half their distance",
    relation="<=",
    tol=1e-6,  # float32
)
def error_is_half_a_gap(case: Case):
    return _error_and_bound(case, nf4_codes().diff().max() / 2)


@misconception(
    of=error_is_half_a_gap,
    statement=r"$|w-\hat w|\le c/15$: half of an even step.",
    source="the bound of 16 evenly spaced codes; NF4 buys fine steps near 0 with coarse ones at the ends",
)
def false_error_is_a_fifteenth(case: Case):
    return _error_and_bound(case, torch.tensor(1 / 15))


def _error_and_bound(case: Case, half_gap: torch.Tensor):
    w = case.w0()
    absmax = in_blocks(w).abs().amax(1, keepdim=True).expand(-1, 64).reshape(-1)[: w.numel()].view(w.shape)
    return (w - NF4(w).dense()).abs(), half_gap * absmax


@claim(
    statement="$Q(Q(w))=Q(w)$ in NF4: quantising twice is quantising once.",
    source="the largest of a block is stored exactly, so its dequantised weights are codes again",
    tol=0.0,
)
def quantising_twice_is_quantising_once(case: Case):
    once = NF4(case.w0()).dense()
    return NF4(once).dense(), once


@claim(
    statement=r"$\mathbb E(w-\hat w_\mathrm{Lloyd})^2\le0.95\,\mathbb E(w-\hat w_\mathrm{NF4})^2$ on normal weights.",
    source="normal weights in blocks of 64; Yoshida 2023 (2306.06965)",
    relation="<=",
    cases=MANY,
)
def sixteen_better_codes_exist(case: Case):
    w = case.w0()
    return _mse(w, nearest_in(w, lloyd_max(w))), 0.95 * _mse(w, NF4(w).dense())


@misconception(
    of=sixteen_better_codes_exist,
    statement="No 16 codes have a lower squared error on normal weights than NF4.",
    source=f"read into {QLORA}, abstract; dividing by the absmax of 64 makes the numbers normal no longer",
)
def false_nf4_is_optimal(case: Case):
    w = case.w0()
    return _mse(w, NF4(w).dense()), _mse(w, nearest_in(w, lloyd_max(w)))


@claim(
    statement=r"$H=-\sum_kp_k\log_2p_k\le3.92$ bits: NF4's codes are used unequally often on normal weights.",
    source="normal weights in blocks of 64; Yoshida 2023 (2306.06965)",
    relation="<=",
    cases=MANY,
)
def codes_differ_in_use(case: Case):
    return _entropy(case), torch.tensor(3.92)


@misconception(
    of=codes_differ_in_use,
    statement=r"$H\ge4$ bits: each of NF4's 16 codes is used equally often on normal weights.",
    source=f"{QLORA}, section 2, of the ideal data type; after blocks the shares run from 0.017 to 0.09",
)
def false_codes_are_used_equally(case: Case):
    return torch.tensor(4.0), _entropy(case)


def _entropy(case: Case) -> torch.Tensor:
    share = unpack(NF4(case.w0()).packed).long().bincount(minlength=16) / (case.d_out * case.d_in)
    return -(share * share.log2()).sum()


@claim(
    statement=r"$1.3\,\mathbb E(w-\hat w_\mathrm{NF4})^2\le\mathbb E(w-\hat w_\mathrm{INT4})^2$ on normal weights.",
    source=f"{QLORA}, section 4 (NF4 against Int4); here on normal weights",
    relation="<=",
    cases=MANY,
)
def nf4_beats_int4_on_normal_weights(case: Case):
    w = case.w0()
    return 1.3 * _mse(w, NF4(w).dense()), _mse(w, nearest_in(w, int4_codes()))


@misconception(
    of=nf4_beats_int4_on_normal_weights,
    statement="NF4 beats INT4 whatever the weights, uniform ones too.",
    source="the codes fit one distribution; on uniform weights the even steps of INT4 are better",
)
def false_nf4_beats_int4_on_uniform_weights(case: Case):
    w = torch.special.ndtr(case.randn(case.d_out, case.d_in)) - 0.5
    return _mse(w, NF4(w).dense()), _mse(w, nearest_in(w, int4_codes()))


def _mse(w: torch.Tensor, stored: torch.Tensor) -> torch.Tensor:
    return (w - stored).square().mean()
