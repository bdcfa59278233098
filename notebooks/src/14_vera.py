# %% [markdown]
# # 14 · VeRA
#
# > **What if the matrices are random and only two vectors train?**
#
# LoRA gives every matrix a pair $A$, $B$ of its own, and trains both. VeRA (Kopiczko et al. 2023) draws **one** pair for the
# whole model, and freezes it. A matrix trains a vector $b$, one number an output, and a vector $d$ of $r$ numbers:
#
# $$\Delta W=\operatorname{diag}(b)\,B\,\operatorname{diag}(d)\,A$$
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | VeRA | chapter 02: LoRA's two gradients |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.axes.form import vera
from lorabook.book import reading as book
from lorabook.book.exercises import in_file, sliced
from lorabook.claims import vera as claims

book.axis_strip("form")

# %%
book.diagram("vera")

# %% [markdown]
# ## Predict

# %%
guess_gain = book.predict("The King James Bible. VeRA trains a twelfth of the numbers of LoRA of rank 8, each at its "
    "own rate. Of LoRA's gain in loss it keeps …", book.Steps("your answer", tuple(range(0, 101, 10)), "%"))
guess_gain

# %%
guess_rate = book.predict("VeRA's best learning rate, over LoRA's, is about …",
    book.Choice("your answer", ("1/10", "1/3", "1", "3", "10")))
guess_rate

# %% [markdown]
# ## See it
# Two layers share the grey pair. Each wants a $\Delta W$ of its own, and has the best $b$ and $d$ that we found. $b$ stands
# beside the rows that it scales, $d$ above the columns. In $\Delta W$ blue is positive, orange negative. *Reaches* 7%: so
# much of the wanted $\Delta W$, in squares. Below, a whole model is counted.

# %%
picture = book.shared_vectors(torch.Generator().manual_seed(0))
picture

# %% [markdown]
# 1. Set LoRA's rank to 2, and raise VeRA's until it trains about as many numbers. What do both reach of *two directions*?
#    Now let *no pattern* be wanted. Who has lost more?
# 2. The paper is often quoted with "97% fewer numbers than LoRA". Find two ranks for which that holds in *LLaMA-7B, q and
#    v*. Then set LoRA's rank to 1. From which rank of VeRA on is its file, with the pair, the larger one?
#
# <details><summary>Answers</summary>
#
# 1. At VeRA's rank 64: 88 numbers against 96. VeRA reaches 39% and 49%, LoRA all. Without a pattern VeRA reaches 26% and
# 27%, LoRA 28%. LoRA's lead is gone: it is made for few directions, and a random pair is made for none.
# 2. LoRA 16 and VeRA 256: 3.3%, or any smaller VeRA. Against LoRA of rank 1 it is half. With the pair VeRA's file is the
# larger one from rank 32 on.
#
# </details>
#
# ## Why
# ### What the two vectors do

# %%
book.card(claims.vera_scales_inside_and_outside)

# %% [markdown]
# Write it as a sum: $\Delta W=\sum_{k=1}^{r}d_k\,(b\odot B_k)A_k$, with $B_k$ column $k$ of $B$ and $A_k$ row $k$ of $A$.
# The directions $A_k$ are drawn, the same for all. $d$ mixes $r$ of them, and $b$ says how loud each output is. So
# $r$ can be large: it costs one number each, where LoRA pays $d_{in}+d_{out}$.
#
# What can be reached so? Multiply $b$ by 2 and $d$ by ½, and $\Delta W$ is unchanged: one number is lost.

# %%
book.card(claims.vera_reaches_few_dimensions)

# %%
book.card(claims.false_vera_reaches_what_lora_does)

# %% [markdown]
# ### One pair for all
# The pair is as large as the largest matrices need. A smaller one takes $A$'s first columns and $B$'s first rows.

# %%
book.card(claims.layers_share_one_pair)

# %% [markdown]
# ### How many fewer
# "97% fewer", "a tenth", "0.01%": all are said. There are two ranks in the formula, and who leaves one out can say anything.

# %%
book.card(claims.the_share_of_lora_has_two_ranks)

# %%
book.card(claims.false_ninety_seven_percent_always)

# %% [markdown]
# Fewer trained numbers mean a smaller file, and less for gradients and Adam. They do not mean less work:

# %%
book.card(claims.vera_computes_as_much_as_lora)

# %% [markdown]
# ## Look inside
# $b$ starts at 0, so $\Delta W=0$; $d$ starts at 0.1. As LoRA's $A$ at first, $d$ gets no gradient: it comes multiplied by
# $b$. Which of the two does the work? Train both, then $b$ alone, then both with a pair of its own for every matrix. 60 steps
# of Adam, one seed, each at the best rate that we found.

# %%
def train(lr, freeze_d=False, own_pairs=False):
    model, draw = lb.load("tiny").model, torch.Generator().manual_seed(0)
    for layer in lb.inject(model, lb.VeRA(r=64), "_proj", draw).values():
        layer.update.d.requires_grad_(not freeze_d)
        if own_pairs:  # of the shared pair's size, so that the numbers in it are as large
            new = [vera.kaiming_normalised(*m.shape, m, draw) for m in (layer.update.pair.A, layer.update.pair.B)]
            layer.update.pair = vera.Projections(*new)
    lb.fit(model, KJV.stream(0), steps=KJV.steps, lr=lr, progress=False)
    return KJV.score(model), sum(p.numel() for p in model.parameters() if p.requires_grad)


ways = {"b and d": {"lr": 0.064}, "b alone": {"lr": 0.36, "freeze_d": True},
        "b and d, a pair for each matrix": {"lr": 0.064, "own_pairs": True}}
ends = {name: train(**ways[name]) for name in book.progress(ways)}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
rows = [(name, f"{n:,}", str(ways[name]["lr"]), f"{end:.3f}") for name, (end, n) in ends.items()]
book.table(("what trains", "numbers", "rate", "nats per token"), rows)

# %% jupyter={"source_hidden": true}
both, alone, own = (end for end, _ in ends.values())
book.verdicts({
    "d, a fifth of the trained numbers, is worth something": alone - both > 0.01,
    "It is worth more than 0.1 nats": alone - both > 0.1,
    "A pair of its own for every matrix is better by more than 0.02 nats": both - own > 0.02})

# %% [markdown]
# $b$ alone comes close; with another seed it was level. But it wants six times the rate, for its $d$ stays at 0.1: at 0.064
# it ends 0.2 nats behind. **Two methods compared at one rate are two rates compared.** And sharing costs nothing that one
# seed could show.
#
# ## The code
# Definition, and path. Both vectors go into $B$, so that backward needs $Ax$ and never $x$:

# %%
book.source(vera.SharedPair.weight)

# %%
book.source(vera.SharedPair.forward)

# %% [markdown]
# And the file. The first layer's part holds the pair, all others only $b$ and $d$:

# %%
book.source(vera.SharedPair.kept)

# %% [markdown]
# PEFT can leave the pair out (`save_projection=False`) and draw it again from a seed. That saves most of the file, and bets
# that every PyTorch, now and later, draws the same numbers. Its default is to save it.
#
# ## Measured
# VeRA has rank 64 here, the most that this library lets a matrix of 64 rows have. LoRA of rank 2 and LoKr (chapter 13) are
# the smallest others.

# %%
table = book.measured("VeRA", "LoKr factor=8", "LoRA r=2")
table

# %% jupyter={"source_hidden": true}
line = {each.name: each for each in table.result.lines}
base, few, two, small = (line[name] for name in ("LoRA", "VeRA", "LoRA r=2", "LoKr factor=8"))
gain = {each.name: (table.result.start - each.mean) / (table.result.start - base.mean) for each in (few, two, small)}
book.verdicts({
    "VeRA ends above LoRA in every seed": bool((torch.tensor(few.scores) > torch.tensor(base.scores)).all()),
    "It trains less than a twelfth of LoRA's numbers, and keeps more than half of its gain":
        12 * few.trained < base.trained and gain["VeRA"] > 0.5,
    "LoRA of rank 2, with three times VeRA's numbers, keeps more than four fifths":
        two.trained > 3 * few.trained and gain["LoRA r=2"] > 0.8,
    "LoKr, with as many numbers as VeRA, ends within 0.05 of it": abs(small.mean - few.mean) < 0.05,
    "VeRA's best rate is more than ten times LoRA's": few.lr > 10 * base.lr,
    "VeRA keeps fewer bytes for backward than LoRA": few.backward_bytes < base.backward_bytes,
    "VeRA's step is faster than LoRA's": few.step_ratio < 1,
    "VeRA forgets less of Austen than LoRA": few.forgotten < base.forgotten})

# %% [markdown]
# Plainly: a quarter of a nat behind LoRA, at a twelfth of its numbers, and level with a LoKr of its size. The step costs more
# than LoRA's, for the rank is eight times as high. The paper reports LoRA's quality with a fraction of its numbers, on models
# far larger than this one. That this book cannot check.
#
# Train it beside LoRA, at its own rate first, and then at LoRA's, 0.008.

# %%
book.training_explorer("VeRA")

# %% [markdown]
# ## When, when not
# * **Take it** when the file is what counts: thousands of adapters of one model, or one sent over a thin line. All of them
#   share one pair. Keep it once, beside the base.
# * **Raise $r$ first**: it costs one number a matrix. It does cost time and memory, as LoRA's does.
# * **Leave it** when quality counts, or when you hope for speed: the pass is LoRA's, at a larger rank.
# * **Tune the rate anew**, upwards. LoRA's is far too low.
# * **With what**: QLoRA. Not with PiSSA or OLoRA, for the pair is random, nor with LoRA+, for no $B$ trains.
#
# ## Exercises
# Stuck? `book.hint(sliced.EXERCISE, 1)`, then 2, then 3; `book.solution(sliced.EXERCISE)` comes last.

# %%
book.show(sliced.EXERCISE)

# %%
def vera_delta(A, B, b, d, d_in):
    ### BEGIN SOLUTION
    return b[:, None] * (B[: len(b)] @ (d[:, None] * A[:, :d_in]))
    ### END SOLUTION


book.check(sliced.EXERCISE, vera_delta)

# %%
book.show(in_file.EXERCISE)

# %%
def count_in_file(shapes, layers, r, with_pair):
    ### BEGIN SOLUTION
    vectors = layers * sum(d_out + r for d_out, _ in shapes)
    tallest, widest = (max(sides) for sides in zip(*shapes, strict=True))
    return vectors + (r * (tallest + widest) if with_pair else 0)
    ### END SOLUTION


book.check(in_file.EXERCISE, count_in_file)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_gain.look_back(f"{gain['VeRA']:.0%}")

# %% tags=["nbval-ignore-output"]
guess_rate.look_back(f"{few.lr:.3f} over {base.lr:.3f}: {few.lr / base.lr:.0f} times, of rates a √2 apart")

# %% [markdown]
# Answer aloud, then open.
#
# <details><summary>1. Why may r be 256 in VeRA, where LoRA has 8?</summary>
# Each further direction costs VeRA one trained number, its d. LoRA pays a row of A and a column of B.</details>
#
# <details><summary>2. On q and v of LLaMA-7B, VeRA of rank 256 trains 0.28 M numbers. Why may its file be 9 MiB all the same?</summary>
# The pair: it has 2.1 M numbers. It need be kept only once, or drawn again from a seed.</details>
#
# <details><summary>3. Which gradient is zero at the first step, and what would happen with b frozen at its start?</summary>
# That of d, for it comes multiplied by b = 0. With b frozen at 0 nothing would ever move.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, what was not checked, the sources.

# %%
book.fold(
    "What else is said of VeRA, and whether it holds",
    claims.false_vera_is_a_vector,
    claims.vera_trains_d_out_plus_r,
    claims.false_vera_trains_twice_the_width,
    claims.false_a_ten_thousandth_of_lora,
    claims.ninety_seven_percent_at_gpt3,
)

# %% [markdown]
# **Sources.** Kopiczko, Blankevoort, Asano 2023 (2310.11454): equation 2, section 3.2 for the counts, table 1 for "97%",
# section 4 for its results. He et al. 2015 (1502.01852): the size of the random entries. PEFT: `VeraConfig`, with
# `save_projection` and `projection_prng_key`.
