# %% [markdown]
# # 10 · QLoRA
#
# > **The base does not fit on my GPU. If I keep it in 4 bits, what do I lose, and who pays for it?**
#
# A frozen matrix is only ever read. So keep it in any form from which it can be read back well enough. QLoRA (Dettmers et
# al. 2023) keeps $W_0$ in four bits a weight, and trains LoRA's $A$ and $B$, which stay unquantised, on what is read back.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | base | QLoRA, QDoRA, QPiSSA, paged AdamW | chapter 02: LoRA, merging; chapter 08: PiSSA |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.axes.base import code_books, double_quant, nf4
from lorabook.book import reading as book
from lorabook.book.exercises import bits, nearest
from lorabook.book.figures import quantisation, spike
from lorabook.claims import paged_adamw, qdora, qlora

book.axis_strip("base")

# %%
book.diagram("qlora")

# %% [markdown]
# ## Predict

# %%
guess_damage = book.predict("All 28 matrices of the book's model go into four bits. Each comes back a tenth of its "
    "norm away. The loss on unseen Austen, 2.80 nats per token before, rises by about …",
    book.Choice("your answer", ("0.006", "0.06", "0.3", "1.5", "4: to guessing")))
guess_damage

# %%
guess_merge = book.predict("You train an adapter on that base for 30 steps at a gentle rate, add s·BA to the base, and "
    "put the sum into four bits again. Of what it had learnt there is left …",
    book.Choice("your answer", ("all of it", "nearly all", "about half", "next to nothing")))
guess_merge

# %% [markdown]
# ## See it
# A block of 64 weights shares one number, its **absmax** $c=\max|w|$. Each $w$ is stored as the place of the code nearest to
# $w/c$ in a table of 16, and comes back as $\hat w=c\cdot\text{code}$. Above, three tables, the codes in use filled; below,
# 256 random normal weights. Drag the outlier.

# %%
book.codebook(torch.Generator().manual_seed(0))

# %% [markdown]
# 1. Drag it to 8σ and switch the codes. Under which table do its neighbours come back best, under which worst?
# 2. Put it back to 0σ: an exact zero, as in a pruned matrix. Which table cannot store it? And what do blocks of 16 cost?
#
# <details><summary>Answers</summary>
#
# 1. NF4: an RMS error of 0.207σ. Even steps: 0.345σ. The outlier squeezes all others towards zero, and there NF4's codes
# lie dense.
# 2. Φ⁻¹(i/17): sixteen codes in pairs ±, and no zero among them. Blocks of 16 take 6 bits a weight: 4, and 32/16 for $c$.
#
# </details>
#
# ## Why
# ### Sixteen numbers
# Trained weights look roughly normal. So space the codes evenly in *probability*: take $\Phi^{-1}(p)$ at evenly spaced $p$,
# with $\Phi$ the normal distribution function. The outermost $p$ stays below 1, where $\Phi^{-1}$ is infinite. And the sides
# are built apart, 8 codes above zero and 7 below, so that zero itself is a code.

# %%
book.card(qlora.nf4_is_two_rows_of_quantiles)

# %% [markdown]
# ### What a weight costs
# A constant of 32 bits for 64 weights makes 4.5 bits. QLoRA quantises the constants too: all are positive, so their mean
# comes off; the rest goes into 8 bits each, and 256 of them share a float32.

# %%
book.card(qlora.double_quantisation_takes_4_127_bits)

# %% [markdown]
# ### What the model feels
# Put the book's model, trained on Austen, into each table. $E=\hat W-W_0$ is the error. By how much is a matrix off,
# $\lVert E\rVert/\lVert W_0\rVert$? And by how much does the loss rise, with $W_0+E$, and also with $W_0-E$ and $W_0+2E$?

# %% tags=["nbval-ignore-output"]
base = lb.load("tiny").model
w0 = {name: layer.weight.detach() for name, layer in base.named_modules() if name.endswith("_proj")}


def loss(weights, score):
    model = lb.load("tiny").model
    for name, w in weights.items():
        model.get_submodule(name).weight.data = w.float()
    return score(model)


def mean(values):
    return torch.stack(list(values)).mean().item()


tables = {"NF4": code_books.nf4_codes(), "Φ⁻¹(i/17)": code_books.seventeenths(), "even steps": code_books.int4_codes()}
errors = {table: {name: code_books.nearest_in(w.double(), codes) - w for name, w in w0.items()}
          for table, codes in tables.items()}
off = {table: mean(e.norm() / w0[name].norm() for name, e in found.items()) for table, found in errors.items()}
rise = {}
for text, score, factors in (("Austen", KJV.old, (1, -1, 2, -2)), ("Bible", KJV.score, (1, -1))):
    before = score(base)
    for table, found in book.progress(errors.items(), desc=text):
        for t in factors:
            rise[text, table, t] = loss({name: w + t * found[name] for name, w in w0.items()}, score) - before

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("codes", "off by", "Austen +E", "−E", "+2E", "Bible +E", "−E "), [
    (table, f"{off[table]:.1%}", *(f"{rise[text, table, t]:+.3f}".replace("-", "−")
     for text, t in (("Austen", 1), ("Austen", -1), ("Austen", 2), ("Bible", 1), ("Bible", -1))))
    for table in tables])

# %% [markdown]
# A tenth of every matrix is off, and the loss hardly moves. Why? It changes by
# $\langle G,E\rangle+\frac12\langle E,HE\rangle$, with gradient $G$ and curvature $H$. The base was trained on Austen until
# little of $G$ was left. So the second term decides: a tenth enters squared, and either sign of $E$ costs. In the mean of
# both signs it stands alone.

# %% jupyter={"source_hidden": true}
def both(table, t):
    return (rise["Austen", table, t] + rise["Austen", table, -t]) / 2


book.verdicts({
    "Austen: the opposite error, W₀ − E, raises the loss too, with every table":
        all(rise["Austen", table, t] > 0 for table in tables for t in (1, -1)),
    "Twice the error raises it four times as much, to a tenth, mean of both signs":
        all(abs(both(table, 2) / both(table, 1) - 4) < 0.4 for table in tables),
    "The Bible, never trained on: even steps lower the loss, and their opposite raises it":
        rise["Bible", "even steps", 1] < 0 < rise["Bible", "even steps", -1],
    "NF4 costs less than even steps on Austen": rise["Austen", "NF4", 1] < rise["Austen", "even steps", 1]})

# %% [markdown]
# ### What a step reads
# Forward: $y=\hat Wx+s\,BAx$. Backward needs $\hat W$ once more, for $\partial L/\partial x=\hat W^\top\partial L/\partial y$.
# Autograd would keep it: the dense matrix of every layer, all at once, and nothing would be saved. So a layer keeps a note
# in the place of $\hat W$, and reads $\hat W$ back a second time.

# %%
book.card(qlora.nothing_dense_is_kept)

# %% [markdown]
# Storage shrinks. Work does not:

# %%
book.card(qlora.false_qlora_saves_three_quarters)

# %% [markdown]
# ## The code
# The variant is one value on one axis:

# %%
book.source(lb.QLoRA)

# %% [markdown]
# And this is the product of a frozen layer. The hooks are the note that stands in for $\hat W$ until backward:

# %%
book.source(nf4.Frozen.times_w0)

# %% [markdown]
# ### Merging
# $\hat W+s\,BA$ into 16 bits is LoRA's merge. Into four bits it is rounded anew, and an update is small beside the gaps
# between codes.

# %%
book.card(qlora.false_requantising_keeps_a_small_update)

# %% [markdown]
# On the model: one adapter at a gentle rate, one at the best rate of the record.

# %% tags=["nbval-ignore-output"]
def train(lr, stops):
    model, stream, marks = lb.load("tiny").model, KJV.stream(0), []
    layers = lb.inject(model, lb.QLoRA(r=8, alpha=16), "_proj", torch.Generator().manual_seed(0))
    start, optimiser = KJV.score(model), torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    for step in book.progress(range(1, max(stops) + 1), desc=f"rate {lr}"):
        optimiser.zero_grad()
        KJV.loss(model, next(stream)).backward()
        optimiser.step()
        if step in stops:
            pairs = {name: (layer.base.matrix, layer.weight.tensor().detach()) for name, layer in layers.items()}
            marks.append(quantisation.Merged(
                step, mean((w - was).norm() / was.norm() for was, w in pairs.values()),
                mean(quantisation.recoded(*pair) for pair in pairs.values()), start, KJV.score(model),
                four_bits=loss({name: nf4.NF4(w).dense() for name, (_, w) in pairs.items()}, KJV.score),
                sixteen_bits=loss({name: w.bfloat16() for name, (_, w) in pairs.items()}, KJV.score)))
    return marks


runs = {"rate 0.0005": train(5e-4, (10, 20, 30)), "rate 0.008": train(8e-3, (1, 2, 4, 8, 30))}
quantisation.merging(runs, "In four bits a small update is lost. In 16 bits it is kept.")

# %% jupyter={"source_hidden": true}
gentle, best = (run[-1] for run in runs.values())
book.verdicts({
    "Gentle, after 30 steps: fewer than one weight in a hundred gets another code": gentle.recoded < 0.01,
    "Four bits leave less than a tenth of its gain": gentle.kept(gentle.four_bits) < 0.1,
    "Best rate, after 30 steps: four bits leave more than nine tenths": best.kept(best.four_bits) > 0.9,
    "16 bits leave more than 95% at every mark":
        all(one.kept(one.sixteen_bits) > 0.95 for run in runs.values() for one in run)})

# %% [markdown]
# A small update lies between the codes: each weight falls back onto the one it came from. A large one steps over them, and
# is rounded like any matrix, which costs little here. So **keep the adapter apart, or merge into 16 bits.**
#
# ### When a long text comes
# Its activations spike, and the run dies, though every other step fits. At that moment Adam's two moments only lie around:
# they are needed in the update, when the activations are gone. **Paged AdamW** lets pages of them step aside into the
# host's memory. Here at rank 64, as in the paper; one text in seven is three times as long.

# %%
lengths = (64, 64, 64, 192, 64, 64, 64)
plain, paged = spike.run(lengths, spike.Resident), spike.run(lengths, spike.InPages)
spike.spike({"AdamW": plain, "paged AdamW": paged}, "The long text and the state are never needed at once.")

# %% jupyter={"source_hidden": true}
book.verdicts({"AdamW needs more than the device has": plain.peak > spike.DEVICE,
               "Paged AdamW does not": paged.peak <= spike.DEVICE,
               "Both end with the same A and B, to the last bit": torch.equal(plain.end, paged.end)})

# %% [markdown]
# The price is traffic: where it spikes, most of the state goes out and comes back. At rank 8 the state is an eighth of this
# one, and pages win little.
#
# ### QDoRA
# DoRA (chapter 11) trains the length $m$ of each row apart from its direction. On a 4-bit base the rows are those of
# $\hat W$:

# %%
book.card(qdora.qdora_starts_at_the_quantised_base)

# %% [markdown]
# ### QPiSSA
# PiSSA takes $s\,BA$ out of $W_0$ first, and what is left is quantised. Combining is one `|`. The starts are this far from $W_0$:

# %%
recipes = {"QLoRA": lb.QLoRA(r=8), "QDoRA": lb.QLoRA(r=8) | lb.DoRA(), "QPiSSA": lb.QLoRA(r=8) | lb.PiSSA()}
for name, recipe in recipes.items():
    layers = lb.inject(lb.load("tiny").model, recipe, "_proj")
    print(f"{name:6} {mean((layer.weight.tensor() - w0[n]).norm() / w0[n].norm() for n, layer in layers.items()):.1%}")

# %% [markdown]
# ## Measured
# ### What shrinks
# The 28 matrices of the book's model:

# %% jupyter={"source_hidden": true}
numbers = sum(w.numel() for w in w0.values())
sizes = {"float32": 4 * numbers, "bfloat16": 2 * numbers, "NF4": sum(nf4.NF4(w).nbytes for w in w0.values()),
         "NF4, constants quantised": sum(double_quant.DoubleQuant(w).nbytes for w in w0.values())}
book.table(("kept as", "bytes", "bits a weight"), [(n, f"{b:,}", f"{8 * b / numbers:.2f}") for n, b in sizes.items()])

# %% [markdown]
# ### At each one's own rate

# %%
book.measured("QLoRA", "QDoRA", "QPiSSA")

# %% [markdown]
# Four bits cost nothing in the loss that ten seeds could see. They cost **time**: a step takes a quarter longer here. Bytes
# for backward do not shrink. QDoRA pays most of both, and gains nothing here; QPiSSA starts nearer and ends behind, as
# PiSSA does without four bits. The paper reports 16-bit quality up to 65B; this model cannot check that.

# %%
book.training_explorer("QLoRA")

# %% [markdown]
# ## When, when not
# * **Use it** when the base does not fit. Its matrices shrink to a quarter of 16 bits.
# * **Not** when it fits: every step is slower, and you gain nothing.
# * **Not against activations.** Long texts or large batches fill your GPU: checkpoint, or cut them. "Further" has the bill.
# * **Deploy** the adapter beside the 4-bit base, or merged into 16 bits.
# * **With what**: every other axis. A second store on one layer is refused.
#
# ## Exercises
# Stuck? `book.hint(nearest.EXERCISE, 1)`, then 2, then 3; `book.solution(nearest.EXERCISE)` comes last.

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
book.show(bits.EXERCISE)

# %%
def bits_per_weight(block, group):
    ### BEGIN SOLUTION
    return 4 + 8 / block + 32 / (block * group)
    ### END SOLUTION


book.check(bits.EXERCISE, bits_per_weight)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_damage.look_back(f"{rise['Austen', 'NF4', 1]:.3f} nats per token")

# %% tags=["nbval-ignore-output"]
guess_merge.look_back(f"{gentle.kept(gentle.four_bits):.0%}")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. Why is zero one of NF4's codes, and what does a table without it do to a pruned matrix?</summary>
# The two sides are built apart around it. Without it, every zero comes back as c times the smallest code.</details>
#
# <details><summary>2. A layer must return ∂L/∂x. Which matrix does it need, and where does QLoRA's layer get it?</summary>
# Ŵ, not W₀: from the stored bytes, a second time in the same step.</details>
#
# <details><summary>3. A QLoRA run of a 7B model dies of memory at one text in a thousand. What are your choices?</summary>
# Checkpoint activations, cut the text, or, at a high rank, page the optimiser's state.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The bill for your model, the other cards, the sources.

# %% [markdown]
# ### The bill
# From the formulas of `lorabook.cost.memory`. Put QLoRA on 7B and double the length until it no longer fits 24 GiB: what
# grew?

# %%
book.memory_calculator()

# %%
book.fold(
    "What else is said of NF4, and whether it holds",
    qlora.false_nf4_is_seventeenths,
    qlora.nf4_stores_the_nearest_code,
    qlora.false_nf4_is_rounding_by_sevenths,
    qlora.nearest_code_is_a_count,
    qlora.zero_stays_zero,
    qlora.false_symmetric_quantiles_keep_zero,
    qlora.error_is_half_a_gap,
    qlora.false_error_is_a_fifteenth,
    qlora.quantising_twice_is_quantising_once,
    qlora.codes_differ_in_use,
    qlora.false_codes_are_used_equally,
    qlora.sixteen_better_codes_exist,
    qlora.false_nf4_is_optimal,
    qlora.nf4_beats_int4_on_normal_weights,
    qlora.false_nf4_beats_int4_on_uniform_weights,
)

# %%
book.fold(
    "What else is said of its bits and bytes, and whether it holds",
    qlora.false_four_bits_are_four_bits,
    qlora.false_double_quantisation_takes_4_5_bits,
    qlora.centring_the_constants_pays,
    qlora.false_centring_the_constants_is_idle,
    qlora.seventy_billion_weights_take_36_gigabytes,
    qlora.false_seventy_billion_weights_take_10_gigabytes,
    qlora.four_bits_are_for_frozen_matrices,
    qlora.false_four_bits_are_for_everything,
    qlora.qlora_trains_what_lora_trains,
    qlora.false_qlora_trains_its_constants,
)

# %%
book.fold(
    "What else is said of a step on four bits, and whether it holds",
    qlora.gradient_sees_the_dequantised_weight,
    qlora.false_gradient_sees_the_original_weight,
    qlora.qlora_saves_no_products,
    qlora.false_autograd_keeps_four_bits,
    qlora.a_step_dequantises_twice,
    qlora.false_weights_are_dequantised_when_loaded,
    qlora.the_batch_shares_the_dequantising,
    qlora.false_dequantising_is_no_work,
    qlora.merging_into_a_dense_weight_is_exact,
    qlora.false_merging_into_four_bits_is_exact,
    qlora.requantising_eats_a_small_update,
)

# %%
book.fold(
    "What else is said of QDoRA and of paged AdamW, and whether it holds",
    qdora.false_qdora_takes_the_original_lengths,
    qdora.qdora_trains_beside_its_bytes,
    qdora.qdora_dequantises_three_times,
    qdora.false_qdora_dequantises_as_qlora_does,
    paged_adamw.paged_adamw_is_adamw,
    paged_adamw.false_paging_keeps_moments_in_eight_bits,
    paged_adamw.resident_state_stays_within_the_budget,
    paged_adamw.false_paging_makes_the_state_smaller,
    paged_adamw.a_sweep_that_turns_round_misses_n_minus_k_pages,
    paged_adamw.false_a_sweep_in_one_direction_misses_n_minus_k_pages,
)

# %% [markdown]
# **Sources.** Dettmers, Pagnoni, Holtzman, Zettlemoyer 2023 (2305.14314): QLoRA, NF4, double quantisation, paged
# optimisers; section 4 for 16-bit quality up to 65B. Yoshida 2023 (2306.06965): NF4 is not optimal, and why block size
# matters. Dettmers 2015 (1511.04561): the 8-bit dynamic code. Lloyd 1982; Max 1960: the best codes for a distribution. Liu
# et al. 2024 (2402.09353): DoRA. Meng, Wang, Zhang 2024 (2404.02948): PiSSA and QPiSSA. PEFT: `BitsAndBytesConfig`.
