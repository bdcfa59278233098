# %% [markdown]
# # 01 · Why low rank
#
# > **Why should 8 directions be enough to change a matrix that has 192?**
#
# LoRA bets that what fine-tuning does to a weight matrix, $\Delta W$, can be written with few directions. Put the bet to
# the test before you learn the method: fine-tune every entry of a language model, look at what changed, and throw most
# of it away.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | · | PyTorch; what a matrix product and a gradient are |

# %%
import torch

import lorabook as lb
from lorabook.baselines import full
from lorabook.book import reading as book
from lorabook.book.exercises import extraction, needed, worst_case
from lorabook.book.figures import spectrum as pictures
from lorabook.claims import low_rank as claims
from lorabook.tasks import text

book.axis_strip("form")

# %%
book.diagram("overview_low_rank")

# %% [markdown]
# ## Predict

# %% jupyter={"source_hidden": true}
shares = book.Steps("your answer", tuple(range(0, 101, 5)), "%")
guess_energy = book.predict("You fine-tune a language model to write IN CAPITALS. Of what changed in its 192 × 192 "
    "query matrices, which share of ‖ΔW‖² (the sum of the squared entries) lies in the 8 strongest directions?", shares)
guess_energy

# %% jupyter={"source_hidden": true}
guess_gain = book.predict("Keep those 8 directions, in all matrices. What share of the gain in loss is left?", shares)
guess_gain

# %% [markdown]
# ## See it
# The book's model has read Jane Austen. It gets two jobs: **CAPITALS**, Austen in a new spelling, and the **Bible**, with
# other words and another grammar. All of its 28 projection matrices train, for 24 batches of 512 tokens, with three
# seeds. The cells below stand on this one.

# %%
base = lb.load("tiny")
jobs = {"CAPITALS": text.tokenize("CAPITALS", text.read("austen").upper()[-400_000:], base.tokenizer),
        "Bible": text.tokenize("Bible", text.read("kjv")[-400_000:], base.tokenizer)}
RATES = {"CAPITALS": 1e-3, "Bible": 2e-3}  # of 5e-4, 1e-3, 2e-3 and 4e-3 the best
STEPS, SEEDS = 24, (0, 1, 2)


def batches(job, seed):
    return text.batches(jobs[job], 4, 128, torch.Generator().manual_seed(seed))


changes = {job: [full.full_update(base.model, batches(job, seed), targets="_proj", steps=STEPS, lr=RATES[job])
                 for seed in book.progress(SEEDS, desc=job)] for job in jobs}

# %%
places = {name: (int(name.split(".")[1]), name.split(".")[-1]) for name in changes["Bible"][0]}
deltas = {(job, *places[name]): change.delta for job in jobs for name, change in changes[job][0].items()}
book.spectrum(deltas, torch.Generator().manual_seed(0))

# %% [markdown]
# Grey is a random matrix of the same shape and norm: no structure at all.
#
# 1. Set rank 1. In CAPITALS, find a matrix of which **one** direction keeps more than half.
# 2. Set rank 8. In the Bible, find a matrix that keeps less than 30%. Is it random, then?
#
# <details><summary>Answers</summary>
#
# 1. `v_proj` and `o_proj` of layers 0 and 1.
# 2. `gate_proj` and `down_proj` of any layer, `up_proj` of all but layer 1. They keep a fifth to a quarter, a random
#    matrix of their shape a tenth: even the widest change leans on some directions.
#
# </details>
#
# ## Sixteen numbers
# The outer product of `u` and `v` fills a 4 × 4 matrix, yet each row is a multiple of `v`: it knows one direction, its
# **rank** is 1. Add a little dirt, and let the singular value decomposition find the direction again. It writes any
# matrix as a sum of outer products, strongest first:
# $M=\sigma_1u_1v_1^\top+\sigma_2u_2v_2^\top+\dots$

# %%
u, v = torch.tensor([1.0, 2.0, 0.0, -1.0]), torch.tensor([2.0, -1.0, 1.0, 0.0])
dirt = 0.3 * torch.tensor([[0.0, 1, -1, 0], [1, 0, 0, -1], [0, 1, 0, 1], [-1, 0, 1, 0]])
m = full.change_of(torch.outer(u, v) + dirt)
print("singular values:", [round(s, 2) for s in m.sigma.tolist()], f"of which the first keeps {m.kept(1):.0%}")
pictures.grids({"M": m.delta, "its rank-1 part": m.at(1), "what is lost": m.delta - m.at(1)},
               "One outer product, 8 numbers, stands in for 16.")

# %% [markdown]
# ## Why
# ### What a rank keeps
# The **energy** $\lVert M\rVert_F^2$, the sum of all squared entries, is also the sum of the squared singular values. So
# what you keep and what you lose can be read off $\sigma$ alone:

# %%
book.card(claims.truncation_error_is_the_tail)

# %% [markdown]
# No cleverer choice of $B$ and $A$ loses less. So the singular values tell what rank $r$ can do for every method at once.

# %%
book.card(claims.no_other_rank_r_matrix_is_nearer)

# %% [markdown]
# ### Where few directions could come from
# A layer computes $y_t=Wx_t$ for each token $t$. By the chain rule $\partial L/\partial W=\sum_t g_tx_t^\top$ with
# $g_t=\partial L/\partial y_t$: each token adds one outer product.

# %%
book.card(claims.a_step_has_no_more_rank_than_tokens)

# %% [markdown]
# Now on the model: the gradient of one 512 × 192 matrix, for texts of 1, 2, 8, … tokens. The last column is the first
# step that Adam takes with it.

# %%
exact = lb.load("tiny", dtype=torch.float64).model
weight = exact.get_submodule("layers.1.mlp.up_proj").weight
tokens, rows = torch.tensor(base.tokenizer.encode(text.read("austen")[-4000:])), []
for k in (1, 2, 8, 64, 256):
    exact.zero_grad()
    text.language_loss(exact, (tokens[None, :k], tokens[None, 1 : k + 1])).backward()
    ranks = [torch.linalg.matrix_rank(step, rtol=1e-10).item() for step in (weight.grad, weight.grad.sign())]
    rows.append((k, ranks[0], f"{full.change_of(weight.grad).kept(8):.0%}", ranks[1]))
book.table(("tokens", "rank of the gradient", "8 directions keep", "rank of Adam's first step"), rows)

# %% [markdown]
# A batch has hundreds of tokens, so its rank is full and the bound is useless. Still the gradient leans on a few
# directions. That is no theorem; it is how this text and this model are. From here on "low rank" means: **a few
# directions carry most of it.**
#
# Adam does not even keep the gradient's rank. It divides each entry by its own size, and of the first step only signs are
# left. One token is the exception: the signs of $g\,x^\top$ are those of $g$ times those of $x$.

# %%
book.card(claims.false_adam_keeps_the_rank_of_the_gradient)

# %% [markdown]
# ### What does not prove it
# Aghajanyan et al. (2020) train RoBERTa in a random subspace of all its weights and report that about 200 numbers reach
# 90% of full fine-tuning on a paraphrase task. LoRA's paper draws from it a *hypothesis* about ranks; it is often retold
# as a proof. But it counts numbers of the whole model, and a rank counts directions in one matrix. The updates of rank 8
# of one 192 × 192 matrix have 3,008 dimensions.

# %%
book.card(claims.false_dimension_is_rank)

# %% [markdown]
# So theory allows low rank and promises nothing. Measure it.
#
# ## The code
# A change is kept as its singular triplets; to cut it to a rank is to drop the last ones.

# %%
book.source(full.Change.at)

# %%
book.source(full.Change.kept)

# %% [markdown]
# ## Measured
# ### How much lies in 8 directions
# All 28 matrices; one mark is one seed's mean over the four layers.

# %% jupyter={"source_hidden": true}
draw = torch.Generator().manual_seed(0)
pretrained = {name: full.change_of(base.model.get_submodule(name).weight) for name in places}
noise = {name: full.change_of(torch.randn(w.delta.shape, generator=draw)) for name, w in pretrained.items()}
runs = {"ΔW, CAPITALS": changes["CAPITALS"], "ΔW, Bible": changes["Bible"], "W₀": [pretrained], "random": [noise]}
energies = {what: [full.kept_by_projection(run, 8) for run in some] for what, some in runs.items()}
pictures.energy_by_projection(energies, 8, "The narrow job leaves narrow changes; every change leans on 8 directions.")

# %% [markdown]
# ### What is left of the gain
# Energy is not what you are paid for. Put the cut matrices back, and measure the loss on text that the model has not seen.

# %%
def loss(model, corpus):
    return text.evaluate(model, corpus, pieces=8).nats_per_token


def cut(corpus, change, r=None):
    with full.changed(base.model, change, r):
        return loss(base.model, corpus)


whole = {job: [cut(corpus, run) for run in changes[job]] for job, corpus in jobs.items()}
after = {job: {r: [cut(corpus, run, r) for run in changes[job]] for r in book.progress((1, 2, 4, 8, 16, 64), desc=job)}
         for job, corpus in jobs.items()}

# %% [markdown]
# Cutting *after* training is a hard test: nobody told the training to be low rank. So LoRA stands beside it, trained at
# that rank from the start, on the same matrices and batches, at the best of three rates.

# %%
def lora(job, seed, r):
    model = lb.load("tiny").model
    lb.inject(model, lb.LoRA(r=r, alpha=2 * r), targets="_proj", generator=torch.Generator().manual_seed(seed))
    lb.fit(model, batches(job, seed), steps=STEPS, lr=1e-2, progress=False)
    return loss(model, jobs[job])


before = {job: {r: [lora(job, seed, r) for seed in book.progress(SEEDS, desc=f"LoRA, {job}, rank {r}")] for r in (1, 8)}
          for job in jobs}
panels = {job: pictures.Ranks(loss(base.model, jobs[job]), whole[job], after[job], before[job]) for job in jobs}
pictures.loss_by_rank(
    panels, "A few directions keep most of what was learnt. Trained as few from the start, they keep more.")

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
book.table(("job", "rank", "of the gain, cut afterwards", "of the gain, trained as LoRA"),
           [(job, r, f"{panel.gain_kept(panel.cut[r]):.0%}", f"{panel.gain_kept(panel.lora[r]):.0%}")
            for job, panel in panels.items() for r in (1, 8)])

# %%
capitals, bible = panels.values()
kept, energy = capitals.gain_kept(capitals.cut[8]), sum(energies["ΔW, CAPITALS"][0].values()) / 7
book.verdicts({
    "CAPITALS: 8 directions, cut afterwards, keep more than three quarters of the gain": kept > 0.75,
    "Bible: they keep as much of it": bible.gain_kept(bible.cut[8]) > kept - 0.05,
    "LoRA of rank 1 beats every cut to rank 1": all(max(p.lora[1]) < min(p.cut[1]) for p in panels.values()),
    "LoRA of rank 8 reaches full fine-tuning on the Bible": bible.gain_kept(bible.lora[8]) > 0.99,
    "CAPITALS: the share of energy tells the share of gain to 10 points": abs(energy - kept) < 0.1})

# %% [markdown]
# **One**: the spectrum of $\Delta W$ bounds the rank that you need from above. A LoRA that may use one direction finds a
# better one than the best of a $\Delta W$ that could use all. **Two**: rank 8 is nearly enough for the narrow job, not for
# the broad one. **Three**: energy and loss are two things.
#
# ### Is it because the weights are low rank?
# You will read that. Cut all 28 pretrained matrices, and ask the model about Austen.

# %% jupyter={"source_hidden": true}
austen = text.tokenize("Austen", text.read("austen")[-400_000:], base.tokenizer)
away = {name: full.change_of(-w.delta) for name, w in pretrained.items()}
losses = {"whole": loss(base.model, austen), "guessing": torch.tensor(1024.0).log().item()}
for r in (8, 64, 128):
    with full.changed(base.model, away):
        losses[f"cut to rank {r}"] = cut(austen, pretrained, r)
book.table(("W₀", "nats per token"), [(name, f"{value:.2f}") for name, value in losses.items()])

# %% [markdown]
# With 64 of 192 directions the model is worse than one that guesses every token alike. $W_0$ needs most of its
# directions; what was added to it did not. How many that needs, the job decides.
#
# ## When, when not
# * **Bet on low rank** when the model knows the material and the job is narrow: a style, a format, a task. Begin with
#   $r=8$.
# * **Do not** when the job brings new material or a new alphabet ("Further" has one): raise $r$, include the MLP
#   matrices, train the embedding too, or fine-tune fully. Biderman et al. (2024) report ranks of full fine-tuning's
#   $\Delta W$, on code and mathematics, 10 to 100 times those that LoRA is usually given.
#
# ## Exercises
# Stuck? `book.hint(needed.EXERCISE, 1)`, then 2, then 3; `book.solution(needed.EXERCISE)` comes last.

# %%
book.show(needed.EXERCISE)

# %%
def rank_needed(m, share):
    ### BEGIN SOLUTION
    energy = torch.linalg.svdvals(m) ** 2
    kept = energy.cumsum(0) / energy.sum()
    return (kept < share - 1e-6).sum() + 1  # at share = 1 the last sum may be a rounding error short of it
    ### END SOLUTION


book.check(needed.EXERCISE, rank_needed)

# %%
book.show(extraction.EXERCISE)

# %%
def extract(delta, r, alpha):
    ### BEGIN SOLUTION
    u, sigma, vt = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :r] * sigma[:r] * (r / alpha), vt[:r]
    ### END SOLUTION


book.check(extraction.EXERCISE, extract)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
guess_energy.look_back(f"{sum(run['q_proj'] for run in energies['ΔW, CAPITALS']) / 3:.0%}, mean of layers and seeds")

# %% tags=["nbval-ignore-output"] jupyter={"source_hidden": true}
guess_gain.look_back(f"{kept:.0%} when cut afterwards; {capitals.gain_kept(capitals.lora[8]):.0%} when trained as LoRA")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. A layer computes y = Wx. What is ∂L/∂W for one token, in terms of x and g = ∂L/∂y?</summary>
# g xᵀ: an outer product, so rank 1.</details>
#
# <details><summary>2. Adam's update is unchanged when the loss is multiplied by 10. Why, and what has that to do with its rank?</summary>
# It divides each entry of the gradient by that entry's own size. A map applied entry by entry does not respect rank.</details>
#
# <details><summary>3. Two matrices of rank 3 are added. What ranks can the sum have?</summary>
# 0 to 6, as far as the shape allows: ranks add up at most, and can cancel.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# A change that is not low rank, a proof that is none, the other cards, a third exercise, a larger model, the sources.

# %% [markdown]
# ### A change that is not low rank
# Here is a job whose perfect answer you know without training. A **cipher**: every token of Austen is replaced by another
# one, by a secret table that is the same for the whole text. Nothing about the language changes. The model needs its
# embedding rows in the new order: $E'=PE$, with the permutation $P$, so $\Delta E=(P-I)E$. Cut that.

# %%
secret = torch.randperm(1024, generator=torch.Generator().manual_seed(0))
cipher = text.Corpus("cipher", secret[austen.train], secret[austen.val], austen.val_bytes)
E = base.model.embed_tokens.weight.detach()
reorder = {"embed_tokens": full.change_of(E[secret.argsort()] - E)}
ranks, guessing = (1, 2, 4, 8, 16, 32, 64, 128, 192), torch.tensor(1024.0).log().item()
start, end = loss(base.model, cipher), cut(cipher, reorder)
ciphered = [cut(cipher, reorder, r) for r in ranks]
print(f"before {start:.2f}, with ΔE {end:.2f}, guessing {guessing:.2f} nats per token")
print("cut to rank:", {r: round(value, 1) for r, value in zip(ranks, ciphered, strict=True)})

# %%
shares_kept = [reorder["embed_tokens"].kept(r) for r in ranks]
gains = [(start - value) / (start - end) for value in ciphered]
pictures.energy_and_gain(ranks, shares_kept, gains, (start - guessing) / (start - end),
                         f"Rank 8 keeps {shares_kept[3]:.0%} of ΔE, and is worse than guessing every token alike.")

# %% [markdown]
# Here the energy flatters. Most of it sits in 8 directions, and with them the model is worse than one that has never
# read a word. So "ΔW is low rank" is a statement about a job, a model and a measure, and no law. This is one solution among
# many: that no *other* change of low rank would do as well, the experiment does not show.
#
# ### A proof that is none
# *Near a pretrained minimum the loss is flat in most directions, so updates have low rank.* The first half may well be
# true. The conclusion does not follow: "few directions" is said of two different spaces. A direction of the *landscape* is
# a whole matrix $T$; moving along it is one number. A direction *inside* $\Delta W$ is a vector. If $T$ has full rank, one
# step along it has full rank too. *Overparameterised, therefore low rank* has the same hole: that many solutions exist
# does not say which one training finds.
#
# And there is a floor: the $r$ largest of $d$ numbers are never less than their fair share. "Rank 8 keeps 20%" says nothing
# before you know $d$; that is why the explorer draws a random matrix beside each change.

# %%
book.fold(
    "What else is said of low rank, and whether it holds",
    claims.false_truncation_error_is_one_singular_value,
    claims.no_matrix_keeps_less_than_its_share,
    claims.steps_add_up_their_ranks,
    claims.false_steps_keep_the_rank_of_one,
    claims.adams_first_step_is_a_sign,
    claims.a_flat_landscape_can_ask_for_full_rank,
    claims.false_a_flat_landscape_gives_low_rank,
    claims.rank_r_matrices_have_this_dimension,
    claims.updates_decay_as_their_inputs_do,
    claims.false_updates_decay_on_any_inputs,
    claims.false_updates_decay_under_any_optimiser,
)

# %% [markdown]
# ### The worst case
# Which matrix loses most to every cut?

# %%
book.show(worst_case.EXERCISE)

# %%
def worst(d):
    ### BEGIN SOLUTION
    return torch.eye(d)
    ### END SOLUTION


book.check(worst_case.EXERCISE, worst)

# %% [markdown]
# ### Full fine-tuning, as done here
# Embedding and gains stay frozen, because a LoRA adapter on the same matrices leaves them alone too.

# %%
book.source(full.full_update)

# %%
book.source(full.changed)

# %% [markdown]
# ### A larger model
# With a CUDA device the next cell does the CAPITALS job on SmolLM2-135M, whose matrices are up to 1536 wide.

# %% tags=["nbval-ignore-output"]
if torch.cuda.is_available():
    big = lb.load("smollm2", device="cuda")
    upper = text.tokenize("CAPITALS", text.read("austen").upper()[-400_000:], big.tokenizer)
    wide = full.full_update(big.model, text.batches(upper, 4, 128, torch.Generator().manual_seed(0)),
                            targets="_proj", steps=STEPS, lr=1e-4)
    print({kind: f"{share:.0%}" for kind, share in full.kept_by_projection(wide, 8).items()})
else:
    print("No CUDA device here; nothing was run. The model above is the one this chapter speaks of.")

# %% [markdown]
# **Sources.** Hu et al. 2021 (2106.09685): the hypothesis of a low "intrinsic rank" of ΔW, and its section 7 on which
# directions matter. Aghajanyan, Zettlemoyer, Gupta 2020 (2012.13255): intrinsic dimension. Li et al. 2018 (1804.08838): the
# same, earlier. Eckart, Young 1936; Mirsky 1960: the best approximation. Kingma, Ba 2014 (1412.6980): Adam. Biderman et al.
# 2024 (2405.09673): full fine-tuning's ranks on code and mathematics.
