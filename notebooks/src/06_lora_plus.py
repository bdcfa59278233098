# %% [markdown]
# # 06 · LoRA+
#
# > **Should A and B learn at the same rate?**
#
# LoRA is trained with one learning rate. LoRA+ (Hayou et al. 2024) gives $B$ a rate $\lambda$ times that of $A$, and
# reports faster training and better ends. Why $B$, and not $A$? And is it more than another learning rate?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | optimiser | LoRA+ | chapter 02: LoRA's two gradients |

# %%
import torch

import lorabook as lb
from lorabook.arena import ratio_runs, record
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

# %% jupyter={"source_hidden": true}
guess_kept = book.predict("The book's base has 4.4 nats on the Bible. LoRA at its best rate, 0.008, brings it to 3.8. "
    "You switch on LoRA+ with λ = 16 and keep the rate: 0.008 for A, 16 times that for B. It ends at …",
    book.Choice("nats per token", ("3.7", "3.8", "4.0", "4.4", "5.6")))
guess_kept

# %% jupyter={"source_hidden": true}
guess_width = book.predict("Your next model is four times as wide. Which rate has to come down?",
    book.Choice("your answer", ("A's", "B's", "both", "neither")))
guess_width

# %% [markdown]
# ## See it
# Three decoders of one layer, 32, 128 and 512 wide, have read *Emma*, letter by letter. Now they learn it in
# CAPITALS: LoRA of rank 8, $\alpha=16$, 40 steps of Adam. Each cell is a pair of rates, a mean of three seeds. The
# stronger its colour, the lower. LoRA is the line $\lambda=1$.

# %%
book.rate_plane()

# %% [markdown]
# 1. Width 512: slide $\lambda$ up. From where on does the line's best point end at least 0.05 below LoRA's best? Does
#    it ever with the reversed ratio, $\lambda<1$? And at width 32?
# 2. The lowest cell of each width is marked. Follow its row. What does it cost to go left, to the smallest $\eta_A$?
#    How far right is the loss within 0.05 of the row's lowest, at each width?
#
# <details><summary>Answers</summary>
#
# 1. From 2 on, at every $\lambda$. Reversed, never. At width 32 no $\lambda$ gains 0.05.
# 2. Left it costs next to nothing, at most 0.03: $A$ need hardly learn here. Right, up to $\eta_A$ = 0.026, 0.0064
#    and 0.0008.
#
# </details>
#
# ## Why
# A step of Adam moves each entry by about the rate, with the sign of its gradient. So a step of $A$ moves $(Ax)_k$ by
# $\eta_A\sum_j|x_j|$ where the gradient came from $x$: a sum of $n=d_\text{in}$ terms of one sign.

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
# Some give a formula for it, with the rank. But what $A$ moves and what $B$ moves are both sums over the $r$
# directions. The rank is in neither, or in both.

# %%
book.card(claims.false_the_ratio_goes_as_d_over_r)

# %% [markdown]
# ## One run, three spellings
# Let $A$ be $p$ times, $B$ be $q$ times what it is, and $\alpha$ be $\alpha/pq$. The update $\frac\alpha rBA$ is the
# same. The gradients of $A$ and $B$ are $1/p$ and $1/q$ of what they were, and Adam does not feel that: its steps
# need $p$ and $q$ times the rate.

# %%
book.card(claims.start_alpha_and_rates_are_one_run)

# %% [markdown]
# So four numbers, $\alpha$, the size of $A_0$, $\eta_A$ and $\eta_B$, are really two: $\eta_A/\lVert A_0\rVert$ and
# $\alpha\lVert A_0\rVert\eta_B$. With $p=\sqrt\lambda=1/q$ LoRA+ is LoRA with one rate:

# %%
book.card(claims.lora_plus_is_half_a_change_of_the_start)

# %% [markdown]
# And with $p=1$, $q=1/\lambda$ it is LoRA with $\lambda\alpha$. Real trainers have $\varepsilon>0$. Try it on the
# book's model:

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
    "LoRA at 4 times the rate, from 4·A₀, has every loss of LoRA+ to a thousandth of a nat": apart(by_start) < 1e-3,
    "So has LoRA with 16 times α": apart(by_alpha) < 1e-3,
    "LoRA at 16 times the rate has not: some loss is off by more than 0.05": apart(faster) > 0.05})

# %% [markdown]
# So $\lambda=1$ is nothing special. It is where $\alpha$ happens to put it. **Who tunes $\alpha$ and the rate has
# tuned both rates.** Chapter 05 did so: rsLoRA with Adam is LoRA+ with $\lambda=\sqrt r$.
#
# Clipping and weight decay do feel $p$ and $q$. There the runs differ.
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
widths = rates.WIDTHS
best = {n: planes.lowest(n, rates.EVERYWHERE) for n in widths}
ratios = (1, 16, 64)
held = {(n, ratio): planes.held_out(n, rates.line(ratio)) for n in widths for ratio in ratios}
book.table(("width", "η_B of the lowest cell", "its η_A", "edge of η_A", "LoRA, λ = 1", "λ = 16", "λ = 64"), [
    (n, f"{rates.RATES_B[best[n][0]]:.2g}", f"{rates.RATES_A[best[n][1]]:.2g}", f"{planes.edge(n):.2g}",
     *(f"{held[n, ratio].mean():.3f}" for ratio in ratios)) for n in widths])

# %% jupyter={"source_hidden": true}
edges = [planes.edge(n) for n in widths]
gain = {n: held[n, 1] - held[n, 64] for n in widths}
book.verdicts({
    "B's best rate is the same at all three widths": len({best[n][0] for n in widths}) == 1,
    "A's best rate falls with the width": best[32][1] > best[128][1] > best[512][1],
    "The edge of A's rate falls at least as fast as the width grows":
        all(4 * wide <= narrow for narrow, wide in zip(edges, edges[1:], strict=False)),
    "λ = 16 and λ = 64 end below LoRA, at each width and with each seed":
        all((held[n, ratio] < held[n, 1]).all() for n in widths for ratio in (16, 64)),
    "λ = 64 gains more than twice as much at width 512 as at 32": gain[512].mean() > 2 * gain[32].mean()})

# %% [markdown]
# The edge is the largest $\eta_A$ within 0.05 of the row's lowest. Losses: the best cell of the line for two seeds,
# read off on the third.
#
# The paper's law shows at the edge, not at the best cell. $B$'s best rate stays. The largest rate that $A$ bears
# falls by 4, then by 8, where the width grows by 4. Left of the edge the row is flat, so $A$'s best rate cannot be
# told. The ratio that the width asks for is a *least* one: here 2, 8 and 64. LoRA's one rate has to spare $A$, and
# then it is too low for $B$.
#
# ### The book's model, other ratios
# The Bible again. Each $\lambda$ at the best of five rates, means of three seeds.

# %% jupyter={"source_hidden": true}
runs = {run.key: run.score for run in ratio_runs.recorded()}
means = {(ratio, mean): sum(runs[ratio, mean, seed] for seed in ratio_runs.SEEDS) / len(ratio_runs.SEEDS)
    for ratio in ratio_runs.RATIOS for mean in ratio_runs.MEANS}
chosen = {ratio: min(ratio_runs.MEANS, key=lambda mean: means[ratio, mean]) for ratio in ratio_runs.RATIOS}
ends = {ratio: means[ratio, mean] for ratio, mean in chosen.items()}
book.table(("λ", "LoRA with α =", "η_A", "η_B", "nats per token"), [
    (f"{ratio:g}", f"{16 * ratio:g}", f"{mean / ratio**0.5:.2g}", f"{mean * ratio**0.5:.2g}", f"{ends[ratio]:.3f}")
    for ratio, mean in chosen.items()])

# %% jupyter={"source_hidden": true}
book.verdicts({
    "λ = 16 ends more than 0.03 above LoRA": ends[16] - ends[1] > 0.03,
    "The reversed ratios end within 0.02 of LoRA":
        max(abs(ends[ratio] - ends[1]) for ratio in (1 / 16, 1 / 4)) < 0.02})

# %% [markdown]
# So here the faster $B$ loses, and the reversed ratio costs nothing. What goes wrong as $n$ grows need not show at
# $n=192$.
#
# Our guess why letters and Bible differ: a large $\lambda$ keeps $A$ near its start. Its limit is a frozen $A$,
# LoRA-FA (chapter 07), the left edge of your plane. In CAPITALS that costs nothing. On the Bible LoRA-FA, though of
# twice the rank, ends 0.045 above LoRA; LoRA+ ends as far above it:
#
# ### Ten seeds

# %%
book.measured("LoRA+")

# %% [markdown]
# One task does not settle it: choose others, as far as they are recorded. Then train, and move $\lambda$ and the
# rate.

# %%
book.training_explorer("LoRA+")

# %% [markdown]
# ## When, when not
# * **Never switch $\lambda$ on at the old rate.** With $\lambda=16$, $A$'s best rate here is LoRA's divided by 5.7. A
#   fair first guess is to divide by $\sqrt\lambda$.
# * **If you tune $\alpha$ as well, you need no $\lambda$.** If $\alpha$ is fixed, try $\lambda$ = 1, 4 and 16, each
#   at its own rate.
# * **On wide models** the paper reports 1 to 2% better ends and up to twice the speed, at 7B. This model cannot check
#   that.
# * **With what**: every form with a factor $B$. Beside rsLoRA the ratios multiply. PEFT's `create_loraplus_optimizer`
#   speeds up DoRA's magnitudes too; here they keep $\eta_A$.
#
# ## Exercises
# Stuck? `book.hint(one_rate.EXERCISE, 1)`, then 2, then 3; `book.solution(one_rate.EXERCISE)` comes last.

# %%
book.show(two_rates.EXERCISE)

# %%
def groups(names, lr, ratio, decay):
    ### BEGIN SOLUTION
    b = {"lora_B", "lora_embedding_B"}
    return [(ratio * lr if b & set(name.split(".")) else lr, decay) for name in names]
    ### END SOLUTION


book.check(two_rates.EXERCISE, groups)

# %%
book.show(one_rate.EXERCISE)

# %%
def plain_run(A0, lr, ratio):
    ### BEGIN SOLUTION
    p = ratio**0.5
    return p * A0, p * lr
    ### END SOLUTION


book.check(one_rate.EXERCISE, plain_run)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
kept = [row.score for row in record.Record().rows() if (row.method, row.task, row.lr) == ("LoRA+", KJV.name, 8e-3)]
guess_kept.look_back(f"{sum(kept) / len(kept):.1f} nats, far above the base")

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
guess_width.look_back(f"A's: the edge fell from {edges[1]:.2g} to {edges[2]:.2g}, and B's best rate stayed")

# %% [markdown]
# Answer aloud, then open.
#
# <details><summary>1. Why does a step of A count for more in a wider model, and a step of B not?</summary>
# A's step adds n terms of one sign to each entry of Ax. B's adds r to each output.</details>
#
# <details><summary>2. A colleague trains with α = 256 and one rate. Which LoRA+ run with α = 16 is the same?</summary>
# λ = 16 at that rate for A: p = 1, q = 1/16.</details>
#
# <details><summary>3. A good run has one rate, 0.008. Where do you look for a rate once λ = 16?</summary>
# Lower: around 0.008/√16 for A, which keeps √(η_A·η_B).</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further

# %%
book.fold(
    "What else is said of the two rates, and whether it holds",
    claims.false_a_should_learn_faster,
    claims.false_equal_rates_keep_every_part,
    claims.false_equal_small_rates_keep_every_part,
    claims.the_rank_is_not_in_the_ratio,
    claims.lora_plus_is_lora_with_a_larger_alpha,
    claims.false_lora_plus_is_a_higher_rate,
    claims.b_moves_sixteen_times_as_far,
    claims.false_a_moves_sixteen_times_as_far,
    claims.the_ratio_is_set_once,
    claims.false_the_ratio_follows_the_gradients,
    claims.lora_plus_adds_nothing,
)

# %% [markdown]
# **Sources.** Hayou, Ghosh, Yu 2024 (2402.12354): section 4, what has to keep its size in the limit of large width;
# theorem 1 and section 5, the ratio, and benchmarks up to 7B. PEFT: `create_loraplus_optimizer`, where 1-D parameters
# get the fast rate, and embeddings one of their own.
