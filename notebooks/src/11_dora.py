# %% [markdown]
# # 11 · DoRA
#
# > **LoRA turns and stretches at once: what if the two are trained apart?**
#
# A row of $W$ is an arrow: it has a length and a direction, and $BA$ changes both with the same numbers. DoRA (Liu et
# al. 2024) gives each row a length of its own, $m_i$, and leaves $BA$ the direction.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | DoRA | chapter 02: LoRA's form, two paths, gradients; chapter 01: rank |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.baselines import full
from lorabook.book import reading as book
from lorabook.book.exercises import row_norm, scaled_rows
from lorabook.book.figures import lengths
from lorabook.claims import dora

book.axis_strip("form")

# %%
book.diagram("dora")

# %% [markdown]
# ## Predict

# %%
guess_longer = book.predict("LoRA at rank 8 learns the Bible for 60 steps. Which share of the rows of its 28 matrices "
    "is longer afterwards than in W₀?", book.Steps("your answer", tuple(range(0, 101, 5)), "%"))
guess_longer

# %%
guess_end = book.predict("LoRA and DoRA train equally many numbers, each at its best rate, with ten seeds. On new text "
    "DoRA's mean loss is …", book.Choice("than LoRA's", (
        "lower by more than 0.02 nats", "the same within 0.02", "higher by more than 0.02 nats")))
guess_end

# %% [markdown]
# ## See it
# One row in the plane, and an $A$ of one row, so $s\,B$ is one number. $V=W_0+s\,BA$ runs along the orange line; it *is*
# LoRA's row. DoRA takes its direction only, and $m$ says how long. The angle is that of $A$ to $W_0$.

# %%
book.one_row()

# %% [markdown]
# 1. The task wants the row *longer*. Who gets there, and with which of $s\,B$ and $m$? Then *turned*: how near does each
#    get?
# 2. Wanted *longer* again, $s\,B=0$, $m=1$, and the angle 60°. No turn is wanted, and yet $B$ gets a gradient step.
#    Which part of it is that, and what is left with the norm in the graph? And once $m=1.5$?
#
# <details><summary>Answers</summary>
#
# 1. DoRA alone, with $m=1.5$ and $s\,B=0$; LoRA stays 0.50 off. *Turned*: LoRA comes no nearer than 0.18 ($s\,B=0.6$);
# DoRA gets there with $m=1$, $s\,B=0.7$.
# 2. The part along $V$: +0.25, which only asks for length. With the norm in the graph it is 0. At $m=1.5$ both are 0.
#
# </details>
#
# ## Why
# ### A length and a direction
# $W_0$ is d_out × d_in, and $m$ has d_out numbers: one for each row, which is one for each output. (The paper says
# *column*; its $W$ is the transpose.)
#
# $$W_i=m_i\,\frac{V_i}{\lVert V_i\rVert},\qquad V=W_0+s\,BA,\qquad m_i=\lVert W_{0,i}\rVert\ \text{at the start.}$$
#
# With $B=0$ that is $W_0$. Afterwards $m$ has the length to itself:

# %%
book.card(dora.m_is_the_length_of_each_row)

# %% [markdown]
# ### What LoRA ties together

# %%
book.card(dora.false_lora_turns_without_stretching)

# %% [markdown]
# Say $\Delta W_i$ stands at a right angle to $W_{0,i}$, as nearly all random directions do in 192 dimensions. The row
# turns by θ and is then $1/\cos\theta$ times as long: the hypotenuse. Write the turn as the paper does,
# $\Delta D=1-\cos\theta$, and the row is longer by $1/(1-\Delta D)-1\approx\Delta D$. That is the dashed line; nothing
# in it is fitted. The points are the rows of one trained matrix, `o_proj` of layer 2.

# %% jupyter={"source_hidden": true}
sides = lengths.recorded()
lengths.of_rows(sides, "The further LoRA turns a row, the longer it gets. DoRA lengthens and shortens; full "
    "fine-tuning hardly turns any.")

# %% [markdown]
# ### What DoRA can reach
# Not one new direction: $V$ is LoRA's. What is new is a length for each row.

# %%
book.card(dora.dora_adds_a_dimension_for_each_row)

# %% [markdown]
# $m$ scales the rows of $W_0$ itself, so the change has no small rank any more:

# %%
book.card(dora.doras_change_has_full_rank)

# %% [markdown]
# So no LoRA of rank $r$ can hold a trained DoRA. How much of it would be lost? Train one (10 s), and cut its change:

# %% tags=["nbval-ignore-output"]
base, model = lb.load("tiny").model, lb.load("tiny").model
layers = lb.inject(model, lb.DoRA(r=7, alpha=14), KJV.targets, generator=torch.Generator().manual_seed(0))
lb.fit(model, KJV.stream(0), steps=60, lr=8e-3, loss=KJV.loss)
changes = {name: full.change_of((layer.weight - layer.base.matrix).detach()) for name, layer in layers.items()}
with full.changed(base, changes, 7):
    cut = KJV.score(base)
kept = sum(change.kept(7) for change in changes.values()) / len(changes)
print(f"of ‖ΔW‖² in its best rank 7, mean of 28 matrices: {kept:.0%}\nloss: {KJV.score(model):.3f}, cut: {cut:.3f}")

# %%
book.verdicts({
    "All 28 changes have a rank above 60": all(torch.linalg.matrix_rank(c.delta) > 60 for c in changes.values()),
    "Cut to rank 7, more than 0.02 nats are lost": cut > KJV.score(model) + 0.02})

# %% [markdown]
# Full rank, but what lies beyond 7 does nothing for the loss. Cut to a LoRA file, this DoRA is as good as before.
#
# ### What the gradient leaves out
# Let $g=\partial L/\partial V$ with $\lVert V\rVert$ held constant; that is what DoRA trains with (section 4.3), to
# save memory. Differentiate the norm as well, and each row of $g$ loses the part along its $V_i$, for $W$ does not
# depend on how long $V$ is.

# %%
book.card(dora.the_constant_norm_leaves_in_the_part_along_v)

# %% [markdown]
# The part that is left in asks for length, which is $m$'s job. Does that do harm? See below.
#
# ## The code

# %%
layer = layers["layers.2.self_attn.o_proj"]
book.source(type(layer.update).weight)

# %%
book.source(type(layer.update).forward)

# %% [markdown]
# The path needs the norms of $V$ and never builds $V$: r × r products do.

# %%
book.card(dora.row_norms_without_the_sum)

# %% [markdown]
# Few numbers more, but not for free:

# %%
book.card(dora.false_dora_keeps_no_more_than_lora)

# %% [markdown]
# ## Measured
# ### The paper's picture
# For each matrix, $\Delta M$ is the mean over its rows of $|\lVert W_i\rVert-\lVert W_{0,i}\rVert|$, and $\Delta D$
# that of the turn. The paper plots one against the other and reports that LoRA's points rise while those of full
# fine-tuning and of DoRA fall: DoRA learns *like* full fine-tuning. Here, ten seeds, each at its tuned rate, after 15,
# 30, 45 and 60 steps; DoRA has rank 7, for its lengths cost it one.

# %% jupyter={"source_hidden": true}
lengths.of_matrices(sides, "q_proj", "Queries: full fine-tuning falls, as in the paper. DoRA rises.")

# %% jupyter={"source_hidden": true}
lengths.correlations(sides)

# %% jupyter={"source_hidden": true}
lora, mine, whole, far = (sides[name] for name in ("LoRA", "DoRA", "full fine-tuning", lengths.FAR))
book.verdicts({
    "Query matrices: full fine-tuning's sign is the paper's, with every seed":
        bool((whole.over_matrices("q_proj") < 0).all()),
    "LoRA's is too, on average": bool(lora.over_matrices("q_proj").mean() > 0),
    "DoRA's is too, on average": bool(mine.over_matrices("q_proj").mean() < 0),
    "Full fine-tuning keeps its sign at LoRA's rate": bool(far.over_matrices("q_proj").mean() < 0),
    "Rows: DoRA lies nearer to full fine-tuning than to LoRA, with every seed":
        bool((abs(mine.over_rows - whole.over_rows) < abs(mine.over_rows - lora.over_rows)).all())})

# %% [markdown]
# DoRA's sign does not show here, and full fine-tuning's is a matter of its rate and of the unit: divide each row's
# stretch by its length, and it is gone. A mean over rows also hides what DoRA is about. **Over the rows of a matrix**
# the claim holds: LoRA ties stretch to turn, DoRA and full fine-tuning do not, at either rate. And LoRA lengthens most
# rows, as does full fine-tuning at LoRA's rate; DoRA fewer than half.
#
# ### At each one's own rate

# %%
book.measured("DoRA", "QDoRA")

# %% [markdown]
# ### What is it worth?
# Two more contenders change one thing in DoRA. The last columns put $W_0$'s lengths, or its directions, back after
# training.

# %% jupyter={"source_hidden": true}
lengths.worth(sides)

# %% [markdown]
# The trained lengths are worth a hundredth of a nat: with $m$ fixed, DoRA ends that much higher. But LoRA, which cannot
# choose its lengths, does as well as DoRA. Directions carry nearly everything: on $W_0$'s directions, DoRA's lengths win
# 0.11 of its 0.64 nats. And the norm in the graph changes nothing that ten seeds can show: holding it constant does no
# harm.

# %% jupyter={"source_hidden": true}
fixed = sides["DoRA, m fixed"]
book.verdicts({
    "With m fixed DoRA ends higher, with every seed": bool((fixed.scores > mine.scores).all()),
    "LoRA and DoRA differ by more than 0.02 nats, on average": bool(abs((mine.scores - lora.scores).mean()) > 0.02)})

# %% [markdown]
# The paper reports 1 to 4.4 points over LoRA on commonsense questions, with models of 7B to 13B, which this model
# cannot check. Train both, and change the rate:

# %%
book.training_explorer("DoRA")

# %% [markdown]
# ## When, when not
# * **Tune LoRA first.** Here the same numbers in LoRA do as well, and each step is cheaper.
# * **Try it** at low ranks, where the paper reports most, if you ship a merged model: that one costs nothing more.
# * **Not** with memory at its limit, nor unmerged in a server: every pass computes the norms.
# * **Not** on a layer with a row of zeros (a pruned output), which has no direction.
# * **Read** other people's layers: one scales the bias, one differentiates the norm, one offers columns.
# * **With what**: any start, scale or store; QDoRA is chapter 10's. Not with LoHa or LoKr: the same axis.
#
# ## Exercises
# Stuck? `book.hint(row_norm.EXERCISE, 1)`, then 2, then 3; `book.solution(row_norm.EXERCISE)` comes last.

# %%
book.show(row_norm.EXERCISE)

# %%
def dora_layer(x, W0, b, A, B, m, s):
    ### BEGIN SOLUTION
    V = W0 + s * B @ A
    return m / V.norm(dim=1).detach() * (x @ V.T) + b
    ### END SOLUTION


book.check(row_norm.EXERCISE, dora_layer)

# %%
book.show(scaled_rows.EXERCISE)

# %%
def over_scaled_base(W0, A, B, m, s):
    ### BEGIN SOLUTION
    factor = (m / (W0 + s * B @ A).norm(dim=1))[:, None]
    return factor * W0, A, factor * B
    ### END SOLUTION


book.check(scaled_rows.EXERCISE, over_scaled_base)

# %% [markdown]
# ## Look back

# %%
guess_longer.look_back(f"{lora.longer.mean():.0%} with LoRA, {mine.longer.mean():.0%} with DoRA, "
                       f"{whole.longer.mean():.0%} with full fine-tuning")

# %%
guess_end.look_back(f"the same within 0.02: {(mine.scores - lora.scores).mean():+.3f} nats".replace("-", "−"))

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. At step 0 a colleague's DoRA gives the base's outputs. Is its norm right?</summary>
# You cannot know: m/‖V‖ is 1 at the start, along whichever axis.</details>
#
# <details><summary>2. Training doubles all of V, and m stays. What changes in W?</summary>
# Nothing. Only V's direction counts.</details>
#
# <details><summary>3. Why do LoRA's rows become longer, though nobody asks for it?</summary>
# Their updates stand at right angles to W₀'s rows, and a hypotenuse is longer than its side.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of DoRA's form, and whether it holds",
    dora.false_m_is_the_length_of_each_column,
    dora.the_norm_is_held_constant,
    dora.dora_starts_at_the_base,
    dora.false_dora_normalises_ba_alone,
    dora.a_matrix_is_length_times_direction,
    dora.false_a_zero_row_has_a_direction,
    dora.there_is_one_length_for_each_output,
    dora.false_there_is_one_length_for_each_column,
    dora.the_length_of_v_does_not_matter,
    dora.false_v_is_the_direction,
    dora.false_normalising_ba_alone_gives_length_m,
    dora.false_the_constant_norm_changes_no_gradient,
    dora.the_full_gradient_is_orthogonal_to_v,
    dora.the_bias_is_not_scaled,
    dora.false_the_bias_is_scaled_with_its_row,
)

# %%
book.fold(
    "What else is said of its pattern and of its cost, and whether it holds",
    dora.dora_turns_without_stretching,
    dora.dora_reaches_no_new_direction,
    dora.false_dora_reaches_what_lora_does,
    dora.false_doras_change_has_rank_r,
    dora.lora_shortens_half_of_the_rows,
    dora.false_shrinking_is_rare_in_lora,
    dora.dora_moves_more_like_full_fine_tuning,
    dora.false_dora_moves_more_like_full_fine_tuning_always,
    dora.dora_trains_one_number_more_for_each_output,
    dora.dora_adds_the_outputs_of_every_matrix,
    dora.false_dora_adds_the_width_once_a_layer,
    dora.dora_pays_for_its_norms,
    dora.false_dora_pays_for_its_numbers,
    dora.dora_keeps_its_output,
    dora.merged_dora_costs_nothing,
    dora.false_unmerged_dora_costs_nothing,
)

# %% [markdown]
# Half of the rows become shorter under a *small random* update, says a card above; after LoRA's training 15% have: the
# second order only lengthens.
#
# **Sources.** Liu et al. 2024 (2402.09353): equations 2, 5, 6 and 11, sections 3.2 and 4.1 for the picture and its
# correlations, 4.3 for the constant norm, table 1 for the questions. PEFT: `use_dora=True`. LyCORIS keeps the norm in
# the graph, and offers columns; torchtune 0.6.1 scales the bias.
