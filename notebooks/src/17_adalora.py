# %% [markdown]
# # 17 · AdaLoRA
#
# > **Which layers deserve the rank?**
#
# LoRA gives every matrix the same $r$. AdaLoRA (Zhang et al. 2023) starts with more than you mean to keep, scores every
# direction of every matrix while it trains, and drops the worst of the whole model. Does it know which ones to drop? And
# what is that worth at the end?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | step rule | AdaLoRA | chapter 01: singular values; chapter 02: α/r, LoRA's two gradients |

# %%
from itertools import repeat

import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import cubic_budget, without_masked
from lorabook.book.figures import allocation
from lorabook.claims import adalora as claims

book.axis_strip("rule")

# %%
book.diagram("adalora")

# %% [markdown]
# ## Predict

# %%
guess_empty = book.predict("The book's model has 28 matrices, in four layers. AdaLoRA learns the Bible and may keep 56 "
    "directions in the end, two a matrix on average. How many matrices end with none?",
    book.Steps("your answer", tuple(range(0, 29))))
guess_empty

# %%
guess_race = book.predict("28 directions, one a matrix on average: AdaLoRA, which starts with six in each, or LoRA of rank "
    "1. Each at its best rate; the loss on new text is lower with …", book.Choice("your answer", (
        "AdaLoRA, by more than 0.05 nats", "AdaLoRA, by less", "LoRA, by less than 0.05 nats", "LoRA, by more")))
guess_race

# %% [markdown]
# ## See it
# A recorded training: 28 matrices, six directions in each, every one a dot. Orange ones live. Move the step.

# %%
book.allocation()
