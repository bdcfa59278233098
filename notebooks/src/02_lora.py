# %% [markdown]
# # 02 · LoRA
#
# > **What exactly do r and α do, and why does LoRA start at zero?**
#
# You have typed `r=8, alpha=16` before. Find out which of the two your learning rate has to fit.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | LoRA | chapter 01; the chain rule |

# %%
import torch
from torch.nn.utils import parametrize

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import count, scale, two_path
from lorabook.book.figures import lora as pictures
from lorabook.claims import lora, rslora
from lorabook.tasks import drift, text

book.axis_strip("form")

# %%
book.diagram("lora")

# %% [markdown]
# ## Predict

# %% jupyter={"source_hidden": true}
guess_gradient = book.predict(
    "Step 0, before anything has moved: how large is the gradient of A, as a share of the gradient of B?",
    book.Steps("your answer", (0, 1, 10, 50, 100, 200, 1000), "%"))
guess_gradient

# %% jupyter={"source_hidden": true}
guess_double = book.predict(
    "You double r and leave α as it is. After a few steps of Adam, the adapter changes the model's output …",
    book.Choice("your answer", ("a quarter as much", "half as much", "as much", "twice as much", "four times as much")))
guess_double

# %% [markdown]
# ## See it
# The book's model has read Jane Austen. LoRA, on all its 28 projection matrices, now reads the King James Bible: 4.45 nats
# per token on unseen verses before training. Press **Train**. The scale of the update is $s=\alpha/r$. α stands under
# *more* and follows the rank, so set it last.

# %%
book.training_explorer("LoRA")

# %% [markdown]
# 1. Change only the rank, to 32, and train. Then set α back to 16, and train again. Which **begins** (first three dots)
#    like the recorded rank 8: the run with its $s$ or the run with its α? Which has the lower loss on unseen text?
# 2. Set the rate to 0.016. Train $(r,\alpha)$ = (32, 64), (32, 16) and (8, 64). Which end above 4.45 on unseen text? What
#    do those share?
#
# <details><summary>Answers</summary>
#
# 1. The one with its α lies on rank 8's line at first, and ends lower. The one with its $s$ is ahead at first, and ends
# no better than rank 8.
# 2. (32, 64) and (8, 64): they share α. (32, 16) is fine. So is (8, 16), although its $s$ is that of (32, 64).
#
# </details>
#
# ## The smallest case
# Four inputs, four outputs. $W_0$ has sixteen numbers, frozen. The update has rank 1: a column $B$ times a row $A$.

# %%
W0, B = torch.eye(4), torch.zeros(4, 1)
A = torch.tensor([[1.0, 0, -1, 0]])
x, s = torch.tensor([3.0, 1, 1, 2]), 2.0
print("at the start:", ((W0 + s * B @ A) @ x).tolist())

B[2, 0] = 0.5
print("A reads Ax =", (A @ x).tolist())
print("B writes sB(Ax) =", (s * B @ (A @ x)).tolist())

# %% [markdown]
# **A reads, B writes.** $A$ reads $r$ numbers off the input (here: first entry minus third), $B$ says which outputs get
# them, $s$ how loudly. At the start $B=0$: the layer is the pretrained one.
#
# ## Why
# $W_0$ is $d_{out}\times d_{in}$, $A$ is $r\times d_{in}$, $B$ is $d_{out}\times r$, and $W=W_0+sBA$ with $s=\alpha/r$.
#
# ### What r bounds
# Every column of $BA$ is a mix of the $r$ columns of $B$: whatever is trained, the rank of $\Delta W$ is at most $r$.
#
# ### Two gradients
# Let $G=\partial L/\partial W$, as full fine-tuning would use it. Freezing does not make it zero; nobody asks for it. By
# the chain rule:

# %%
book.card(lora.gradients_of_the_factors)

# %% [markdown]
# Put $B=0$ into them: $A$ gets nothing, $B$ gets $sGA^\top$. So $B$ moves first, and $A$ once $B$ is there. On the model:

# %%
base = lb.load("tiny")
bible = text.tokenize("kjv", text.read("kjv")[:400_000], base.tokenizer)
unseen = bible.val[:512].view(8, 64)


def draw(seed):
    return torch.Generator().manual_seed(seed)


def fresh(r, alpha):
    model = lb.load("tiny").model
    return model, lb.inject(model, lb.LoRA(r, alpha), targets="_proj", generator=draw(0))


model, layers = fresh(8, 16)
norms = {"A": [], "B": []}


def note(step, loss):
    for name, values in norms.items():
        grads = [getattr(layer.update, name).grad.flatten() for layer in layers.values()]
        values.append(torch.cat(grads).norm().item())


lb.fit(model, text.batches(bible, 4, 64, draw(0)), steps=8, lr=8e-3, on_step=note, progress=False)
pictures.gradient_norms(norms, "At step 0 only B has a gradient; A's follows.")

# %% [markdown]
# ### Other starts
# Both factors zero: both gradients are zero, and stay so. Both random: it trains, but the first forward pass is no longer
# the pretrained model.

# %%
book.card(lora.false_both_random_starts_at_the_base)

# %% [markdown]
# And the model, before any step?

# %%
austen = text.tokenize("austen", text.read("austen")[-400_000:], base.tokenizer)
model, layers = fresh(8, 16)
losses = [text.evaluate(model, austen, pieces=16).nats_per_token]
for layer in layers.values():
    torch.nn.init.uniform_(layer.update.B, -(8**-0.5), 8**-0.5, generator=draw(1))
losses.append(text.evaluate(model, austen, pieces=16).nats_per_token)
print(f"nats per token on Austen: {losses[0]:.2f} with B = 0, {losses[1]:.2f} with B random")

# %% [markdown]
# ### What α/r does
# It depends on what made $B$. A first step $\Delta B$ changes the loss, to first order, by
# $\langle\partial L/\partial B,\Delta B\rangle$, and $\partial L/\partial B=sGA^\top$ has $r$ columns of one size. At fixed α:
#
# * **Gradient descent**, $\Delta B=-\eta sGA^\top$: $r$ columns times $s^2$, that is $\alpha^2/r$. It fades as $1/r$.
# * **Adam**, $\Delta B=-\eta\,\mathrm{sign}(GA^\top)$: $r$ columns times $s$, that is α. **The rank drops out.**
# * **Random** $B$, the textbook's case: $r$ terms of random sign add up to $\sqrt r$, times $s$. It fades as $1/\sqrt r$.
#   But LoRA's $B$ was trained.
#
# The same for the output $sBAx$ on an input that was trained on:

# %%
book.card(rslora.sgd_fades_under_r)

# %%
book.card(rslora.adam_is_stable_under_r)

# %% [markdown]
# Now the model: six steps at $r=4$ and at $r=64$, then the change on unseen verses.

# %% tags=["nbval-ignore-output"]
def change(r, alpha, optimizer, lr):
    model, layers = fresh(r, alpha)
    rule = optimizer([p for p in model.parameters() if p.requires_grad], lr=lr)
    for _, batch in zip(range(6), text.batches(bible, 4, 64, draw(0)), strict=False):
        rule.zero_grad()
        text.language_loss(model, batch).backward()
        rule.step()
    return drift.branch_output(model, unseen), drift.layer_outputs(model, unseen).log().mean().exp()


adam, sgd = (torch.optim.Adam, 1e-3), (torch.optim.SGD, 1e-2)
runs = {"Adam, α = 16": (16, 16, *adam), "gradient descent, α = 16": (16, 16, *sgd), "Adam, α = 2r": (8, 128, *adam)}
times = {}
for name, (first, second, *rule) in book.progress(runs.items()):
    small, large = change(4, first, *rule), change(64, second, *rule)
    times[name] = [(b / a).item() for a, b in zip(small, large, strict=True)]

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("16 times the rank", "change of the logits", "output of the branches, at their layers"),
           [(name, *(f"× {value:.2g}" for value in both)) for name, both in times.items()])

# %% jupyter={"source_hidden": true}
book.verdicts({
    "Adam, fixed α: 16 times the rank changes the logits as much, within a quarter":
        0.8 < times["Adam, α = 16"][0] < 1.25,
    "… and at the layers too": 0.8 < times["Adam, α = 16"][1] < 1.25,
    "gradient descent: less than a tenth is left": times["gradient descent, α = 16"][0] < 0.1,
    "α = 2r: more than eight times as much": times["Adam, α = 2r"][0] > 8})

# %% [markdown]
# Under Adam at fixed α, what the branches put out at their layers does shrink, on inputs they were not trained on. What
# arrives at the logits does not. A guess: the part that lowers the loss has one sign in all $r$ terms, is flat, and reaches
# the logits; the rest is noise that more terms average out.
#
# So **fix α, and the rate nearly carries over from rank to rank**. With the popular α = 2r a larger rank is also a larger step.
#
# ### Is α a learning rate?
# In Adam's first step, yes: $\Delta W\propto s\eta$. Then $A$ moves too:

# %%
book.card(lora.false_alpha_is_nothing_but_a_rate)

# %% [markdown]
# Over a whole run α times $c$ is worth $\eta$ times $\sqrt c$; exactly so, if $A$ starts $\sqrt c$ times larger
# ("Further"). The record has rank 32, α = 64, rate 0.004 at 3.77 nats. Were α a rate, that were α = 16 with 0.016: your
# run ended at 3.83. It is α = 16 with 0.008: yours ended near 3.77. Four times the α is worth *twice* the rate.
#
# ## The code
# Eight lines of torch: a parametrization computes `weight` anew from what is stored.

# %%
d_out, d_in, r, alpha = 192, 192, 8, 16
layer = torch.nn.Linear(d_in, d_out).requires_grad_(False)
update = torch.nn.Module()
update.A = torch.nn.Parameter(torch.empty(r, d_in).uniform_(-(d_in**-0.5), d_in**-0.5))
update.B = torch.nn.Parameter(torch.zeros(d_out, r))
update.forward = lambda w0: w0 + alpha / r * update.B @ update.A
parametrize.register_parametrization(layer, "weight", update)
optimizer = torch.optim.AdamW(update.parameters(), lr=1e-2, weight_decay=0)

# %% [markdown]
# Train it beside the library's LoRA: ten steps, the same $A$, the same data (code folded).

# %% jupyter={"source_hidden": true}
W0, A0 = layer.parametrizations.weight.original, update.A.detach().clone()
pair = (torch.randn(64, d_in), torch.randn(64, d_out))
ours = torch.nn.Sequential(torch.nn.Linear(d_in, d_out))
ours[0].load_state_dict({"weight": W0, "bias": layer.bias})
adapter = lb.inject(ours, lb.LoRA(r, alpha), targets="0")["0"].update
adapter.load_state_dict({"A": A0, "B": update.B})


def loss(model, pair):
    return torch.nn.functional.mse_loss(model(pair[0]), pair[1])


lb.fit(ours, [pair] * 10, steps=10, lr=1e-2, loss=loss, progress=False)
moved = []
for _ in range(10):
    optimizer.zero_grad()
    loss(layer, pair).backward()
    optimizer.step()
    moved.append((update.B.any().item(), not torch.equal(update.A, A0)))
book.verdicts({"after the first step B has moved": moved[0][0], "A has moved": moved[0][1],
               "after ten steps both have the same weight": torch.allclose(layer.weight, ours[0].weight, atol=1e-4)})

# %% [markdown]
# `weight_decay=0` matters: AdamW's default shrinks $A$ at every step, gradient or not. In the library, `weight` is the
# definition, and `forward` a cheaper path:

# %%
book.source(type(adapter).weight)

# %%
book.source(type(adapter).forward)

# %% [markdown]
# The eight lines build $W$ in each forward pass, keep it, and get its gradient. The path $sB(Ax)$ has $r$ numbers between:

# %%
book.card(lora.a_training_step_in_products)

# %% [markdown]
# At most a third of the arithmetic goes. **The gain is memory**: no gradient and no Adam moments for $W_0$.
#
# ## Measured
# LoRA with α = 2r at $r=8$, 2 and 32, each at its tuned rate, on seeds that did not choose it.

# %%
book.measured("LoRA r=2", "LoRA r=32")

# %% [markdown]
# **Tune both, then compare.** The tuning of each:

# %% jupyter={"source_hidden": true}
rates = pictures.recorded_rates(("LoRA r=2", "LoRA", "LoRA r=32", "full fine-tuning"))
two, eight, many, full = rates.values()
best = {name: min(losses, key=losses.get) for name, losses in rates.items()}
pictures.over_rates(rates, pictures.recorded_base(), "Who wins depends on the rate, until each has its own.")

# %% jupyter={"source_hidden": true}
book.verdicts({
    "at rate 0.008, LoRA of rank 8 is ahead of full fine-tuning": eight[0.008] < full[0.008],
    "each at its own best rate, it still is": min(eight.values()) < min(full.values()),
    "at rate 0.016, rank 2 is ahead of rank 32": two[0.016] < many[0.016],
    "with α = 2r the best rate falls with every step of the rank": best["LoRA r=2"] > best["LoRA"] > best["LoRA r=32"],
    "for 16 times the rank to a quarter, give or take one tried rate":
        2.8 < best["LoRA r=2"] / best["LoRA r=32"] < 5.7})

# %% [markdown]
# You could have predicted the last line: 16 times the α is worth four times the rate.
#
# LoRA does not reach full fine-tuning here. Hu et al. report that it does on GPT-3, adapted to narrow tasks.
#
# ## When, when not
# * **Use it** when memory is the limit, many tasks share a base, or the task is narrow. Tune the rate first; raise $r$ with
#   α fixed, or tune again.
# * **Do not** when you can afford full fine-tuning and have the data for a broad shift.
# * **With what?** Every variant of this book: each departs from LoRA.
#
# ## Exercises
# Stuck? `book.hint(scale.EXERCISE, 1)`, then 2, then 3; `book.solution(scale.EXERCISE)` comes last.

# %%
book.show(scale.EXERCISE)

# %%
def delta_w(A, B, alpha, r):
    ### BEGIN SOLUTION
    return alpha / r * (B @ A)
    ### END SOLUTION


book.check(scale.EXERCISE, delta_w)

# %%
book.show(two_path.EXERCISE)

# %%
def forward(x, w0, bias, A, B, s):
    ### BEGIN SOLUTION
    frozen = torch.nn.functional.linear(x, w0.detach(), bias.detach())
    return frozen + s * (x @ A.T) @ B.T
    ### END SOLUTION


book.check(two_path.EXERCISE, forward)

# %% [markdown]
# ## Look back

# %%
guess_gradient.look_back(f"{norms['A'][0] / norms['B'][0]:.0%}")

# %% tags=["nbval-ignore-output"]
guess_double.look_back(f"as much: × {times['Adam, α = 16'][0] ** 0.25:.2f} for each doubling, on unseen text")

# %% [markdown]
# From chapter 01. Answer aloud, then open.
#
# <details><summary>1. One gradient has rank at most the number of tokens. Why does that not make a trained ΔW low rank?</summary>
# Steps add up their ranks, and Adam does not keep the rank of a gradient.</details>
#
# <details><summary>2. Cut a full ΔW to rank 8, or train at rank 8: which keeps more of the gain?</summary>
# Training at rank 8: it finds better directions than the strongest of a ΔW that could use all.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# One more exercise, the other cards, and the sources.

# %%
book.show(count.EXERCISE)

# %%
def how_many(shapes, layers, r):
    ### BEGIN SOLUTION
    return layers * sum(r * (d_out + d_in) for d_out, d_in in shapes)
    ### END SOLUTION


book.check(count.EXERCISE, how_many)

# %%
book.fold(
    "The start",
    lora.starts_at_the_base,
    lora.only_b_moves_first,
    lora.false_both_factors_move_at_once,
    lora.both_zero_never_moves,
    lora.false_one_zero_never_moves,
    lora.the_frozen_weight_has_a_gradient,
    lora.false_the_frozen_weight_has_no_gradient,
    lora.a_is_as_small_as_its_fan_in_asks,
    lora.false_a_stored_the_other_way_round,
    lora.ax_has_a_third_of_the_variance,
    lora.false_gaussian_by_rank_is_the_same,
)

# %%
book.fold(
    "The form",
    lora.rank_is_at_most_r,
    lora.two_paths_are_the_definition,
    lora.false_the_scale_is_alpha,
    lora.merging_is_exact,
    lora.any_a_starts_at_the_base,
    lora.numbers_of_both,
    lora.rows_and_columns_say_the_same,
    lora.false_b_times_a_transposed_beside_rows,
)

# %%
book.fold(
    "α and the learning rate",
    lora.alpha_is_a_rate_under_adam,
    lora.alpha_is_a_rate_under_sgd,
    lora.false_sgd_trades_as_adam_does,
    lora.the_first_adam_step_goes_as_s,
    lora.the_first_sgd_step_goes_as_s_squared,
    lora.false_halving_alpha_is_halving_the_rate,
)

# %%
book.fold(
    "A random B, and another power of r, which chapter 05 is about",
    rslora.random_b_fades_under_r,
    rslora.random_b_is_stable_under_root_r,
    rslora.sgd_is_stable_under_root_r,
    rslora.false_root_r_is_stable_under_adam,
    rslora.false_random_b_shows_the_exponent,
)

# %% [markdown]
# **Sources.** Hu et al. 2021, *LoRA* (2106.09685). He et al. 2015, the start of A (1502.01852). Kalajdzievski 2023, the
# scale (2312.03732). Loshchilov, Hutter 2017, AdamW (1711.05101).
