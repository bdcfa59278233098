# %% [markdown]
# # 09 · OLoRA
#
# > **QR instead of SVD: cheaper, and what is lost?**
#
# PiSSA starts on $W_0$'s strongest directions, and pays with an SVD for each matrix. OLoRA (Büyükakyüz 2024) takes the first
# $r$ columns of $Q$ in $W_0=QR$.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | init | OLoRA | chapter 08: PiSSA |

# %%
import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import orthonormal_start
from lorabook.book.figures import first_steps, start_cost
from lorabook.claims import olora

book.axis_strip("init")

# %%
book.diagram("olora")

# %% [markdown]
# ## Predict

# %%
guess = book.predict("You put the inputs of a layer, and with them the columns of W₀, in another order. The layer "
    "stays what it is. Whose B spans another space now?", book.Choice("your answer", (
        "nobody's", "PiSSA's", "OLoRA's", "PiSSA's and OLoRA's")))
guess

# %% [markdown]
# ## See it
# $B$ spans $r$ directions of the output. For each matrix of the book's model: OLoRA's space against PiSSA's, by its $r$
# angles. At 0° the two share a direction; at 90° one of them has a direction that the other knows nothing of.

# %%
book.columns(lb.load("tiny").model)

# %% [markdown]
# 1. `up_proj` of layer 0, $r=8$: is any angle below 45°? Now take each of the other three orders of the columns. What
#    changes, and what does not?
# 2. Which matrix of layer 0 gives OLoRA, at rank 8, more than four fifths of what PiSSA takes? Does an order make up the
#    rest?
#
# <details><summary>Answers</summary>
#
# 1. None: the smallest is 54°. In another order $B$ is another: less than a tenth of its space stays. How *much* it takes
# does stay, 6 to 8%: four times what random directions take, half of what PiSSA takes. PiSSA does not move.
# 2. `k_proj`: 79% against 92%. No order does: an order picks eight columns, PiSSA eight directions.
#
# </details>
#
# ## Why
# QR goes through the columns of $W_0$ from left to right (Gram and Schmidt): $q_1$ is the first column at length 1, and each
# $q_j$ is what column $j$ adds to those before. So $B=Q_{:,1:r}$ knows $r$ columns, the first ones, and $A=B^\top W_0$
# follows.

# %%
book.card(olora.the_first_columns_decide)

# %%
book.card(olora.false_the_order_of_inputs_does_not_matter)

# %% [markdown]
# $BA=BB^\top W_0$ is the part of $W_0$ in $B$'s space. No space takes more than PiSSA's.

# %%
book.card(olora.pissa_leaves_less)

# %% [markdown]
# ## The code

# %%
book.source(lb.OLoRA().init.build)

# %% [markdown]
# Unlike PiSSA's, these factors do not absorb $s$: $\alpha$ decides how much is taken out, so tune the rate again after you
# change it. What a start costs, on one square matrix, here and now:

# %% tags=["nbval-ignore-output"]
book.table(("width", "PiSSA: SVD, ms", "QR of all, ms", "OLoRA: QR of 8 columns, ms"),
           start_cost.start_costs((256, 512, 1024), r=8))

# %% [markdown]
# ## Measured
# Chapter 08's figure, with OLoRA. "Random directions" are factors of PiSSA's sizes that know nothing of $W_0$.

# %%
lines = first_steps.recorded("PiSSA", "OLoRA", "random directions")
first_steps.against_lora(lines, "OLoRA is ahead of LoRA for ten steps, as random directions are.")

# %%
book.measured("OLoRA", "PiSSA")

# %%
mine, random = lines["OLoRA"], lines["random directions"]
book.verdicts({
    "After 5 steps OLoRA is ahead of LoRA, with every seed": bool((mine.after(5) < 0).all()),
    "PiSSA is further ahead, on average": bool(lines["PiSSA"].after(5).mean() < mine.after(5).mean()),
    "At the end OLoRA is ahead of random directions, on average": bool(mine.scores.mean() < random.scores.mean())})

# %% [markdown]
# So what is lost? The half of PiSSA's early lead that came from $W_0$: OLoRA's lead is that of random directions. What is
# gained? Time; and it forgets less than PiSSA: of Austen, a tenth more than LoRA does, PiSSA half as much again.
#
# ## When, when not
# * **Tune LoRA first**: at its own rate OLoRA ends behind it here, and behind PiSSA.
# * **Is PiSSA's SVD too slow?** OLoRA starts in a small part of the time, and has over half of the early lead. PEFT's
#   `pissa_niter_4` approximates the SVD instead, and is fast too.
# * "Orthonormal" is how $B$ starts. One step later it is no longer so, and $A$ never was.
# * **The file** is PiSSA's case: rank $2r$ against $W_0$.
#
# ## Exercises

# %%
book.show(orthonormal_start.EXERCISE)

# %%
def olora_start(w0, r, alpha):
    ### BEGIN SOLUTION
    B = torch.linalg.qr(w0[:, :r])[0]
    A = B.T @ w0
    return w0 - alpha / r * B @ A, A, B
    ### END SOLUTION


book.check(orthonormal_start.EXERCISE, olora_start)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess.look_back("OLoRA's. Its B knows the first r columns; PiSSA's U is that of W₀W₀ᵀ, a sum over columns in any order")

# %% [markdown]
# Two questions before you go on.
#
# <details><summary>1. Why is no QR of all of W₀ needed?</summary>
# B is made of r columns; A = BᵀW₀.</details>
#
# <details><summary>2. You set α from r to 2r. What happens to OLoRA's start, and what to PiSSA's?</summary>
# OLoRA takes twice as much out of W₀. PiSSA's s·BA stays.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of OLoRA's start, and whether it holds",
    olora.the_factors_are_those_of_qr,
    olora.false_the_residual_has_no_scale,
    olora.b_starts_orthonormal,
    olora.false_b_stays_orthonormal,
    olora.false_a_starts_orthonormal,
    olora.false_b_spans_everything,
    olora.false_qr_leaves_as_little,
    olora.b_is_perfectly_conditioned,
    olora.false_a_is_conditioned_like_w0,
    olora.the_gradient_of_a_is_well_conditioned,
    olora.false_the_gradient_of_b_is_well_conditioned,
    olora.the_gradient_of_b_has_the_size_of_w0,
    olora.false_gradients_do_not_explode,
    olora.two_products_and_a_small_qr,
    olora.false_the_whole_matrix_is_decomposed,
)

# %% [markdown]
# **Sources.** Büyükakyüz 2024 (2406.01775), section 3. PEFT: `init_lora_weights="olora"`, which takes $s\,BA$ out of $W_0$
# and decomposes all of it.
