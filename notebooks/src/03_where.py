# %% [markdown]
# # 03 · Where to put it, and how to get rid of it
#
# > **Which matrices deserve an adapter, and what does it cost to get rid of it afterwards?**
#
# `target_modules=["q_proj", "v_proj"]` has been copied from script to script since 2021. `merge_and_unload()` stands at
# the end of most of them. What do the two lines do?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | · | · | chapter 02: A, B and s |

# %%
import copy

import torch.utils.benchmark

import lorabook as lb
from lorabook.arena.tasks import KJV, TASKS
from lorabook.book import reading as book
from lorabook.book.exercises import same_price, stored
from lorabook.book.figures import where as pictures
from lorabook.claims import lora

# %% [markdown]
# Every layer of the book's model, and of any LLaMA, has seven matrices. Attention has q, k, v and o; the MLP has gate, up
# and down. Where adapters go is no axis of the book's map: every variant can go anywhere.
#
# ## Predict

# %% jupyter={"source_hidden": true}
guess_one = book.predict("Rank 8 on all seven trains 108,544 numbers. Give as many to one kind of matrix alone. Which "
    "ends lowest on the Bible?", book.Choice("your answer", ("q", "k", "v", "o", "gate", "up", "down")))
guess_one

# %% jupyter={"source_hidden": true}
guess_back = book.predict("You merge in bf16, W₀ + ΔW, and later subtract the same ΔW. Which share of W₀'s entries "
    "does not come back?", book.Steps("your answer", (0, 1, 2, 5, 10, 15, 20, 30, 50, 80, 100), "%"))
guess_back

# %% [markdown]
# ## See it
# The Bible again, 60 steps. Every choice has as many trained numbers (k or v alone has room for 60% of them), its own
# tuned rate and three seeds. Tick the boxes, or click a matrix, a dot or a name. 38 of the 127 choices were trained; the
# table predicts what any of them costs.

# %%
book.one_budget()

# %% [markdown]
# 1. Go to q, v: the choice of the first paper. Which share of what all seven gain does it gain? Which single matrices,
#    with the whole budget on each, do better?
# 2. Set *costs for* to LLaMA 7B, and click one single matrix after the other. What do all cost alike? Which keeps least
#    for backward, and which most?
#
# <details><summary>Answers</summary>
#
# 1. 58%. Four do better: o, gate, up and down.
# 2. The arithmetic, for an adapter costs what it trains, $r(d_{in}+d_{out})$; and two products. Least is kept by o:
#    attention keeps its own output anyway, and that is o's input. Most by down, whose input is the widest.
#
# </details>
#
# ## Why
# ### Can you know beforehand?
# Adam's first step on a whole matrix moves each entry by η against the sign of its gradient $G$. That lowers the loss by
# about $\eta\sum|G|$. One backward pass gives the sum for every matrix, without training:

# %%
base, stream = lb.load("tiny").model, KJV.stream(0)
for _ in range(4):
    KJV.loss(base, next(stream)).backward()
losses = pictures.losses()
alone = {choice: loss for choice, loss in losses.items() if "," not in choice}
pull = {matrix: sum(w.grad.abs().sum().item() for name, w in base.named_parameters() if f".{matrix}_proj" in name)
        for matrix in alone}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("matrix", "Σ∣G∣", "loss with the budget alone"),
           [(name, round(pull[name]), f"{alone[name]:.3f}") for name in sorted(alone, key=alone.get)])

# %% jupyter={"source_hidden": true}
attention, mlp = list(alone)[:4], list(alone)[4:]
book.verdicts({
    "The matrix with the largest Σ|G| is the best one alone": max(pull, key=pull.get) == min(alone, key=alone.get),
    "Σ|G| puts the four of attention into the order of their losses":
        sorted(attention, key=pull.get) == sorted(attention, key=alone.get, reverse=True),
    "And the three of the MLP": sorted(mlp, key=pull.get) == sorted(mlp, key=alone.get, reverse=True),
    "Of the 38, every choice with down ends below every choice without, mean of three seeds":
        max(loss for choice, loss in losses.items() if "down" in choice)
        < min(loss for choice, loss in losses.items() if "down" not in choice)})

# %% [markdown]
# A rule from seven points on one model: try it on yours before you believe it. It says nothing about pairs. Here
# it matters most whether down is among them.
#
# ### A score has three parts
# Adapters on q and k meet in a product, $(q_0+\Delta q)^\top(k_0+\Delta k)$.

# %%
book.card(lora.a_score_has_three_parts)

# %% [markdown]
# How large are they? Measured in the second layer, on verses that it does not train on:

# %%
def fresh(targets):
    model = lb.load("tiny").model
    return model, lb.inject(model, lb.LoRA(8, 16), targets, torch.Generator().manual_seed(0))


tokens = KJV.corpus.val[:512].view(8, 64)
model, _ = fresh("q_proj|k_proj")
parts = pictures.ScoreParts(model, 1, tokens)
lb.fit(model, KJV.stream(0), steps=20, lr=8e-3, on_step=parts, progress=False)
parts.picture("The first-order part leads. The second follows, once q and k have both moved.")

# %% [markdown]
# ### Gate times up
# The MLP is $\mathrm{down}(\mathrm{silu}(\mathrm{gate}\,x)\odot\mathrm{up}\,x)$: another product.

# %%
book.card(lora.false_adapters_of_a_block_add_up)

# %% [markdown]
# Gains in loss do not add up either. Train all seven, then keep only some:

# %%
model, layers = fresh("_proj")
lb.fit(model, KJV.stream(0), steps=20, lr=8e-3, progress=False)


def gain(kept):
    part = copy.deepcopy(model)
    for name, layer in lb.adapted(part).items():
        if kept not in name:
            torch.nn.init.zeros_(layer.update.B)
    return KJV.score(base) - KJV.score(part)


gains = {kept: gain(kept) for kept in ("gate", "up", "down", "self_attn", "_proj")}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
*some, whole = gains.values()
book.table(("adapters kept", "gain over the base, nats"), [
    *((name, f"{gains[name]:.2f}") for name in ("gate", "up", "down")), ("attention's four", f"{some[3]:.2f}"),
    ("the sum of these", f"{sum(some):.2f}"), ("all", f"{whole:.2f}")])

# %% [markdown]
# What an adapter gains alone does not tell you what it adds to the others.
#
# ### Not only Linear
# A convolution's kernel is a matrix too: flatten it to $c_{out}\times c_{in}k^2$.

# %%
book.card(lora.a_convolution_is_a_bottleneck)

# %% [markdown]
# A small net reads digits. Turn them by a quarter, and adapt its three convolutions:

# %%
*_, DIGITS = TASKS
net = copy.deepcopy(DIGITS.base)
before = DIGITS.more(net)["accuracy"]
lb.inject(net, lb.LoRA(4, 8), "conv", torch.Generator().manual_seed(0))
history = lb.fit(net, DIGITS.stream(0), steps=DIGITS.steps, lr=1e-2, loss=DIGITS.loss, progress=False)

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
print(f"turned digits read: {before:.0%} before, {DIGITS.more(net)['accuracy']:.0%} after")

# %% [markdown]
# In an embedding, row $i$ of the table is $W$ times a one-hot vector, so $A$ learns in the columns of the tokens that it
# reads.

# %%
book.card(lora.an_embedding_learns_what_it_reads)

# %% [markdown]
# $B$ is shared: once it moves, every row of the table does. Often the table is also the head. Adapt one of the two, and
# you have untied them. The library refuses:

# %%
try:
    lb.inject(copy.deepcopy(base), lb.LoRA(), "embed_tokens")
except ValueError as error:
    print(error)

# %% [markdown]
# ## Measured
# Ten seeds each; the row LoRA is all seven. Look at the Bible, then switch the task to `facts-512`: 512 invented facts.

# %%
book.measured("LoRA on attention", "LoRA on MLP")

# %% jupyter={"source_hidden": true}
bible, facts = pictures.ended("kjv"), pictures.ended("facts-512")
means = {name: sum(losses) / len(losses) for name, losses in bible.items()}
book.verdicts({
    "The Bible: attention alone ends above all seven, with every seed":
        all(map(float.__gt__, bible["LoRA on attention"], bible["LoRA"])),
    "The Bible: the MLP alone ends lower than all seven, on average": means["LoRA on MLP"] < means["LoRA"],
    "The Bible: it does with every seed": all(map(float.__lt__, bible["LoRA on MLP"], bible["LoRA"])),
    "Invented facts: the worst seed of the MLP ends below 0.5 nats": max(facts["LoRA on MLP"]) < 0.5,
    "Invented facts: the best seed of attention does": min(facts["LoRA on attention"]) < 0.5})

# %% [markdown]
# More places are not better *at equal numbers*. Here the MLP is worth more than attention, on new facts by far: adapters on
# attention learn none of them. All seven learn them with some seeds and not with others. QLoRA's authors report that it
# takes all layers to match full fine-tuning of LLaMA 7B. This model is small: on yours, try the MLP and all seven.
#
# ## How to get rid of it
# $W_0+sBA$ is a matrix like any other. `lb.merge(model)` puts it into a plain layer, and LoRA is gone:

# %%
book.source(layers["layers.0.mlp.down_proj"].plain)

# %% [markdown]
# What the path saves are the thin products, in every pass from then on. It is exact in real numbers. In which dtype do
# you add?

# %%
@torch.no_grad()
def merged_in(dtype):
    model_in = copy.deepcopy(model).to(dtype)
    apart, loss = model_in(tokens).double(), KJV.score(model_in)
    with lb.merged(model_in):
        gap = (model_in(tokens).double() - apart).abs().max() / apart.abs().max()
        return gap.item(), loss, KJV.score(model_in)


found = {str(dtype)[6:]: merged_in(dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16)}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("merged in", "largest change of a logit, over the largest logit", "loss before", "loss merged"),
           [(name, f"{gap:.0e}", *(f"{loss:.4f}" for loss in losses)) for name, (gap, *losses) in found.items()])

# %% [markdown]
# bf16 keeps 8 bits of a number. So the sum is rounded to the grid of $W_0$, even if you add in float32 and round once. What
# falls between two points of the grid is lost. Make ΔW smaller, and more of it does:

# %%
w0 = torch.cat([layer.base.matrix.flatten() for layer in layers.values()]).bfloat16()
change = torch.cat([(layer.update.s * layer.update.B @ layer.update.A).detach().flatten() for layer in layers.values()])


def rounded(delta):
    w = (w0 + delta).bfloat16()
    lost = (w.float() - w0 - delta).norm() / delta.norm()
    return (w == w0).float().mean().item(), lost.item(), (w - delta.bfloat16() != w0).float().mean().item()


shares = {shrink: rounded(shrink * change) for shrink in (1, 0.1, 0.01)}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("ΔW", "entries that merging leaves as they were", "‖what is lost‖ over ‖ΔW‖"),
           [(f"× {shrink:g}", f"{deaf:.0%}", f"{lost:.0%}") for shrink, (deaf, lost, _) in shares.items()])

# %% [markdown]
# After few steps or at a low rate, evaluate the *merged* model, or merge and keep it in float32. The other thing you lose
# is the way back.

# %%
book.card(lora.false_subtracting_gives_w0_back)

# %% [markdown]
# So keep $W_0$. `with lb.merged(model):` keeps the adapted layers aside, and puts them back bit for bit.
#
# ### What it buys
# Unmerged, each adapted matrix costs two thin products and a sum more: little arithmetic, but each is a call.

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
# Merge one, train the next on it. In $W$ they add up, and the second fits only the merged base that it was trained on.

# %%
book.card(lora.stacked_adapters_add_up)

# %% [markdown]
# ## When, when not
# * **Where**: all seven, or the MLP. Compare choices at equal numbers, each at its own rate.
# * **q and v** alone is a habit. New facts want the MLP.
# * **Few places at a higher rank** where calls cost: unmerged, many small adapters are slow.
# * **Out of memory**: down keeps most for backward, o least. Here down is also worth most.
# * **Merge** when you serve one adapter. Keep it apart when many share a base (chapter 24), and over four bits (chapter 10).
# * **Before you ship**: the right $W_0$, the scale $\alpha/r$, the way the layer stores its weight, the dtype of the sum.
#   Then compare the logits of both models.
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

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
best, next_best = sorted(alone, key=alone.get)[:2]
guess_one.look_back(f"{best}, {alone[best]:.3f} nats; {next_best} follows with {alone[next_best]:.3f}")

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
guess_back.look_back(f"{shares[1][2]:.0%}, of this ΔW; {shares[0.01][2]:.1%} if it is a hundredth as large")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. A paper finds "all layers" better than "q and v", rank 16 on both. What has it compared?</summary>
# Places and numbers at once. Give q and v the rank that costs the same, and its own rate.</details>
#
# <details><summary>2. Your merged bf16 model scores like the base. Nothing crashed. Two suspects?</summary>
# ΔW is so small that rounding swallowed it; or the scale was left out, and α/r is large.</details>
#
# <details><summary>3. Adapter 2 was trained on the base merged with adapter 1. You load it on the base. What is W?</summary>
# W₀ + s₂B₂A₂: what adapter 1 added is missing.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of attention scores, and whether it holds",
    lora.false_rotation_may_be_left_out,
    lora.the_parts_grow_as_s_and_s_squared,
    lora.false_the_whole_change_is_proportional_to_alpha,
)

# %%
book.fold(
    "What else is said of layers and blocks, and whether it holds",
    lora.false_one_by_one_comes_first,
    lora.a_bottleneck_takes_over_the_geometry,
    lora.false_only_rows_that_were_read_change,
    lora.gate_and_up_multiply,
    lora.swiglu_merges,
    lora.the_first_block_reads_the_embedding,
    lora.false_every_block_reads_the_embedding,
    lora.every_layer_gets_the_same_rank,
)

# %%
book.fold(
    "What else is said of merging and of adapters in use, and whether it holds",
    lora.false_merging_is_exact_in_bf16,
    lora.going_back_keeps_w0,
    lora.false_stacked_adapters_average,
    lora.the_scale_is_there_in_every_phase,
    lora.false_the_scale_enters_at_inference,
    lora.no_scale_is_alpha_equal_to_r,
    lora.only_the_factors_change,
    lora.switched_off_is_the_original,
    lora.false_an_adapted_layer_computes_the_original,
    lora.false_a_fresh_layer_starts_at_the_base,
    lora.rows_take_the_transposed_product,
    lora.false_rows_take_b_times_a_transposed,
)

# %% [markdown]
# **Sources.** Hu et al. 2021 (2106.09685): section 4.2, which freezes the MLP, and 7.1, which compares attention's four at
# equal numbers on GPT-3 and reports q with v as the best. Dettmers et al. 2023 (2305.14314): section 4 for all layers. PEFT:
# `target_modules`, `fan_in_fan_out`, `merge_and_unload`. What no run here can settle, such as a ranking of places by
# benchmarks of large models, is in the ledger of the start page.
