# %% [markdown]
# # 22 · O-LoRA
#
# > **The second task destroyed the first. Can a new adapter stay out of the way of the old ones?**
#
# O-LoRA gives every new task an adapter of its own, and lets its $A_t$ read no input direction that an earlier $A_i$ reads:
# $A_iA_t^\top=0$. (Not OLoRA, with one letter less: that is a start.)
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | many | O-LoRA | 02 |

# %%
import torch

import lorabook as lb
from lorabook.arena import turns, turns_record
from lorabook.book import reading as book
from lorabook.book.exercises import apart_penalty, keep_apart
from lorabook.book.figures import turns as drawn
from lorabook.claims import o_lora as claims
from lorabook.many import apart, orthogonal

book.axis_strip("many")

# %%
book.diagram("o_lora")

# %% [markdown]
# ## Predict

# %%
guess_loss = book.predict("A model that predicts CAPITALS at 4.1 nats learns them down to 2.8. Then it learns the "
    "Bible, with the same LoRA. Where are CAPITALS after that?",
    book.Steps("nats per token", (2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5)))
guess_loss

# %%
guess_angle = book.predict("Instead, each task gets a LoRA of its own, of rank 8 on 192 inputs; nothing keeps them "
    "apart. Which angle do the rows of A₂ make with those of A₁, after training? (0°: they read the same; 90°: nothing "
    "in common)",
    book.Steps("angle", tuple(range(0, 91, 10)), "°"))
guess_angle

# %% [markdown]
# ## See it
# The book's small model knows Austen. It learns her novels in CAPITALS, then the Bible, forty steps each.

# %% tags=["nbval-ignore-output"]
base = lb.load("tiny")
lb.inject(base.model, lb.LoRA(r=64), "_proj")
seen = [drawn.moment("before", base)]
for task in book.progress(turns.TASKS[:2]):
    turns.train(base.model, task, lr=2.5e-3, seed=0)
    seen.append(drawn.moment(task, base))
drawn.moments(seen)

# %% [markdown]
# That is the damage that you came for. Now the recorded runs, with a third text: *no spaces* is Austen without any.

# %%
book.forgetting()

# %% [markdown]
# 1. Keep rank and rate. Which two ways forget most of CAPITALS while the Bible is learned? Which of the two has right angles?
# 2. Choose *a new LoRA each time*, and lower the rate until CAPITALS stay. What is the price? Then set rank 8. How far from
#    90° are the angles?
#
# <details><summary>Answers</summary>
#
# 1. *A new LoRA each time*, and the projection: both leave CAPITALS above the 4.1 nats of before. The projection has three
# angles of 90°. Orthogonal to the last digit, it forgets more than one LoRA that is trained on.
# 2. At 0.0003125 nothing is lost, for little is learned: *no spaces* stays above 5.3 nats, and was below 4. At rank 8 the
# angles are near 78° already: few rows in many dimensions are almost orthogonal by chance.
#
# </details>
#
# ## Three inputs
# $A_1$ reads the first input, $A_2$ the second: they are orthogonal. Here are two inputs of the *old* task.

# %%
A1, A2 = torch.tensor([[1.0, 0, 0], [0.0, 1, 0]]).split(1)
x = torch.tensor([[2.0, 0, 0], [2.0, 1, 0]]).T
print("A₁A₂ᵀ =", (A1 @ A2.T).item())
print("A₁ reads", *(A1 @ x).tolist(), "and A₂", *(A2 @ x).tolist())

# %% [markdown]
# $A_1$ reads 2 from both: to it they look alike. $A_2$ reads 0 from the one and 1 from the other, and is free to answer
# there. Keep these inputs in mind: they are the whole chapter.
#
# ## Why
# ### What is asked
# The model after $t$ tasks is $W=W_0+s\sum_{i\le t}B_iA_i$, with $A_i$ of $r\times d_{in}$ and $B_i$ of $d_{out}\times r$. Only
# $(B_t,A_t)$ trains; the earlier ones are frozen. The loss of task $t$ gets a penalty.

# %%
book.card(claims.o_lora_penalises_a_alone)

# %% [markdown]
# It is on $A$, the factor that reads, and rightly so. If $A_tA_i^\top=0$, then for an input $x=A_i^\top z$ the new branch gives
# $B_tA_tA_i^\top z=0$, whatever $B_t$ is.

# %%
book.card(claims.inputs_in_an_earlier_row_space_are_left_alone)

# %% [markdown]
# ### The theorem that is none
# You will read: *the constraint leaves alone every input that the old adapter responds to, $A_ix\ne0$.* Try it on the second
# input above. Almost every $x$ has $A_ix\ne0$, and nearly all of it lies elsewhere.

# %%
book.card(claims.false_inputs_that_an_earlier_adapter_reads_are_left_alone)

# %% [markdown]
# What does hold is a bound, and it names the number to look at: how much of an old input lies *outside* row($A_i$).

# %%
book.card(claims.forgetting_is_bounded_by_what_lies_outside)

# %% [markdown]
# Why should row($A_1$) hold the old inputs? $A_1$ starts random, and is trained to read what *distinguishes* its task, not
# what its inputs *are*. The last bar of the explorer measures it on CAPITALS: about
# half, or less, at rank 64.

# %%
book.card(claims.false_o_lora_eliminates_forgetting)

# %% [markdown]
# The paper says *mitigates*.
#
# ### Exactly orthogonal
# A penalty wishes; a projection decides. After each step, cut out of $A_t$ what lies in the space of *all* earlier rows
# $E=[A_1;\dots;A_{t-1}]$, together. One predecessor after the other will not do, and neither will $(EE^\top)^{-1}$ in another
# place than the middle: $A_t\leftarrow A_t-A_tE^\top(EE^\top)^{-1}E$.

# %%
book.card(claims.predecessors_are_projected_out_together)

# %% [markdown]
# The step is projected, not the gradient: Adam divides each entry by a number of its own, and would turn a projected gradient
# back out. And the room is limited:

# %%
book.card(claims.there_is_room_for_d_in_over_r_tasks)

# %% [markdown]
# The last task to fit has the directions left that no earlier one took.
#
# ## The code
# Penalty and projection, as the library has them. The earlier adapters are merged into $W_0$ while a new one trains; only
# their $A$ are kept.

# %%
book.source(apart.Pulled.penalty)

# %%
book.source(apart.Projected._project)

# %% [markdown]
# A whole sequence is one call. Here is the projection, with the rank, rate and seed of the first run:

# %% tags=["nbval-ignore-output"]
base, told, bar = lb.load("tiny"), [], book.progress(total=2)


def learn(name):
    def task(model):
        turns.train(model, name, lr=2.5e-3, seed=0)
        told.append(drawn.moment(name, base))
        bar.update()

    return task


recipe = lb.OrthogonalLoRA(r=64, keep=orthogonal.Project())
learned = lb.learn_in_turn(base.model, [learn(name) for name in turns.TASKS[:2]], recipe, "_proj")
drawn.moments(told)

# %%
one, two = (adapter["layers.1.self_attn.q_proj"].A for adapter in learned)
book.verdicts({"Every row of A₂ is at 90° to every row of A₁, to 1e-5": (one @ two.T).abs().max().item() < 1e-5,
    "CAPITALS stay within 1 nat of what was learned": told[1].losses[1] - told[0].losses[1] < 1})

# %% [markdown]
# ## Measured
# Recorded on a CPU. *Learned*: the loss right after each task, mean of three; *forgotten*: what the first two lose until the
# end; *at the end*: the mean of all three. Each way has the rate that is best at the end, found on a fourth seed; then three
# seeds, ± half of what they span.

# %%
rows = turns_record.read()
drawn.best_rates(rows)

# %% [markdown]
# A rate that learns little forgets little. So compare ways where they learned as much:

# %%
drawn.at_every_rate(rows, 64)

# %% [markdown]
# Lower and further left is better. Now decide.

# %%
ends = {key: [turns_record.at_the_end(row.run) for row in some] for key, some in turns_record.reported(rows).items()}


def span(r, *ways):
    values = [value for way in ways for value in ends[way, r]]
    return min(values), max(values)


ours = (turns.PENALISED, turns.PROJECTED)
gap = {r: span(r, turns.NEW)[0] - span(r, *ours)[1] for r in (8, 64)}
low, high = span(64, turns.FROZEN, *ours)
book.verdicts({
    "Rank 64: penalty and projection end more than 0.1 below a new LoRA each time, whichever the seeds": gap[64] > 0.1,
    "Rank 8: they do, too": gap[8] > 0.1,
    "Rank 8: they end lower at all, whichever the seeds": gap[8] > 0,
    "Rank 64: penalty, projection and frozen A end within 0.1 of each other, whichever the seeds": high - low < 0.1})

# %% [markdown]
# So at rank 64 it pays to hold a new adapter back. **But orthogonality is not what pays.** The exact way is no better than the
# penalty. And a frozen A, drawn at random, 57° from its predecessors, does as well. That is LoRA-FA (chapter 07), once for
# each task: it costs less than LoRA, and keeps nothing of earlier tasks. Our guess: the penalty works for the same reason. Under
# Adam it takes its share of every step, and $A$ learns less.
#
# At rank 8 the rows are almost orthogonal by chance, and O-LoRA gains less over a new LoRA each time: 0.05 to 0.07 nats on
# average. The frozen A gains as much, with a wider spread. Change 64 to 8 in the cell of the picture.
#
# No way keeps everything and learns everything: where *learned* is low, *forgotten* is not zero.
#
# ## When, when not
# * **You know the task of each request?** Do not add adapters up. Load the right one (chapter 24): nothing is forgotten.
# * **One merged model for all tasks, old data gone:** start with a new LoRA whose A is frozen. Then O-LoRA, if it beats that
#   on your tasks.
# * **Not** as a guarantee. Keep a validation set of every old task, and look at the matrix.
# * **Count first**: $tr\le d_{in}$ for the narrowest layer, and $r\,d_{in}$ numbers kept for each earlier task and layer.
# * If you may keep a few old examples, mixing them in is the usual remedy; it is not measured here.
#
# ## Exercises
# Stuck? `book.hint(apart_penalty.EXERCISE, 1)`, then 2, then 3.

# %%
book.show(apart_penalty.EXERCISE)

# %%
def penalty(A, B, A1, B1, weight):
    ### BEGIN SOLUTION
    return weight * (A1 @ A.T).square().sum()
    ### END SOLUTION


book.check(apart_penalty.EXERCISE, penalty)

# %%
book.show(keep_apart.EXERCISE)

# %%
def stay_outside(A, earlier):
    ### BEGIN SOLUTION
    q = torch.linalg.qr(earlier.T).Q  # orthonormal columns that span the earlier rows
    return A - A @ q @ q.T
    ### END SOLUTION


book.check(keep_apart.EXERCISE, stay_outside)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
after = [row.run.matrix[1][2] for row in turns_record.reported(rows)[turns.ON, 64]]
guess_loss.look_back(
    f"{seen[-1].losses[1]:.1f} nats above; {min(after):.1f} to {max(after):.1f} in the three recorded seeds")

# %% tags=["nbval-ignore-output"]
share = sum(row.run.inside[0] for row in turns_record.reported(rows)[turns.NEW, 8]) / 3
guess_angle.look_back(f"{torch.tensor(share).sqrt().arccos().rad2deg():.0f}°, mean of three seeds")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. A₁A₂ᵀ = 0 and A₁x ≠ 0. Does the second task change the output for x?</summary>
# As a rule yes: x has a part outside row(A₁), and A₂ may read it. Only x inside row(A₁) is safe.</details>
#
# <details><summary>2. Someone constrains B₁ᵀB₂ = 0 instead. What is protected?</summary>
# The output's part along B₁. The output itself changes beside it, for every input.</details>
#
# <details><summary>3. d_in = 4096 and r = 16: how many tasks, and what stops you before?</summary>
# 256. Before that, memory for the earlier A's, and forgetting, which the room says nothing about.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the record, the sources.

# %%
book.fold(
    "What else is said of O-LoRA, and whether it holds",
    claims.false_o_lora_penalises_b_too,
    claims.false_the_authors_code_sums_squares,
    claims.the_penalty_pulls_along_earlier_rows,
    claims.false_orthogonal_outputs_leave_inputs_alone,
    claims.orthogonal_outputs_keep_the_part_along_b,
    claims.one_predecessor_is_projected_out,
    claims.false_the_inverse_may_stand_last,
    claims.false_projections_may_be_subtracted_one_by_one,
    claims.orthogonal_predecessors_may_be_subtracted_one_by_one,
    claims.false_there_is_room_for_d_out_over_r_tasks,
    claims.o_lora_has_room_for_256_tasks,
    claims.o_lora_keeps_every_earlier_a,
    claims.false_o_lora_keeps_nothing,
    claims.o_lora_trains_what_lora_trains,
    claims.false_o_lora_trains_a_projection,
    claims.projecting_costs_four_t_r_squared_d,
    claims.projecting_costs_less_than_one_percent,
)

# %% [markdown]
# ### The record, made again
# `turns_record.record(path)` trains every run anew into a file of your own: about a quarter of an hour on a quiet core.

# %%
book.source(turns.learn)

# %%
book.source(orthogonal.OrthogonalLoRA)

# %% [markdown]
# **Sources.** Wang et al. 2023 (2310.14152): O-LoRA, equations 6 to 8; their code, cmnfriend/O-LoRA, sums absolute values.
# The rest of this chapter is arithmetic, or measured here.
