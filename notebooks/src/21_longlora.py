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
from lorabook.arena import longer, longer_record
from lorabook.axes.attention.interpolation import interpolate
from lorabook.axes.attention.longlora import Shifted, in_groups
from lorabook.book import reading as book
from lorabook.book.exercises import deep_enough, no_future
from lorabook.claims import longlora as claims

book.axis_strip("attention")

# %%
book.diagram("longlora")

# %% [markdown]
# ## Predict

# %%
guess_cost = book.predict("LLaMA-2-7B, LoRA, texts of 65,536 tokens. Attention in groups of a quarter of the text instead "
    "of full attention: the FLOPs of a training step fall to …", book.Steps("your answer", tuple(range(5, 101, 5)), "%"))
guess_cost

# %%
guess_shift = book.predict("Two small models learn to read texts four times as long as they know, in groups of a quarter. One "
    "has half of its heads shifted, the other none. Then both read with full attention. Of the answers that lie more "
    "than two groups back, the unshifted one gets right …", book.Choice("your answer", (
        "almost none", "about half as many", "about as many", "more than the other")))
guess_shift

# %% [markdown]
# ## See it
# A text of $L=32$ tokens in groups of $g$. Row $i$ of a mask says whom token $i$ sees. Below, what reaches one token, layer by
# layer. Move a slider, or click a token.

# %%
book.shifted_groups()

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
novels, base = longer.WORLDS["novels"], lb.load("tiny").model
before = novels.score(base, 256)[0]
after = novels.score(interpolate(base, 1024), 256)[0]
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
def alone(q, k, v):
    return in_groups(q, k, v, 256)


@torch.no_grad()
def logits(attend, tokens):
    for layer in base.layers:
        layer.self_attn.attend = attend
    return base(tokens)


text = novels.corpus.val[None, :1024]
other = text.clone()
other[0, 0] += 1
for name, attend in {"half of the heads shifted": Shifted(256).train(), "no shift": alone}.items():
    heard = (logits(attend, text) != logits(attend, other)).any(-1)[0]
    print(f"{name}: of 1,024 tokens {heard.sum()} have heard of the first one")

# %% [markdown]
# So while training, the last 384 tokens hear nothing of the first. And without a shift you have what you could have had for
# nothing, four short texts:

# %%
in_pieces = logits(Shifted(256).eval(), text.view(4, 256))
book.verdicts({"Groups without a shift give the logits of four texts of 256 tokens":
    torch.allclose(logits(alone, text).view(4, 256, -1), in_pieces, atol=1e-3)})

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
# You will read "5 to 8 times faster" and "10 to 20 times less compute". At $g=L/4$ no length reaches either. The card compares with full
# fine-tuning; against LoRA under full attention it is 1.3 times at 8k and 2.6 at 65k, where the paper's clock says 1.8.
#
# ## The code
# The definition is a mask. The path never builds it: it folds each group into the batch, and cuts the first half group off
# the shifted heads.

# %%
book.source(Shifted.mask)

# %%
book.source(Shifted.forward)

# %% [markdown]
# The last branch that matters is the first one: in eval mode attention is full. No weight knows of groups, so the adapter merges as LoRA's
# does. The whole of it, in this order:
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
