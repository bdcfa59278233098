# %% [markdown]
# # 24 · S-LoRA
#
# > **A thousand customers, one GPU. Must each of them have a model of her own?**
#
# A thousand LoRAs were trained on one base. You may merge each into a model of its own: a thousand models. S-LoRA (Sheng et
# al. 2023) keeps $W_0$ once, leaves the adapters unmerged in a pool of small pages, and puts strangers into one batch.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | many | S-LoRA | 02, 03: merging |

# %%
import torch

import lorabook as lb
from lorabook.arena import serving_costs, turns
from lorabook.book import reading as book
from lorabook.book.exercises import admitted, mixed_batch
from lorabook.book.figures import serving as drawn
from lorabook.claims import s_lora as claims
from lorabook.many import pages, products

book.axis_strip("many")

# %%
book.diagram("s_lora")

# %% [markdown]
# ## Predict

# %%
guess_price = book.predict("64 requests wait for a token each, for 64 customers with adapters of rank 8. One batch "
    "gives every row its own adapter, unmerged. How many times as long as the bare base does that step take, on a CPU?",
    book.Steps("times", (1, 1.1, 1.5, 2, 3, 5, 10, 30, 64)))
guess_price

# %%
guess_customers = book.predict("Merged, an adapter costs nothing in a step. So you may as well merge the first "
    "customer's, serve her requests, merge the next one's, and so on. From how many customers on does it lose?",
    book.Choice("customers", ("2", "4", "8", "16", "64", "never")))
guess_customers

# %% [markdown]
# ## See it
# A thousand customers, a few of them popular, send requests for 12 seconds. A page holds one rank of an adapter, or 26 cached
# positions; the number on it is the customer's. Pages, queue and turns are the library's; the seconds of each step were
# measured on the book's model.

# %%
book.serving_days()

# %% [markdown]
# 1. Raise the requests until S-LoRA keeps them waiting for more than a second. Which control brings that back to 0.01 s, and
#    what does it change in the last column?
# 2. Start again, and set all ranks to 64. Which way is the worst now? Look at the pool: why?
#
# <details><summary>Answers</summary>
#
# 1. At 32 a second they wait. With 384 pages they do not: 14.5 instead of 11.5 requests share a step, on average.
# 2. S-LoRA. An adapter takes 64 of 192 pages, so that about two requests run at a time, and each step costs more than
# twice a plain one. Unmerged adapters pay in batches, and batches need room.
#
# </details>
#
# ## One batch, four answers
# Three customers, ranks 8, 16 and 32: one writes CAPITALS, one knows the Bible, one leaves out spaces.

# %% tags=["nbval-ignore-output"]
adapters, losses = {}, []
for customer, r in zip(book.progress(turns.TASKS), (8, 16, 32), strict=True):
    own = lb.load("tiny").model
    lb.inject(own, lb.LoRA(r), "_proj", torch.Generator().manual_seed(0))
    turns.train(own, customer, lr=1e-2, seed=0)
    adapters[customer] = lb.pairs_of(own)
    losses.append(turns.scores(own)[1 + len(losses)])

base = lb.load("tiny")
bank = lb.bank(base.model, adapters, pages=56)
prompt = torch.tensor(base.tokenizer.encode("MR. DARCY "))
names = [None, *adapters]


@torch.no_grad()
def write(names, length=16):
    tokens = prompt.repeat(len(names), 1)
    with lb.serving(base.model, names):
        for _ in range(length):
            tokens = torch.cat([tokens, base.model(tokens)[:, -1:].argmax(-1)], dim=1)
    return [base.tokenizer.decode(row).replace("\n", " / ") for row in tokens.tolist()]


book.table(("row's adapter", "goes on"), list(zip(["none: the base", *adapters], write(names), strict=True)))

# %% [markdown]
# One forward pass for each token, four models. Is each row what its own merged model computes?

# %%
@torch.no_grad()
def merged_alone(name):
    own = lb.load("tiny").model
    for layer, pair in adapters[name].items():
        own.get_submodule(layer).weight.data += pair.scale * pair.B @ pair.A
    return own(prompt[None])


with torch.no_grad(), lb.serving(base.model, names):
    logits = base.model(prompt.repeat(4, 1))
off = max((logits[n] - merged_alone(name)[0]).abs().max() for n, name in enumerate(adapters, 1))
book.verdicts({
    "Every row has its own merged model's logits, to 1e-5 of the largest": bool(off < 1e-5 * logits.abs().max()),
    "Each goes on with the same text alone as in the batch": [write([name])[0] for name in names] == write(names)})

# %% [markdown]
# ## Why
# ### A row, an adapter
# Row $n$ of a batch belongs to adapter $i(n)$, with $A_i$ of $r_i\times d_{in}$ and $B_i$ of $d_{out}\times r_i$. $W_0$ is the
# same for all, so $W_0X$ is one large product. What is left is small.

# %%
book.card(claims.a_batch_is_its_rows_merged)

# %% [markdown]
# You will also meet the batch written as *one* sum, $W_0X+\sum_tB_tA_tX$.

# %%
book.card(claims.false_a_batch_is_the_sum_of_its_adapters)

# %% [markdown]
# On our three customers, it answers each of them with everybody's adapter:

# %% jupyter={"source_hidden": true} tags=["nbval-ignore-output"]
summed = lb.load("tiny").model
for state in adapters.values():
    for layer, pair in state.items():
        summed.get_submodule(layer).weight.data += pair.scale * pair.B @ pair.A
pairs = zip(adapters, losses, turns.scores(summed)[1:], strict=True)
rows = [(name, f"{own:.2f}", f"{all_in:.2f}") for name, own, all_in in pairs]
book.table(("customer's text, nats per token", "her own adapter", "the sum of all"), rows)

# %% [markdown]
# ### What a step costs more

# %%
book.card(claims.serving_unmerged_costs_two_small_products)

# %% [markdown]
# At rank 8 that is 7% of what the seven matrices cost, and not what you will measure. The factors must also be *fetched*: for 64
# strangers of rank 64, 64 × 0.87 million numbers, beside 1.6 million of the base.
#
# ### Pages
# An adapter takes $r$ rows of the pool, a request takes rows for its cache, and both come and go. Six pages:

# %%
pool = pages.Pages(6)
pool.hold({"anna": 2, "ben": 1, "carl": 2})
pool.let_go(["anna"])
pool.drop("anna")
pool.hold({"dora": 3})
print("dora's rows:", pool.rows("dora"))

# %% [markdown]
# Dora needs three rows. Three are free, and they do not adjoin. With a table of row numbers they need not.

# %%
book.card(claims.free_pages_are_all_usable)

# %%
book.card(claims.false_adjoining_rows_do_as_well)

# %% [markdown]
# In the explorer, at the start: 5 pages free, at most 2 adjoin. One pool for both kinds, because what is short changes by the
# minute. Before anybody starts, her pages are counted:

# %%
book.card(claims.admission_is_a_sum_of_pages)

# %% [markdown]
# What nobody uses stays until its room is needed: the pale pages. Popular adapters are thus copied rarely.

# %%
book.card(claims.an_adapter_is_copied_when_it_is_not_there)

# %% [markdown]
# ## The code
# Gather every row's factors out of the pool, by row numbers, and multiply. Shorter ranks are filled up with row 0, which is
# zero: that changes no product, and no scale, for `sA` holds $s_iA_i$.

# %%
book.source(products.gathered)

# %%
book.source(products.one_pair_a_row)

# %% [markdown]
# The other way sorts rows by adapter and multiplies segment by segment. It copies nothing and takes two products an adapter:
# better where many rows share one. The library chooses by the batch: segments from four rows an adapter on.
#
# ## Measured
# No training here, so no row of the arena: time instead. 64 requests, a token each, on the book's model and one core of a CPU;
# medians of nine rounds, and quartiles. Recorded; the cell below the picture measures on your machine.

# %%
drawn.costs_table(costs := serving_costs.read())

# %%
drawn.by_customers(costs)

# %% tags=["nbval-ignore-output"]
machine = serving_costs.Machine(ranks=(8,))
drawn.costs_table([serving_costs.measure(machine, 64, k, (8,), rounds=3) for k in book.progress((2, 64))])

# %%
gain = {(r, k): drawn.gain(costs, r, k) for r in drawn.RANK for k in serving_costs.SIZES}
book.verdicts({
    "One customer: merging is faster than serving unmerged, at both ranks": max(gain[8, 1][2], gain[64, 1][2]) < 1,
    "Two customers of rank 8: merging in turn is still faster": gain[8, 2][2] < 1,
    "Four or more: one mixed batch is faster, at both ranks": all(gap[0] > 1 for (_, k), gap in gain.items() if k > 2),
    "64 customers of rank 8: more than ten times faster": gain[8, 64][0] > 10, "Of rank 64, too": gain[64, 64][2] > 10})

# %% [markdown]
# So **merged is the fastest step and, from four customers on, the slower service.** Merging is the smaller part: at rank 8
# half as long as a step of one request. The larger is that a merged model has room for one customer: 64 steps in place of one.
#
# And a mixed step is not free: 2.7 times the base's for 64 strangers of rank 8, 12 times for rank 64. Is that arithmetic, or
# fetching? Let all 64 share one adapter of rank 64: as many products, one adapter fetched, and the factor is 1.7. It is
# fetching. The bump at 16 customers is the library's own: it still goes by segments, by a rule that was measured on wider
# layers. S-LoRA's kernels read pages in place; ours, in PyTorch, copy. On a GPU the ratios differ, and we did not measure one.
# The paper reports up to four times vLLM's throughput, with thousands of adapters.
#
# ## When, when not
# * **One adapter, or one at a time**: merge (chapter 03).
# * **Two or three busy ones, and memory for it**: a merged model each.
# * **Many, each asked for rarely**: this. vLLM, SGLang and LoRAX serve so; you hand in PEFT files.
# * **Keep ranks low.** Here rank is served at every token: it costs pages, fetching, batch.
# * **What can be served**: $s\,BA$ on a shared $W_0$. PiSSA converts (chapter 08). DoRA and what trains $W_0$ itself do not fit.
# * QLoRA adapters want the base in the same four bits: a card in *Further*.
#
# ## Exercises
# Stuck? `book.hint(mixed_batch.EXERCISE, 1)`, then 2, then 3.

# %%
book.show(mixed_batch.EXERCISE)

# %%
def mixed_rows(x, w0, A, B, alpha, ranks, which):
    ### BEGIN SOLUTION
    s = alpha / torch.tensor(ranks)[which]
    h = torch.einsum("nd,nrd->nr", x, A[which])
    return x @ w0.T + s[:, None] * torch.einsum("nr,nor->no", h, B[which])
    ### END SOLUTION


book.check(mixed_batch.EXERCISE, mixed_rows)

# %%
book.show(admitted.EXERCISE)

# %%
def let_in(queue, ranks, loaded, free, size):
    ### BEGIN SOLUTION
    there = set(loaded)
    for count, (adapter, rows) in enumerate(queue):
        needed = -(-rows // size) + (0 if adapter in there else -(-ranks[adapter] // size))
        if needed > free:
            return count
        free -= needed
        there.add(adapter)
    return len(queue)
    ### END SOLUTION


book.check(admitted.EXERCISE, let_in)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
strangers = drawn.large(costs, 8)[-1]
guess_price.look_back(f"{serving_costs.ratio(strangers.mixed, strangers.base)[1]:.1f} times")

# %% tags=["nbval-ignore-output"]
guess_customers.look_back(str(next(k for k in serving_costs.SIZES if gain[8, k][0] > 1)))

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. Ranks 8 and 64 in one batch. What is filled up, and whose result changes?</summary>
# The rank-8 factors, with rows of zeros, for gathered products. Nobody's; the rank-8 row pays for 64.</details>
#
# <details><summary>2. 30 pages are free, no two adjoin. Does an adapter of rank 16 fit, and with what?</summary>
# Yes, and 14 pages are left for its request's cache. The table of row numbers finds them.</details>
#
# <details><summary>3. Nobody's adapter is evicted, and still requests wait. What do you look at first?</summary>
# How many run in a step. If the pool is full of running ones: more pages, lower ranks, shorter answers.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the record, the sources.

# %%
book.fold(
    "What else is said of mixed batches, and whether it holds",
    claims.false_padding_changes_the_scale,
    claims.segments_are_the_gathered_products,
    claims.false_serving_is_free,
    claims.one_quantised_base_serves_all,
    claims.false_the_base_in_full_precision_gives_the_same,
)

# %%
book.fold(
    "What else is said of pages and queues, and whether it holds",
    claims.a_page_loses_less_than_itself,
    claims.false_no_page_loses_anything,
    claims.one_pool_serves_both,
    claims.false_two_pools_serve_the_same,
    claims.false_every_request_copies_its_adapter,
    claims.false_every_request_brings_its_adapter,
    claims.the_latest_are_the_most_that_can_be_in_time,
    claims.false_waiting_in_line_is_as_good,
)

# %% [markdown]
# ### What the explorer models
# Arrivals at random, customer $k$ asked for in proportion to $1/k$, prompts of 128 tokens, answers of 16 to 112. A step's
# seconds are the recorded ones, straight lines between batch sizes. Reading prompts and attention over the cache are left out:
# they cost every way the same. A merged adapter's turn ends when the requests it began with are answered.

# %%
book.source(serving_costs.measure)

# %% [markdown]
# **Sources.** Sheng et al. 2023 (2311.03285): S-LoRA, sections 3 to 5 and the appendix on admission. Chen et al. 2023
# (2310.18547): Punica, gathered and segmented products. Kwon et al. 2023 (2309.06180): vLLM's pages for the cache.
