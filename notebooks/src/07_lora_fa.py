# %% [markdown]
# # 07 · LoRA-FA
#
# > **My activations do not fit, and LoRA did not help: what is kept for backward?**
#
# You train 6% of the numbers, and long texts fill the card again. Gradients and the optimiser's state have shrunk. The
# **activations** have not: what the forward pass makes and the backward pass reads again. LoRA-FA (Zhang et al. 2023)
# freezes $A$ as well, and trains $B$ alone.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | form | LoRA-FA | chapter 02: LoRA's two gradients |

# %%
import torch

from lorabook.axes.form.lora_fa import FrozenA
from lorabook.book import reading as book
from lorabook.book.exercises import frozen_a
from lorabook.claims import lora_fa as claims
from lorabook.cost import count, kept

book.axis_strip("form")

# %%
book.diagram("lora_fa")

# %% [markdown]
# That is one matrix. A model is more.
#
# ## Predict

# %% jupyter={"source_hidden": true}
shares = book.Choice("your answer", ("about 5%", "about 25%", "about 50%", "about 80%", "about 90%", "all of them"))
guess_lora = book.predict("Full fine-tuning of the book's model keeps some bytes for backward. LoRA of rank 8 on all "
    "its matrices trains 6% as many numbers. Of those bytes it keeps …", shares)
guess_lora

# %% jupyter={"source_hidden": true}
guess_fa = book.predict("LoRA-FA trains as many numbers as that LoRA. Of LoRA's bytes it keeps …", shares)
guess_fa

# %% [markdown]
# ## See it
# One layer of the book's model, in float32. Each row is a tensor that the forward pass makes. "Measured" is what autograd
# stored, counted by its saved-tensor hooks.

# %%
book.kept_for_backward()

# %% [markdown]
# 1. Let the seven matrices train instead of LoRA. What has LoRA saved? Then freeze A: which rows go, and which input of a
#    matrix stays?
# 2. In LoRA-FA, find the switch that costs more than freezing $A$ saved. Then find the one that saves more than any
#    choice of what trains. What has freezing $A$ still to give then?
#
# <details><summary>Answers</summary>
#
# 1. Nothing, and it keeps Ax besides: the gradient of A reads the same x as that of W₀. LoRA-FA frees three rows, the
# inputs of q, k, v, of gate and up, and of down: 896 KiB of 3,648, a quarter. What o reads stays, for attention reads it too.
# 2. Dropout: 4,416 KiB, more than LoRA's 3,648 without. A mask is kept for each matrix, at four bytes an entry on a CPU
# (one on CUDA). Checkpointing: 192 KiB, whatever trains. Freezing $A$ then saves in one layer only, the one that is being
# made again.
#
# </details>
#
# ## Why
# Take one matrix, $y=W_0x+s\,BAx$, and $g=\partial L/\partial y$:
#
# $$\frac{\partial L}{\partial B}=s\,g\,(Ax)^\top\qquad\frac{\partial L}{\partial A}=s\,B^\top g\,x^\top\qquad
# \frac{\partial L}{\partial x}=W_0^\top g+s\,A^\top B^\top g$$
#
# Only the middle one reads $x$, which has $d_{in}$ numbers a token. Freeze $A$, and it is never asked for.

# %%
book.card(claims.only_ax_is_kept)

# %% [markdown]
# The grey rows are there for the last one. To reach the layers below, $g$ must go back through attention, silu and the
# norms, and each reads what it was given. No choice of what trains in a matrix touches them.

# %%
book.card(claims.false_half_of_the_memory_goes)

# %% [markdown]
# ### What it costs
# LoRA's $A$ learns which directions of $x$ to read. LoRA-FA's reads those it drew: every row of $\Delta W$ is a mixture of
# $A$'s rows, for ever.

# %%
book.card(claims.a_random_a_sees_r_of_d_in)

# %% [markdown]
# ## The code
# $A$ is a buffer where LoRA has a parameter. Autograd does the rest.

# %%
book.source(FrozenA.__init__)

# %%
book.source(FrozenA.forward)

# %% [markdown]
# The file holds $A$ too: without it $B$ means nothing.
#
# ## Measured
# The King James Bible, at equal numbers of trained parameters: without $A$'s, LoRA-FA has rank 16 where LoRA has 8.

# %%
table = book.measured("LoRA-FA")
table

# %% jupyter={"source_hidden": true}
line = {each.name: each for each in table.result.lines}
base, fa, full = line["LoRA"], line["LoRA-FA"], line["full fine-tuning"]
lost = (fa.mean - base.mean) / (table.result.start - base.mean)
seven = [sum(kept.kept_numbers(count.LLAMA["7B"], what(16)).values()) for what in (kept.lora, kept.lora_fa)]
book.verdicts({
    "LoRA keeps more than 85% of full fine-tuning's bytes": base.backward_bytes > 0.85 * full.backward_bytes,
    "LoRA-FA keeps half of LoRA's": fa.backward_bytes < 0.55 * base.backward_bytes,
    "It keeps less than 80% of them": fa.backward_bytes < 0.8 * base.backward_bytes,
    "LoRA-FA is no slower than LoRA": fa.step_ratio <= base.step_ratio,
    "LoRA-FA keeps more than nine tenths of LoRA's gain in loss": lost < 0.1,
    "In every seed LoRA-FA ends above LoRA": bool((torch.tensor(fa.scores) > torch.tensor(base.scores)).all()),
    "A layer of LLaMA-7B's shape, rank 16: LoRA-FA saves between 20% and 30%": 0.2 < 1 - seven[1] / seven[0] < 0.3})

# %% [markdown]
# So a fifth of the activations goes, and a small part of the gain with it, at twice the rank.
#
# ## When, when not
# * **First** switch the adapters' dropout off, and checkpoint. Each saves more.
# * **Take it** when activations fill the card and you cannot afford the second forward pass of checkpointing. Raise $r$: it
#   costs $r$ numbers a token and matrix, not $d_{in}$.
# * **Leave it** when every bit of loss counts, or when weights fill the card: that is QLoRA's matter.
# * **With what**: QLoRA shrinks weights and LoRA-FA activations, so their savings add up.
#
# ## Exercises
# Stuck? `book.hint(frozen_a.EXERCISE, 1)`, then 2, then 3; `book.solution(frozen_a.EXERCISE)` comes last.

# %%
book.show(frozen_a.EXERCISE)

# %%
def branch(x, A, B, s):
    ### BEGIN SOLUTION
    h = torch.nn.functional.linear(x, A.detach())
    return s * torch.nn.functional.linear(h, B)
    ### END SOLUTION


book.check(frozen_a.EXERCISE, branch)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_lora.look_back(f"{base.backward_bytes / full.backward_bytes:.0%}")

# %% tags=["nbval-ignore-output"]
guess_fa.look_back(f"{fa.backward_bytes / base.backward_bytes:.0%}")

# %% [markdown]
# <details><summary>1. Which of the three gradients reads x, and which reads Ax?</summary>
# That of A reads x, that of B reads Ax. That of x reads neither, only the matrices.</details>
#
# <details><summary>2. Full fine-tuning keeps a tenth more than LoRA here, yet a layer keeps less. How?</summary>
# In the layer only its seven matrices train, and they read the same x as A. Full fine-tuning also trains the norms' gains
# and the embedding, which read inputs of their own.</details>
#
# <details><summary>3. Why does o_proj's input stay?</summary>
# The attention's own backward pass reads its output.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# A lemma that proves less than is said, the step that PEFT takes, the other cards, the sources.

# %% [markdown]
# ### Johnson and Lindenstrauss
# You will read that a random $A$ keeps all distances, so that training $B$ is enough. The lemma asks for a rank that grows
# with the logarithm of the number of points: for 200 points and 50% it is 255. And a kept distance says nothing about which
# $\Delta W$ can be reached.
#
# ### PEFT's step
# `create_lorafa_optimizer` changes more than what trains: it multiplies the gradient of $B$ by $(AA^\top)^{-1}/s^2$, which
# makes the step as close to full fine-tuning's as a frozen $A$ allows. The table above is without it.

# %%
book.fold(
    "What else is said of LoRA-FA, and whether it holds",
    claims.a_frozen_layer_keeps_its_own,
    claims.the_update_stays_in_the_rows_of_a,
    claims.false_a_random_a_sees_everything,
    claims.a_square_layer_trains_half,
    claims.the_gradient_of_a_is_saved,
    claims.a_wide_a_keeps_distances,
    claims.false_a_thin_a_keeps_distances,
    claims.the_projected_step_imitates_full_fine_tuning,
    claims.false_the_plain_step_imitates_full_fine_tuning,
)

# %% [markdown]
# **Sources.** Zhang et al. 2023 (2308.03303): section 3, the frozen A. Korthikanti et al. 2022 (2205.05198): what a layer
# keeps, counted operation by operation. Chen et al. 2016 (1604.06174): checkpointing. Johnson, Lindenstrauss 1984; Dasgupta,
# Gupta 2003. Wang et al. 2024 (2407.18242), LoRA-Pro: the projected step. PEFT: `create_lorafa_optimizer`.
