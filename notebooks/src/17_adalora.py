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

# %% [markdown]
# 1. Go through the steps. TASK-A
# 2. TASK-B
#
# <details><summary>Answers</summary>
#
# 1. A
# 2. B
#
# </details>
#
# ## Why
# ### A direction that can be switched off
# AdaLoRA writes the update like a singular value decomposition, $\Delta W=s\,P\Lambda Q$: $P$ is d_out × r, $Q$ is
# r × d_in, $\Lambda$ is diagonal with $\lambda_1\dots\lambda_r$, which start at zero. Column $P_{\cdot i}$, $\lambda_i$ and
# row $Q_{i\cdot}$ are a **triplet**. $\lambda_i=0$ takes it out and leaves the rest alone.

# %%
book.card(claims.a_masked_lambda_takes_out_its_triplet)

# %% [markdown]
# ### What a triplet is worth
# $|w\,\partial L/\partial w|$ is, to first order, what the loss changes by when the number $w$ becomes zero. One batch
# makes it noisy; so it is averaged, and multiplied by how much it still jumps.

# %%
book.card(claims.the_score_is_sensitivity_times_uncertainty)

# %% [markdown]
# It looks like a singular value decomposition, and so two things are believed of it. First:

# %%
book.card(claims.false_p_and_q_are_orthogonal)

# %% [markdown]
# A penalty, $\gamma(\lVert P^\top P-I\rVert^2+\lVert QQ^\top-I\rVert^2)$, pulls towards it. How far does that get on the
# book's model? Second, if $|\lambda_i|$ is no singular value, it is at least the importance:

# %%
book.card(claims.false_lambda_is_the_importance)

# %% [markdown]
# Keep the largest $|\lambda|$ instead of the best scores, all else equal, five seeds:

# %%
score, largest, random = (allocation.ended(way) for way in ("by score", "by |λ|", "at random"))
free = allocation.ended("by score, γ = 0")

# %% [markdown]
# ### One cut through the model
# All triplets stand in one list, and the $b(t)$ best live. No layer has a share of its own.

# %%
book.card(claims.the_budget_is_of_the_whole_model)

# %%
book.card(claims.the_budget_falls_as_a_cubic)

# %% [markdown]
# Between two cuts a masked $\lambda$ may grow again:

# %%
book.card(claims.a_masked_lambda_still_has_a_gradient)

# %% [markdown]
# ## The smallest case
# Four layers. What they have to learn has rank 5, 2, 1 and 0: eight directions, and so is the budget.

# %%
d, needs, draw = 16, (5, 2, 1, 0), torch.Generator().manual_seed(0)
model = torch.nn.ModuleList(torch.nn.Linear(d, d, bias=False) for _ in needs)
goals = [layer.weight.detach() + torch.randn(d, k, generator=draw) @ torch.randn(k, d, generator=draw) / d
         for layer, k in zip(model, needs, strict=True)]
layers = lb.inject(model, lb.AdaLoRA(r=5, alpha=10, target_r=2, every=5), r"\d", draw)


def distance(model, _batch):
    weights = [layer.update.weight(layer.base.matrix) for layer in layers.values()]
    return sum((w - goal).square().sum() for w, goal in zip(weights, goals, strict=True))


lb.fit(model, repeat((torch.zeros(1), torch.zeros(1))), steps=150, lr=0.02, loss=distance, progress=False)
left = [int((layer.update.E != 0).sum()) for layer in layers.values()]
least = sum(torch.linalg.svdvals(goal - layer.base.matrix)[2:].square().sum()
            for goal, layer in zip(goals, layers.values(), strict=True))
print(f"triplets left: {left}; distance² {distance(model, None):.3f}")
print(f"the least that LoRA of rank 2 everywhere could leave: {least:.3f}")

# %% [markdown]
# ## The code

# %%
rule = lb.AdaLoRA(r=5, alpha=10, target_r=2).rule.build(model)
book.source(rule.after_step)
