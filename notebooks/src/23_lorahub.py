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
from lorabook.many import combine, hub, pair, stacking, ties

book.axis_strip("many")

# %%
book.diagram("lorahub")

# %% [markdown]
# ## Predict

# %%
guess_half = book.predict("Somebody averages the files of two LoRAs: the new A is the mean of both A, the new B of "
    "both B. How much of the first adapter's ΔW is in the new one?",
    book.Steps("share of ΔW₁", (0, 10, 25, 50, 75, 100), "%"))
guess_half

# %%
guess_best = book.predict("Twenty adapters: one of the Bible, nineteen of Austen in odd spellings, one of them without "
    "spaces. Ten examples of the Bible without spaces, which none has seen. What is best on new text?", book.Choice(
    "the least loss", ("one adapter", "the mean of all", "LoRAHub's search", "a new LoRA, trained on the ten")))
guess_best

# %% [markdown]
# ## See it
# Three adapters of the book's model: the Bible, Austen in CAPITALS, Austen with *no spaces*. The two test texts none of them
# has seen; each joins what two adapters know apart. A corner is one adapter alone. Drag the ring. Orange are the forty tries
# of LoRAHub's search, the star its answer. A try has its own sum and signs, so the number in its cell is not its loss.

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
# $N$ numbers, a few examples, 40 tries of CMA-ES, which the paper uses too.

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
base, (x, y), found = lb.load("tiny").model, hub_texts.examples(NEW, k=10, seed=0), {}


def few_shot_loss(model):
    return torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


for way, how in book.progress(hub_surface.WAYS.items()):
    best = lb.compose(base, bank, few_shot_loss, how=how, progress=False)
    with stacking.attached(base, best.adapter):
        found[way] = hub_bank.loss(base, NEW)
    print(way, {name: round(w, 2) for name, w in best.weights.items()}, f"{found[way]:.2f} nats")

# %%
with stacking.attached(base, bank["no spaces"]):
    alone = hub_bank.loss(base, NEW)
book.verdicts({
    "LoRAHub's search beats the base by more than 3 nats": min(found.values()) < hub_bank.loss(base, NEW) - 3,
    "As a product of sums it beats the adapter *no spaces* alone": found[hub_surface.PRODUCT] < alone,
    "As a sum of products it does": found[hub_surface.SUM] < alone})

# %%
book.source(hub.product_of_sums)

# %% [markdown]
# ## All three at once
# A commoner wish: one model that keeps all three skills, every adapter with the same weight. TIES drops the smaller entries
# of each $\Delta W$, elects a sign for each place, and takes the mean of those that agree. DARE drops entries by chance and
# enlarges the rest. Both give matrices of full rank; `ties_svd` cuts TIES back to rank 8. Three banks, of three seeds:

# %%
merges = hub_merges.recorded()
drawn.at_every_weight(merges)

# %% [markdown]
# A comparison at weight 1 would choose its winner by the weight. So each way has its own best one:

# %%
drawn.side_by_side(merges)

# %%
ends = {way: drawn.of_way(merges, way, drawn.best_weight(merges, way)).mean(1) for way in hub_merges.WAYS}
book.verdicts({
    "cat beats both products of sums, whatever the seed":
        ends["cat"].max() < min(ends["linear"].min(), ends["LoRAHub's product"].min()),
    "TIES and cat are within 0.05 nats of each other": abs((ends["TIES"] - ends["cat"]).mean()) < 0.05,
    "Some way comes within 0.3 nats of each adapter on its own text":
        min(each.mean() for each in ends.values()) < drawn.of_way(merges, "each alone", 1.0).mean() + 0.3})

# %% [markdown]
# Cutting `cat` back to rank 8 costs 0.03 nats; the cross terms of the two products cost four times that. LoRAHub's product at
# weight ½ *is* `linear` at ¼: the weights are squared. No merge keeps three adapters whole. If you know which text
# comes, load its adapter instead (chapter 24).
#
# ## Measured
# Now twenty adapters, three new texts, ten examples of 64 tokens. The arena's tasks have one adapter each, so this is a record
# of its own. Mean of five seeds ± half of what they span; a seed draws the examples and the search, and the bank stays.
# What is trained has the rate and steps that are best on a sixth seed.

# %%
rows = hub_record.recorded()
drawn.twenty(rows)

# %%
losses = {(way, text): hub_record.losses(rows, text, way) for way in drawn.SAID for text in hub_texts.NEW}
JOINED, mean = hub_texts.NEW[:2], lambda values: sum(values) / len(values)


def beats(one, other, texts=JOINED):
    return all(max(losses[one, text]) < min(losses[other, text]) for text in texts)


book.verdicts({
    "On the joined texts LoRAHub over twenty ends above the best single adapter": beats("best one", "LoRAHub"),
    "There, over the best three, it beats a new LoRA trained on the ten": beats("LoRAHub, best three", "LoRA"),
    **{f"On {text}, training the best single adapter on has the lowest mean":
        min(drawn.SAID, key=lambda way: mean(losses[way, text])) == "best one, trained on" for text in hub_texts.NEW}})

# %% [markdown]
# **More adapters are no better than the best single one.** Most of the twenty know nothing of the text, and the search
# must find that out for each, in forty tries. Over the best three, picked by the same ten examples, it comes back to the best
# one, and beats a new LoRA. On the text that none knows, mixing gains little, and training wins, from whatever start.
#
# The sum of products is no cure, though it is nearer on one text. And a mean of twenty files goes less far than a mean of
# twenty $\Delta W$: there each adapter's own term has the weight 1/400.
#
# ## When, when not
# * **First score every adapter alone** on your ten examples. It costs $N$ losses, and sets the bar.
# * **You may train:** train the best one on, briefly, and stop early.
# * **You may not** (no gradients, a served model): search over the best three, and compare with the best one.
# * **Several skills in one model:** `cat`, or `svd` if the rank must stay; tune the weight. In PEFT, avoid `linear`,
#   `ties` and `dare_linear`: they work on the factors. `ties_svd` and `dare_linear_svd` work on $\Delta W$.
# * Adapters must be of one base and, for products of sums, of one rank.
#
# The paper reports gains with twenty adapters of instruction tasks, on a large model. Spellings are stranger to each other,
# and this model is small: read the order of the rows, not the nats, and measure your own.
#
# ## Exercises
# Stuck? `book.hint(merged.EXERCISE, 1)`, then 2, then 3.

# %%
book.show(merged.EXERCISE)

# %%
def merged_update(A, B, s, w):
    ### BEGIN SOLUTION
    return ((w * s)[:, None, None] * (B @ A)).sum(0)
    ### END SOLUTION


book.check(merged.EXERCISE, merged_update)

# %%
book.show(elected.EXERCISE)

# %%
def merge_by_ties(deltas, keep):
    ### BEGIN SOLUTION
    bar = deltas.flatten(1).abs().topk(keep, dim=1).values[:, -1]
    kept = torch.where(deltas.abs() >= bar[:, None, None], deltas, 0.0)
    agrees = kept * kept.sum(0) > 0
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)
    ### END SOLUTION


book.check(elected.EXERCISE, merge_by_ties)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_half.look_back("25%: ½ of B times ½ of A; the cross terms have another half between them")

# %% tags=["nbval-ignore-output"]
told = {said: sum(losses[way, NEW]) / 5 for said, way in (
    ("one adapter", "best one"), ("LoRAHub's search", "LoRAHub"), ("a new LoRA", "LoRA"))}
guess_best.look_back(", ".join(f"{said} {loss:.2f}" for said, loss in told.items()) + " nats: one adapter")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. LoRAHub's answer has one weight of −1 and nineteen of 0. Which adapter do you have?</summary>
# That adapter itself, not its negation: the sign cancels in the product.</details>
#
# <details><summary>2. Five adapters of rank 16, merged with cat. What is the rank, and what costs more than before?</summary>
# 80. Memory and arithmetic of the two-path layer; nothing, once it is merged into W₀.</details>
#
# <details><summary>3. Why does TIES want another weight than cat?</summary>
# It takes a mean of those that agree, after dropping four fifths of the entries; cat takes a sum.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the records, the sources.

# %%
book.fold(
    "What else is said of LoRAHub, and whether it holds",
    lorahub.false_lorahub_adds_products,
    lorahub.pefts_linear_at_squares_is_lorahub,
    lorahub.false_pefts_linear_is_lorahub,
    lorahub.lorahub_is_no_nearer_than_the_best_of_its_rank,
    lorahub.false_a_sum_fits_into_one_rank,
    lorahub.lorahub_is_quadratic_in_its_weights,
    lorahub.one_weight_alone_gives_its_adapter,
    lorahub.false_the_first_scale_does_for_all,
    lorahub.false_the_objective_is_the_mean_loss,
    lorahub.false_the_penalty_is_the_norm,
    lorahub.weights_keep_to_the_box,
    lorahub.false_weights_go_anywhere,
    lorahub.false_composing_takes_no_examples,
    lorahub.one_weight_serves_every_layer,
)

# %%
book.fold(
    "What else is said of adding adapters up, and whether it holds",
    stack.false_scales_may_be_left_out,
    stack.a_smaller_rank_loses_the_tail,
    stack.false_truncating_loses_nothing,
    stack.false_pefts_linear_weights_the_factors,
    stack.stacking_is_merging_one_by_one,
    stack.false_the_last_adapter_counts,
    stack.delta_lora_shares_w0,
    stack.false_delta_lora_saves_as_lora,
    stack.changes_on_one_layer_add_up,
    stack.false_changes_on_two_layers_add_up,
    stack.adapters_that_read_apart_share_a_module,
    stack.false_any_adapters_share_a_module,
    stack.the_smallest_angle_bounds_the_disturbance,
    stack.cosine_without_the_matrices,
    stack.false_overlap_tells_with_from_against,
    stack.opposite_signs_cancel,
    stack.false_only_opposed_adapters_cancel,
    stack.overlap_by_chance,
    stack.false_random_row_spaces_are_orthogonal,
)

# %% [markdown]
# ### Rates, and the records made again
# `hub_record.record(path)`, `hub_merges.record(path)` and `hub_surface.record(path)` compute everything anew into a file of
# your own: a quarter of an hour on a quiet core.

# %%
drawn.rates(rows)

# %%
book.source(ties.Ties)

# %%
book.source(hub.compose)

# %% [markdown]
# **Sources.** Huang et al. 2023 (2307.13269), LoRAHub, and the authors' code, sail-sg/lorahub. Yadav et al. 2023 (2306.01708),
# TIES. Yu et al. 2023 (2311.03099), DARE. PEFT 0.21.2, `add_weighted_adapter`. The twenty adapters' texts are in
# `hub_texts.py`.
