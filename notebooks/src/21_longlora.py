# %% [markdown]
# # 21 · LongLoRA
#
# > **My texts are four times as long as the model's.**
#
# The book's model was pretrained on texts of 256 tokens. Two things stand between it and 1,024: positions that it has never
# seen, and attention, which compares every token with every other, $L^2$ scores. LongLoRA (Chen et al. 2023) is about the
# second. It *trains* in short groups and *reads* with full attention. The first it leaves to position interpolation.
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
    "a quarter. One has half of its heads shifted, the other none. Then both read with full attention. Of the answers that "
    "lie more than two groups back, the unshifted one gets right …", book.Choice("your answer", (
        "hardly any", "about a third as many", "about two thirds as many", "as many")))
guess_shift

# %% [markdown]
# ## See it
# A text of $L=32$ tokens in groups of $g$. Row $i$ of a mask says whom token $i$ sees. Below, what reaches one token, layer by
# layer. Move a slider, or click a token.

# %%
groups = book.shifted_groups()
groups

# %% [markdown]
# 1. Four layers and $g=8=L/4$, as for the book's model. Which is the first token that token 32 has heard of? Switch the
#    shift off: which is it now, and what do more layers help?
# 2. Shift on again. How many layers does it take until every token has heard of all before it, for $g=16$, $8$ and $4$?
#    Find the rule in $L/g$.
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
# Rotary attention knows distances alone. Beyond 255 the weights have seen none. So squeeze: token $m$ stands at $m\cdot L/L'$,
# with $L=256$ and $L'=1024$.

# %%
book.card(claims.every_kth_token_stands_where_one_did)

# %% [markdown]
# It is tempting to conclude that the model reads on as before, at least where a text was short enough anyway:

# %%
book.card(claims.false_a_short_text_is_read_as_before)

# %%
known, base = lb.load("tiny"), interpolate(lb.load("tiny").model, 1024)
rows = longer.austen(known)  # 32 pieces of 256 tokens
before, after = (longer.loss_by_place(model, rows).mean() for model in (known.model, base))
print(f"256 tokens of Austen: {before:.2f} nats per token.   The same, interpolated: {after:.2f}")

# %% [markdown]
# Neighbours now stand a quarter of a position apart, which no pretraining has shown. That is what must be learnt, and it is
# local.
#
# ### Who looks at whom
# In half of the heads token $i$ sees the tokens $j\le i$ of group $\lfloor i/g\rfloor$; in the others those of group
# $\lfloor(i+g/2)/g\rfloor$. Cut the text into pieces of $g/2$: an unshifted head joins pieces 0 and 1, 2 and 3, …; a shifted
# one 1 and 2, 3 and 4, …. So each layer carries one piece further, and $2L/g-1$ layers are enough. LLaMA-2-7B has 32, and at
# $g=L/4$ needs 7.

# %%
book.card(claims.the_shift_connects_the_groups)

# %%
book.card(claims.false_depth_alone_connects_the_groups)

# %% [markdown]
# The book's model has four layers. Change the first token of a text of 1,024, and see how far along the output changes:

# %%
class Unshifted(torch.nn.Module):
    def forward(self, q, k, v):
        return in_groups(q, k, v, 256)


@torch.no_grad()
def logits(attend, tokens):
    for layer in base.layers:
        layer.self_attn.attend = attend
    return base(tokens)


text = rows[:4, :256].reshape(1, 1024)
other = text.clone()
other[0, 0] += 1
for name, attend in {"half of the heads shifted": Shifted(256).train(), "no shift": Unshifted()}.items():
    heard = (logits(attend, text) != logits(attend, other)).any(-1)[0]
    print(f"{name}: of 1,024 tokens {heard.sum()} have heard of the first one")

# %% [markdown]
# So while training, the last 384 tokens hear nothing of the first. And without a shift you have what you could have had for
# nothing, four short texts:

# %%
in_pieces = logits(Shifted(256).eval(), text.view(4, 256))
book.verdicts({"Groups without a shift give the logits of four texts of 256 tokens":
    torch.allclose(logits(Unshifted(), text).view(4, 256, -1), in_pieces, atol=1e-3)})

# %% [markdown]
# ### Nobody sees the future
# The paper rolls the shifted heads' tokens round by $g/2$. The last group then holds the end of the text *and* its beginning,
# and in the authors' path without flash attention the first tokens see the last ones. Here the borders move and no token
# does; the group at the border is cut in two, as in their flash path.

# %%
book.card(claims.nobody_sees_the_future)

# %% [markdown]
# ### What trains
# LoRA on q, k, v, o, and the **norms and the embedding**, whole. The paper reports that LoRA alone stays behind at every
# rank and that these close the gap. Tables call them small. In a file they are most of it:

# %%
book.card(claims.seventeen_times_lora_at_7b)

# %% [markdown]
# ### What it saves
# Groups compute $L\cdot g$ scores. With $g=L/4$ that is a quarter of $L^2$, and as quadratic as before. All else in a layer
# costs what it did, so look at the whole step:

# %%
book.card(claims.the_speed_up_is_a_mean_of_two)

# %% [markdown]
# You will read "5 to 8 times faster" and "10 to 20 times less compute". At $g=L/4$ no length reaches either. The card
# compares with full fine-tuning; against LoRA under full attention it is 1.3 times at 8k and 2.6 at 65k, where the paper's clock says 1.8.
#
# ## The code
# The definition is a mask. The path never builds it: it folds each group into the batch, and cuts the first half group off
# the shifted heads.

# %%
book.source(Shifted.mask)

# %%
book.source(Shifted.forward)

# %% [markdown]
# Look at the first branch: in eval mode attention is full. No weight knows of groups, so the adapter merges as LoRA's does.
# The whole of it, in this order:
#
# ```python
# interpolate(model, 1024)
# lb.inject(model, lb.LongLoRA(group=256), "[qkvo]_proj")
# lb.fit(model, texts_of_1024_tokens, steps=…, lr=…)     # in groups
# model.eval()                                           # full attention
# ```
#
# Interpolation belongs to the base: whoever loads the adapter calls `interpolate` first.
#
# ## Measured
# ### Four times as long, then read in full
# **Recall**: a small decoder knows texts of 64 tokens, random letters. Now and then a mark comes; asked for is the letter
# behind the last one. It is to do so over 256. *Near* is up to 64 tokens back, *far* more than two groups. Everybody reads
# with full attention; ten seeds, each contender at its better rate.

# %%
longer.recall_table()

# %%
found = longer.near_and_far()
near, far = ({name: both[k] for name, both in found.items()} for k in (0, 1))
ahead, helped = (far["LongLoRA"] - far[name] for name in ("no shift", "LoRA in shifted groups"))
clear = {name: gain.mean() > 2 * gain.std(ddof=1) / 10**0.5 for name, gain in (("ahead", ahead), ("helped", helped))}
book.verdicts({
    "Positions that run on: fewer than one far answer in ten is right": bool(far["positions run on"] < 0.1),
    "Interpolated and not trained, even near answers are mostly wrong": bool(near["positions interpolated"] < 0.5),
    "Near, the unshifted one is within 5 points of LongLoRA":
        bool(abs(near["no shift"].mean() - near["LongLoRA"].mean()) < 0.05),
    "Far, LongLoRA is ahead of it by more than two standard errors": bool(clear["ahead"]),
    "Far, it is ahead with every seed": bool((ahead > 0).all()),
    "Far, norms and embedding put LongLoRA ahead of LoRA in the same groups": bool(clear["helped"]),
    "Far, full attention in training is ahead of LongLoRA, with every seed":
        bool((far["full attention"] > far["LongLoRA"]).all())})

# %% [markdown]
# All of them learn to read near letters again. Far is another matter, and no contender in groups was ever shown it: two
# layers reach three pieces of 32 tokens, and far begins at 128. What the model does there it was not trained to do. With the
# shift it does it half as often again as without; with full attention in training, better and with little spread. The paper
# reports that groups come near full attention, in perplexity of books. Recall asks for more.
#
# The paper also reports that norms and embedding decide. **Here they change nothing**: the two rows are within each other's
# spread. Why the shift helps at a distance that it never spans, we do not know.

# %% [markdown]
# ### Does a far token matter?
# Not in every text. Ask the base: how well does it predict the last 64 tokens of 256, with all 192 before them, and with 64?

# %%
much, little = longer.loss_by_place(known.model, rows)[192:], longer.loss_by_place(known.model, rows[:, 128:])[64:]
print(f"with 192 tokens before: {much.mean():.3f} nats   with 64: {little.mean():.3f}")

# %% [markdown]
# No better. Nothing that we did to these texts' far tokens could show in this model's loss, and a perplexity that stays the
# same proves little about length. Try it on your own texts first.
#
# ### At the texts' own length
# The arena's Bible has texts of 64 tokens, groups of 32.

# %%
book.measured("LongLoRA")

# %% [markdown]
# LongLoRA ends far below LoRA, and it is not the length: no text here is longer than the model's. It trains 2.8 times as many
# numbers, most of them in the embedding, which is the output head too. That the embedding is what helps is our guess; we did
# not train it alone.

# %%
book.training_explorer("LongLoRA")

# %% [markdown]
# ## When, when not
# * **First** ask whether a far token matters in your texts. If not, cut them into short ones.
# * **Take it** when attention is most of the bill: far beyond 8k tokens, in a model with at least $2L/g-1$ layers.
# * **If you can pay for full attention** in training, do: here it recalls more, and reliably.
# * **Not without interpolation**, or another scaling of positions, where texts are longer than the model's.
# * **Answering costs what it did**: full attention, and a cache of keys and values that grows with $L$.
# * **With what**: any form, start or store. Not with prefix tuning, which replaces attention too.
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
_, lora, grouped = (line[list(groups.result.lengths).index(65536)] for line in groups.result.costs)
guess_cost.look_back(f"{grouped / lora:.0%}")

# %% tags=["nbval-ignore-output"]
guess_shift.look_back(f"{far['no shift'].mean():.0%} against {far['LongLoRA'].mean():.0%}")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. You double the text and keep g = L/4. What happens to attention's cost, and to the layers that are needed?</summary>
# Four times the scores, as ever. The layers stay 7. With g kept as it was: twice the scores, and 15 layers.</details>
#
# <details><summary>2. A colleague loads your adapter, and the model writes nonsense. Which line is missing?</summary>
# interpolate(model, 1024), before the adapter. Positions belong to the base and are not in the file.</details>
#
# <details><summary>3. Why may the model read with full attention, though it was trained in groups?</summary>
# The mask is not in the weights: q, k, v and o are the same for near and far. Whether they do well far away is measured, not
# proven.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of the groups, and whether it holds",
    claims.half_of_the_heads_are_shifted,
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
