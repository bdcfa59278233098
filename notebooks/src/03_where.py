# %% [markdown]
# # 03 · Where to put it, and how to get rid of it
#
# > **Which matrices deserve an adapter, and what does it cost to get rid of it afterwards?**
#
# `target_modules=["q_proj", "v_proj"]` has been copied from one script to the next since 2021. `merge_and_unload()` stands
# at the end of most of them. What do the two lines do?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | · | chapter 02: A, B and s |

# %%
import copy

import torch

import lorabook as lb
from lorabook.arena.tasks import KJV, TASKS
from lorabook.book import reading as book
from lorabook.book.exercises import same_price, stored
from lorabook.book.explore import where
from lorabook.book.figures import where as pictures
from lorabook.claims import lora

book.axis_strip("form")

# %% [markdown]
# Every layer of the book's model, and of any LLaMA, has seven matrices. Attention has q, k, v and o; the MLP has gate, up
# and down.
#
# ## Predict

# %%
guess_one = book.predict("Rank 8 on all seven trains 108,544 numbers. Give as many to one kind of matrix alone. Which "
    "ends lowest on the Bible?", book.Choice("your answer", where.MATRICES))
guess_one

# %%
guess_back = book.predict("You merge in bf16, W₀ + ΔW, and later subtract the same ΔW. Which share of the entries of "
    "W₀ is not what it was?", book.Steps("your answer", (0, 1, 5, 10, 20, 50, 100), "%"))
guess_back

# %% [markdown]
# ## See it
# All 127 choices among the seven, each with as many trained numbers and at its own tuned rate, after 60 steps on the
# Bible. Tick the boxes, or click a matrix or a dot.

# %%
book.one_budget()

# %% [markdown]
# 1. Leave q and v on, the choice of the first paper. TODO
# 2. TODO
#
# <details><summary>Answers</summary>
#
# 1. TODO
# 2. TODO
#
# </details>
#
# ## Why
# ### Can you know beforehand?
# Adam's first step on a whole matrix moves each entry by η against the sign of its gradient, so it lowers the loss by
# about $\eta\sum|G|$. One backward pass gives that sum for every matrix, without training.

# %%
base, stream = lb.load("tiny").model, KJV.stream(0)
for _ in range(4):
    KJV.loss(base, next(stream)).backward()
pull = dict.fromkeys(where.MATRICES, 0.0)
for name, weight in base.named_parameters():
    for matrix in pull:
        if f".{matrix}_proj" in name:
            pull[matrix] += weight.grad.abs().sum().item()

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
losses = where.recorded()
alone = {name: losses.of[name] for name in where.MATRICES}
book.table(("matrix", "Σ|G|", "loss with the budget alone"),
           [(name, round(pull[name]), f"{alone[name]:.3f}") for name in sorted(alone, key=alone.get)])

# %% jupyter={"source_hidden": true}
attention, mlp = where.MATRICES[:4], where.MATRICES[4:]
book.verdicts({
    "The matrix with the largest Σ|G| is the best one alone": max(pull, key=pull.get) == min(alone, key=alone.get),
    "Σ|G| puts the four of attention into the order of their losses":
        sorted(attention, key=pull.get) == sorted(attention, key=alone.get, reverse=True),
    "And the three of the MLP": sorted(mlp, key=pull.get) == sorted(mlp, key=alone.get, reverse=True)})

# %% [markdown]
# A rule from seven points, on one model: try it on yours before you believe it. It says nothing about pairs.
#
# ### A score has three parts
# Adapters on q and k meet in a product, $(q_0+\Delta q)^\top(k_0+\Delta k)$.

# %%
book.card(lora.a_score_has_three_parts)

# %% [markdown]
# How large are they? The second layer, on verses that it does not train on:

# %%
def fresh(targets):
    model = lb.load("tiny").model
    return model, lb.inject(model, lb.LoRA(8, 16), targets, torch.Generator().manual_seed(0))


tokens = KJV.corpus.val[:512].view(8, 64)
model, _ = fresh("q_proj|k_proj")
parts = pictures.ScoreParts(model, 1, tokens)
lb.fit(model, KJV.stream(0), steps=20, lr=8e-3, on_step=parts, progress=False)
parts.picture("The first-order part leads; the second comes after it, once q and k have both moved.")

# %% [markdown]
# ### Gate times up
# The MLP is $\mathrm{down}(\mathrm{silu}(\mathrm{gate}\,x)\odot\mathrm{up}\,x)$: another product.

# %%
book.card(lora.false_adapters_of_a_block_add_up)

# %% [markdown]
# The same for whole models. Train adapters everywhere, then keep only some of them:

# %%
model, layers = fresh("_proj")
lb.fit(model, KJV.stream(0), steps=20, lr=8e-3, progress=False)


def gain(kept):
    part = copy.deepcopy(model)
    for name, layer in lb.adapted(part).items():
        if kept not in name:
            torch.nn.init.zeros_(layer.update.B)
    return KJV.score(base) - KJV.score(part)


gains = {kept: gain(kept) for kept in ("self_attn", "mlp", "_proj")}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
one, other, both = gains.values()
book.table(("adapters kept", "gain over the base, nats"), [
    ("attention's", f"{one:.2f}"), ("the MLP's", f"{other:.2f}"), ("their sum", f"{one + other:.2f}"),
    ("all", f"{both:.2f}")])

# %% [markdown]
# So an adapter is no set of parts that you may ship one by one.
#
# ### Not only Linear
# A convolution's kernel is a matrix too: flatten it to $c_{out}\times c_{in}k^2$.

# %%
book.card(lora.a_convolution_is_a_bottleneck)

# %% [markdown]
# A small net reads digits. Turn them by a quarter, and adapt its three convolutions:

# %%
DIGITS = TASKS[-1]
net = copy.deepcopy(DIGITS.base)
before = DIGITS.more(net)["accuracy"]
lb.inject(net, lb.LoRA(4, 8), "conv", torch.Generator().manual_seed(0))
lb.fit(net, DIGITS.stream(0), steps=DIGITS.steps, lr=1e-2, loss=DIGITS.loss, progress=False)
after = DIGITS.more(net)["accuracy"]
print(f"turned digits read: {before:.0%} before, {after:.0%} after")

# %% [markdown]
# In an embedding, row $i$ of the table is $W$ times a one-hot vector, so $A$ learns in the columns of the tokens that it
# reads. $B$ is shared: once it moves, every row does. Often the same matrix is also the head. Adapt one of the two, and
# you have untied them; the library refuses.

# %%
try:
    lb.inject(copy.deepcopy(base), lb.LoRA(), "embed_tokens")
except ValueError as error:
    print(error)

# %% [markdown]
# ## Measured

# %%
book.measured("LoRA on attention", "LoRA on MLP")

# %% jupyter={"source_hidden": true}
book.verdicts({"TODO": True})

# %% [markdown]
# TODO
#
# ## How to get rid of it
# $W_0+sBA$ is a matrix like any other. Put it into a plain layer, and LoRA is gone. Exact in real numbers; in which dtype
# do you add?

# %%
@torch.no_grad()
def merged_in(dtype):
    model_in = copy.deepcopy(model).to(dtype)
    apart = model_in(tokens).double()
    with lb.merged(model_in):
        gap = (model_in(tokens).double() - apart).abs().max() / apart.abs().max()
        return gap.item(), KJV.score(model_in)


found = {str(dtype)[6:]: merged_in(dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16)}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("merged in", "largest change of a logit, over the largest logit", "loss, nats"),
           [(name, f"{gap:.0e}", f"{loss:.4f}") for name, (gap, loss) in found.items()])

# %% [markdown]
# bf16 keeps 8 bits of a number, so $W_0+\Delta W$ is rounded to the grid of $W_0$. The loss hardly notices. What you lose
# is the way back.

# %%
book.card(lora.false_subtracting_gives_w0_back)

# %%
wrong = total = 0
for layer in layers.values():
    w0 = layer.base.matrix.bfloat16()
    delta = (layer.update.s * layer.update.B @ layer.update.A).detach().bfloat16()
    wrong += ((w0 + delta) - delta != w0).sum().item()
    total += w0.numel()

# %% [markdown]
# So keep $W_0$. `with lb.merged(model):` keeps the adapted layers aside, and puts them back bit for bit.
#
# ### What it buys
# Unmerged, each adapted matrix costs two thin products and a sum more. They have little arithmetic, but each is a call:

# %% tags=["nbval-ignore-output"]
def milliseconds():
    timer = torch.utils.benchmark.Timer("model(x)", globals={"model": model, "x": tokens[:1]})
    return 1e3 * timer.blocked_autorange(min_run_time=0.3).median


with torch.no_grad():
    apart = milliseconds()
    with lb.merged(model):
        print(f"64 tokens: {apart:.1f} ms with adapters on all seven, {milliseconds():.1f} ms merged")

# %% [markdown]
# ### On top of each other
# Merge one, train the next on it. In $W$, they add up.

# %%
book.card(lora.stacked_adapters_add_up)

# %% [markdown]
# ## When, when not
# TODO
#
# ## Exercises
# Stuck? `book.hint(stored.EXERCISE, 1)`, then 2, then 3; `book.solution(stored.EXERCISE)` comes last.

# %%
book.show(stored.EXERCISE)

# %%
def merge_into(weight, A, B, alpha, r, fan_in_fan_out):
    ### BEGIN SOLUTION
    delta = alpha / r * (B @ A)
    return weight + (delta.T if fan_in_fan_out else delta)
    ### END SOLUTION


book.check(stored.EXERCISE, merge_into)

# %%
book.show(same_price.EXERCISE)

# %%
def rank_for(every, chosen, r):
    ### BEGIN SOLUTION
    budget = r * sum(d_out + d_in for d_out, d_in in every)
    return min(budget // sum(d_out + d_in for d_out, d_in in chosen), *map(min, chosen))
    ### END SOLUTION


book.check(same_price.EXERCISE, rank_for)

# %% [markdown]
# ## Look back
