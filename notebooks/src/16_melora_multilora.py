# %% [markdown]
# # 16 · MELoRA and MultiLoRA
#
# > **One adapter of rank $r$, or many small ones?**
#
# More rank for the same money: that is what you are offered. **MELoRA** (Ren et al. 2024) cuts the layer's input and
# output into $n$ slices and gives each a mini LoRA of its own. **MultiLoRA** (Wang et al. 2023) adds up $n$ whole LoRAs.
# Told as one method, they have little in common.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | form | MELoRA, MultiLoRA | chapter 02: what r does |

# %%
import torch

from lorabook.axes.form.melora import BlockDiagonal
from lorabook.axes.form.multilora import ParallelSum
from lorabook.book import reading as book
from lorabook.book.exercises import minis
from lorabook.claims import melora, multilora

book.axis_strip("form")

# %%
book.diagram("melora")

# %%
book.diagram("multilora")

# %% [markdown]
# ## Predict

# %%
guess_full = book.predict("ΔW is 24 × 24. MELoRA with 24 minis of rank 1 gives it rank 24, which is full, with the "
    "numbers of one LoRA of rank 1. Of a ΔW without any pattern it reaches …",
    book.Choice("your answer", ("all", "about half", "as much as that LoRA", "less than that LoRA")))
guess_full

# %%
guess_best = book.predict("The King James Bible, at equal numbers, each at its own rate. The best is …",
    book.Choice("your answer", ("LoRA", "MELoRA, with 4 times the rank", "MultiLoRA, 3 in parallel")))
guess_best

# %% [markdown]
# ## See it
# First a wanted ΔW, then the nearest one that each form can write, however it is trained. *Reaches*: so much of the wanted
# ΔW, in squares. Blue is positive, orange negative.

# %%
picture = book.blocks(torch.Generator().manual_seed(0))
picture

# %% [markdown]
# 1. Let *two directions* be wanted. Raise $n$ to 24, then $r$ to 2. What does MELoRA's rank do, and what does it reach?
# 2. Find a wanted ΔW, $n$ and $r$ at which MELoRA beats the LoRA that has as many numbers. What makes it win? Go one step
#    of $n$ further.
#
# <details><summary>Answers</summary>
#
# 1. Its rank rises to 24, and it reaches 3%: 24 of 576 entries are all that it can touch. A LoRA of rank 2 reaches
# everything.
# 2. Four blocks, n = 4, r = 1: MELoRA reaches all of it and LoRA a quarter. Each block wants one direction, and each mini has
# one. At n = 6 its slices cut through the blocks, and it reaches less than half.
#
# </details>
#
# ## Why
# A mini $B_iA_i$ has sides $d_{out}/n$ and $d_{in}/n$, so $n$ of them cost what one LoRA of rank $r$ costs. Ranks of
# diagonal blocks add up: $nr$. But all entries off the diagonal, a share of $1-1/n$, stay zero. **Rank counts directions.
# It does not say where they lie.**

# %%
book.card(melora.false_melora_is_a_sum)

# %% [markdown]
# And the sum? Write the $B_i$ side by side and the $A_i$ one above the other: $\sum_iB_iA_i=[B_1\dots B_n][A_1;\dots;A_n]$.

# %%
book.card(melora.a_sum_of_minis_is_one_lora)

# %% [markdown]
# So a plain sum of LoRAs is no method. MultiLoRA changes how it *learns*: each pair has trained factors $v_i$ for the
# outputs, which start at zero, while neither $B_i$ nor $A_i$ does.

# %%
book.card(multilora.multilora_is_one_lora_with_scales)

# %% [markdown]
# ## The code
# Both definitions, each a line:

# %%
book.source(BlockDiagonal.weight)

# %%
book.source(ParallelSum.weight)

# %% [markdown]
# ## Measured
# At equal numbers LoRA has rank 8, MELoRA four minis of rank 8, so rank 32, and MultiLoRA three pairs of rank 2. At their
# papers' sizes MELoRA has minis of rank 2, a quarter of the numbers, and MultiLoRA pairs of rank 8, three times as many.

# %%
table = book.measured("MELoRA", "MultiLoRA")
table

# %% jupyter={"source_hidden": true}
base, *_ = table.result.lines
equal = {line.name: line for line in table.result.lines if line.label == line.name}
own = {line.name: line for line in table.result.lines if line.label != line.name}
small = book.measured("LoRA r=2").result.lines[1]


def above(line):
    return bool((torch.tensor(line.scores) > torch.tensor(base.scores)).all())


book.verdicts({
    "At equal numbers MELoRA, with four times the rank, ends above LoRA in every seed": above(equal["MELoRA"]),
    "So does MultiLoRA": above(equal["MultiLoRA"]),
    "Either is less than 0.05 nats behind": max(equal[name].mean for name in own) < base.mean + 0.05,
    "At LoRA's rank and a quarter of its numbers, MELoRA is 0.1 nats behind": own["MELoRA"].mean > base.mean + 0.1,
    "A LoRA of rank 2, which has as many numbers as that, is ahead of it": small.mean < own["MELoRA"].mean,
    "MultiLoRA of its paper's size ends below this LoRA": own["MultiLoRA"].mean < base.mean,
    "It has less than twice LoRA's numbers": own["MultiLoRA"].trained < 2 * base.trained})

# %% [markdown]
# Plainly: for the same money, one LoRA is the best of the three here, and four times the rank bought nothing. Our guess
# why: what this text wants of $\Delta W$ has no blocks.
#
# ## When, when not
# * **Stay with one LoRA**, and raise its $r$.
# * **Not MELoRA for a tiny file**: LoRA of rank 1 is as small as it gets. The paper reports gains with 8 to 36 times fewer
#   numbers, on models that this one cannot stand for.
# * **MultiLoRA** is meant for many tasks at once: not tested here.
# * **With what**: neither can take its start out of $W_0$, as PiSSA does.
#
# ## Exercises
# Stuck? `book.hint(minis.EXERCISE, 1)`, then 2, then 3; `book.solution(minis.EXERCISE)` comes last.

# %%
book.show(minis.EXERCISE)

# %%
def melora_delta(A, B, s):
    ### BEGIN SOLUTION
    return s * torch.block_diag(*(b @ a for a, b in zip(A, B, strict=True)))
    ### END SOLUTION


book.check(minis.EXERCISE, melora_delta)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
_, lora, mini, _ = picture.compute(type(picture.state)(24, 1, "no pattern")).reached
guess_full.look_back(f"{mini:.0%}, and that LoRA {lora:.0%}")

# %% tags=["nbval-ignore-output"]
guess_best.look_back(", ".join(f"{name} {equal[name].mean:.3f} nats" for name in ("LoRA", *own)))

# %% [markdown]
# <details><summary>1. MELoRA has n minis of rank r. Its rank, its trained numbers, the entries that it can move?</summary>
# nr; r(d_in + d_out), as one LoRA of rank r; a share of 1/n.</details>
#
# <details><summary>2. A colleague adds up four LoRAs of rank 4, under Adam. What has she built?</summary>
# One LoRA of rank 16 with the scale of the four: the same W, step by step.</details>
#
# <details><summary>3. What makes MultiLoRA differ from that sum?</summary>
# The factors v, which train, and the start: v is zero, and neither A nor B is.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of MELoRA and MultiLoRA, and whether it holds",
    melora.an_output_hears_its_own_slice,
    melora.false_blocks_are_one_lora,
    melora.minis_share_one_error,
    melora.false_each_mini_learns_on_its_own,
    melora.melora_trains_n_times_fewer,
    melora.false_melora_trains_as_many,
    melora.false_the_rank_is_split_among_minis,
    melora.ranks_of_blocks_add_up,
    melora.false_ranks_of_a_sum_add_up,
    multilora.false_multilora_is_melora,
    multilora.multilora_has_rank_nr,
    multilora.false_scales_lift_the_rank,
    multilora.multilora_trains_scales_too,
    multilora.false_multilora_trains_as_one_lora,
    multilora.only_the_scales_move_at_first,
    multilora.false_all_move_at_first,
)

# %% [markdown]
# **Sources.** Ren et al. 2024 (2402.17263), MELoRA: equation 3, section 4 for its results. Wang et al. 2023 (2311.11501),
# MultiLoRA: section 4; the starts as in the code of Yang et al. 2024 (2410.09437), MTL-LoRA. Eckart, Young 1936: the nearest
# matrix of a rank.
