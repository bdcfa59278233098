# %% [markdown]
# # 26 · Baselines
#
# > **Would something that is not LoRA have done as well?**
#
# Three other ways, on the same base, batches and steps, each at its own best rate. **Full fine-tuning** trains every number.
# A **bottleneck adapter** (Houlsby et al. 2019) is a small network behind each sublayer. A **prefix** (Li, Liang 2021) is
# $n$ trained keys and values in front of each attention's own. The last two change no weight
# of the base.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | · | adapters, prefix | chapter 02: merging |

# %%
import torch

import lorabook as lb
from lorabook.arena import baseline_curves, tasks
from lorabook.book import reading as book
from lorabook.book.exercises import in_front
from lorabook.claims import adapters, prefix

book.diagram("adapters")

# %%
book.diagram("prefix")

# %% [markdown]
# ## Predict

# %%
guess_loss = book.predict("As many trained numbers as LoRA of rank 8. After 60 steps on the King James Bible the "
    "lowest loss has …",
    book.Choice("your answer", ("LoRA", "the bottleneck adapters", "the prefix", "none: within 0.01")))
guess_loss

# %%
guess_forgotten = book.predict("Full fine-tuning at a lower rate, where it learns as much as LoRA at its best. "
    "Of Austen, the base's own text, it forgets …", book.Choice("your answer", (
        "over twice as much as LoRA", "somewhat more", "as much", "somewhat less", "less than half")))
guess_forgotten

# %% [markdown]
# ## See it
# Each point is a rate, mean of two to ten seeds. Up is worse on the Bible, right is worse on Austen. The limit is what you
# allow Austen to lose.

# %%
book.baselines()

# %% [markdown]
# 1. Allow 0.7 nats: who is lowest, and in which order follow the others? Then allow 0.2. Which two change places, and who
#    is gone?
# 2. Go through the costs. Which three does full fine-tuning pay sixteen times over, and which hardly differ? Who still pays
#    when training is over?
#
# <details><summary>Answers</summary>
#
# 1. Full fine-tuning 3.66, bottleneck 3.79, LoRA 3.82, prefix 4.18. With 0.2: full fine-tuning 3.81, then LoRA with 3.98
#    before the bottleneck with 4.02. The prefix of 212 forgets more at every rate.
# 2. Trained numbers, the optimiser's state, the file. What is kept for backward and a step's time hardly differ. For every
#    token bottleneck and prefix cost 1.35 to 1.4 times the base; LoRA, merged, nothing more than it.
#
# </details>
#
# ## Why
# ### A bottleneck does not merge
# $h+W_{up}\,\varphi(W_{down}h+b_{down})+b_{up}$ with $h=W_0x$: two thin matrices, like $B$ and $A$. Without $\varphi$ it
# would be LoRA:

# %%
book.card(adapters.a_linear_bottleneck_folds_into_its_layer)

# %%
book.card(adapters.false_a_bottleneck_merges_like_lora)

# %% [markdown]
# Fold it anyway, on the book's model:

# %%
model = lb.load("tiny").model
inserted = lb.insert_bottlenecks(model, "o_proj|down_proj", m=35)
lb.fit(model, tasks.KJV.stream(0), steps=30, lr=8e-3, loss=tasks.KJV.loss, progress=False)
trained = tasks.KJV.score(model)
for part in inserted.values():
    part.nonlinearity = torch.nn.Identity()  # what one matrix would compute
base, folded = tasks.KJV.score(tasks.KJV.base), tasks.KJV.score(model)
print(f"base {base:.2f}, adapters {trained:.2f}, folded {folded:.2f} nats per token")

# %% [markdown]
# Worse than before any training. So it stays: two more products after each sublayer, one after the other, for every token.
# (LoRA, left unmerged beside all seven matrices, would cost 1.6 times the base.)
#
# ### A prefix only mixes

# %%
book.card(prefix.a_prefix_mixes_two_attentions)

# %% [markdown]
# It takes attention from the words before it has learned anything: 212 untrained keys cost Austen 0.55 nats, ten 0.04.
# What it adds is a mixture of $n$ fixed vectors for each head. No matrix changes: in a layer, the words share what is
# left to them in the old proportions.
#
# ## Measured
# The King James Bible, ten seeds, at equal numbers and at the papers' sizes:

# %%
book.measured("bottleneck", "prefix")

# %%
full, lora, thin, _, long, _ = baseline_curves.recorded().values()
best = {curve.name: curve.losses[curve.best] for curve in (full, lora, thin, long)}
equal = full.forgotten_at(best[lora.name])
within = {most: [curve.lowest(most)[0] for curve in (full, lora, thin)] for most in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}
book.verdicts({
    "At equal numbers the bottleneck ends ahead of LoRA": best[thin.name] < best[lora.name],
    "Where Austen may lose 0.3 nats, LoRA is ahead of it": within[0.3][1] < within[0.3][2],
    "Full fine-tuning is ahead of both, however little may be forgotten": all(min(x) == x[0] for x in within.values()),
    "Where it has learned as much as LoRA, it has forgotten less than half": equal < 0.5 * lora.forgotten[lora.best],
    "The prefix gains half as much as LoRA": lora.losses[0] - best[long.name] > (lora.losses[0] - best[lora.name]) / 2})

# %% [markdown]
# "LoRA learns less and forgets less" (Biderman et al. 2024, larger models and longer training): at each one's best rate we
# see both. At equal learning LoRA forgets more. We do not know why.
#
# ## When, when not
# * **Full fine-tuning** where its optimiser fits and one copy of the model is enough. Lower its rate first.
# * **LoRA** for many customers, for little memory, and where a served model must be as fast as its base.
# * **Bottleneck** where nothing has to merge. Here it learned a little more and cost more of Austen.
# * **Prefix** where you may hand over keys and values and nothing else.
#
# ## Exercises
# Stuck? `book.hint(in_front.EXERCISE, 1)`, 2, 3; `book.solution(in_front.EXERCISE)` comes last.

# %%
book.show(in_front.EXERCISE)

# %%
def with_prefix(q, k, v, P_k, P_v):
    ### BEGIN SOLUTION
    k, v = torch.cat([P_k, k]), torch.cat([P_v, v])
    scores = q @ k.T / q.shape[1] ** 0.5
    sees = torch.ones(len(q), len(k)).tril(len(P_k)).bool()
    return scores.masked_fill(~sees, -torch.inf).softmax(1) @ v
    ### END SOLUTION


book.check(in_front.EXERCISE, with_prefix)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_loss.look_back(f"bottleneck {best[thin.name]:.3f}, LoRA {best[lora.name]:.3f} nats per token")

# %% tags=["nbval-ignore-output"]
guess_forgotten.look_back(f"full fine-tuning {equal:.2f}, LoRA {lora.forgotten[lora.best]:.2f} nats")

# %% [markdown]
# <details><summary>Why does B = 0 leave the model as it was, and a prefix of zeros not?</summary>
# A key of zeros has the score 0, and takes its share of the softmax.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of bottleneck adapters, and whether it holds",
    adapters.a_bottleneck_trains_2dm_plus_d_plus_m,
    adapters.false_a_bottleneck_trains_as_many_as_lora,
    adapters.a_bottleneck_starts_at_the_base,
)

# %%
book.fold(
    "What else is said of prefixes, and whether it holds",
    prefix.false_a_prefix_only_adds,
    prefix.false_a_prefix_of_zeros_changes_nothing,
    prefix.a_prefix_trains_keys_and_values_in_every_layer,
    prefix.false_a_prefix_is_n_vectors_at_the_input,
    prefix.a_prefix_costs_n_scores_a_position,
    prefix.false_a_prefix_lengthens_the_text,
)

# %% [markdown]
# **Sources.** Houlsby et al. 2019 (1902.00751), section 2.1. Li, Liang 2021 (2101.00190), section 4. He et al. 2021
# (2110.04366), equation 7: a prefix as a mixture. Biderman et al. 2024 (2405.09673).
