# %% [markdown]
# # 18 · DyLoRA
#
# > **I do not know r yet.**
#
# One customer has room for rank 8, another for rank 2, and you learn it after the training. DyLoRA (Valipour et al. 2022)
# draws a rank $b$ at every step and trains the first $b$ rows of $A$ and columns of $B$. After one run every rank is
# there. Is it better than one LoRA that you cut afterwards?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | step rule | DyLoRA | chapter 01: how an SVD cuts; chapter 02: α/r |

# %%
import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import nested
from lorabook.book.explore import cuts
from lorabook.claims import dylora as claims

book.axis_strip("rule")

# %%
book.diagram("dylora")

# %% [markdown]
# ## Predict

# %%
guess = book.predict("One training of DyLoRA and one of LoRA, both of rank 8, each at its own best rate. You serve "
    "rank 2: DyLoRA's first two rows and columns; LoRA's BA, cut by the SVD. The lower loss has …",
    book.Choice("your answer", (
        "DyLoRA, by more than 0.05 nats", "DyLoRA, by less", "LoRA, by less than 0.05 nats", "LoRA, by more")))
guess

# %% [markdown]
# ## See it
# The book's small model learns the King James Bible: 60 steps, three seeds (the bands), recorded. Each side has the rate
# with the lowest mean loss over the ranks that it serves, on two other seeds.

# %%
book.cut_curves()

# %% [markdown]
# 1. Lower the rank to serve. From which rank on is DyLoRA ahead? Then cut LoRA by the SVD, and look again.
# 2. Serve rank 1. A colleague cuts DyLoRA's rows but leaves the scale at $\alpha/r$. What does that cost? Which cut of
#    DyLoRA is better than its own? At rank 2 too?
#
# <details><summary>Answers</summary>
#
# 1. From 4 down; at rank 2 by 0.15 nats. LoRA cut by the SVD is ahead at every rank, and lies on LoRA trained there.
# 2. 4.30 instead of 4.17: nearly half of what the adapter had gained. The SVD, 4.04; at rank 2 its own rows are better.
#
# </details>
#
# ## Why
# A step at rank $b$ is the step of a LoRA of rank $b$, and so is the cut:

# %%
book.card(claims.a_cut_is_a_lora_of_rank_b)

# %% [markdown]
# In LoRA no row comes first: $BA=(BG)(G^{-1}A)$ for every invertible $G$. The SVD finds the order that its training did
# not make. DyLoRA makes one, and pays. **One rate serves eight scales**: with $\alpha=16$, $s=16$ at rank 1 and 2 at
# rank 8. Losses on the seeds that chose it:

# %% jupyter={"source_hidden": true}
runs, (NESTED, ROWS, SVD) = cuts.read(), cuts.CUTS
tried = {lr: [run.scores[NESTED] for run in runs if run.side == "DyLoRA" and run.lr == lr and run.seed >= 100]
         for lr in cuts.SIDES["DyLoRA"].rates}
book.table(("rate", "rank 1", "rank 2", "rank 4", "rank 8", "mean of all eight"), [
    (f"{lr:.2g}", *(f"{sum(seed[b - 1] for seed in found) / 2:.2f}" for b in (1, 2, 4, 8)),
     f"{sum(map(sum, found)) / 16:.3f}")
    for lr, found in tried.items()])

# %% [markdown]
# Rank 1 wants low rates, rank 8 high ones. **And no adapter is the best approximation of a
# matrix $M$ at every rank:**

# %%
book.card(claims.the_scale_has_a_price)

# %% [markdown]
# At rank 8 $s$ is LoRA's own, and DyLoRA is behind there too. Our guess: only every eighth step trains rank 8.
#
# The choice stays yours:

# %%
book.card(claims.false_dylora_selects_the_rank)

# %% [markdown]
# ## The code
# One adapter, three ranks:

# %%
model = torch.nn.Sequential(torch.nn.Linear(64, 64))
layer = lb.inject(model, lb.DyLoRA(r=8, alpha=16), "0", torch.Generator().manual_seed(0))["0"]
torch.nn.init.normal_(layer.update.B)  # as if it had been trained
for b in (1, 2, 8):
    lb.truncate(model, b)
    change = layer.plain().weight - layer.base.matrix
    print(f"b = {b}: s = {layer.update.scale():g}, rank of ΔW = {torch.linalg.matrix_rank(change, rtol=1e-5)}")

# %%
book.source(layer.update.scale)

# %% [markdown]
# ## Measured
# ### At rank 8, ten seeds

# %%
book.measured("DyLoRA")

# %% [markdown]
# ### At every rank
# The record, means of three seeds:

# %%
losses = cuts.gathered(runs)
dylora, frozen, lora = ({cut: seeds.mean(0) for cut, seeds in losses.scores[side].items()}
                        for side in ("DyLoRA", "frozen DyLoRA", "LoRA"))
own = dict(zip(cuts.TRAINED, losses.own().mean(0), strict=True))
book.verdicts({
    "DyLoRA is ahead of LoRA cut by rows, at ranks 1 to 4": (dylora[NESTED] < lora[ROWS])[:4].all(),
    "It is ahead of them at one of the ranks 5 to 8 too": (dylora[NESTED] < lora[ROWS])[4:].any(),
    "DyLoRA is ahead of LoRA cut by the SVD at some rank": (dylora[NESTED] < lora[SVD]).any(),
    "LoRA cut by the SVD to 1, 2 or 4 is within 0.02 of LoRA trained there":
        all(abs(lora[SVD][b - 1] - own[b]) < 0.02 for b in own),
    "DyLoRA's frozen form is ahead of its main form at some rank": (frozen[NESTED] < dylora[NESTED]).any()})

# %% [markdown]
# The paper reports DyLoRA to be at least 4 to 7 times faster than a LoRA for every rank, "without significantly
# compromising performance". One LoRA with an SVD saves the same runs and, in our 60 steps, loses next to nothing.
#
# ## When, when not
# * **First try one LoRA of the largest rank, cut by the SVD.** Choose $r$ on held-out data.
# * **DyLoRA** where a cut must be a prefix of one file: no SVD, devices drop rows. Tune its rate for the
#   ranks that you will serve.
# * **Neither** once you know $r$: train there.
#
# ## Exercises
# The *frozen* form trains row $b$ and column $b$ alone: smaller cuts stay as they are. Stuck?
# `book.hint(nested.EXERCISE, 1)`, 2, 3; `book.solution(nested.EXERCISE)` comes last.

# %%
book.show(nested.EXERCISE)

# %%
def branch_at(x, A, B, alpha, b, frozen):
    ### BEGIN SOLUTION
    A, B = A[:b], B[:, :b]
    if frozen:
        A = torch.cat([A[:-1].detach(), A[-1:]])
        B = torch.cat([B[:, :-1].detach(), B[:, -1:]], dim=1)
    return alpha / b * (x @ A.T) @ B.T
    ### END SOLUTION


book.check(nested.EXERCISE, branch_at)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess.look_back(f"DyLoRA {dylora[NESTED][1]:.2f}, LoRA {lora[SVD][1]:.2f} nats per token")

# %% [markdown]
# <details><summary>Why may you cut the rows of DyLoRA, and not those of LoRA?</summary>
# Each cut of DyLoRA was trained as such. LoRA's loss sees BA alone, and BA does not know its factors.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of DyLoRA, and whether it holds",
    claims.false_a_cut_has_a_root_in_its_scale,
    claims.false_a_cut_keeps_its_scale,
    claims.a_cut_of_a_cut_is_a_smaller_cut,
    claims.lora_does_not_know_its_factors,
    claims.false_a_lora_may_be_cut,
    claims.empty_rows_shrink_an_update,
    claims.false_empty_rows_change_nothing,
    claims.false_cuts_may_be_best_at_every_rank,
    claims.a_step_at_rank_b_costs_rank_b,
    claims.a_step_trains_one_rank,
    claims.false_a_step_trains_all_ranks,
    claims.early_rows_train_most,
    claims.false_rows_train_equally,
    claims.the_frozen_form_moves_one_row,
    claims.the_frozen_form_leaves_smaller_cuts_alone,
    claims.false_the_main_form_leaves_smaller_cuts_alone,
    claims.the_ranks_do_not_depend_on_the_data,
    claims.every_rank_is_there_after_one_run,
)

# %% [markdown]
# **Sources.** Valipour et al. 2022 (2210.07558): section 3.2 and algorithm 1; equations 8 and 9 for the frozen form.
# Eckart, Young 1936: no matrix of rank b is nearer to BA than its SVD's.
