# %% [markdown]
# # 21 · LongLoRA
#
# > **My texts are four times as long as the model's.**
#
# The book's model knows texts of 256 tokens. Two things stand between it and 1,024: positions that it has never seen, and
# attention's $L^2$ scores. LongLoRA (Chen et al. 2023) is about the second: it *trains* in short groups and *reads* with
# full attention. The first it leaves to position interpolation.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | attention | LongLoRA | chapter 02: LoRA; how attention heads work |

# %%
import torch

import lorabook as lb
from lorabook.axes.attention.interpolation import interpolate
from lorabook.axes.attention.longlora import Shifted, in_groups
from lorabook.book import reading as book
from lorabook.book.exercises import deep_enough, no_future
from lorabook.book.figures import longer
from lorabook.claims import longlora as claims

book.axis_strip("attention")

# %%
book.diagram("longlora")

# %% [markdown]
# ## Predict

# %%
guess_cost = book.predict("LLaMA-2-7B, LoRA, texts of 65,536 tokens. Attention in groups of a quarter of the text "
    "instead of full attention: the FLOPs of a training step fall to …",
    book.Steps("your answer", tuple(range(5, 101, 5)), "%"))
guess_cost

# %%
guess_shift = book.predict("Two small models learn to read texts four times as long as they know, in groups of "
    "a quarter. One has half of its heads shifted, the other none. Then both read with full attention. Of the answers "
    "that lie two groups back or more, the unshifted one gets right …", book.Choice("your answer", (
        "hardly any", "about a third as many", "about two thirds as many", "as many")))
guess_shift

# %% [markdown]
# ## See it
# $L=32$ tokens in groups of $g$. Row $i$ of a mask: whom token $i$ sees. Below: what reaches one token, layer by layer. Click
# a token to choose it.

# %%
groups = book.shifted_groups()
groups

# %% [markdown]
# 1. Four layers, $g=8=L/4$. Which is the first token that token 32 has heard of? Which without the shift, and do more
#    layers help?
# 2. With the shift: how many layers until every token has heard of all before it, for $g=16$, $8$, $4$? Find the rule.
#
# <details><summary>Answers</summary>
#
# 1. Token 13. Without the shift it is token 25, where its group begins, at any depth.
# 2. 3, 7 and 15: one less than $2L/g$.
#
# </details>
#
# ## Why
# ### Positions that the model knows
# Rotary attention knows distances alone, and these weights none beyond 255. So squeeze: token $m$ stands at $m\cdot L/L'$, with
# $L=256$, $L'=1024$. Every fourth token stands where one did. So is at least a short text read as before?

# %%
book.card(claims.false_a_short_text_is_read_as_before)

# %%
known, base = lb.load("tiny"), interpolate(lb.load("tiny").model, 1024)
rows = longer.austen(known)  # 32 pieces of 256 tokens
before, after = (longer.loss_by_place(model, rows).mean() for model in (known.model, base))
print(f"256 tokens of Austen: {before:.2f} nats per token.   The same, interpolated: {after:.2f}")

# %% [markdown]
# Neighbours now stand a quarter of a position apart. That must be learnt, and it is local.
#
# ### Who looks at whom
# In half of the heads token $i$ sees the tokens $j\le i$ of group $\lfloor i/g\rfloor$; in the others those of group
# $\lfloor(i+g/2)/g\rfloor$. Cut the text into pieces of $g/2$: an unshifted head joins pieces 0 and 1, 2 and 3, …; a shifted
# one 1 and 2, 3 and 4, …. Each layer carries one piece further, so $2L/g-1$ layers are enough: 7 at $g=L/4$.

# %%
book.card(claims.false_depth_alone_connects_the_groups)

# %% [markdown]
# The book's model has four layers. Change the first of 1,024 tokens, and see which outputs change:

# %%
class Unshifted(torch.nn.Module):
    def forward(self, q, k, v):
        return in_groups(q, k, v, 256)


@torch.no_grad()
def outputs(attend, tokens):
    for layer in base.layers:
        layer.self_attn.attend = attend
    return base(tokens)


text = rows[:4, :256].reshape(1, 1024)
other = text.clone()
other[0, 0] += 1
for name, attend in {"half of the heads shifted": Shifted(256).train(), "no shift": Unshifted()}.items():
    heard = (outputs(attend, text) != outputs(attend, other)).any(-1)[0]
    print(f"{name}: of 1,024 tokens {heard.sum()} have heard of the first one")

# %% [markdown]
# So in training the last 384 tokens hear nothing of the first. And without a shift you have four short texts:

# %%
in_pieces = outputs(Shifted(256).eval(), text.view(4, 256))
book.verdicts({"Groups without a shift give the logits of four texts of 256 tokens":
    torch.allclose(outputs(Unshifted(), text).view(4, 256, -1), in_pieces, atol=1e-3)})

# %% [markdown]
# ### Nobody sees the future
# The paper rolls the tokens of shifted heads round by $g/2$. One group then holds both ends of the text, and in the authors'
# plain path the first tokens see the last ones. Here, as in their flash path, that group is cut.

# %%
book.card(claims.nobody_sees_the_future)

# %% [markdown]
# ### What trains
# LoRA on q, k, v, o, and **norms and embedding**, whole. The paper reports that LoRA alone stays behind and these close the
# gap. They are most of the file:

# %%
book.card(claims.seventeen_times_lora_at_7b)

# %% [markdown]
# ### What it saves
# $L\cdot g$ scores at $g=L/4$ are a quarter of $L^2$, and as quadratic. The rest of a layer costs what it did:

# %%
book.card(claims.the_speed_up_is_a_mean_of_two)

# %% [markdown]
# "5 to 8 times faster", you will read: at $g=L/4$ no length reaches that. Against LoRA under full attention it is 1.3
# times at 8k and 2.6 at 65k, where the paper's clock says 1.8.
#
# ## The code
# The path never builds the mask: groups are folded into the batch.

# %%
book.source(Shifted.mask)

# %%
book.source(Shifted.forward)

# %% [markdown]
# In eval mode attention is full. No weight knows of groups, so the adapter merges as LoRA's does. In this order:
#
# ```python
# interpolate(model, 1024)
# lb.inject(model, lb.LongLoRA(group=256), "[qkvo]_proj")
# lb.fit(model, long_texts, steps=…, lr=…)  # in groups
# model.eval()  # full attention
# ```
#
# Interpolate before you load an adapter, too.
#
# ## Measured
# ### Four times as long, then read in full
# **Recall**: a decoder of two layers reads 64 random letters, now and then a mark, and is asked which letter followed the last
# one. Now over 256. *Near* is up to 64 tokens back, *far* two groups or more. All read with full attention; ten seeds, each
# at the better of two rates.

# %%
longer.recall_table()

# %%
found = longer.near_and_far()
far = {name: both[1] for name, both in found.items()}
ahead, helped = (far["LongLoRA"] - far[name] for name in ("no shift", "LoRA in shifted groups"))
errors = [gain.mean() / (gain.std(ddof=1) / 10**0.5) for gain in (ahead, helped)]
book.verdicts({
    "Positions that run on: fewer than one far answer in ten is right": bool(far["positions run on"] < 0.1),
    "Far, LongLoRA is ahead of no shift by more than two standard errors": bool(errors[0] > 2),
    "Far, it is ahead of no shift with every seed": bool((ahead > 0).all()),
    "Far, norms and embedding put LongLoRA ahead of LoRA in the same groups": bool(errors[1] > 2),
    "Far, full attention in training is ahead of LongLoRA, with every seed":
        bool((far["full attention"] > far["LongLoRA"]).all())})

# %% [markdown]
# Near, all of them learn. Far was shown to nobody in groups: two layers reach three pieces of 32 tokens, and far begins
# at 128. With the shift it works half as often again as without, and why, at a distance that it never spans, we do not
# know. The paper reports groups near full attention, in perplexity; recall asks for more. And norms and embedding
# **change nothing here**.

# %% [markdown]
# ### Does a far token matter?
# Ask the base: how well does it predict the last 64 of 256 tokens, with all 192 before them, and with 64?

# %%
much, little = longer.loss_by_place(known.model, rows)[192:], longer.loss_by_place(known.model, rows[:, 128:])[64:]
print(f"with 192 tokens before: {much.mean():.3f} nats   with 64: {little.mean():.3f}")

# %% [markdown]
# No better. On novels nothing of this chapter could show in this model's loss.
#
# ### At the texts' own length
# The arena's Bible has texts of 64 tokens, groups of 32.

# %%
book.measured("LongLoRA")

# %% [markdown]
# Below LoRA, and not by length. It trains 2.8 times as many numbers, most of them in the embedding, which is the output
# head too. They are what helps: LoRA that trains them under full attention ends as low, LoRA in groups without them near
# LoRA. And shorter groups?

# %%
book.training_explorer("LongLoRA")

# %% [markdown]
# ## When, when not
# * **First**: do far tokens matter? If not, cut your texts.
# * **Take it** when attention is most of the bill: far beyond 8k tokens, with at least $2L/g-1$ layers.
# * **Not** if you can pay for full attention in training: here it recalls more.
# * **Answering** costs full attention, as ever.
# * **With what**: any form, start or store, and interpolation. Not with prefix tuning, which replaces attention too.
#
# ## Exercises
# Stuck? `book.hint(no_future.EXERCISE, 1)`, then 2, then 3; `book.solution(no_future.EXERCISE)` comes last.

# %%
book.show(no_future.EXERCISE)

# %%
def shifted_mask(length, group):
    ### BEGIN SOLUTION
    i = torch.arange(length)
    home = (i + group // 2) // group
    return (home[:, None] == home) & (i[:, None] >= i)
    ### END SOLUTION


book.check(no_future.EXERCISE, shifted_mask)

# %%
book.show(deep_enough.EXERCISE)

# %%
def group_for(length, layers):
    ### BEGIN SOLUTION
    pieces = layers + 1
    half = -(-length // pieces)
    return 2 * half
    ### END SOLUTION


book.check(deep_enough.EXERCISE, group_for)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
_, lora, grouped = (line[6] for line in groups.compute(groups.start).costs)  # 65,536 tokens, g = L/4
guess_cost.look_back(f"{grouped / lora:.0%}")

# %% tags=["nbval-ignore-output"]
guess_shift.look_back(f"{far['no shift'].mean():.0%} against {far['LongLoRA'].mean():.0%}")

# %% [markdown]
# <details><summary>1. You double the text and keep g = L/4. What becomes of the scores, and of the layers needed?</summary>
# Four times the scores, and still 7 layers. With g kept as it was: twice the scores, and 15 layers.</details>
#
# <details><summary>2. A colleague loads your adapter, and the model writes nonsense. Which line is missing?</summary>
# interpolate(model, 1024), before the adapter.</details>
#
# <details><summary>3. Why may the model read with full attention, though it was trained in groups?</summary>
# The mask is in no weight. Whether it answers well far away is measured, not proven.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of the groups, and whether it holds",
    claims.half_of_the_heads_are_shifted,
    claims.the_shift_connects_the_groups,
    claims.groups_are_dense_attention_under_a_mask,
    claims.a_head_is_its_groups_side_by_side,
    claims.false_most_heads_are_shifted,
    claims.false_it_is_dilated_attention,
    claims.false_a_roll_stays_causal,
    claims.inference_is_full_attention,
    claims.false_inference_stays_in_groups,
    claims.far_scores_are_adapted_too,
    claims.false_far_scores_stay_frozen,
)

# %%
book.fold(
    "What else is said of positions, and whether it holds",
    claims.every_kth_token_stands_where_one_did,
    claims.distances_stay_below_the_pretrained_length,
    claims.false_extrapolation_stays_in_range,
    claims.false_distances_stay_within_those_trained,
    claims.scores_depend_on_the_scaled_distance,
    claims.false_neighbours_stay_one_apart,
)

# %%
book.fold(
    "What else is said of cost and of what trains, and whether it holds",
    claims.a_quarter_of_the_scores,
    claims.false_ten_times_fewer_scores,
    claims.the_cut_group_saves_a_sixteenth_more,
    claims.false_every_head_computes_a_quarter,
    claims.false_nothing_is_saved_without_a_fused_kernel,
    claims.linear_at_a_fixed_group,
    claims.false_linear_at_a_quarter,
    claims.training_is_quadratic,
    claims.false_training_pays_for_a_cache,
    claims.false_five_times_faster,
    claims.false_ten_times_less_compute,
    claims.embedding_and_norms_train_as_well,
    claims.false_no_extra_parameters,
    claims.false_each_group_has_its_own_lora,
    claims.false_half_as_many_again,
)

# %% [markdown]
# **Sources.** Chen, Qian, Tang et al. 2023 (2309.12307): section 3.2 for the groups, 3.3 for norms and embedding; what it reports
# at 8k to 100k tokens is on LLaMA-2, which this model cannot check. Chen, Wong et al. 2023 (2306.15595): position
# interpolation. Su et al. 2021 (2104.09864): rotary positions. The leak: issues 14 and 15 of the authors' repository.
