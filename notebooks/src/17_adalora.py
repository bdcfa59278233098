# %% [markdown]
# # 17 · AdaLoRA
#
# > **Which layers deserve the rank?**
#
# LoRA gives every matrix the same $r$. AdaLoRA (Zhang et al. 2023) starts with more than you mean to keep, scores every
# direction of every matrix while it trains, and drops the worst of the whole model. Does it know which ones to drop? And
# what is that worth at the end?
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | step rule | AdaLoRA | chapter 01: singular values; chapter 02: α/r, LoRA's two gradients |

# %%
from itertools import repeat

import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import cubic_budget, without_masked
from lorabook.book.figures import allocation
from lorabook.claims import adalora as claims

book.axis_strip("rule")

# %%
book.diagram("adalora")

# %% [markdown]
# ## Predict

# %%
guess_empty = book.predict("The book's model has 28 matrices, in four layers. AdaLoRA learns the Bible and may keep 56 "
    "directions in the end, two a matrix on average. How many matrices end with none?",
    book.Steps("your answer", tuple(range(0, 29))))
guess_empty

# %%
guess_race = book.predict("28 directions at the end, one a matrix on average: AdaLoRA, which starts with six in each, "
    "or LoRA of rank 1, at tuned rates. The loss on new text is lower with …", book.Choice("your answer", (
        "AdaLoRA, by more than 0.05 nats", "AdaLoRA, by less", "LoRA, by less than 0.05 nats", "LoRA, by more")))
guess_race

# %% [markdown]
# ## See it
# A recorded training: 28 matrices, six directions in each, every one a dot. Orange ones live. Move the step.

# %%
book.allocation()

# %% [markdown]
# 1. Step to the end. Which matrix keeps all six? In which two layers lies most of what is left? And which two kinds of
#    matrix have at most one triplet in every layer?
# 2. Mean rank 1. Try every warm-up and final phase. How far apart do the six runs end, and how far from LoRA's?
#
# <details><summary>Answers</summary>
#
# 1. `down` of layer 0. Layers 2 and 3: 41 of 56. `q` and `k`.
# 2. Between 3.87 and 3.91: 0.04 apart. LoRA's 4.01 is 0.10 above the worst. The choice matters more than when it is made.
#
# </details>
#
# ## Why
# ### A direction that can be switched off
# AdaLoRA writes the update like a singular value decomposition, $\Delta W=s\,P\Lambda Q$: $P$ is d_out × r, $Q$ is
# r × d_in, $\Lambda$ is diagonal. Its $\lambda_i$ start at zero. Column $P_{\cdot i}$, $\lambda_i$ and row $Q_{i\cdot}$ are a
# **triplet**.

# %%
book.card(claims.a_masked_lambda_takes_out_its_triplet)

# %% [markdown]
# ### What a triplet is worth
# To first order, $|w\,\partial L/\partial w|$ is what the loss changes by when the number $w$ becomes zero. One batch makes
# it noisy. So it is averaged, and multiplied by how much it still jumps about: what is unsettled stays in play.

# %%
book.card(claims.the_score_is_sensitivity_times_uncertainty)

# %% [markdown]
# No SVD is computed. But the update looks like one, and much is concluded from that:

# %%
book.card(claims.false_p_and_q_are_orthogonal)

# %% [markdown]
# There is only a penalty, $\gamma(\lVert P^\top P-I\rVert^2+\lVert QQ^\top-I\rVert^2)$, that pulls towards it. In the book's
# model, after the training, the card's two sides are this far apart:

# %%
score, largest, random = (allocation.ended(way) for way in ("by score", "by |λ|", "at random"))
print(f"‖σ(ΔW) − s|λ|‖ is {score.off.mean():.0%} of ‖σ(ΔW)‖, all 28 matrices, five seeds")

# %% [markdown]
# Does the score matter, then? We trained again with the same rate, start and budget, and kept the largest $|\lambda|$
# instead; and once more with an order drawn at random, at its own best rate.

# %%
book.table(("56 triplets kept", "rate", "loss, five seeds", "minus AdaLoRA's"), [
    score.row("by score", score), largest.row("by the size of λ", score), random.row("at random", score)])

# %% [markdown]
# The choice beats chance by 0.07 nats. Score against $|\lambda|$ is not decided here: they keep other triplets, but two of
# the five seeds end lower with $|\lambda|$.
#
# ### One cut through the model
# All triplets stand in one list, and the $b(t)$ best live. No layer has a share of its own. $b(t)$ falls along a cubic: most go
# early, and the last ones are given time.

# %%
book.card(claims.the_budget_is_of_the_whole_model)

# %% [markdown]
# "The same budget, better distributed", you read. The curve in the explorer says otherwise:

# %%
book.card(claims.false_the_budget_is_the_target_throughout)

# %% [markdown]
# Masked is not gone, either. Set warm-up to 0 in the explorer and step from 5 to 10: the ringed dots had been masked and live
# again.

# %%
book.card(claims.a_masked_lambda_still_has_a_gradient)

# %% [markdown]
# ## The smallest case
# Four layers. What they have to learn has rank 5, 2, 1 and 0: eight directions, and that is the budget.

# %%
d, needs, draw = 16, (5, 2, 1, 0), torch.Generator().manual_seed(0)
model = torch.nn.ModuleList(torch.nn.Linear(d, d, bias=False) for _ in needs)
wanted = [torch.randn(d, k, generator=draw) @ torch.randn(k, d, generator=draw) / d for k in needs]
layers = list(lb.inject(model, lb.AdaLoRA(r=5, alpha=10, target_r=2, every=5), r"\d", draw).values())


def distance(model, _batch):
    zero = torch.zeros(d, d)
    return sum((layer.update.weight(zero) - goal).square().sum() for layer, goal in zip(layers, wanted, strict=True))


nothing = repeat((torch.zeros(1), torch.zeros(1)))
lb.fit(model, nothing, steps=150, lr=0.02, loss=distance, progress=False)
least = sum(torch.linalg.svdvals(goal)[2:].square().sum() for goal in wanted)
print("triplets that live, layer by layer:", [int((layer.update.E != 0).sum()) for layer in layers])
print(f"left of the distance: {distance(model, None):.2f}. LoRA of rank 2 everywhere leaves at least {least:.2f}.")

# %% [markdown]
# AdaLoRA's case: few layers need much, most nothing.
#
# ## The code
# After each optimiser step:

# %%
rule = lb.AdaLoRA(r=5, alpha=10, target_r=2, total_steps=150).rule.build(model)
book.source(rule.after_step)

# %%
book.source(rule.schedule.budget)

# %% [markdown]
# The path is LoRA's, with $\lambda$ multiplied into $Q$. It saves nothing in training: masked triplets keep their numbers, their
# gradients and Adam's state. $s=\alpha/r$ keeps the *starting* $r$.
#
# ## Measured
# ### At equal trained numbers

# %%
book.measured("AdaLoRA")

# %% [markdown]
# Here AdaLoRA starts with rank 7 and ends with 5 on average, LoRA has 8, and AdaLoRA ends behind; it forgets less of Austen. It
# needs four times LoRA's rate: at LoRA's own it is far behind.
#
# ### At an equal final budget
# Now it starts with rank 6 and may keep 56 triplets, or 28. Two rows are there for the suspicious. **Cut at the end**: plain
# LoRA of rank 6, whose largest singular values of the whole model are kept after the last step. **With its
# ranks**: LoRA trained from the start with the ranks that AdaLoRA of the same seed ended with. Rates are tuned at 56; LoRA of
# rank 1 has its own.

# %%
lora = allocation.uniform()
cut, retrained = (allocation.ended(way) for way in ("LoRA r=6, cut at the end", "LoRA with its ranks"))
book.table(("56 triplets at the end", "rate", "loss, five seeds", "minus LoRA's"), [
    lora.row("LoRA, rank 2 everywhere", lora), random.row("AdaLoRA's form, random choice", lora),
    score.row("AdaLoRA", lora), cut.row("LoRA of rank 6, cut at the end", lora),
    retrained.row("LoRA with AdaLoRA's ranks", lora)])

# %%
low, low_score, low_cut = (allocation.uniform_low(), allocation.ended("by score", 1),
                           allocation.ended("LoRA r=6, cut at the end", 1))
book.table(("28 triplets at the end", "rate", "loss, three seeds", "minus LoRA's"), [
    low.row("LoRA, rank 1 everywhere", low), low_score.row("AdaLoRA", low),
    low_cut.row("LoRA of rank 6, cut at the end", low)])

# %%
book.verdicts({
    "At 56 triplets AdaLoRA is ahead of LoRA of that mean rank, with every seed": (score.scores < lora.scores).all(),
    "A random choice is too, on average": random.scores.mean() < lora.scores.mean(),
    "LoRA with AdaLoRA's ranks is ahead of LoRA, with every seed": (retrained.scores < lora.scores).all(),
    "LoRA, cut at the end, is behind AdaLoRA, on average": cut.scores.mean() > score.scores.mean(),
    "At 28 triplets AdaLoRA is ahead of LoRA, with every seed": (low_score.scores < low.scores).all(),
    "There LoRA, cut at the end, is behind AdaLoRA, with every seed": (low_cut.scores > low_score.scores).all()})

# %% [markdown]
# So its choice beats a random one. LoRA with its **ranks** is ahead of LoRA too; by how much, five seeds that spread so widely
# leave open. At 56 you need no AdaLoRA, one cut after a plain training does as well. At 28 that cut is no better than
# rank 1 everywhere: our guess is that a deep cut must be trained under. Three seeds are few; read that table as a hint. And on
# the way AdaLoRA trains three times as many numbers as LoRA of rank 2, six times as many as rank 1.
#
# Train it, then start with three times the last rank. What do you pay, and what do you gain? ($s=\alpha/r$ falls with it.)

# %%
book.training_explorer("AdaLoRA")

# %% [markdown]
# ## When, when not
# * **Take it** when the *final* size counts and is small: many adapters to store or to serve.
# * **Not** to save memory in training: for that it is the rank at the start that counts.
# * **As an instrument**: run it once, read off where the rank goes, and train plain LoRA with those ranks.
# * **First try** LoRA of a larger rank, cut over the whole model at the end: no new knob, one SVD.
# * **Tune its rate** on its own.
# * **With what**: LoRA+, QLoRA. Not with another form or start: it brings its own.
#
# ## Exercises
# Stuck? `book.hint(cubic_budget.EXERCISE, 1)`, then 2, then 3; `book.solution(cubic_budget.EXERCISE)` comes last.

# %%
book.show(cubic_budget.EXERCISE)

# %%
def budgets(steps, warm_up, final, start, target):
    ### BEGIN SOLUTION
    b = []
    for t in range(steps):
        left = min(1, max(0, 1 - (t - warm_up) / (steps - warm_up - final)))
        b.append(int(target + (start - target) * left**3))
    return b
    ### END SOLUTION


book.check(cubic_budget.EXERCISE, budgets)

# %%
book.show(without_masked.EXERCISE)

# %%
def smallest_lora(P, lam, Q, alpha):
    ### BEGIN SOLUTION
    keep = lam != 0
    return Q[keep], P[:, keep] * lam[keep], alpha * int(keep.sum()) / len(lam)
    ### END SOLUTION


book.check(without_masked.EXERCISE, smallest_lora)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
empty = (score.ranks == 0).sum(1)
guess_empty.look_back(f"{empty.min()} to {empty.max()}, by seed")

# %% tags=["nbval-ignore-output"]
guess_race.look_back(f"AdaLoRA {low_score.scores.mean():.2f}, LoRA {low.scores.mean():.2f} nats per token")

# %% [markdown]
# Three questions before you go on.
#
# <details><summary>1. A colleague sees that A and B have kept their shapes, and reports a bug. What do you look at?</summary>
# λ: the rank of ΔW is at most the number of λ that are not zero.</details>
#
# <details><summary>2. Why does a layer with twice the width not win by its size?</summary>
# The scores of P's and Q's entries enter as means, not as sums.</details>
#
# <details><summary>3. Someone divides α by the rank that is left. What happens at a cut?</summary>
# s jumps, and with it all that was learned. s stays α/r with the r of the start.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of AdaLoRA's form, and whether it holds",
    claims.orthonormal_factors_make_lambda_singular,
    claims.the_penalty_measures_orthogonality,
    claims.rank_is_at_most_the_lambdas_left,
    claims.false_the_rank_never_changes,
    claims.false_the_scale_follows_the_rank,
    claims.lambdas_are_trained_too,
)

# %%
book.fold(
    "What else is said of its scores, and whether it holds",
    claims.sensitivity_is_the_change_of_the_loss,
    claims.false_lambda_is_the_importance,
    claims.the_score_does_not_see_signs,
    claims.false_the_score_is_lambda_plus_gradient,
    claims.false_the_scores_are_singular_values,
)

# %%
book.fold(
    "What else is said of its budget, and whether it holds",
    claims.the_budget_falls_as_a_cubic,
    claims.false_the_budget_falls_in_equal_steps,
    claims.the_budget_ends_at_its_target,
    claims.false_the_budget_is_the_target_throughout,
    claims.false_every_layer_gets_the_target,
    claims.the_choice_is_a_heuristic,
    claims.false_the_choice_is_optimal,
    claims.false_a_masked_lambda_is_gone,
)

# %% [markdown]
# **Sources.** Zhang et al. 2023 (2303.10512): equations 3 and 4 for the form, 6 to 11 for scores and choice, 12 for the
# budget, section 4 for comparisons on DeBERTaV3-base and BART-large, which this model cannot check. PEFT: `AdaLoraConfig`;
# its penalty is a mean of norms without the square, and `update_and_allocate` must be called by hand. Eckart, Young 1936.
