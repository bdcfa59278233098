# %% [markdown]
# # 19 · Delta-LoRA
#
# > **Can W₀ learn too, for free?**
#
# LoRA leaves $W_0$ alone: to train it takes a gradient and two moments for each of its numbers. Delta-LoRA (Zi et al.
# 2023) moves $W_0$ without any of them. After each step it adds $\lambda$ times what $s\,BA$ has just moved by. The
# paper's title speaks of *high-rank parameters*.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | step rule | Delta-LoRA | chapter 02: α, and B = 0 |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.book import reading as book
from lorabook.book.exercises import followed
from lorabook.claims import delta_lora as claims

book.axis_strip("rule")

# %% [markdown]
# With $P_t=B_tA_t$ after $t$ steps, and from step $K$ on:
#
# $$W_0\leftarrow W_0+\lambda s\,(P_{t+1}-P_t)$$
#
# ## Predict

# %%
guess = book.predict("W₀ is 16 × 16, LoRA's rank is 2. Each of 24 steps moves W₀ by a matrix of rank up to 4, each "
    "time by another one. K = 0, λ = 2. In all, W₀ has moved by a matrix of rank …",
    book.Choice("your answer", ("2", "4", "16, which is full")))
guess

# %% [markdown]
# ## See it
# That layer, as it learns another matrix by AdamW. Above: what all moves so far leave on each product. Dashed is what a step
# put there and the next one took away. Below on the right: the singular values of what is left.

# %%
book.telescoping()

# %% [markdown]
# 1. Take all 24 steps. Which products are left in $W_0$, and what is the rank? Then let λ begin at step 8.
# 2. Let λ rise. After how many steps is the rank full? Now take all steps: how much of the energy is in four directions? And
#    with λ and 0 in turn?
#
# <details><summary>Answers</summary>
#
# 1. $P_{24}$ and $-P_0$, and $P_0$ is zero: rank 2. From step 8 on, $P_{24}$ and $-P_8$: rank 4.
# 2. After 8. Each product keeps a little weight, and that is enough for the rank. 99.3% lies in four directions, and
#    99.9%.
#
# </details>
#
# ## Why

# %%
book.card(claims.the_moves_telescope)

# %% [markdown]
# Every product in between comes once with plus and once with minus. What changes the products changes nothing in that:
# batches, dropout, weight decay, the schedule of the learning rate. Only a $\lambda$ that changes does. Algorithm 1 has a
# constant one.

# %%
book.card(claims.false_w0_moves_by_full_rank)

# %% [markdown]
# With $K=0$ one product is left, and the branch $s\,BA$ stands beside it:

# %%
book.diagram("delta_lora")

# %%
book.card(claims.it_is_lora_with_a_larger_alpha)

# %% [markdown]
# And under Adam a $B$ that is $1+\lambda$ times as large is a $B$ that learns $1+\lambda$ times as fast: **λ is LoRA+'s
# ratio** (chapter 06), less one. On the book's model, six steps each:

# %%
def losses(recipe):
    model = lb.load("tiny").model
    lb.inject(model, recipe, KJV.targets, torch.Generator().manual_seed(0))
    return torch.tensor(lb.fit(model, KJV.stream(0), steps=6, lr=4e-3, progress=False).losses)


delta = losses(lb.DeltaLoRA(r=8, alpha=16, rate=2))
larger, faster, plain = ((losses(recipe) - delta).abs().max() for recipe in (
    lb.LoRA(r=8, alpha=48), lb.LoRAPlus(ratio=3, r=8, alpha=16), lb.LoRA(r=8, alpha=16)))
book.verdicts({
    "LoRA with α = 48 has Delta-LoRA's six losses, to 0.001": larger < 1e-3,
    "LoRA+ with α = 16 and B three times as fast has them too": faster < 1e-3,
    "LoRA with α = 16 is more than 0.1 off in one of them": plain > 0.1})

# %% [markdown]
# ## The code
# So $W_0$ need not be touched. It may be quantised, and the adapter's file holds all that changed:

# %%
layer = lb.inject(torch.nn.Sequential(torch.nn.Linear(16, 16)), lb.DeltaLoRA(r=2), "0", torch.Generator())["0"]
book.source(layer.update.weight)

# %% [markdown]
# Moved in place, a $W_0$ in bfloat16 rounds each move. *That* error has full rank: several percent of the whole way, here.
#
# ## Measured
# The King James Bible, ten seeds, $K=0$ and $\lambda=2$, so $s=2$ and with the moves 6. rsLoRA's scale at this rank is 5.7.

# %%
table = book.measured("Delta-LoRA", "rsLoRA")
table

# %% jupyter={"source_hidden": true}
line = {each.name: each for each in table.result.lines}
lora, delta_lora, rs = line["LoRA"], line["Delta-LoRA"], line["rsLoRA"]
spread = torch.tensor(lora.scores).std()
book.verdicts({
    "Delta-LoRA is ahead of LoRA": delta_lora.mean < lora.mean,
    "They differ by less than the spread of LoRA's seeds": abs(delta_lora.mean - lora.mean) < spread,
    "Delta-LoRA and rsLoRA differ by less than 0.005 nats": abs(delta_lora.mean - rs.mean) < 0.005,
    "Delta-LoRA's best rate is half of LoRA's": delta_lora.lr * 1.99 < lora.lr < delta_lora.lr * 2.01})

# %% [markdown]
# The paper reports that it "significantly outperforms existing low-rank adaptation methods". Against a LoRA whose rate has
# been tuned, nothing of that shows here. A run with $K>0$ or a changing λ we have not measured.
#
# ## When, when not
# * **Instead**, raise LoRA's $\alpha$, or take LoRA+: it is the same run. Or tune the rate.
# * **If you inherit one**: $W_0+s\,BA$ is not its model. Keep $B_K$ and $A_K$ beside $B$ and $A$.
# * **For more rank** raise $r$.
#
# ## Exercises
# Stuck? `book.hint(followed.EXERCISE, 1)`, 2, 3; `book.solution(followed.EXERCISE)` comes last.

# %%
book.show(followed.EXERCISE)

# %%
def after_delta_lora(W0, A_K, B_K, A, B, alpha, rate):
    ### BEGIN SOLUTION
    s = alpha / A.shape[0]
    return W0 + s * ((1 + rate) * B @ A - rate * B_K @ A_K)
    ### END SOLUTION


book.check(followed.EXERCISE, after_delta_lora)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess.look_back("2")

# %% [markdown]
# <details><summary>Each move brings another direction. Why does the rank not grow?</summary>
# The next move takes it away again. Side by side the moves have more rank; their sum has not.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of Delta-LoRA, and whether it holds",
    claims.it_is_lora_plus,
    claims.under_sgd_the_step_is_smaller,
    claims.false_under_sgd_the_step_is_the_same,
    claims.a_warm_up_moves_the_base_once,
    claims.w0_moves_by_rank_2r,
    claims.false_w0_accumulates_the_moves,
    claims.a_changing_rate_breaks_the_bound,
    claims.false_the_moves_are_late_and_unscaled,
    claims.two_small_factors_are_kept,
    claims.false_the_last_product_is_kept,
)

# %% [markdown]
# **Source.** Zi et al. 2023 (2309.02411): equation 6 and algorithm 1.
