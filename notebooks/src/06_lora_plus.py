# %% [markdown]
# # 06 · LoRA+
#
# > **Should A and B learn at the same rate?**
#
# LoRA is trained with one learning rate. LoRA+ (Hayou et al. 2024) gives $B$ a rate $\lambda$ times that of $A$, and reports
# faster training and better ends. Why $B$, and not $A$? And is it more than another learning rate?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | optimiser | LoRA+ | chapter 02: LoRA's two gradients |

# %%
import torch

import lorabook as lb
from lorabook.arena import ratio_runs
from lorabook.arena.tasks import KJV
from lorabook.book import reading as book
from lorabook.book.exercises import one_rate, two_rates
from lorabook.book.explore import rates
from lorabook.claims import lora_plus as claims

book.axis_strip("optim")

# %%
book.diagram("lora_plus")

# %% [markdown]
# ## Predict

# %%
guess_kept = book.predict("The book's base has 4.4 nats on the Bible. LoRA at its best rate, 0.008, brings it to 3.8. You "
    "switch on LoRA+ with λ = 16 and keep the rate: 0.008 for A, 16 times that for B. It ends at …",
    book.Choice("nats per token", ("3.7", "3.8", "4.0", "4.4", "5.5")))
guess_kept

# %%
guess_width = book.predict("Your next model is four times as wide. Which rate has to come down?",
    book.Choice("your answer", ("A's", "B's", "both", "neither")))
guess_width

# %% [markdown]
# ## See it
# Three decoders of one layer, 32, 128 and 512 wide, have read *Emma*, letter by letter. Now they learn it in CAPITALS: LoRA of
# rank 8, $\alpha=16$, 40 steps of Adam. Each cell is a pair of rates, a mean of three seeds. Darker is lower. LoRA is the line
# $\lambda=1$.

# %%
book.rate_plane()

# %% [markdown]
# 1. Width 512: slide $\lambda$ up. From where on does the best point of the line end 0.05 or more below LoRA's best, on
#    every line? And with the reversed ratio, $\lambda<1$?
# 2. Find the lowest cell of each width, marked in the plane, and follow its row. What does it cost to go left, to the
#    smallest $\eta_A$? How far right is the loss within 0.05 of the row's lowest, at widths 128 and 512?
#
# <details><summary>Answers</summary>
#
# TODO
#
# </details>
#
# ## Why
# A step of Adam moves each entry by about the rate, with the sign of its gradient. So a step of $A$ moves $(Ax)_k$ by
# $\eta_A\sum_j|x_j|$: a sum of $n=d_\text{in}$ terms of one sign.

# %%
book.card(claims.a_moves_with_the_width)

# %% [markdown]
# A step of $B$ moves an output by $\eta_B\sum_k|(Ax)_k|$: $r$ terms, at any width.

# %%
book.card(claims.b_moves_alike_at_every_width)

# %% [markdown]
# So $\eta_A$ has to fall as $1/n$, and $\eta_B$ may stay. Then all that the branch is made of keeps its size:

# %%
book.card(claims.rates_a_width_apart_keep_every_part)

# %% [markdown]
# ### "A should be the faster one"
# The ratio is often printed upside down. Then $Ax$ grows with the width:

# %%
book.card(claims.false_a_faster_a_keeps_every_part)

# %% [markdown]
# ### "The ratio is d/r"
# Some give a formula for it, with the rank. But what $A$ moves and what $B$ moves are both sums over the $r$ directions. The
# rank is in neither, or in both.

# %%
book.card(claims.false_the_ratio_goes_as_d_over_r)

# %% [markdown]
# ## One run, three spellings
# Let $A$ be $p$ times, $B$ be $q$ times what it is, and $\alpha$ be $\alpha/pq$. The update $\frac\alpha rBA$ is the same. The
# gradients of $A$ and $B$ are $1/p$ and $1/q$ of what they were, and Adam does not feel that: its steps need $p$ and $q$ times
# the rate.

# %%
book.card(claims.start_alpha_and_rates_are_one_run)

# %% [markdown]
# So four numbers, $\alpha$, the size of $A_0$, $\eta_A$ and $\eta_B$, are really two: $\eta_A/\lVert A_0\rVert$ and
# $\alpha\lVert A_0\rVert\eta_B$. With $p=\sqrt\lambda=1/q$ LoRA+ is LoRA with one rate:

# %%
book.card(claims.lora_plus_is_half_a_change_of_the_start)

# %% [markdown]
# And with $p=1$, $q=1/\lambda$ it is LoRA with $\lambda\alpha$. Real trainers have $\varepsilon>0$. Try it on the book's model:

# %%
def losses(recipe, lr, start=1.0):
    model = lb.load("tiny").model
    for layer in lb.inject(model, recipe, "_proj", torch.Generator().manual_seed(0)).values():
        layer.update.A.data *= start
    return torch.tensor(lb.fit(model, KJV.stream(0), steps=6, lr=lr, progress=False).losses)


plus = losses(lb.LoRA(r=8, alpha=16) | lb.LoRAPlus(16), lr=1e-3)
by_start = losses(lb.LoRA(r=8, alpha=16), lr=4e-3, start=4)
by_alpha = losses(lb.LoRA(r=8, alpha=16 * 16), lr=1e-3)
faster = losses(lb.LoRA(r=8, alpha=16), lr=16e-3)

# %% jupyter={"source_hidden": true}
def apart(other):
    return (plus - other).abs().max().item()


book.verdicts({
    "LoRA at 4 times the rate, from 4 times A₀, has every loss of LoRA+ to a thousandth of a nat": apart(by_start) < 1e-3,
    "So has LoRA with 16 times α": apart(by_alpha) < 1e-3,
    "LoRA at 16 times the rate has not: some loss is off by more than 0.05": apart(faster) > 0.05})

# %% [markdown]
# So $\lambda=1$ is nothing special. It is where $\alpha$ happens to put it. **Who tunes $\alpha$ and the rate has tuned both
# rates.** Chapter 05 did so: rsLoRA with Adam is LoRA+ with $\lambda=\sqrt r$.
#
# Clipping and weight decay do feel $p$ and $q$. There the runs differ a little.
#
# ## The code
# Two groups of one optimiser. The model, its file and its merging stay LoRA's, so a finished adapter does not tell.

# %%
book.source(lb.LoRAPlus().optim.build)

# %% [markdown]
# ## Measured
# ### Three widths

# %% jupyter={"source_hidden": true}
planes = rates.gathered(rates.recorded())
TODO
