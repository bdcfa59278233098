# %% [markdown]
# # 08 · PiSSA
#
# > **Why start at zero, if W₀ tells us where its weight lies?**
#
# LoRA's $B$ starts at zero and its $A$ at random: it knows nothing of the matrix that it sits on. PiSSA (Meng, Wang, Zhang
# 2024) looks first. The strongest directions of $W_0$ become $A$ and $B$ and are trained; what is left of $W_0$ is frozen.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | init | PiSSA | chapter 01: singular values; chapter 02: LoRA's two gradients; for QPiSSA, chapter 10: four bits |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.baselines import full
from lorabook.book import reading as book
from lorabook.book.exercises import plain_lora, principal_start
from lorabook.book.figures import first_steps
from lorabook.claims import pissa, qpissa

book.axis_strip("init")

# %%
book.diagram("pissa")

# %% [markdown]
# ## Predict

# %%
guess_race = book.predict("LoRA and PiSSA at rank 8, each at its best learning rate, learn the Bible for 60 steps. "
    "PiSSA's training loss after 5 steps, and its loss on new text at the end, are …", book.Choice("than LoRA's", (
        "lower, lower", "lower, higher", "higher, lower", "higher, higher")))
guess_race

# %%
guess_error = book.predict("Take the 8 strongest directions out of a pretrained matrix, and put the rest in four bits. "
    "The rounding error, mean of 28 matrices, falls to which share of the error of the whole W₀?",
    book.Steps("your answer", tuple(range(5, 101, 5)), "%"))
guess_error

# %% [markdown]
# ## See it
# The book's model has 28 projection matrices. Drag $r$: orange goes into $BA$ and trains, blue stays and is frozen.
# Below, over the same axis, what rounding to four bits costs.

# %%
base = lb.load("tiny").model
book.principal(base)

# %% [markdown]
# 1. Set $r=8$ and go through layer 0. Of which matrix does $BA$ take more than nine tenths? Of which two less than a
#    seventh? (No other layer has such a one.)
# 2. You hear that $W_0$'s large directions are outliers that spoil four bits. Compare, at any $r$ and in any matrix, the two
#    percentages at the end of the sentence. What makes the error smaller?
#
# <details><summary>Answers</summary>
#
# 1. `k_proj` of layer 0; `up_proj` and `down_proj` of layer 0, whose spectrum is almost flat.
# 2. They are the same within three points. Four bits cost 9% of the norm of whatever is rounded, outliers or not: the
# error falls because less is left to round.
#
# </details>
#
# ## Why
# ### Take it out, put it back
# $W_0=U\Sigma V^\top$, with the $r$ largest $\sigma$ first. PiSSA sets
# $B=U_r\sqrt{\Sigma_r/s}$ (d_out × r), $A=\sqrt{\Sigma_r/s}\,V_r^\top$ (r × d_in), and freezes $W_{res}=W_0-s\,BA$.

# %%
book.card(pissa.residual_and_factors_add_up)

# %% [markdown]
# So PiSSA does *not* start with a better model. Read this one, then see it on the book's model: leave $W_0$ whole under
# $s\,BA$, and the strongest directions are there twice.

# %%
book.card(pissa.false_it_starts_with_an_update)

# %%
pretrained = {name: full.change_of(m.weight) for name, m in base.named_modules() if name.endswith("_proj")}
before = KJV.score(base)
with full.changed(base, pretrained, 8):
    doubled = KJV.score(base)
print(f"W_res + s·BA: {before:.2f} nats per token on the Bible.   W₀ + s·BA: {doubled:.2f}")

# %% [markdown]
# ### What the first step can see
# Let $G=\partial L/\partial W$. Then $\partial L/\partial B=s\,GA^\top$ and $\partial L/\partial A=s\,B^\top G$. With LoRA's
# $B=0$ the second one is zero. PiSSA has both from the start.

# %%
book.card(pissa.both_factors_learn_at_once)

# %% [markdown]
# A small step moves $W$ by $-\eta s^2(BB^\top G+GA^\top A)$: it uses the part of $G$ that lies in $B$'s columns or in $A$'s
# rows. How much of $G$ is that? Measure it on the Bible, for three starts of rank 8.

# %%
def seen(g, columns, rows):
    inside = columns @ (columns.T @ g)
    return ((inside + (g - inside) @ rows.T @ rows).norm() / g.norm()).square()


def basis(d):
    return torch.linalg.qr(torch.randn(d, 8, generator=draw))[0]


draw, stream, shares = torch.Generator().manual_seed(0), KJV.stream(0), []
for _ in range(4):
    KJV.loss(base, next(stream)).backward()
for name, w in pretrained.items():
    g = base.get_submodule(name).weight.grad
    columns, rows = basis(len(g)), basis(g.shape[1]).T
    shares.append(torch.stack([seen(g, 0 * columns, rows), seen(g, columns, rows), seen(g, w.u[:, :8], w.vt[:8])]))
random_a, random_both, principal = torch.stack(shares).mean(0).tolist()

# %% jupyter={"source_hidden": true}
book.table(("start", "of ‖G‖² in reach of the first step, mean of 28 matrices"), [
    ("LoRA: B zero, A random", f"{random_a:.0%}"), ("B and A along random directions", f"{random_both:.0%}"),
    ("PiSSA: B and A along W₀'s strongest", f"{principal:.0%}")])

# %% [markdown]
# So $W_0$ does tell something. But most of what the task asks for lies elsewhere, and a belief about it goes too far:

# %%
book.card(pissa.false_the_task_lies_in_the_principal_directions)

# %% [markdown]
# ### What has been trained at the end
# $A$ and $B$ both move away from where they were, so the change of $W$ is a difference of two products.

# %%
book.card(pissa.the_update_is_a_difference)

# %% [markdown]
# ### In four bits
# QPiSSA rounds $W_{res}$ instead of $W_0$. The order matters: take out first, then round.

# %%
book.card(qpissa.qpissa_starts_nearer_than_qlora)

# %% [markdown]
# In the card's matrices, $r$ directions stand out tenfold. Few of the model's do that: you have read it off above.

# %% [markdown]
# ## The code

# %%
book.source(lb.PiSSA().init.build)

# %% [markdown]
# The path is LoRA's, with $W_{res}$ in the place of $W_0$: same products, same bytes for backward. New is one SVD a
# matrix, once. $s$ is folded in, so $\alpha$ does not change where you start, but the size of the steps.
#
# ## Measured
# ### The first steps, then the end
# The arena's runs at tuned rates. A seed has its own batches, the same ones for every contender, so the losses can be
# subtracted. A fourth contender is there for the suspicious: factors of *exactly PiSSA's sizes*, along **random directions**, taken out of
# $W_0$ as well.

# %% jupyter={"source_hidden": true}
lines = first_steps.recorded("PiSSA", "random directions", "full fine-tuning")
first_steps.against_lora(lines, "PiSSA is ahead of LoRA for a dozen steps, then behind.")

# %%
mine, random, lora = lines["PiSSA"], lines["random directions"], first_steps.recorded("LoRA")["LoRA"]
book.verdicts({
    "After 5 steps PiSSA is ahead of LoRA, with every seed": bool((mine.after(5) < 0).all()),
    "After 20 steps it still is, on average": bool(mine.after(20).mean() < 0),
    "At the end LoRA's loss on new text is the lower one, with every seed": bool((mine.scores > lora.scores).all()),
    "Random directions are ahead of LoRA after 5 steps too, with every seed": bool((random.after(5) < 0).all()),
    "PiSSA is ahead of them after 5 steps, on average": bool(mine.after(5).mean() < random.after(5).mean()),
    "PiSSA ends lower than they do, on average": bool(mine.scores.mean() < random.scores.mean()),
    "PiSSA forgets more of Austen than they do, with every seed": bool((mine.forgotten > random.forgotten).all())})

# %% [markdown]
# Half of the early lead needs no $W_0$ at all: factors of these sizes have it along any directions. The other half is
# $W_0$'s. At the end its directions are worth nothing here that random ones are not, and they cost something: training
# them overwrites more of what the base knew about Austen. Why both end behind LoRA we do not know.
#
# ### At each one's own rate

# %%
book.measured("PiSSA", "QLoRA", "QPiSSA")

# %% [markdown]
# PiSSA ends 0.033 nats *behind* LoRA. QPiSSA starts nearer to $W_0$ than QLoRA and ends behind it as well: four bits cost
# QLoRA nothing here, so there was nothing to win back.
#
# ### How could a paper see the opposite?
# It compares the two under identical setups, one learning rate for both. Here is what that does, mean of two other seeds:

# %% jupyter={"source_hidden": true}
shared = sorted(lora.rates.keys() & mine.rates.keys())
book.table(("rate for both", "LoRA", "PiSSA", "PiSSA minus LoRA"), [
    (f"{lr:.4f}", f"{lora.rates[lr]:.3f}", f"{mine.rates[lr]:.3f}",
     f"{mine.rates[lr] - lora.rates[lr]:+.3f}".replace("-", "−"))
    for lr in shared])

# %% [markdown]
# At a rate too low for LoRA, PiSSA is ahead to the end. Tune both, and it is over. Lee et al. (2026) report the same pattern
# for several variants on larger models. Train it yourself, then lower both rates.

# %%
book.training_explorer("PiSSA")

# %% [markdown]
# ## When, when not
# * **Take it** when there are few steps, or one low rate that you cannot tune: there it is ahead.
# * **Tune LoRA first** if you can. PiSSA's advantage at a shared rate says little.
# * **Not** when the base must keep what it knows: at the end it has forgotten half as much again as LoRA.
# * **QPiSSA** pays where the spectrum is steep *and* four bits hurt. Read off the first in the explorer.
# * **The file** is no plain LoRA: its $W_{res}$ is a base of its own. Convert it to rank $2r$, or ship it whole.
# * **With what**: any scale, any store, LoRA+. Not with a second start: OLoRA is the same axis.
#
# ## Exercises
# Stuck? `book.hint(principal_start.EXERCISE, 1)`, then 2, then 3; `book.solution(principal_start.EXERCISE)` comes last.

# %%
book.show(principal_start.EXERCISE)

# %%
def pissa_start(w0, r, alpha):
    ### BEGIN SOLUTION
    s = alpha / r
    u, sigma, vt = torch.linalg.svd(w0, full_matrices=False)
    root = (sigma[:r] / s).sqrt()
    A, B = root[:, None] * vt[:r], u[:, :r] * root
    return w0 - s * B @ A, A, B
    ### END SOLUTION


book.check(principal_start.EXERCISE, pissa_start)

# %%
book.show(plain_lora.EXERCISE)

# %%
def as_lora(A, B, A0, B0, alpha):
    ### BEGIN SOLUTION
    return torch.cat([A, A0]), torch.cat([B, -B0], dim=1), 2 * alpha
    ### END SOLUTION


book.check(plain_lora.EXERCISE, as_lora)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
early, end = mine.after(5).mean(), mine.scores.mean() - lora.scores.mean()
guess_race.look_back(f"{-early:.2f} nats lower after 5 steps, {end:.3f} higher at the end")

# %% tags=["nbval-ignore-output"]
left = [1 - w.kept(8) for w in pretrained.values()]
guess_error.look_back(f"{sum(share**0.5 for share in left) / 28:.0%}, as ‖W_res‖ does")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. PiSSA's model at step 0, and LoRA's: which has the lower loss?</summary>
# Neither. Both are the pretrained model, to rounding.</details>
#
# <details><summary>2. You set α from r to 2r. What changes in PiSSA's start, and what does not?</summary>
# A and B shrink by √2 each, s doubles; s·BA and W_res stay as they were.</details>
#
# <details><summary>3. A colleague loads your A and B into a plain LoRA over W₀ and sees a loss of 8. Why?</summary>
# BA was taken out of W₀ and now lies on the whole of it. Subtract B₀A₀: rank 2r.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of PiSSA's start, and whether it holds",
    pissa.the_factors_are_the_top_directions,
    pissa.false_the_scale_does_not_matter,
    pissa.the_residual_starts_at_the_next_singular_value,
    pissa.the_factors_hold_the_most_energy,
    pissa.the_factors_are_balanced,
    pissa.false_the_factors_are_orthonormal,
    pissa.false_the_update_is_ba,
    pissa.false_the_update_has_rank_r,
    pissa.false_lora_learns_with_both_at_once,
)

# %%
book.fold(
    "What else is said of QPiSSA, and whether it holds",
    qpissa.qpissa_misses_what_the_rest_loses,
    qpissa.false_qpissa_starts_at_w0,
    qpissa.false_qpissa_may_quantise_first,
    qpissa.false_qpissa_starts_ten_times_nearer,
)

# %% [markdown]
# **Sources.** Meng, Wang, Zhang 2024 (2404.02948): equations 2 to 4, section 4 for QPiSSA, section 5 for its comparisons
# with LoRA on 11 models of up to 70B, which this model cannot check. Lee et al. 2026 (2602.04998): variants of LoRA at
# tuned rates. Eckart, Young 1936. PEFT: `init_lora_weights="pissa"`, `path_initial_model_for_weight_conversion`.
