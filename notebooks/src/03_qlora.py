# %% [markdown]
# # 03 · QLoRA
#
# > **The base does not fit on my GPU. If I keep it in 4 bits, what do I lose, and who pays for it?**
#
# A frozen matrix is only ever read. So it may be kept in any form from which it can be read back well enough. QLoRA keeps
# it in four bits a weight and trains LoRA's factors, in full precision, on top of what is read back.
#
# **After this chapter** you can quantise a block by hand, derive the sixteen numbers of NF4, say what a weight really
# costs in bits, predict which quantity shrinks and which does not, and combine a 4-bit base with any other variant.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | base | QLoRA, QDoRA, QPiSSA | chapter 02: A, B, the scale, merging; quantiles of a normal distribution |
#
# The axis of this chapter is the **base**: how W₀ is kept. Nothing else moves.

# %%
import copy
import time

import torch
from IPython.display import Markdown

import lorabook as lb
from lorabook.axes.base.blocks import in_blocks
from lorabook.axes.base.code_books import int4_codes, lloyd_max, nearest_in, nf4_codes, seventeenths
from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.axes.base.nf4 import NF4, NF4Storage
from lorabook.axes.base.normal_float import count_midpoints_below, nearest_code, quantile_codes
from lorabook.book import reading as book
from lorabook.book.exercises import bits, nearest
from lorabook.book.figures import quantisation as pictures
from lorabook.claims.card import card, source
from lorabook.claims.qlora import double_quant as double
from lorabook.claims.qlora import nf4
from lorabook.claims.qlora import qlora as claims
from lorabook.core.dense import Dense
from lorabook.core.frozen import Frozen
from lorabook.core.lora import ORIGIN
from lorabook.tasks import text

book.axis_strip("base")

# %% [markdown]
# ## 1 · Predict
# Three guesses before any result. Nobody grades them.

# %%
guess_error = book.predict(
    "Each weight of a matrix is replaced by one of 16 numbers per block. How far is the matrix off, ‖W − Ŵ‖/‖W‖?",
    book.Choice("your answer", ("0.1%", "1%", "3%", "10%", "30%")))
guess_error

# %%
guess_speed = book.predict(
    "The same training step, once with W₀ in 32 bits and once in 4. The 4-bit one is …",
    book.Choice("your answer", ("8 times faster", "twice as fast", "as fast", "slower")))
guess_speed

# %%
guess_merge = book.predict(
    "You train an adapter on the 4-bit base, add it to Ŵ and store the sum in 4 bits again. What is left of what it "
    "learnt?",
    book.Choice("your answer", ("all of it", "nearly all", "about half", "little or nothing")))
guess_merge

# %% [markdown]
# ## 2 · The smallest case
# Eight weights, sixteen codes, `torch` alone. Divide the block by its largest size, the **absmax** $c$. Now every number
# lies on $[-1,1]$. Write down, for each, the number of the nearest code. What is stored: eight numbers from 0 to 15, and $c$.

# %%
w = torch.tensor([0.31, -0.42, 0.05, 0.00, -0.18, 0.77, -0.02, 0.29], dtype=torch.float64)
codes = nf4_codes()
c = w.abs().max()
stored = (w[:, None] / c - codes).abs().argmin(1)
print("stored:", stored.tolist(), "and c =", c.item())
print("read back:", [round(v, 2) for v in (c * codes[stored]).tolist()])
print("was:      ", w.tolist())

# %% [markdown]
# Look at the pairs. The largest weight and the zero come back exactly. Small weights come back closely, and -0.42 and 0.31
# less so. That is a choice: there are many small weights and few large ones, so the codes lie dense where weights are.
#
# Now put one wild weight into the block, and read the other seven again:

# %%
wild = torch.cat([w, torch.tensor([6.0], dtype=torch.float64)])
c = wild.abs().max()
back = c * codes[(wild[:, None] / c - codes).abs().argmin(1)]
print("read back:", [round(v, 2) for v in back.tolist()])

# %% [markdown]
# One outlier, and its whole block collapses onto two or three codes. That is why blocks are small (64), and why every block
# pays for a constant of its own.
#
# ## 3 · The derivation
# ### Sixteen numbers
# Trained weights look roughly normal. If a number is normal, and you may use 16 values, spread the values evenly in
# *probability*: take quantiles, $\Phi^{-1}(p)$ for evenly spaced $p$, where $\Phi$ is the normal distribution function. Two
# details make NF4 of this idea. The largest probability is not 1, because $\Phi^{-1}(1)=\infty$. And the two sides are built
# apart, 8 values above zero and 7 below, so that **zero itself is a code**.

# %%
card(nf4.nf4_is_two_rows_of_quantiles)

# %% [markdown]
# You will often find a shorter formula in print. It gives sixteen plausible numbers, and no zero among them.

# %%
card(nf4.false_nf4_is_seventeenths)

# %%
source(quantile_codes)

# %% [markdown]
# A padded or pruned weight is exactly zero, and stays so:

# %%
card(nf4.zero_stays_zero)

# %%
card(nf4.false_symmetric_quantiles_keep_zero)

# %% [markdown]
# ### A block
# With $c_j$ the absmax of block $j$, every weight becomes $\hat w=c_j\cdot$ (the code nearest to $w/c_j$).

# %%
card(nf4.nf4_stores_the_nearest_code)

# %% [markdown]
# The most common stand-in for NF4 in teaching code is plain rounding, `round(w / s)` with `s = absmax / 7`. It is a fine
# format. It is not this one:

# %%
card(nf4.false_nf4_is_rounding_by_sevenths)

# %% [markdown]
# How wrong can one weight be? Half the widest gap between two codes, times the block's constant. Quantising what has been
# quantised changes nothing, because every number already sits on a code:

# %%
card(nf4.error_is_half_a_gap)

# %%
card(nf4.false_error_is_a_fifteenth)

# %%
card(nf4.quantising_twice_is_quantising_once)

# %% [markdown]
# ### Is it optimal?
# Often said: NF4 is information-theoretically optimal. For a number drawn from a normal distribution, evenly probable codes
# use all 4 bits. But what gets a code is $w/c_j$, a number divided by the largest of its 64 neighbours, and that is no
# longer normal. So the codes are *not* used equally often,

# %%
card(nf4.codes_differ_in_use)

# %%
card(nf4.false_codes_are_used_equally)

# %% [markdown]
# … and 16 other codes make a smaller squared error. Lloyd's algorithm finds some:

# %%
card(nf4.sixteen_better_codes_exist)

# %%
card(nf4.false_nf4_is_optimal)

# %% [markdown]
# What NF4 does have over evenly spaced integers depends on the weights being bell-shaped:

# %%
card(nf4.nf4_beats_int4_on_normal_weights)

# %%
card(nf4.false_nf4_beats_int4_on_uniform_weights)

# %% [markdown]
# ### What a weight costs
# A 4-bit code is 4 bits, and the constant of its block is 32 bits for 64 weights: $4+\frac{32}{64}=4.5$. QLoRA quantises the
# constants too. Absmaxes are all positive, so their mean comes off first; the rest goes into 8 bits, 256 of them to a
# float32. That is **double quantisation**.

# %%
card(double.double_quantisation_takes_4_127_bits)

# %%
card(double.false_four_bits_are_four_bits)

# %%
card(double.false_double_quantisation_takes_4_5_bits)

# %%
card(double.centring_the_constants_pays)

# %%
card(double.false_centring_the_constants_is_idle)

# %% [markdown]
# Half a bit sounds like nothing. On 70 billion weights it is 3.3 GB. And while we count:

# %%
card(double.seventy_billion_weights_take_36_gigabytes)

# %%
card(double.false_seventy_billion_weights_take_10_gigabytes)

# %% [markdown]
# ### What the training sees
# The forward pass reads $\hat W$ back and multiplies with it. So the gradient that reaches the layer below is that of
# $\hat W$; the original $W_0$ plays no part any more.

# %%
card(claims.gradient_sees_the_dequantised_weight)

# %%
card(claims.false_gradient_sees_the_original_weight)

# %% [markdown]
# And the products? There are as many as before. Reading back comes on top. QLoRA saves **storage**, not work:

# %%
card(claims.qlora_saves_no_products)

# %%
card(claims.false_qlora_saves_three_quarters)

# %% [markdown]
# ## 4 · The code
# The nearest code, as the paper says it; then the way it is computed. The codes are sorted, so the nearest is found by
# counting midpoints: 15 comparisons, no search, one byte at a time.

# %%
source(nearest_code)

# %%
source(count_midpoints_below)

# %%
card(nf4.nearest_code_is_a_count)

# %% [markdown]
# The store keeps bytes and gives a matrix back. `DoubleQuant` is the whole of QLoRA's axis:

# %%
source(DoubleQuant)

# %% [markdown]
# One trap is easy to miss. $\partial L/\partial x=\hat W^\top\,\partial L/\partial y$ needs $\hat W$ in the backward pass, and
# autograd would simply keep it: the dense matrix of every layer, all at once. Then nothing is saved at all. So the layer keeps
# a note of how to view $\hat W$, and reads it back a second time.

# %%
source(Frozen.times_w0)

# %%
card(claims.nothing_dense_is_kept)

# %%
card(claims.false_autograd_keeps_four_bits)

# %% [markdown]
# ## 5 · The explorers
# Above, the number line: where the codes lie. Below, 256 normal weights in blocks: what goes in, and what comes back.

# %%
book.codebook(torch.Generator().manual_seed(0))

# %% [markdown]
# 1. Drag the outlier up. At which size do its neighbours use fewer than half of the codes? What does the block size do to that?
# 2. Without an outlier, switch between the three tables. Which one loses a number that the others keep?
# 3. Blocks of 16 lose less. What do they cost in bits, and when would you pay it?
#
# Now the bill for a whole model. Every number comes from the formulas of `lorabook.cost.memory`.

# %%
book.memory_calculator()

# %% [markdown]
# 1. Choose 70B. Which methods fit 80 GiB? Which part decides it, and which control moves that part?
# 2. Put QLoRA on 7B and double the length until it no longer fits 24 GiB. It was not the weights. What was it?
# 3. Switch 8-bit AdamW on for full fine-tuning, then for QLoRA. Why does it matter in one and not in the other?
#
# ## 6 · On a real model
# ### What 4 bits do to it
# The shipped base again. First its weights: are they normal enough? The histogram shows all of them, each divided by the
# absmax of its block.

# %%
base = lb.load("tiny")
layers = {name: layer.weight.detach() for name, layer in base.model.named_modules() if name.endswith("_proj")}
blocks = torch.cat([in_blocks(weight) for weight in layers.values()])
normalised = (blocks / blocks.abs().amax(1, keepdim=True)).flatten()
books = {"NF4": nf4_codes(), "even steps": int4_codes(), "Φ⁻¹(i/17)": seventeenths()}
pictures.codes_on_the_line(normalised[::7], books, ["Φ⁻¹(i/17)"], "NF4's codes lie where the weights are.")

# %%
def off_by(quantise):
    errors = [(quantise(w) - w).norm() / w.norm() for w in layers.values()]
    return 100 * sum(errors).item() / len(errors)


better = lloyd_max(torch.cat([w.flatten() for w in layers.values()]).double())
tables = {"Lloyd–Max on these weights": better, "NF4": nf4_codes(), "Φ⁻¹(i/17), often said": seventeenths(),
          "even steps (int4)": int4_codes()}
errors = {name: off_by(lambda w, table=table: nearest_in(w.double(), table)) for name, table in tables.items()}
pictures.bars(errors, "‖W − Ŵ‖ / ‖W‖, mean of 28 matrices (%)",
              "Sixteen numbers leave about a tenth of the matrix out.", ["Φ⁻¹(i/17), often said"])

# %%
print({name: f"{value:.0f}%" for name, value in errors.items()})

# %% [markdown]
# A tenth, whichever table. That sounds like a disaster. It is not the loss, though. What does the model say about text it
# has not seen?

# %%
austen = text.tokenize("austen", text.read("austen")[-300_000:], base.tokenizer)
kjv = text.tokenize("kjv", text.read("kjv")[-400_000:], base.tokenizer)


def with_weights(quantise):
    model = copy.deepcopy(base.model)
    for name in layers:
        weight = model.get_submodule(name).weight
        weight.data = quantise(weight.data.double()).to(weight.dtype)
    return model


def loss(model, corpus=austen):
    return text.evaluate(model, corpus, pieces=16).nats_per_token


whole = loss(base.model)
damage = {name: loss(with_weights(lambda w, table=table: nearest_in(w, table))) - whole
          for name, table in tables.items()}
rows = [f"| {name} | {errors[name]:.0f}% | {cost:+.2f} |" for name, cost in damage.items()]
Markdown(f"The base in full precision: {whole:.2f} nats per token.\n\n"
         "| codes | error of the weights | error in nats per token |\n| --- | --- | --- |\n" + "\n".join(rows))

# %% [markdown]
# Errors of single weights point in all directions and mostly cancel in a sum of 192 terms. A tenth of every matrix is off, and
# the model hardly notices (last column). Notice something else: the table "often said" is no worse here. A formula can be wrong
# as a statement about NF4 and still make a usable table; what it lacks is the zero.
#
# ### Training on what is left
# Now the question of the chapter. LoRA on the whole base, and on the same base in 4 bits. Two more variants join in, because
# combining is only a bar: `QLoRA | DoRA` and `QLoRA | PiSSA`. All at rank 8 and the same rate, three seeds.

# %%
STEPS, SEEDS = 24, (0, 1, 2)
recipes = {"LoRA": lb.LoRA(r=8, alpha=16), "QLoRA": lb.QLoRA(r=8, alpha=16),
           "QDoRA": lb.QLoRA(r=8, alpha=16) | lb.DoRA(), "QPiSSA": lb.QLoRA(r=8, alpha=16) | lb.PiSSA()}
for name, recipe in recipes.items():
    print(f"{name:7} moves on: {', '.join(recipe.changes(ORIGIN)) or 'nothing'}")

# %%
def trained(recipe, seed, lr=5e-3):
    model = copy.deepcopy(base.model)
    lb.inject(model, recipe, targets="_proj", generator=torch.Generator().manual_seed(seed))
    batches = text.batches(kjv, 4, 128, torch.Generator().manual_seed(seed))
    return model, lb.fit(model, batches, steps=STEPS, lr=lr, progress=False)


runs = {name: [trained(recipe, seed) for seed in SEEDS] for name, recipe in recipes.items()}
curves = {name: [history.losses for _, history in seeds] for name, seeds in runs.items()}
pictures.losses(loss(base.model, kjv), curves, "On a 4-bit base the same adapter learns as well.")

# %% tags=["nbval-ignore-output"]
final = {name: torch.tensor([loss(model, kjv) for model, _ in seeds]) for name, seeds in runs.items()}
start = loss(base.model, kjv)
for name, values in final.items():
    gain = (start - values) / (start - final["LoRA"].mean())
    print(f"{name:7} {values.mean():.3f} ± {values.std():.3f} nats per token;  {gain.mean():4.0%} of LoRA's gain")

# %% [markdown]
# What must hold for this chapter to stand; a "no" here means that the text is wrong for your model:

# %%
told = {
    "QLoRA keeps at least 90% of LoRA's gain":
        ((start - final["QLoRA"]) / (start - final["LoRA"].mean())).mean() > 0.9,
    "every QLoRA run beats the untrained base in full precision": final["QLoRA"].max() < start,
    "QDoRA trains as well as QLoRA, within 0.05 nats": (final["QDoRA"].mean() - final["QLoRA"].mean()).abs() < 0.05,
    "QPiSSA at least matches QLoRA, within 0.05 nats": final["QPiSSA"].mean() < final["QLoRA"].mean() + 0.05,
}
for statement, holds in told.items():
    print("yes" if holds else "no ", statement)

# %% [markdown]
# The adapter is trained *on the damaged base*. Part of what it learns is to make up for the damage. It is the base that pays,
# and the adapter that pays back.
#
# The papers report more: that QLoRA reaches 16-bit fine-tuning on large models. Here you see it for one small model, one
# task and 24 steps, no more.
#
# ### What shrinks, and what does not
# Bytes of one `up_proj`, bytes of all 28 matrices, and the time of a step, on this machine:

# %%
one = layers["layers.0.mlp.up_proj"]
for store in (Dense, NF4, DoubleQuant):
    total = sum(store(w).nbytes for w in layers.values())
    print(f"{store.__name__:12} {store(one).nbytes:7,} bytes for one, {total:9,} for all: "
          f"{8 * total / sum(w.numel() for w in layers.values()):.2f} bits a weight")

# %% tags=["nbval-ignore-output"]
def seconds(recipe):
    model = copy.deepcopy(base.model)
    lb.inject(model, recipe, targets="_proj")
    batches = text.batches(kjv, 4, 128, torch.Generator().manual_seed(0))
    lb.fit(model, batches, steps=2, lr=1e-3, progress=False)
    began = time.process_time()
    lb.fit(model, batches, steps=4, lr=1e-3, progress=False)
    return time.process_time() - began


ratio = seconds(recipes["QLoRA"]) / seconds(recipes["LoRA"])
print(f"a QLoRA step takes {ratio:.2f} of a LoRA step's processor time here")

# %% [markdown]
# With small batches, reading back weighs most. With 4 × 128 tokens on this model it is a fraction of a step; on a large GPU it
# is one, too. Faster it is not: nothing was taken away.
#
# ### Merging, and what it costs
# Merging into a *dense* weight is exact, as in chapter 02. Merging into the 4-bit weight quantises anew.

# %%
card(claims.merging_into_a_dense_weight_is_exact)

# %%
card(claims.false_merging_into_four_bits_is_exact)

# %% [markdown]
# How bad is it? An update is small beside the gaps between codes. Most weights fall back onto the code that they came from.

# %%
card(claims.requantising_eats_a_small_update)

# %%
card(claims.false_requantising_keeps_a_small_update)

# %% [markdown]
# On the model, then: once trained gently, with a tenth of the rate, once as above. How far did the weights move, and how much
# of the gain is lost when Ŵ + ΔW goes back into 4 bits?

# %%
def lost_in_four_bits(model):
    moved = [(layer.weight.tensor() - layer.base.matrix).norm() / layer.base.matrix.norm()
             for layer in lb.adapted(model).values()]
    with lb.disabled(model):
        at_start = loss(model, kjv)
    learnt = loss(model, kjv)
    with lb.merged(model):
        squeezed = copy.deepcopy(model)
    for name in layers:
        weight = squeezed.get_submodule(name).weight
        weight.data = NF4(weight.data).dense()
    return (sum(moved) / len(moved)).item(), at_start - learnt, (loss(squeezed, kjv) - learnt) / (at_start - learnt)


gentle = trained(recipes["QLoRA"], seed=0, lr=5e-4)[0]
lost = {name: lost_in_four_bits(model) for name, model in {"gentle": gentle, "as above": runs["QLoRA"][0][0]}.items()}

# %% tags=["nbval-ignore-output"]
for name, (moved, gain, gone) in lost.items():
    print(f"{name:9} ‖ΔW‖ is {moved:5.1%} of ‖Ŵ‖, gain {gain:.2f} nats; of that, merging into 4 bits loses {gone:4.0%}")

# %% [markdown]
# Two regimes. A small update lies *between* the codes: every weight falls back onto the code it came from, and the merged
# model has forgotten. A large one steps over them, and what rounding then adds is noise, which mostly cancels. Real
# fine-tuning is of the first kind more often than of the second. So: **keep the adapter apart, or merge into 16 bits.** And
# note which base you merge into: the adapter was trained on $\hat W$, so it belongs on $\hat W$, not on the original $W_0$.
#
# ### PiSSA on a 4-bit base
# `QLoRA | PiSSA` first takes the strongest directions out of $W_0$ and quantises *what is left*. What is left has smaller
# outliers and a smaller norm. So less is lost before training starts:

# %%
def start_error(recipe):
    model = copy.deepcopy(base.model)
    found = lb.inject(model, recipe, targets="_proj")
    return {name: ((layer.weight.tensor() - layers[name]).norm() / layers[name].norm()).item()
            for name, layer in found.items()}


plain, pissa = start_error(recipes["QLoRA"]), start_error(recipes["QPiSSA"])
kinds = sorted({name.rsplit(".", 1)[1] for name in layers})
rows = []
for kind in kinds:
    both = [sum(e for name, e in found.items() if name.endswith(kind)) / 4 for found in (plain, pissa)]
    rows.append(f"| {kind} | {both[0]:.1%} | {both[1]:.1%} |")
Markdown("| matrix | QLoRA | QPiSSA, r = 8 |\n| --- | --- | --- |\n" + "\n".join(rows))

# %% [markdown]
# A little less, everywhere, at rank 8. The paper reports more at higher ranks and on larger models, whose spectra fall faster.
#
# ### The same on a larger model
# With a CUDA device this cell does it for SmolLM2-135M; without one it says so.

# %% tags=["nbval-ignore-output"]
if torch.cuda.is_available():
    big = lb.load("smollm2", device="cuda")
    broad = text.tokenize("kjv", text.read("kjv")[-400_000:], big.tokenizer)
    for name in ("LoRA", "QLoRA"):
        model = copy.deepcopy(big.model)
        lb.inject(model, recipes[name], targets="_proj", generator=torch.Generator().manual_seed(0))
        history = lb.fit(model, text.batches(broad, 8, 256, torch.Generator().manual_seed(0)), steps=60, lr=5e-4)
        print(f"{name:6} {history.losses[0]:.2f} → {history.final():.2f} nats per token")
else:
    print("No CUDA device here: this cell is for machines with one.")

# %% [markdown]
# ## 7 · When, when not, with what
# * **Use it** when the base does not fit otherwise. That is its purpose, and it is a good one: the weights shrink by 3.9 against
#   16 bits, and what is learnt hardly suffers.
# * **Do not** when the base fits. You pay with time in every step and with a damaged base, and gain nothing. Activations do not
#   shrink: for long texts, checkpointing does more.
# * **It composes** with everything that is not about storage: `QLoRA | rsLoRA | LoRAPlus`, QDoRA (the magnitude starts at the
#   row lengths of $\hat W$), QPiSSA (it is the residual that is quantised). Two stores on one layer conflict, and say so:

# %%
from dataclasses import replace

try:
    lb.QLoRA() | replace(lb.LoRA(), base=NF4Storage(), names=frozenset({"NF4 without double quantisation"}))
except lb.AxisConflict as conflict:
    print(conflict)

# %% [markdown]
# ## 8 · Exercises

# %%
book.show(nearest.EXERCISE)

# %%
def quantise(w, codes):
    ### BEGIN SOLUTION
    scale = w.abs().max()
    return scale * codes[(w[:, None] / scale - codes).abs().argmin(1)]
    ### END SOLUTION


book.check(nearest.EXERCISE, quantise)

# %%
book.hint(nearest.EXERCISE, 1)

# %%
book.show(bits.EXERCISE)

# %%
def bits_per_weight(block, group):
    ### BEGIN SOLUTION
    return 4 + 8 / block + 32 / (block * group)
    ### END SOLUTION


book.check(bits.EXERCISE, bits_per_weight)

# %%
book.hint(bits.EXERCISE, 1)

# %% [markdown]
# When it passes, use it: at which block size does a model of 70 billion weights no longer fit into 35.5 GB, with 256
# constants in a group?
#
# <details><summary>The answer</summary>
# 35.5 GB leave 8 · 35.5/70 = 4.057 bits for a weight. `bits_per_weight(143, 256)` is just below that, `bits_per_weight(142,
# 256)` just above: at 142 and below it does not fit. QLoRA's 64 takes 4.127 bits, 36.1 GB.</details>
#
# ## 9 · Look back
# Your three predictions:

# %%
guess_error.look_back(f"about {errors['NF4']:.0f}%")

# %% tags=["nbval-ignore-output"]
guess_speed.look_back(f"it takes {ratio:.2f} of the time: slower")

# %% tags=["nbval-ignore-output"]
guess_merge.look_back(f"{1 - lost['gentle'][2]:.0%} after gentle training, "
                      f"{1 - lost['as above'][2]:.0%} after a large update")

# %% [markdown]
# Before you go on, three questions from earlier chapters. Answer aloud; then open the answer.
#
# <details><summary>1. (01) You cut a matrix to its best rank 8. Which numbers tell you how much of ‖M‖² is lost?</summary>
# The singular values after the eighth: the sum of their squares.</details>
#
# <details><summary>2. (02) Why does B start at zero and A not?</summary>
# BA = 0 leaves the pretrained model as it is, and ∂L/∂B = s·G·Aᵀ is not zero only if A is not. Both zero never moves.</details>
#
# <details><summary>3. (02) r doubles and α stays. What happens to s?</summary>
# It halves: s = α/r. With rsLoRA it shrinks by √2.</details>
#
# **Sources.** Dettmers, Pagnoni, Holtzman, Zettlemoyer 2023 (2305.14314): QLoRA, NF4, double quantisation. Yoshida 2023
# (2306.06965): NF4 is not optimal, and why block size matters. Dettmers 2015 (1511.04561): the 8-bit dynamic code. Lloyd 1982;
# Max 1960: the best codes for a distribution. Meng, Wang, Zhang 2024 (2404.02948): PiSSA and QPiSSA. What is measured here is
# measured here; what a paper reports is the paper's.
