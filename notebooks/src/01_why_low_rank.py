# %% [markdown]
# # 01 · Why low rank
#
# > **Why should 8 directions be enough to change a matrix that has 192?**
#
# LoRA bets that what fine-tuning does to a weight matrix, $\Delta W$, can be written with few directions. Here you put
# that bet to the test before you learn the method: you fine-tune every entry of a real language model, look at what
# changed, and throw most of it away.
#
# **After this chapter** you can say what a rank keeps and what it costs, compute both for any matrix, tell the popular
# explanations that are false from the one bound that is true, and name a change that is *not* low rank.
#
# | time | you need | it builds on |
# | --- | --- | --- |
# | 40 minutes | PyTorch; what a matrix product and a gradient are | nothing before it |
#
# The axis of this chapter is the **form** of the update.

# %%
import copy
import math

import torch
from IPython.display import Markdown
from tqdm.auto import tqdm

import lorabook as lb
from lorabook.baselines.full import by_projection, change_of, changed, full_update, kept_by_projection
from lorabook.book import reading as book
from lorabook.book.figures import spectrum as pictures
from lorabook.claims import low_rank as claims
from lorabook.claims.card import card, source
from lorabook.cost.spectrum import energy_kept, nearest_of_rank
from lorabook.tasks import text

book.axis_map(lit="form")

# %% [markdown]
# ## 1 · Predict
# Answer before you see anything. Nobody grades this; being wrong here is what makes the rest stick.

# %%
shares = book.Steps("your answer", tuple(range(0, 101, 5)), "%")
guess_energy = book.predict(
    "You fine-tune a language model to write IN CAPITALS. Of what changed in its 192 × 192 query matrices, "
    "which share of the energy ‖ΔW‖² (the sum of the squared entries) lies in the 8 strongest directions?", shares)
guess_energy

# %%
guess_gain = book.predict(
    "You keep only those 8 directions, in every matrix of the model. "
    "Which share of what fine-tuning gained in loss is left?", shares)
guess_gain

# %%
guess_base = book.predict(
    "Now cut the pretrained matrices W₀ themselves to rank 8. How does the model do on its own text?",
    book.Choice("your answer", ("as before", "a bit worse", "as bad as guessing", "worse than guessing")))
guess_base

# %% [markdown]
# ## 2 · The smallest case
# Sixteen numbers, in `torch` alone. `u` and `v` have four numbers each. Their outer product fills a 4 × 4 matrix, yet it
# knows only one direction: every row is a multiple of `v`. Its **rank** is 1. A little dirt is added, as in life.

# %%
u, v = torch.tensor([1.0, 2.0, 0.0, -1.0]), torch.tensor([2.0, -1.0, 1.0, 0.0])
dirt = 0.3 * torch.tensor([[0.0, 1, -1, 0], [1, 0, 0, -1], [0, 1, 0, 1], [-1, 0, 1, 0]])
m = torch.outer(u, v) + dirt
U, sigma, Vt = torch.linalg.svd(m)
print("singular values σ:", [round(s, 2) for s in sigma.tolist()])

# %% [markdown]
# The singular value decomposition writes any matrix as a sum of outer products, strongest first:
# $M=\sigma_1u_1v_1^\top+\sigma_2u_2v_2^\top+\dots$ One of the four numbers above is large. So keep one term, and drop three.

# %%
kept = sigma[0] * torch.outer(U[:, 0], Vt[0])
pictures.grids({"M": m, "its rank-1 part": kept, "what is lost": m - kept},
               "One outer product, 8 numbers, stands in for 16.")

# %% [markdown]
# How much is lost? Measure a matrix by the sum of its squared entries, its **energy** $\lVert M\rVert_F^2$. It is also
# the sum of the squared singular values. So what you keep and what you lose can be read off $\sigma$ alone:

# %%
energy = sigma.square()
print(f"energy of M: {m.square().sum():.2f}   sum of σ²: {energy.sum():.2f}")
print(f"lost: {(m - kept).square().sum():.2f}   sum of the dropped σ²: {energy[1:].sum():.2f}")
print(f"share kept by rank 1: {energy[0] / energy.sum():.0%}")

# %% [markdown]
# And a matrix with nothing to drop? In this one the rows are at right angles and equally long. All four directions weigh
# the same, and rank 1 keeps exactly a quarter. Low rank is a property that a matrix has or lacks.

# %%
even = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
values = torch.linalg.svdvals(even)
print("singular values:", [round(s, 2) for s in values.tolist()])
print(f"kept by rank 1: {values[0] ** 2 / values.square().sum():.0%}")

# %% [markdown]
# ## 3 · The derivation
# ### What a rank keeps
# For $M$ of shape $d_{out}\times d_{in}$ let $d=\min(d_{out},d_{in})$, so there are $d$ singular values. Cutting after
# the first $r$ loses the tail of the spectrum. The card below computes both sides on three shapes and compares them.

# %%
card(claims.truncation_error_is_the_tail)

# %% [markdown]
# Its false neighbour mixes up two norms. $\sigma_{r+1}$ alone is the error in the *spectral* norm: the worst that can
# happen to one input.

# %%
card(claims.false_truncation_error_is_one_singular_value)

# %% [markdown]
# Could a cleverer choice of $B$ and $A$ lose less? No. This is the theorem of Eckart and Young, and it is why the
# singular values answer the question "what can rank $r$ do?" for every method at once.

# %%
card(claims.no_other_rank_r_matrix_is_nearer)

# %% [markdown]
# And there is a floor. The $r$ largest of $d$ numbers are never less than their fair share. So "rank 8 keeps 20%" says
# nothing before you know $d$; a number needs its floor, or a random matrix, beside it.

# %%
card(claims.no_matrix_keeps_less_than_its_share)

# %% [markdown]
# ### Where low rank could come from: the gradient
# A layer computes $y_t=Wx_t$ for each token $t$. The chain rule gives $\partial L/\partial W=\sum_t g_tx_t^\top$, where
# $g_t=\partial L/\partial y_t$. Every token adds one outer product, and an outer product has rank 1.

# %%
card(claims.a_step_has_no_more_rank_than_tokens)

# %% [markdown]
# That is a real bound, and the only one in this chapter that comes for free. Look at it on the shipped model: the
# gradient of one matrix, for a text of 1, 2, 4, 8 … tokens. Everything is in float64, so that a zero looks like one.

# %%
base = lb.load("tiny")
exact, layer = copy.deepcopy(base.model).double(), "layers.1.mlp.up_proj"
tokens = torch.tensor(base.tokenizer.encode(text.read("austen")[-4000:]))
for k in (1, 2, 4, 8, 64, 256):
    exact.zero_grad()
    text.language_loss(exact, (tokens[None, :k], tokens[None, 1 : k + 1])).backward()
    g = exact.get_submodule(layer).weight.grad
    sigma = torch.linalg.svdvals(g)
    rank = (sigma > 1e-10 * sigma[0]).sum()
    print(f"{k:4} tokens: rank {rank:3} of {min(g.shape)}, and 8 directions keep {energy_kept(g, 8):4.0%}")

# %% [markdown]
# Read the last row twice. A batch has hundreds of tokens, so the *bound* is useless: the rank is full. The gradient
# still leans on a few directions. That lean is not a theorem. It is a property of texts and models, and it is what LoRA
# lives on. From here on "low rank" means: **a few directions carry most of it**.
#
# Training adds up steps, and ranks add up with them.

# %%
card(claims.steps_add_up_their_ranks)

# %%
card(claims.false_steps_keep_the_rank_of_one)

# %% [markdown]
# Nor does anyone train with plain gradients. Adam divides each entry by its own size, and its very first step is a table
# of signs. The signs of a rank-3 matrix are anything but rank 3. (One token is the exception: can you see why
# $\operatorname{sign}(g\,x^\top)$ still has rank 1?)

# %%
card(claims.adams_first_step_is_a_sign)

# %%
card(claims.false_adam_keeps_the_rank_of_the_gradient)

# %% [markdown]
# ### The proof that is none
# You will read: *near a pretrained minimum the loss is flat in most directions, so updates have low rank.* The first half
# may well be true. The conclusion does not follow: "few directions" is said of two different spaces. A direction of the
# *landscape* is a whole matrix $T$; moving along one of them is one number. A direction *inside* $\Delta W$ is a vector. If
# $T$ has full rank, one step along it has full rank too.

# %%
card(claims.a_flat_landscape_can_ask_for_full_rank)

# %%
card(claims.false_a_flat_landscape_gives_low_rank)

# %% [markdown]
# For the same reason **intrinsic dimension is not rank**. Aghajanyan et al. (2020) train a model in a random subspace of
# all its weights and report that about 200 numbers reach 90% of full fine-tuning for RoBERTa on one paraphrase task.
# That counts numbers, for the whole model. LoRA's paper takes it as the inspiration for a *hypothesis* on ranks, and says
# so. A set of rank-$r$ matrices has its own dimension, and it is far from $r$:

# %%
card(claims.rank_r_matrices_have_this_dimension)

# %%
card(claims.false_dimension_is_rank)

# %% [markdown]
# *Overparameterised, therefore low rank* has the same hole. That many solutions exist does not say which one training
# finds; with Adam, as you saw, the very first step is wide. So theory allows low rank, and promises nothing. Look.
#
# ## 4 · The code
# The best rank-$r$ part of a matrix, in the library's own words:

# %%
source(nearest_of_rank)

# %% [markdown]
# Full fine-tuning here trains every entry of the 28 projection matrices (seven in each of four layers). Embedding and
# gains stay frozen, because a LoRA adapter on the same matrices leaves them alone too: both may change the same things.

# %%
source(full_update)

# %% [markdown]
# What rank 8 would save, counted. A matrix of rank $r$ is stored as $B$ and $A$, $r(d_{out}+d_{in})$ numbers:

# %%
R = 8
shapes = {name: layer.weight.shape for name, layer in base.model.named_modules() if name.endswith("_proj")}
rows = ["| matrix | shape | entries | at rank 8 | share |", "| --- | --- | --- | --- | --- |"]
for kind, ((d_out, d_in), *_) in by_projection(shapes).items():
    whole, small = d_out * d_in, R * (d_out + d_in)
    rows.append(f"| {kind} | {d_out} × {d_in} | {whole:,} | {small:,} | {small / whole:.1%} |")
Markdown("\n".join(rows))

# %% [markdown]
# ## 5 · The explorer
# First, something to explore. The model that ships with the book was pretrained on Jane Austen's novels. Give it two jobs.
#
# * **Narrow**: Austen again, IN CAPITALS. The language is known, the spelling is new.
# * **Broad**: the King James Bible. Other words, other grammar, another world.
#
# Three seeds each; 24 batches of 512 tokens a run. That is short, and enough to see the effect. The rate of each job
# is the best of 5e-4, 1e-3, 2e-3 and 4e-3.

# %%
SEEDS, STEPS = (0, 1, 2), 24
RATES = {"narrow": 1e-3, "broad": 2e-3}
jobs = {"narrow": text.tokenize("AUSTEN", text.read("austen").upper()[-400_000:], base.tokenizer),
        "broad": text.tokenize("kjv", text.read("kjv")[-400_000:], base.tokenizer)}


def stream(job, seed):
    return text.batches(jobs[job], 4, 128, torch.Generator().manual_seed(seed))


changes = {job: [full_update(base.model, stream(job, seed), targets="_proj", steps=STEPS, lr=RATES[job])
                 for seed in tqdm(SEEDS, desc=job, leave=False)] for job in jobs}

# %% [markdown]
# Now each of the 28 matrices has a $\Delta W$, for each job. Choose one, drag the rank. Orange is $\Delta W$, grey a
# random matrix of the same shape and norm: what "no structure at all" looks like.

# %%
deltas = {f"{job}: {name.removeprefix('layers.')}": change.delta
          for job in jobs for name, change in changes[job][0].items()}
book.spectrum(deltas, torch.Generator().manual_seed(0))

# %% [markdown]
# Three things to find, each answerable from the picture:
#
# 1. In the narrow job, find a matrix of which **one** direction keeps more than half. What could one direction of a value
#    or output projection be good for, when all that changes is the spelling?
# 2. Find a matrix where the two curves on the right nearly touch. Is the job broad or narrow? Attention or MLP? What
#    would you expect of LoRA at rank 8 there?
# 3. Compare `k_proj` with `q_proj`. Grey is higher for `k_proj`, whatever the job. Why? (Read the shape in the title,
#    then the last card of "what a rank keeps".)
#
# ## 6 · On a real model
# ### How much lies in 8 directions
# All 28 matrices, all seeds, in one picture; one mark is the mean over the four layers. Beside $\Delta W$ stand the random
# matrix and the pretrained $W_0$ itself.

# %%
draw = torch.Generator().manual_seed(0)
pretrained = {name: change_of(base.model.get_submodule(name).weight) for name in shapes}
random = {name: change_of(torch.randn(shape, generator=draw)) for name, shape in shapes.items()}
runs = {"ΔW, narrow job": changes["narrow"], "ΔW, broad job": changes["broad"],
        "W₀": [pretrained], "random": [random]}
energies = {what: [kept_by_projection(run, R) for run in some] for what, some in runs.items()}
pictures.energy_by_projection(energies, R, "Narrow jobs leave narrow changes; MLP changes are wider than attention's.")

# %% tags=["nbval-ignore-output"]
attention, mlp = ["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]


def mean_of(what, kinds):
    values = torch.tensor([[run[kind] for kind in kinds] for run in energies[what]]).mean(1)
    return f"{values.mean():4.0%} ± {values.std() if len(values) > 1 else 0:.0%}"


for what in energies:
    print(f"{what:15} attention {mean_of(what, attention)}   MLP {mean_of(what, mlp)}")

# %% [markdown]
# In words: the narrow job leaves far more of the energy in 8 directions than the broad one, and attention more than the
# MLP. Both are far from random, and neither is *of rank 8*.
#
# ### What the loss says
# Energy is not what you are paid for. Put the cut matrices back into the model and measure the loss on text it has not
# seen. `changed(model, changes, r)` holds $W_0+\Delta W_r$ inside the block, and gives $W_0$ back after it.

# %%
source(changed)

# %%
RANKS = (1, 2, 4, 8, 16, 32, 64)


def loss(model, corpus):
    return text.evaluate(model, corpus, pieces=12).nats_per_token


def loss_at(change, corpus, r=None):
    with changed(base.model, change, r):
        return loss(base.model, corpus)


cut = {job: {r: [loss_at(run, jobs[job], r) for run in changes[job]] for r in RANKS} for job in jobs}
full = {job: [loss_at(run, jobs[job]) for run in changes[job]] for job in jobs}

# %% [markdown]
# Cutting *after* training is a hard test: nobody told the training to be low rank. LoRA is told. It trains $B$ and $A$
# from the start, on the same 28 matrices and the same batches. You meet it properly in the next chapter; here it is the
# plain comparison, with its rate tuned as carefully (1e-2, the best of 5e-3, 1e-2 and 2e-2 at rank 8, for either job).

# %%
def lora(job, r, seed):
    model = copy.deepcopy(base.model)
    draw = torch.Generator().manual_seed(seed)
    lb.inject(model, lb.LoRA(r=r, alpha=2 * r), targets="_proj", generator=draw)
    lb.fit(model, stream(job, seed), steps=STEPS, lr=1e-2, progress=False)
    return loss(model, jobs[job])


trained = {job: {r: [lora(job, r, seed) for seed in tqdm(SEEDS, desc=f"LoRA, {job}, r = {r}", leave=False)]
                 for r in (1, 8)} for job in jobs}
panels = {job: pictures.Ranks(loss(base.model, jobs[job]), full[job], cut[job], trained[job]) for job in jobs}
pictures.loss_by_rank(
    panels, "A few directions keep most of what was learnt. Trained as few from the start, they keep more.")

# %% tags=["nbval-ignore-output"]
for job, panel in panels.items():
    print(f"{job}: base {panel.base:.2f}, full fine-tuning {sum(panel.full) / 3:.2f} nats per token")
    for r in (1, 8):
        after, before = panel.gain_kept(panel.cut[r]), panel.gain_kept(panel.lora[r])
        print(f"   rank {r} keeps of the gain: cut afterwards {after:4.0%}, trained as LoRA {before:4.0%}")

# %% [markdown]
# The same as verdicts, two of which are a plain *no*. (The book's tests compare these lines with the stored ones.)

# %%
narrow, broad = panels["narrow"], panels["broad"]
kept_narrow, kept_broad = narrow.gain_kept(narrow.cut[8]), broad.gain_kept(broad.cut[8])
energy_narrow = sum(energies["ΔW, narrow job"][0].values()) / 7
told = {
    "narrow: 8 directions, cut afterwards, keep over 3/4 of the gain": kept_narrow > 0.75,
    "broad: they keep less than in the narrow job": kept_broad < kept_narrow,
    "LoRA trained at rank 1 beats the rank-1 cut": all(max(p.lora[1]) < min(p.cut[1]) for p in panels.values()),
    "narrow: LoRA trained at rank 8 keeps over 9/10 of the gain": narrow.gain_kept(narrow.lora[8]) > 0.9,
    "broad: LoRA trained at rank 8 reaches full fine-tuning": broad.gain_kept(broad.lora[8]) > 0.99,
    "energy and gain agree within 10 points": abs(energy_narrow - kept_narrow) < 0.1,
}
for statement, holds in told.items():
    print("yes" if holds else "no ", statement)

# %% [markdown]
# Three lessons. **One**: the spectrum of $\Delta W$ is an upper bound on the rank you need, not an estimate of it. A LoRA
# that may use one direction finds a better one than the best direction of a $\Delta W$ that could use all. **Two**: at this size
# and length, LoRA at rank 8 comes close to full fine-tuning on the narrow job, and falls short on the broad one. **Three**:
# energy and loss are two things. In the MLP matrices 8 directions hold little more than half the energy, and the cut model
# keeps far more than half of what it had gained.
#
# ### A change that is not low rank
# Here is a job whose perfect answer you know without training. A **cipher**: every token of Austen is replaced by another
# one, by a secret table that is the same for the whole text. Nothing about the language changes. The model needs its
# embedding rows in the new order: $E'=PE$, with the permutation $P$, so $\Delta E=(P-I)E$. Cut that.

# %%
own = text.tokenize("austen", text.read("austen")[-400_000:], base.tokenizer)
table = torch.randperm(1024, generator=torch.Generator().manual_seed(0))
cipher = text.Corpus("cipher", table[own.train], table[own.val], own.val_bytes)
E = base.model.embed_tokens.weight.detach()
reorder = {"embed_tokens": change_of(E[table.argsort()] - E)}

print(f"Austen {loss(base.model, own):.2f}   cipher, before {loss(base.model, cipher):.2f}   "
      f"cipher, with ΔE {loss_at(reorder, cipher):.2f}   guessing {math.log(1024):.2f} nats per token")
ranks = (1, 2, 4, 8, 16, 32, 64, 128, 192)
ciphered = {r: loss_at(reorder, cipher, r) for r in ranks}
print("cut to rank:", {r: round(value, 1) for r, value in ciphered.items()})

# %%
start, end = loss(base.model, cipher), loss_at(reorder, cipher)
gains = [(start - value) / (start - end) for value in ciphered.values()]
kept = [reorder["embed_tokens"].kept(r) for r in ranks]
pictures.energy_and_gain(ranks, kept, gains, (start - math.log(1024)) / (start - end),
                         f"Rank 8 keeps {kept[3]:.0%} of ΔE, and is worse than guessing every token alike.")

# %% [markdown]
# Here the energy flatters. Most of it sits in 8 directions, and with them the model is worse than one that has never
# read a word. So: *"ΔW is low rank"* is a statement about a job, a model and a measure. It is not a law. A new alphabet, a
# new tokenizer, a rotation of all features: such changes are wide. (This is one solution among many. That no *other* change
# of low rank would do as well, this experiment does not show.)
#
# ### Pretrained weights are not low rank
# One more sentence you will meet: *LoRA works because pretrained weights are low rank.* You have seen that $W_0$ leans on
# a few directions more than a random matrix does. Now cut all 28 of them and ask the model about its own text.

# %%
minus = {name: change_of(-weight.delta) for name, weight in pretrained.items()}
for r in (8, 32, 64, 128):
    with changed(base.model, minus), changed(base.model, pretrained, r):
        print(f"W₀ cut to rank {r:3}: {loss(base.model, own):5.2f} nats per token")
print(f"W₀ whole          : {loss(base.model, own):5.2f}   guessing: {math.log(1024):.2f}")

# %% [markdown]
# The broken model is not a bad approximation of the good one; it is no model at all. So the reason for low rank is not in
# $W_0$. It is in how *little* a job asks to be changed.
#
# ### The same on a larger model
# With a CUDA device the next cell does the narrow job on SmolLM2-135M, whose matrices are up to 1536 wide. Without one,
# it says so.

# %% tags=["nbval-ignore-output"]
if torch.cuda.is_available():
    big = lb.load("smollm2", device="cuda")
    capitals = text.tokenize("AUSTEN", text.read("austen").upper()[-400_000:], big.tokenizer)
    wide = full_update(big.model, text.batches(capitals, 4, 128, torch.Generator().manual_seed(0)),
                       targets="_proj", steps=STEPS, lr=1e-4)
    for kind, share in kept_by_projection(wide, R).items():
        print(f"{kind:10} 8 directions keep {share:.0%}")
else:
    print("No CUDA device here; nothing was run. The model above is the one this chapter speaks of.")

# %% [markdown]
# ## 7 · When, when not, with what
# * **Bet on low rank** when the model knows the material and the job is narrow: a style, a format, a task. Start at $r=8$.
# * **Do not** when the job brings new material or a new alphabet: raise $r$, include the MLP matrices, train the embedding
#   too, or fine-tune fully. Biderman et al. (2024) report full fine-tuning's $\Delta W$ on code and mathematics at ranks 10
#   to 100 times those that LoRA is usually given.
# * **It composes** with everything in this book: the later chapters change where $A$ and $B$ start (init), how loud they are
#   (scale), what they are added to (base), how they move (optimiser), and which *form* has more rank for the same numbers.
#
# ## 8 · Exercises

# %%
from lorabook.book.exercises import extraction, needed, worst_case

book.show(needed.EXERCISE)

# %%
def rank_needed(m, share):
    ### BEGIN SOLUTION
    energy = torch.linalg.svdvals(m) ** 2
    kept = energy.cumsum(0) / energy.sum()
    return (kept < share - 1e-6).sum() + 1  # at share = 1 the last sum may be a rounding error short of it
    ### END SOLUTION


book.check(needed.EXERCISE, rank_needed)

# %% [markdown]
# Stuck? `book.hint(needed.EXERCISE, 1)`, then 2, then 3. `book.solution(needed.EXERCISE)` comes last. The same words
# help below.

# %%
book.hint(needed.EXERCISE, 1)

# %%
book.show(extraction.EXERCISE)

# %%
def extract(delta, r, alpha):
    ### BEGIN SOLUTION
    u, sigma, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * sigma[:r] * (r / alpha), vt[:r]
    ### END SOLUTION


book.check(extraction.EXERCISE, extract)

# %%
book.show(worst_case.EXERCISE)

# %%
def worst(d):
    ### BEGIN SOLUTION
    return torch.eye(d)
    ### END SOLUTION


book.check(worst_case.EXERCISE, worst)

# %% [markdown]
# Done? Take `extract` further: pull a LoRA of rank 8 out of `changes["narrow"][0]`, put it on the model, and compare its
# loss with the rank-8 cut above. They must agree. Why does the LoRA that was *trained* do better?
#
# ## 9 · Look back
# Your three predictions:

# %% tags=["nbval-ignore-output"]
queries = torch.tensor([run["q_proj"] for run in energies["ΔW, narrow job"]])
guess_energy.look_back(f"{queries.mean():.0%}, mean of three seeds and four layers")

# %% tags=["nbval-ignore-output"]
after, before = narrow.gain_kept(narrow.cut[8]), narrow.gain_kept(narrow.lora[8])
guess_gain.look_back(f"{after:.0%} when cut afterwards; {before:.0%} when trained as LoRA")

# %%
guess_base.look_back("worse than guessing")

# %% [markdown]
# Before you go on, three questions from what you brought along. Answer aloud; then open the answer.
#
# <details><summary>1. A layer computes y = Wx. What is ∂L/∂W for one token, in terms of x and g = ∂L/∂y?</summary>
# g xᵀ: an outer product, so rank 1.</details>
#
# <details><summary>2. Adam's update is unchanged when the loss is multiplied by 10. Why, and what has that to do with its rank?</summary>
# It divides each entry of the gradient by that entry's own size. A map applied entry by entry does not respect rank.</details>
#
# <details><summary>3. Two matrices of rank 3 are added. What ranks can the sum have?</summary>
# 0 to 6, as far as the shape allows: ranks add up at most, and can cancel.</details>
#
# ### Sources
# Hu et al. 2021 (2106.09685): the hypothesis of a low "intrinsic rank" of ΔW, and its section 7 on which
# directions matter. Aghajanyan, Zettlemoyer, Gupta 2020 (2012.13255): intrinsic dimension. Li et al. 2018 (1804.08838): the
# same, earlier. Eckart, Young 1936; Mirsky 1960: the best approximation. Kingma, Ba 2014 (1412.6980): Adam. Biderman et al.
# 2024 (2405.09673): full fine-tuning's ranks on code and mathematics. What is measured here is measured here; what a paper
# reports is the paper's.
