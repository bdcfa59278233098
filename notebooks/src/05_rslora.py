# %% [markdown]
# # 05 · rsLoRA
#
# > **I doubled the rank and nothing got better: why?**
#
# You went from $r=8$ to 64, and the curve did not move. Perhaps the task needs no more rank. Perhaps the factor $s=\alpha/r$
# took with one hand what you gave with the other. rsLoRA (Kalajdzievski 2023) writes $s=\alpha/\sqrt r$.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | scale | rsLoRA | chapter 02: LoRA's two gradients |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.book import reading as book
from lorabook.book.exercises import exported, served
from lorabook.book.explore import ranks
from lorabook.claims import rslora as claims
from lorabook.tasks.drift import branch_output

book.axis_strip("scale")

# %%
book.diagram("rslora")

# %% [markdown]
# ## Predict

# %%
guess_first = book.predict("Adam, s = α/r, α = 16, one learning rate. After six steps the loss has "
    "fallen by some amount at rank 8. At rank 64 it has fallen by …", book.Choice("your answer", (
    "an eighth of it", "a third of it", "as much", "three times as much", "eight times as much")))
guess_first

# %%
guess_rate = book.predict("Rank 64. You switch to s = α/√r, keep α, and tune the learning rate again. "
    "The new best rate, over the old one, is about …",
    book.Choice("your answer", ("8", "3", "1", "1/3", "1/8")))
guess_rate

# %% [markdown]
# ## See it
# The book's small model learns the King James Bible: 60 steps of Adam, $\alpha=16$ everywhere, recorded, means of two
# seeds. The ranks end at 64, because `k_proj` and `v_proj` have 64 rows.

# %%
book.rank_curves()

# %% [markdown]
# The larger the rank, the thicker its line.
#
# 1. Set the rate to 0.001. Which rank is the fastest? Then switch to $\alpha/\sqrt r$.
# 2. Find the smallest rate at which rank 64 ends lowest of all under $\alpha/r$, and above rank 2 under $\alpha/\sqrt r$.
#    Then slide to "own best", each rank at its own rate. Is 64 still the worse one?
#
# <details><summary>Answers</summary>
#
# 1. Under $\alpha/r$ none: the curves lie on each other, and even after 60 steps rank 64 is no better than rank 8. Under
# $\alpha/\sqrt r$ they fan out, the largest rank in front.
# 2. 0.008. No: at its own rate, half as high, rank 64 is the best of all under $\alpha/\sqrt r$ too.
#
# </details>
#
# ## Why
# One output of the branch is $(sBAx)_i=s\sum_{k=1}^{r}B_{ik}(Ax)_k$: a sum of $r$ terms. It grows as $\sqrt r$ if their
# signs are random, and as $r$ if they agree. To keep its size, $s$ has to undo the one or the other. **Which one, depends on
# what made $B$.**
#
# ### A random B
# Here the signs are random:

# %%
book.card(claims.the_variance_under_both_scales)

# %% [markdown]
# This is the usual argument for $\sqrt r$. It describes no start: $B$ starts at zero.

# %%
book.card(claims.false_at_the_start_variance_grows)

# %% [markdown]
# ### One step of gradient descent
# With $g=\partial L/\partial y$ the step makes $B=-\eta s\,g(Ax)^\top$. The branch then adds
# $sBAx=-\eta s^2\,\lVert Ax\rVert^2g$, and $\lVert Ax\rVert^2$ is a sum of $r$ squares. So the size goes as $s^2r$.
# It is constant for $s\propto1/\sqrt r$. That is the heart of the paper's theorem: in the limit of large $r$, this is the
# only power with which branch and gradients neither fade nor explode.

# %%
book.card(claims.sgd_is_stable_under_root_r)

# %%
book.card(claims.sgd_fades_under_r)

# %% [markdown]
# ### One step of Adam
# Adam divides each entry of the gradient by its own size. Of the first step only signs are left,
# $B=-\eta\,\mathrm{sign}(g)\,\mathrm{sign}(Ax)^\top$, and $s$ no longer enters through the gradient. The branch adds
# $sBAx=-\eta s\,\lVert Ax\rVert_1\,\mathrm{sign}(g)$: $r$ terms of one sign. The size goes as $sr$.

# %%
book.card(claims.adam_is_stable_under_r)

# %% [markdown]
# So with Adam it is LoRA's own scale that makes the first steps alike: your first task. An input $x'$ at a right angle to
# the trained one sees it otherwise, for the signs of $Ax'$ know nothing of those of $Ax$.

# %%
book.card(claims.a_new_input_is_stable_under_root_r)

# %% [markdown]
# Which holds in a language model? Take one step at ranks 4 and 64, and compare how far the logits move, on the batch itself
# and on new verses. The table shows $p$, if they move as $r^p$.

# %%
def moved(recipe, optimiser, lr):
    model, batch = lb.load("tiny").model, next(KJV.stream(0))
    lb.inject(model, recipe, "_proj", torch.Generator().manual_seed(0))
    step = optimiser([p for p in model.parameters() if p.requires_grad], lr=lr)
    KJV.loss(model, batch).backward()
    step.step()
    new_verses = KJV.corpus.val[:512].view(8, 64)
    return torch.stack([branch_output(model, tokens) for tokens in (batch[0], new_verses)])


def powers(recipe, *how):
    small, large = (moved(recipe(r=r, alpha=16), *how) for r in (4, 64))
    return ((large / small).log2() / 4).tolist()


recipes = {"α/r": lb.LoRA, "α/√r": lb.rsLoRA}
optimisers = {"SGD": (torch.optim.SGD, 1e-2), "Adam": (torch.optim.Adam, 1e-4)}
found = {(o, s): powers(recipes[s], *optimisers[o]) for o in optimisers for s in recipes}

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
laws = {("SGD", "α/r"): ("−1", "−3/2"), ("SGD", "α/√r"): ("0", "−1/2"),
        ("Adam", "α/r"): ("0", "−1/2"), ("Adam", "α/√r"): ("1/2", "0")}
book.table(("one step of", "s", "p on the batch", "law", "p on new verses", "law, if at right angles"),
           [(o, s, f"{p[0]:+.2f}".replace("-", "−"), laws[o, s][0], f"{p[1]:+.2f}".replace("-", "−"), laws[o, s][1])
            for (o, s), p in found.items()])

# %% jupyter={"source_hidden": true}
book.verdicts({
    "On the batch each power is within 0.2 of its law": all(
        abs(found[key][0] - power) < 0.2 for key, power in zip(found, (-1, 0, 0, 0.5), strict=True)),
    "With Adam, α/r is the flatter scale on the batch, and on new verses too": all(
        abs(found["Adam", "α/r"][i]) < abs(found["Adam", "α/√r"][i]) for i in (0, 1)),
    "On new verses each power lies between its two laws": all(
        power - 0.5 < found[key][1] < power for key, power in zip(found, (-1, 0, 0, 0.5), strict=True))})

# %% [markdown]
# Our guess at the last line: verses share words and positions, so what the layers see is far from right angles.
#
# ### "No need to tune the rate again"
# The best rate, one hears, does not depend on the rank under $\alpha/\sqrt r$. For the first step of gradient descent it
# does not. Under Adam that step is $\sqrt r$ times as large, and the rate for an equal one $\sqrt r$ times lower.

# %%
book.card(claims.false_no_rate_to_retune_under_adam)

# %% [markdown]
# ## The code
# The whole variant is a value on one axis:

# %%
book.source(lb.rsLoRA().scale.build)

# %% [markdown]
# Nothing is in it that $\alpha$ could not do: $\alpha/\sqrt r=(\alpha\sqrt r)/r$. "rsLoRA with α" and "LoRA with
# $\alpha\sqrt r$" are one run. And Adam's step for $B$ does not feel $s$, so $\sqrt r$ times the scale is $\sqrt r$ times
# $B$'s learning rate. With Adam, rsLoRA *is* LoRA+ (chapter 06) of ratio $\sqrt r$.

# %%
def losses(recipe):
    model = lb.load("tiny").model
    lb.inject(model, recipe, "_proj", torch.Generator().manual_seed(0))
    return lb.fit(model, KJV.stream(0), steps=6, lr=2e-3, progress=False).losses


root = losses(lb.rsLoRA(r=64, alpha=16))
plus = losses(lb.LoRA(r=64, alpha=16) | lb.LoRAPlus(64**0.5))
book.verdicts({
    "Rank 64: LoRA with α = 128 has every loss of rsLoRA with α = 16, to the last digit":
        losses(lb.LoRA(r=64, alpha=128)) == root,
    "LoRA with α = 16, and 8 times the rate for B, has them to a thousandth of a nat":
        max(abs(x - y) for x, y in zip(plus, root, strict=True)) < 1e-3})

# %% [markdown]
# So no file needs a flag. PEFT writes one, `use_rslora`. A reader that does not know it divides by $r$, without an error,
# and serves an update $\sqrt r$ times too small.
#
# ## Measured
# ### At each one's own rate
# Each rank at the best of the explorer's eight rates.

# %% jupyter={"source_hidden": true}
record = ranks.gathered(ranks.read())
best = {s: record.best(s) for s in ranks.SCALES}
ends = {s: record.curves(s)[:, :, -1].min(1) for s in ranks.SCALES}
book.table(("r", "best rate, α/r", "loss", "best rate, α/√r", "loss "), [
    (r, *(x for s in ranks.SCALES for x in (f"{ranks.RATES[best[s][i]]:g}", f"{ends[s][i]:.3f}")))
    for i, r in enumerate(ranks.RANKS)])

# %% jupyter={"source_hidden": true}
slow = {s: record.curves(s)[:, 0, -1] for s in ranks.SCALES}  # the first rate is 0.001
plain, root = ends["α/r"], ends["α/√r"]
book.verdicts({
    "α/r, rate 0.001: rank 64 ends within 0.01 of rank 8": abs(slow["α/r"][3] - slow["α/r"][-1]) < 0.01,
    "α/√r, rate 0.001: rank 64 ends more than 0.1 below rank 8": slow["α/√r"][3] - slow["α/√r"][-1] > 0.1,
    "Still, rank 8 under α/r ends lower than that, once it has its own rate": plain[3] < slow["α/√r"][-1],
    "At own rates rank 64 ends more than 0.05 below rank 8, under either scale":
        min(x[3] - x[-1] for x in (plain, root)) > 0.05,
    "At own rates the two scales end within 0.03 of each other, at every rank": bool((abs(plain - root) < 0.03).all()),
    "The best rate of rank 64 is √64 = 8 times lower under α/√r":
        ranks.RATES[best["α/r"][-1]] > 7 * ranks.RATES[best["α/√r"][-1]]})

# %% [markdown]
# **So why did nothing get better?** The rate was too low, and $\alpha/r$ gave every rank the same steps with it. Under
# $\alpha/\sqrt r$ the rank seems to pay. It is the larger step that pays: rank 8 with a tuned rate ends lower still. At
# tuned rates the rank does pay, under both alike.
#
# The first step asks for one rate at every rank under $\alpha/r$, and for one that falls as $1/\sqrt r$ under the root.
# After 60 steps neither holds: from rank 2 to 64 the best one doubles, and falls by a $\sqrt2$ under the root. In the first
# step only $B$ moves; the rate is $A$'s too.
#
# ### At rank 8, ten seeds

# %%
book.measured("rsLoRA")

# %% [markdown]
# Worse, by a hundredth of a nat. What is compared is LoRA, and LoRA with 2.8 times the rate for $B$, each at the best of
# rates a $\sqrt2$ apart. Raise the rank, and train it yourself.

# %%
book.training_explorer("rsLoRA")

# %% [markdown]
# ## When, when not
# * **Tune the rate first.** "More rank, no gain" at one rate says little about the rank.
# * **With Adam, either will do** once the rate is tuned: here they end within a few hundredths of a nat. Neither spares
#   you the tuning when the rank changes.
# * **Take $\alpha/\sqrt r$** if you train by gradient descent. The paper also reports gains on a 7B model at ranks up to
#   2048; this model cannot check that.
# * **Never switch the scale alone.** Tune again, or divide $\alpha$ by $\sqrt r$, which is no change at all.
# * **With what**: every variant that has an $\alpha$. Beside LoRA+ the two ratios multiply. $\alpha=2r$ belongs to
#   $\alpha/r$: under the root it makes $s=2\sqrt r$.
#
# ## Exercises
# Stuck? `book.hint(served.EXERCISE, 1)`, then 2, then 3; `book.solution(served.EXERCISE)` comes last.

# %%
book.show(served.EXERCISE)

# %%
def merged(w0, A, B, alpha, r, use_rslora):
    ### BEGIN SOLUTION
    s = alpha / r**0.5 if use_rslora else alpha / r
    return w0 + s * (B @ A)
    ### END SOLUTION


book.check(served.EXERCISE, merged)

# %%
book.show(exported.EXERCISE)

# %%
def for_server(A, B, alpha, R):
    ### BEGIN SOLUTION
    r = A.shape[0]
    pad = torch.nn.functional.pad
    return pad(A, (0, 0, 0, R - r)), pad(B, (0, R - r)), alpha * R / r**0.5
    ### END SOLUTION


book.check(exported.EXERCISE, for_server)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
gains = record.first_gain("α/r", 1e-3)
guess_first.look_back(f"{gains[-1] / gains[3]:.2f} times as much, at rate 0.001")

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
new, old = (ranks.RATES[best[s][-1]] for s in ("α/√r", "α/r"))
guess_rate.look_back(f"{new:g} over {old:g}, so about 1/{old / new:.0f}, of rates a √2 apart")

# %% [markdown]
# Answer aloud, then open.
#
# <details><summary>1. Which s keeps a random B's output at one size, and why does it not speak of training?</summary>
# α/√r: r terms of random signs. B starts at zero, and what training makes of it has the signs of Ax.</details>
#
# <details><summary>2. Under gradient descent the output goes as s²r. Where do the two factors s come from?</summary>
# One from ∂L/∂B, which carries s, and one from the forward pass. Adam divides the first one out.</details>
#
# <details><summary>3. You have a good run at r = 16, α = 16 and s = α/r. Someone sets use_rslora. What do you do?</summary>
# Set α to 4 = 16/√16, and it is the same run. Or keep α, and tune the rate again, downwards.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further

# %% [markdown]
# ### Regimes, inputs, ranks up to 256
# Toy layers of width 256: move what made B, and what the output is measured on, and see the flat line change hands.

# %%
book.scale_law(torch.Generator().manual_seed(0), seeds=3)

# %%
book.fold(
    "What else is said of the scale, and whether it holds",
    claims.random_b_is_stable_under_root_r,
    claims.random_b_fades_under_r,
    claims.false_random_b_shows_the_exponent,
    claims.false_root_r_is_stable_under_adam,
    claims.the_variance_of_a_random_product,
    claims.false_the_variance_without_its_inputs,
    claims.at_the_start_no_rank_shows,
    claims.root_r_divides_alpha,
    claims.false_the_root_is_over_both,
    claims.alpha_of_two_r_removes_the_rank,
    claims.false_alpha_of_two_r_suits_root_r,
    claims.under_adam_alpha_over_r_is_flatter,
    claims.false_root_r_is_flatter_always,
    claims.false_a_new_input_is_stable_under_r,
    claims.false_a_large_rank_is_unstable,
    claims.gradients_are_small_at_high_rank,
    claims.false_gradients_are_small_at_low_rank,
    claims.no_rate_to_retune_under_sgd,
    claims.three_recipes_combine_and_speed_up,
    claims.false_three_recipes_keep_their_rates,
)

# %% [markdown]
# **Sources.** Kalajdzievski 2023 (2312.03732): definition 3.1 and theorem 3.2, stability in the limit of large r; section 4,
# a 7B model at ranks up to 2048, far above the 64 of this chapter. Hu et al. 2021 (2106.09685), section 4.1: α/r, and the
# advice to set α to the first r that you try. PEFT: `use_rslora`.
