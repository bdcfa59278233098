# %% [markdown]
# # 27 · The arena
#
# > **Which variant should I use?**
#
# A paper compares at one rate, one size and few seeds, and its own method wins. Here all variants meet: four tasks, as many
# trained numbers as LoRA of rank 8, a rate tuned for each, ten fresh seeds. More than 4,400 runs, all recorded. A button runs
# a row again.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | · | · | 02, and the chapters of the variants that you consider |

# %%
import torch

from lorabook.arena.answers import read
from lorabook.arena.experiment import at
from lorabook.arena.record import Record
from lorabook.arena.summary import finals, summaries
from lorabook.book import reading as book
from lorabook.book.exercises import corrected, fair
from lorabook.claims import comparing as claims

# %% [markdown]
# ## Predict

# %%
guess_better = book.predict("Twenty variants of LoRA's size meet LoRA on the Bible, each at its own rate. For how many "
    "does the record decide that they are better?", book.Steps("variants", (0, 1, 2, 4, 6, 8, 10, 15, 20)))
guess_better

# %%
guess_rate = book.predict("Give all of them LoRA's best rate instead. How much worse is the loss of LoRA+ then?",
    book.Steps("nats per token", (0, 0.03, 0.1, 0.3, 1.0, 2.0)))
guess_rate

# %% [markdown]
# ## See it
# Each line is a contender. Left, its loss minus LoRA's, mean and spread over seeds on which both saw the same batches: a full
# dot where a difference was found. Right, what it costs.

# %%
book.standings()

# %% [markdown]
# 1. Of those without *own size* beside their name, who is better than LoRA on *kjv*? On *capitals*? On
#    *digits*? Is anyone on all three?
# 2. Put *lost at LoRA's rate* beside it, and sort by it. Which are last on *kjv*? What would a table at one rate have said?
#
# <details><summary>Answers</summary>
#
# 1. *kjv*: bottleneck adapters, which are not LoRA at all. *capitals*: HiRA, LoRA-FA, MELoRA, LoRA+, and LoRA+ with rsLoRA on
# QLoRA. *digits*: OLoRA. Nobody twice.
# 2. LoRA+ alone, and LoRA+ with rsLoRA on QLoRA: their rate is $A$'s, $B$'s is sixteen times that. LoRA's rate takes them
# above the loss they began with, and a table at one rate calls them useless.
#
# </details>
#
# ## Why
# ### Why pairs
# A seed decides the start of $A$ and which verses come. An easy seed is easy for everyone. Let $a$ and $b$ be two contenders'
# losses on it.

# %%
book.card(claims.pairing_takes_out_what_two_runs_share)

# %% [markdown]
# So look at the differences, never at two bars in a figure.

# %%
book.card(claims.false_error_bars_that_overlap_show_no_difference)

# %% [markdown]
# Does that show on the book's model? rsLoRA on *kjv* lies 0.010 above LoRA. Each of the two has twice that spread.

# %%
rows = Record().rows()
ours, lora = (finals(rows, at(name, "kjv")) for name in ("rsLoRA", "LoRA"))
a, b = (torch.tensor([side[seed] for seed in sorted(lora)]) for side in (ours, lora))
book.verdicts({
    "The means are nearer than either spread": bool((a.mean() - b.mean()).abs() < min(a.std(), b.std())),
    "Seed by seed, the spread of the difference is less than half of LoRA's": bool((a - b).std() < b.std() / 2),
    "rsLoRA is above LoRA on at least eight of ten seeds": int((a > b).sum()) >= 8})

# %% [markdown]
# ### Why ten seeds
# The paired *t* divides the mean difference by its standard error, the spread over $\sqrt n$. Who trusts no formula flips
# signs: if nothing differs, each difference could as well have been its negative.

# %%
book.card(claims.five_seeds_of_one_sign_do_not_reach_five_percent)

# %% [markdown]
# With five seeds, this test can never find anything. You may have counted differently:

# %%
book.card(claims.false_five_seeds_of_one_sign_are_enough)

# %% [markdown]
# ### Why other seeds for the rate
# A sweep takes the best of several rates. Some of its lead is luck.

# %%
book.card(claims.a_chosen_rate_looks_better_than_it_is)

# %% [markdown]
# A contender with more rates, or more knobs, has more luck. Here two seeds choose the rate, ten others report, and the grid
# grows until the best rate has a neighbour on either side.
#
# ### Why p is corrected
# Twenty comparisons are twenty chances.

# %%
book.card(claims.one_of_many_is_found_by_chance)

# %% [markdown]
# Holm's correction takes that back: the smallest $p$ times $m$, the next times $m-1$, and so on.

# %%
book.card(claims.holm_finds_no_less_than_bonferroni)

# %% [markdown]
# And where nothing is found, say what could have been: the sentence above the picture names the difference that ten seeds
# with this spread would have shown four times in five. *No difference found* at 0.016 is news. At 1.6 it is silence.
#
# ### Where it fails
# *facts-512* asks for 512 facts in sixty steps. Look at LoRA's ten seeds:

# %%
torch.tensor(sorted(finals(rows, at("LoRA", "facts-512")).values()))

# %% [markdown]
# Some seeds learn nearly all, some hardly begin. A mean of two heaps says little, and a *t* that assumes one heap finds no
# difference even for full fine-tuning, which learns all on every seed. Take from it who *always* learns:

# %%
heaps = {place.method: finals(rows, place) for place in (s.place for s in summaries(rows)) if place.task == "facts-512"
    and place.budget == "equal"}
always = sorted(name for name, scores in heaps.items() if max(scores.values()) < 1)
print("below 1 nat on every seed:", ", ".join(always))

# %% [markdown]
# ## Measured
# HiRA and the bottleneck beside LoRA and full fine-tuning. A button runs a row again.

# %%
book.measured("HiRA", "bottleneck")

# %% [markdown]
# For these nine questions the arena was built.

# %%
book.questions()

# %%
small = [each for each in read(Record().folder).comparisons if each.budget == "equal"]
won = {task: {each.method for each in small if each.task == task and each.says == "better"}
    for task in ("kjv", "capitals", "digits")}
one, other = (finals(rows, at(name, "kjv")) for name in ("rsLoRA", "LoRA α=16√8"))
book.verdicts({
    "A variant of LoRA's size is better than LoRA on all three": bool(set.intersection(*won.values())),
    "One is better on two of them": any(sum(n in each for each in won.values()) > 1 for n in set.union(*won.values())),
    "DoRA is better than LoRA on one of them": any("DoRA" in each for each in won.values()),
    "rsLoRA at r = 8 and LoRA with α = 16√8 end alike on every seed, to a thousandth":
        max(abs(one[seed] - other[seed]) for seed in one) < 1e-3})

# %% [markdown]
# ## What to take from it
# * **LoRA at its tuned rate is hard to beat.** A table at one rate shows whom that rate suits.
# * **Tune the rate first.** On *kjv*, half or twice LoRA's best costs 0.07 nats and more, three times what anyone of its size gains.
# * **Where, before which.** The MLP with all the numbers beats most variants (chapter 03).
# * **A variant is worth its trouble for what LoRA cannot do**: fit (QLoRA), fewer numbers (VeRA, LoKr), a rank found or left
#   open (AdaLoRA, DyLoRA). Or where your task shows it: HiRA gains 0.07 nats on *capitals*.
# * **Small here.** The base has 1.8 million numbers. On 135 million, in thirty short steps, the order is another one, and
#   hardly one at all: LoRA, rsLoRA and DoRA are within 0.005 nats.
# * Run it on yours: `lorabook arena --task kjv` in a terminal, and on a cluster with `--scheduler`.
#
# ## Exercises
# Stuck? `book.hint(fair.EXERCISE, 1)`, then 2, then 3.

# %%
book.show(fair.EXERCISE)

# %%
def reported_loss(losses, k):
    ### BEGIN SOLUTION
    best = losses[:, :k].mean(1).argmin()
    return losses[best, k:].mean()
    ### END SOLUTION


book.check(fair.EXERCISE, reported_loss)

# %%
book.show(corrected.EXERCISE)

# %%
def holm(p):
    ### BEGIN SOLUTION
    order = p.argsort()
    factors = torch.arange(len(p), 0, -1)
    q = (p[order] * factors).cummax(0).values.clamp(max=1)
    return q[order.argsort()]
    ### END SOLUTION


book.check(corrected.EXERCISE, holm)

# %% [markdown]
# ## Look back

# %%
adapters = won["kjv"] - {"bottleneck", "prefix"}
guess_better.look_back(f"{len(adapters)}: {', '.join(sorted(adapters)) or 'none'}")

# %%
regret = next(s.regret for s in summaries(rows) if s.place == at("LoRA+", "kjv"))
guess_rate.look_back(f"{regret:.2f} nats")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. A paper: five seeds, all five better, p = 0.03 by signs. What is wrong?</summary>
# Two-sided, five signs give 0.06 at least. The side was named after it fell.</details>
#
# <details><summary>2. "No difference found, of 0.3 and more would have been." What do you know?</summary>
# That the difference is probably under 0.3. If you care about 0.05, you know nothing: more seeds.</details>
#
# <details><summary>3. Why is LoRA's best rate no fair rate for LoRA+?</summary>
# Its rate is A's; B learns sixteen times as fast. The same number names another step.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further

# %%
book.fold("What else is said of comparing", claims.false_the_score_that_chose_a_rate_is_its_score)

# %% [markdown]
# ### The record
# `data/recorded/arena` has a line for each run: who, task, budget, rate, seed, what came out, versions, device, date. From a
# terminal: `lorabook arena --list` prints it, `--check 5` runs five rows again, `--export rows.csv` writes it for another
# program. What decides:

# %%
book.source(claims.holm)

# %% [markdown]
# **Sources.** Holm 1979, *A simple sequentially rejective multiple test procedure*. 2602.04998 reports variants within one
# or two percent of LoRA once each has its own rate. The rest is measured here.
