# %% [markdown]
# # 18 · DyLoRA
#
# > **I do not know r yet.**
#
# One customer's server has room for rank 8, another's for rank 2, and you learn that after the training. Train them all?
# DyLoRA (Valipour et al. 2022) draws a rank $b$ at every step and trains the first $b$ rows of $A$ and columns of $B$
# alone. After one run, every rank is there. But so it is if you train one LoRA, and cut it.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | rule | DyLoRA | chapter 01: what an SVD cuts; chapter 02: α/r |

# %%
import torch

import lorabook as lb
from lorabook.arena import cut_runs
from lorabook.book import reading as book
from lorabook.book.exercises import nested
from lorabook.claims import dylora as claims

book.axis_strip("rule")

# %%
book.diagram("dylora")

# %% [markdown]
# ## Predict

# %%
guess = book.predict("One training of DyLoRA, one of LoRA, both of rank 8 and at their own best rates. You serve rank 2: "
    "DyLoRA's first two rows and columns, and LoRA's BA cut by the SVD. Lower loss has …", book.Choice("your answer", (
        "DyLoRA, by more than 0.05 nats", "DyLoRA, by less", "LoRA, by less than 0.05 nats", "LoRA, by more")))
guess

# %% [markdown]
# ## See it
# The book's small model learns the King James Bible, 60 steps and three seeds each, all recorded. The best rate is that of
# the lowest mean loss over the ranks that a run serves, on other seeds. Bands are the spread of the seeds.

# %%
book.cut_curves()

# %% [markdown]
# 1. Serve rank 2. Which of the two cuts is better? Then cut LoRA by the SVD. At which ranks is DyLoRA still ahead?
# 2. DyLoRA at rank 1: a colleague forgets that the scale has changed and serves α/r. What does it cost? And which cut
#    of DyLoRA is better than its own?
#
# <details><summary>Answers</summary>
#
# TODO
#
# </details>
#
# ## Why
# Every step trains a LoRA of rank $b$, with the scale that a LoRA of rank $b$ has.

# %%
book.card(claims.a_cut_is_a_lora_of_rank_b)

# %% [markdown]
# TODO
