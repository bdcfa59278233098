# %% [markdown]
# # 20 · LoRA-drop
#
# > **Do all layers need an adapter of their own?**
#
# LoRA gives every matrix its own $A$ and $B$. LoRA-drop (Zhou et al. 2024) trains them for a few steps, looks at what each
# one does, and lets those that do little share one adapter. The book's base has only four decoder layers, so that a
# *layer* here is one of their 28 matrices.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | step rule | LoRA-drop | chapter 02: Adam's steps |

# %%
import torch

import lorabook as lb
from lorabook.arena import drop_losses, drop_ways, tasks
from lorabook.book import reading as book
from lorabook.book.exercises import own_or_shared
from lorabook.claims import lora_drop as claims

book.axis_strip("rule")

# %%
book.diagram("lora_drop")

# %% [markdown]
# ## Predict

# %%
guess_effect = book.predict("Twelve steps of LoRA on the King James Bible, on all 28 matrices. Of the effect "
    "E‖ΔWx‖² of all adapters, those of the last decoder layer have …",
    book.Choice("your answer", ("about 10%", "about 25%, as every layer", "about 40%", "more than half")))
guess_effect

# %%
guess_loss = book.predict("Four ways to halve the trained numbers of LoRA with r = 8. The lowest loss has …",
    book.Choice("your answer", (
        "LoRA-drop", "adapters on the best layers, none elsewhere", "14 layers drawn at random", "LoRA with r = 4")))
guess_loss

# %% [markdown]
# ## See it
# Recorded: twelve steps of LoRA, then the choice, then 48 with a new optimiser. Each way and threshold has its own
# best rate, found on another seed; beside LoRA-drop stand other choices with nearly as many trained numbers.

# %%
book.who_keeps()

# %% [markdown]
# 1. Lower $T$ until one decoder layer alone keeps. How much of the effect does it have? Then let size choose at that $T$:
#    who goes, who comes, and how even are the bars?
# 2. $T=0.7$: compare the ways, over five seeds. Which two lose, and which gains? Then look for the dotted line there.
#
# <details><summary>Answers</summary>
#
# 1. $T=0.5$, with seed 0: gate, up and down of layer 3 have 52%. By size, layer 0's up replaces layer 3's down, and each
#    decoder layer has about a quarter.
# 2. By effect 3.860. By size 3.897 and by chance 3.890 lose; without sharing it is 3.852. LoRA of rank 4 everywhere has
#    as many numbers, and 3.831.
#
# </details>
#
# ## Why
# An adapter acts through one thing: $\Delta Wx$, added to $W_0x$. So measure that. The layers with the largest shares keep
# theirs, as few as reach $T$ together (0.9 in the paper); all others share one $BA$ for each shape.

# %%
book.card(claims.importance_is_a_share_of_the_output)

# %% [markdown]
# Why not look at $\Delta W$ alone? Adam's steps have one size whatever the gradient, so that twelve of them make every
# $\Delta W$ about as large for its shape. What differs is $x$, its length and its directions:

# %% jupyter={"source_hidden": true}
found = drop_losses.recorded()
names = [name for name, _ in tasks.KJV.base.named_modules() if name.endswith("_proj")]
inputs = drop_ways.arriving(tasks.KJV.base, names, drop_ways.sample(0))
book.table(("layer", "share of ‖ΔW‖²", "E‖x‖²", "share of E‖ΔWx‖²"), [
    (name.removeprefix("layers."), f"{found.size[0][i]:.1%}", f"{inputs[name]:.3g}", f"{found.effect[0][i]:.1%}")
    for i, name in enumerate(names) if "gate" in name or name.startswith("layers.0.self_attn.o")])

# %%
book.card(claims.false_importance_is_a_share_of_the_weights)

# %% [markdown]
# What is saved? Trained numbers, their gradients and moments. No arithmetic:

# %%
book.card(claims.sharing_computes_as_much)

# %% [markdown]
# ## The code
# Two calls of `fit`, each with its own optimiser, and the choice between them. Here nothing warms up, and fewer layers
# are enough for $T$ than in the record.

# %%
model, stream = lb.load("tiny").model, tasks.KJV.stream(0)
lb.inject(model, lb.LoRA(r=8, alpha=16), "_proj", torch.Generator().manual_seed(0))

def training(steps):
    return lambda model: lb.fit(model, stream, steps=steps, lr=8e-3, loss=tasks.KJV.loss, progress=False)

sample = [inputs for inputs, _ in (next(stream) for _ in range(4))]
dropped = lb.learn_with_drop(model, training(12), sample, training(12), threshold=0.9)
print(f"{len(dropped.kept)} layers keep their own, {len(dropped.shares) - len(dropped.kept)} share")

# %%
book.source(lb.learn_with_drop)

# %% [markdown]
# ## Measured
# ### With the paper's threshold, ten seeds

# %%
book.measured("LoRA-drop")

# %% [markdown]
# "Trained" counts the first phase; in the second LoRA-drop trains three quarters of it.
#
# ### At equal numbers

# %%
effect, size, chance, alone = (lambda t, way=way: found.losses(way, t) for way in drop_ways.WAYS)  # one a seed
book.verdicts({
    "At T = 0.9 half of the layers share, and it costs less than 0.01": (effect(0.9) - effect(1.0)).mean() < 0.01,
    "Chosen by effect, LoRA-drop is ahead of the choice by size in every seed, from T = 0.5 to 0.9":
        all((effect(t) < size(t)).all() for t in (0.5, 0.7, 0.9)),
    "It is ahead of chance on average, at every T below 1":
        all(effect(t).mean() < chance(t).mean() for t in drop_losses.THRESHOLDS),
    "Sharing is better than more layers without it, at some T by more than 0.01":
        any(effect(t).mean() < alone(t).mean() - 0.01 for t in drop_losses.THRESHOLDS),
    "LoRA of rank 4 is ahead of LoRA-drop at T = 0.7 in all three seeds": (found.lora[4] < effect(0.7)[:3]).all()})

# %% [markdown]
# The measure works; what it is used for does not pay here. A smaller rank everywhere is better, and needs no second phase
# (which costs about 0.01 by itself: compare $T=1$ with LoRA). The paper reports LoRA's quality with half of the
# numbers, on larger models.
#
# ## When, when not
# * **First** lower $r$ everywhere.
# * **Measure** $E\|\Delta Wx\|^2$ anyway: it shows which adapters work, for the price of a few forward passes.
# * **LoRA-drop** where $r$ is as low as it goes, and moments or gradients still cost too much (our guess: not measured).
# * **Leave it** if you hope for faster steps, smaller activations or a smaller file: each layer that shares is written
#   with its copy.
#
# ## Exercises
# Stuck? `book.hint(own_or_shared.EXERCISE, 1)`, 2, 3; `book.solution(own_or_shared.EXERCISE)` comes last.

# %%
book.show(own_or_shared.EXERCISE)

# %%
def keeps(x, A, B, T):
    ### BEGIN SOLUTION
    g = (x @ A.mT @ B.mT).square().sum(2).mean(1)
    share, order = (g / g.sum()).sort(descending=True)
    own = order[share.cumsum(0) - share < T]
    return [int(i in own) for i in range(len(g))]
    ### END SOLUTION


book.check(own_or_shared.EXERCISE, keeps)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_effect.look_back(f"{sum(found.effect[0][21:]):.0%}")

# %% tags=["nbval-ignore-output"]
guess_loss.look_back(f"LoRA with r = 4: {found.lora[4].mean():.3f}; LoRA-drop {effect(0.7)[:3].mean():.3f}")

# %% [markdown]
# <details><summary>Two adapters have ΔW of one norm. Why may one of them do nothing?</summary>
# Its A reads directions in which no input has anything: ΔWx = 0.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of LoRA-drop, and whether it holds",
    claims.a_large_update_can_do_nothing,
    claims.as_few_as_reach_the_threshold,
    claims.the_rest_shares_an_adapter,
    claims.false_the_rest_is_dropped,
    claims.one_more_adapter_than_kept_layers,
    claims.false_every_layer_trains_its_own,
    claims.false_only_kept_layers_compute,
)

# %% [markdown]
# **Sources.** Zhou et al. 2024 (2402.07721): equations 3 and 4 for the importance, sections 3.2 and 3.3 for the threshold
# and the shared adapter.
