# %% [markdown]
# # 23 · LoRAHub and merging
#
# > **I have twenty adapters, and ten examples of something new. Can I mix them instead of training?**
#
# LoRAHub (Huang et al. 2023) gives every adapter a weight, makes one adapter of all, and searches the weights without a
# gradient. What does it mean to make one of many? There are more answers than names.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | many | LoRAHub, stack | 02; singular values: 01 |

# %%
import torch

import lorabook as lb
from lorabook.arena import hub_bank, hub_merges, hub_record, hub_surface, hub_texts
from lorabook.book import reading as book
from lorabook.book.exercises import elected, merged
from lorabook.book.figures import hub as drawn
from lorabook.claims import lorahub, stack
from lorabook.many import combine, hub, pair, stacking

book.axis_strip("many")

# %%
book.diagram("lorahub")

# %% [markdown]
# ## Predict

# %%
guess_half = book.predict("Somebody averages the files of two LoRAs: the new A is the mean of both A, the new B of both B. "
    "How much of the first adapter's ΔW is in the new one?", book.Steps("share of ΔW₁", (0, 10, 25, 50, 75, 100), "%"))
guess_half

# %%
guess_best = book.predict("Twenty adapters: one of the Bible, nineteen of Austen in odd spellings, one of them without "
    "spaces. Ten examples of the Bible without spaces, which none has seen. What is best on new text?", book.Choice(
    "the least loss", ("one adapter", "the mean of all", "LoRAHub's search", "a new LoRA, trained on the ten")))
guess_best

# %% [markdown]
# ## See it
# Three adapters of the book's model: the Bible, Austen in CAPITALS, Austen with *no spaces*. The two test texts none of
# them has seen; each joins what two adapters know apart. A corner is one adapter alone. Drag the ring.

# %%
book.triangle()

# %% [markdown]
# 1. Leave the sum at 1. Which share is best for each text, in both ways to make ΔW? Put the ring halfway between *Bible*
#    and *no spaces*: what does the product of sums cost there that the sum of products does not?
# 2. Now find weights that beat the best single adapter by 0.09 nats on one of the texts. On the other, can you?
#
# <details><summary>Answers</summary>
#
# 1. A corner, or its neighbour: one adapter. Halfway the Bible without spaces costs 5.63 nats as a product of sums, 4.90 as a
# sum of products.
# 2. Sum of products, $w_1+w_2+w_3=1.5$, 30% Bible and 70% no spaces: 4.31 against 4.41. The BIBLE IN CAPITALS gets 0.02
# better at most. Its letters are single tokens; little is left that the Bible's adapter knows.
#
# </details>
#
# ## Why
# ### Two inputs, two adapters
# The first adapter copies input 1 to output 1, the second input 2 to output 2. Each gets the weight ½.

# %%
one = pair.Pair(A=torch.tensor([[1.0, 0]]), B=torch.tensor([[1.0], [0]]), scale=1.0)
two = pair.Pair(A=torch.tensor([[0, 1.0]]), B=torch.tensor([[0], [1.0]]), scale=1.0)
for how in (combine.concatenated, combine.factors_summed, hub.product_of_sums):
    both = how([one, two], [0.5, 0.5])
    print(f"{how.__name__:15} rank {len(both.A)}  ΔW = {(both.B @ both.A).numpy().round(2).tolist()}")

# %% [markdown]
# Only the first line is what you asked for: half of each. The other two send input 1 to output 2, which no adapter was
# trained to do. And the last has a quarter of each.
#
# ### Four formulas
# With adapters $B_i$ (d_out × r), $A_i$ (r × d_in), scales $s_i$ and weights $w_i$:
#
# | who | $\Delta W$ | own term | cross terms | rank |
# | --- | --- | --- | --- | --- |
# | PEFT `cat` | $\sum_iw_is_iB_iA_i$ | $w_i$ | none | $\sum_ir_i$ |
# | PEFT `svd` | its nearest of rank r | about $w_i$ | none | r |
# | PEFT `linear` | $(\sum_i\sqrt{w_is_i}B_i)(\sum_j\sqrt{w_js_j}A_j)$ | $w_i$ | yes | r |
# | LoRAHub, paper and code | $s\,(\sum_iw_iB_i)(\sum_jw_jA_j)$ | $w_i^2$ | yes | r |
#
# Texts that explain LoRAHub often print the first line for the last.

# %%
book.card(lorahub.lorahub_multiplies_sums)

# %%
book.card(stack.side_by_side_is_the_sum)

# %%
book.card(stack.false_adding_factors_adds_adapters)

# %% [markdown]
# Products of sums are cheap: the rank stays r. A sum of three adapters has three times the rank, and cutting it back is an
# SVD. That is what the cross terms pay for.

# %%
book.card(stack.pefts_linear_has_cross_terms)

# %% [markdown]
# Squares have a price of their own. Twenty equal weights of 1/20 give each adapter 1/400. And a sign:

# %%
book.card(lorahub.false_a_negative_weight_subtracts)

# %% [markdown]
# ### The search
# $N$ numbers, a few examples, 40 tries. The authors draw tries with Nevergrad; here it is CMA-ES, of the same family.

# %%
book.card(lorahub.the_objective_is_loss_and_mean_weight)

# %%
book.card(lorahub.composing_takes_no_gradient)

# %% [markdown]
# ## The code
# The three adapters of the triangle, trained now; ten examples; both ways to make ΔW.

# %% tags=["nbval-ignore-output"]
bank = {name: hub_bank.adapter(name) for name in book.progress(hub_surface.THREE)}

# %% tags=["nbval-ignore-output"]
NEW = hub_texts.BIBLE_WITHOUT_SPACES
base, few = lb.load("tiny").model, hub_texts.examples(NEW, k=10, seed=0)
found = {}
for way, how in book.progress(hub_surface.WAYS.items()):
    best = hub.compose(base, bank, lambda model: lb.cross_entropy(model, few), how=how, progress=False)
    with stacking.attached(base, best.adapter):
        found[way] = hub_bank.loss(base, NEW)
    print(way, {name: round(w, 2) for name, w in best.weights.items()}, f"{found[way]:.2f} nats")

# %%
with stacking.attached(base, bank["no spaces"]):
    alone = hub_bank.loss(base, NEW)
book.verdicts({"LoRAHub's search beats the base by more than 3 nats": min(found.values()) < hub_bank.loss(base, NEW) - 3,
    "As a product of sums it beats the adapter *no spaces* alone": found[hub_surface.PRODUCT] < alone,
    "As a sum of products it does": found[hub_surface.SUM] < alone})

# %%
book.source(hub.product_of_sums)

# %% [markdown]
# ## All three at once
# Another wish, and a commoner one: one model that keeps all three skills. Every adapter gets the same weight. TIES drops the
# smaller entries of each ΔW, elects a sign for each place, and takes the mean of those that agree; DARE drops entries by
# chance and enlarges the others. Both give matrices of full rank; `ties_svd` is TIES, cut back to rank 8. Three banks of
# adapters, trained from three seeds.

# %%
merges = hub_merges.recorded()
drawn.at_every_weight(merges)

# %% [markdown]
# A comparison at weight 1 would have chosen its winner by the weight. So each way has its own best one:

# %%
drawn.side_by_side(merges)

# %%
ends = {way: drawn.of_way(merges, way, drawn.best_weight(merges, way)).mean(1) for way in hub_merges.WAYS}
alone = drawn.of_way(merges, hub_merges.ALONE, 1.0)
book.verdicts({"Merged, some way keeps all three texts within 0.3 nats of each adapter alone": min(
    drawn.of_way(merges, way, w).mean(0).max() for way in ends for w in hub_merges.WEIGHTS) < 0,
    "The sum without cross terms ends lower than both products of sums, whatever the seed":
        ends["cat"].max() < min(ends["linear"].min(), ends["LoRAHub's product"].min())})

# %% [markdown]
# ## Measured
# Twenty adapters, three new texts, ten examples of 64 tokens. LoRAHub is in no comparison of chapter 27, whose tasks have one
# adapter each; so here is its own. Mean of five seeds, ± half of what they span; a seed draws the examples and the search,
# and the bank is the same. Rate and steps of what is trained are the best on a sixth seed.

# %%
rows = hub_record.recorded()
drawn.twenty(rows)
