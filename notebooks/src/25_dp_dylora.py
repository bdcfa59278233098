# %% [markdown]
# # 25 · DP-DyLoRA
#
# > **The data may not leave the phones. Can a model learn from them, and give none of them away?**
#
# In a *round* of federated learning the server sends its adapter to some phones. Each trains it on its own text and sends
# back the change; the server adds the mean. DP-DyLoRA (Xu et al. 2024) clips every change, adds noise to the
# mean, and takes DyLoRA's adapter, so that every rank can be served.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | many | DP-DyLoRA | chapter 02: LoRA's gradients; chapter 18: DyLoRA |

# %%
import torch

import lorabook as lb
from lorabook.arena import member_runs, one_round
from lorabook.book import reading as book
from lorabook.book.exercises import clip_each, suspect
from lorabook.book.figures import attack, federated
from lorabook.claims import dp_dylora, privacy
from lorabook.many.federated import Federation, Noise, federate, noisy_mean

book.axis_strip("many")

# %%
book.diagram("dp_dylora")

# %% [markdown]
# ## Predict

# %%
guess_attack = book.predict("64 people have one text each. A coin decides who is in the round, and the server keeps "
    "only the mean of about 32 changes. Someone holds all 64 texts. How often does he rank one who was in above one "
    "who was not? (50%: guessing)", book.Steps("your answer", tuple(range(50, 101, 5)), "%"))
guess_attack

# %%
guess_rank = book.predict("LoRA of rank 1 and of rank 8 learn in a federation. Without noise rank 8 ends 0.15 nats "
    "lower. Now each number of the mean gets the same noise: as σ = 1 gives with 64 clients a round. Each rank has its "
    "own clipping. Rank 8 ends …", book.Choice("your answer", (
        "lower, by 0.1 or more", "lower, by less than that", "the same within 0.02", "higher")))
guess_rank

# %% [markdown]
# ## See it
# Each client holds 65 tokens of the Bible. Left: ε, what all rounds together tell about one client, at most. Right: what
# was learned, five seeds. The base knows Austen only.

# %%
book.private_federation()

# %% [markdown]
# 1. Move $N$ alone, then the rank (under *more*). Which picture answers to which?
# 2. You want ε below 3 after 16 rounds, and LoRA of rank 1 within 0.05 of its own loss without noise (thin dots). Which is
#    the smallest $N$ that allows it? Why not the next smaller one?
#
# <details><summary>Answers</summary>
#
# 1. $N$ moves ε alone, the rank only the place where you read. No ε knows the rank; no loss knows $N$.
# 2. 2,048 clients, with σ = 1 and $L$ = 128: ε = 2.0. Of 512, a quarter would come to every round, and too few stay at home
# to hide among: ε = 5.9. There σ = 2 brings 1.9, but costs 0.07 nats.
#
# </details>
#
# ## One round, one text
# What does a phone send? After one local step: the gradient on its text. Whoever has the model can compute what *any*
# text would send.

# %%
base = lb.load("tiny")
lb.inject(base.model, lb.LoRA(r=8, alpha=16), "_proj", torch.Generator().manual_seed(0))
people = one_round.people(64)
changes = torch.stack([one_round.change(base.model, who) for who in people])
rows = changes / changes.norm(dim=1, keepdim=True)
(first, second), (who, _) = (rows @ rows[7]).topk(2)
print(f"A phone sent a change. Nearest: text {who}, cosine {first:.2f}; the next is {second:.2f}.")

# %% [markdown]
# The text did not leave the phone, and was found all the same. In a layer it is plainer still:

# %%
book.card(dp_dylora.false_a_change_of_weights_hides_the_data)

# %% [markdown]
# So hide each phone in a mean. Half of the 64 come. The attacker has 64 unknowns, came or not, and 55,296 equations, one for
# each number of $B$ ($A$ does not move yet): least squares. He calls the largest "in". Forty rounds for each σ:

# %%
found = {sigma: one_round.areas(changes, sigma, rounds=40) for sigma in (0.0, 0.5, 1.0, 2.0, 4.0)}
attack.by_noise(found)

# %% [markdown]
# Where more numbers are sent than texts suspected, a mean alone hides nobody. Noise does; the dashed line comes below.
#
# ## Why
# ### What one client can do
# Client $i$'s change $\Delta_i$ has $P$ numbers, over all factors together. The server adds
# $\frac1L\bigl(\sum_i\Delta_i\min(1,\tfrac{C}{\lVert\Delta_i\rVert})+\sigma C\,z\bigr)$ with $z\sim\mathcal N(0,I_P)$. $L$ is
# the number of clients *expected*: each of all $N$ comes with chance $L/N$.

# %%
book.card(dp_dylora.one_client_moves_the_server_by_c_over_l)

# %% [markdown]
# Clipping alone hides nobody; it says how much noise is needed.

# %%
book.card(dp_dylora.a_client_is_one_over_sigma_deviations)

# %% [markdown]
# Two bells, $1/\sigma$ deviations apart: whoever knows who else came ranks right with chance
# $\Phi\bigl(1/(\sigma\sqrt2)\bigr)$, the dashed line above. (ε, δ) says it for all attackers and all rounds: "in" becomes at
# most $e^\epsilon$ times as likely, but for a chance δ; here $\delta=N^{-1.1}$.

# %%
book.card(dp_dylora.noise_is_drawn_once_a_round)

# %% [markdown]
# ### What noise costs
# ε does not know $P$. Does that make noise cost the same for every adapter?

# %%
book.card(privacy.false_noise_is_the_same_for_every_number_of_parameters)

# %% [markdown]
# The signal in the mean has norm $C$ at most, the noise $\sigma C\sqrt P/L$. The book's model has $P=13{,}568\,r$: at rank 8 and
# σ = 1 they are equal at $L=329$, at rank 1 at 116. So the smaller rank has less noise, and in DyLoRA the server draws it:

# %%
book.card(dp_dylora.a_drawn_rank_lowers_the_noise)

# %% [markdown]
# If each client drew its own, the last rows might hold one client's change alone.
#
# Noise enters $A$ and $B$, but what the model sees is $BA$:

# %%
book.card(dp_dylora.noise_in_both_factors_is_multiplied)

# %% [markdown]
# FFA-LoRA (Sun et al. 2024) freezes $A$ for this reason: that is LoRA-FA (chapter 07) in a federation.
#
# ## The code
# Two functions: what a round's clients send, and their private mean.

# %%
book.source(Federation._changes)

# %%
book.source(noisy_mean)

# %% [markdown]
# A federation is a loss for the common loop; clients take the place of examples.

# %%
noise = Noise(C=1.0, sigma=1.0, expected=8)
federation = Federation(people, 8 / 64, noise, steps=1, lr=50.0, generator=torch.Generator().manual_seed(0))
served = lb.load("tiny")
lb.inject(served.model, lb.DPDyLoRA(r=8), "_proj")
federate(served.model, federation, rounds=2, lr=1.0, progress=False)
print(f"two rounds, 64 clients: ε = {federation.epsilon(2, delta=1e-3):.1f}")

# %% [markdown]
# ## Measured
# ### What is learned
# Sixteen rounds; each client takes one step, always clipped; the best $C$ for each noise, found on a sixth seed. **Eight**
# clients come, with the noise of a larger round: a run is made for $\sigma/L$ and stands for all σ and $L$ of that ratio, as
# McMahan et al. (2018) extrapolate.

# %%
losses = federated.recorded()
federated.at_every_noise(losses)

# %%
ends = federated.ends(losses)
small, large = 2.0**-8, 2.0**-6


def mean(name, r, z):
    return ends[name, r][z].mean()


book.verdicts({
    "Without noise rank 8 ends more than 0.1 below rank 1, on average":
        mean("LoRA", 1, 0) - mean("LoRA", 8, 0) > 0.1,
    "With σ/L = 1/64 the two end within 0.02 nats": abs(mean("LoRA", 1, large) - mean("LoRA", 8, large)) < 0.02,
    "σ/L = 1/256 costs rank 1 less than 0.05": mean("LoRA", 1, small) - mean("LoRA", 1, 0) < 0.05,
    "It costs rank 8 less than 0.05, too": mean("LoRA", 8, small) - mean("LoRA", 8, 0) < 0.05,
    "DP-DyLoRA ends below LoRA at rank 1 or 8, under some noise":
        any(mean("DP-DyLoRA", r, z) < mean("LoRA", r, z) for r in (1, 8) for z in ends["LoRA", 1])})

# %% [markdown]
# **Noise takes what the larger rank had gained.** At 1/64 the best $C$ of rank 8 has fallen from 4 to 1: a large clip lets much
# noise in. So the rank is a knob of privacy too: the more noise, the less a larger one brings.
#
# DP-DyLoRA serves ranks 4 and 8 from one training, and pays for it. Its ranks 1 and 2 end above the base with some seeds. Our
# guess: at $b=1$ its scale is $\alpha/b=16$, and a change of norm $C$ goes too far. The paper's gain over LoRA does not show
# here.
#
# With 32 clients a round and the same σ/L, rank 1 ends 0.02 lower than with eight: more clients make the mean steadier.
#
# ### Few clients, and the model alone
# Now no noise is borrowed: about 12 clients, in every round. The attacker sees only the last model, and calls those "in" whose
# text it predicts much better than the base did.

# %%
members = member_runs.read()
attack.by_model(members)

# %% [markdown]
# With a dozen clients noise has ruined the model before it hides anyone. (ε at $\delta=10^{-5}$.)
#
# ## When, when not
# * **Count clients first.** Hundreds a round, out of thousands: at σ/L = 1/256 noise costs little here.
# * **A dozen clients** (hospitals, say): σ = 0.5 ruins the model and hides nobody. Ask for public data, or protect
#   examples and not clients: DP-SGD (`Private`).
# * **Know the rank?** Train LoRA there: here it is ahead of DP-DyLoRA. Under much noise begin with rank 1.
# * **DP-DyLoRA** where devices differ and one training must serve them all.
# * **ε is no feeling.** ε = 8 still allows odds of 3,000 to 1; and tuning $C$ on the clients' data is not counted.
# * The server is trusted with the sum. If it is not: secure aggregation, or noise on each phone.
#
# ## Exercises
# Stuck? `book.hint(clip_each.EXERCISE, 1)`, then 2, then 3.

# %%
book.show(clip_each.EXERCISE)

# %%
def private_round(changes, z, C, sigma, L):
    ### BEGIN SOLUTION
    short = changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)
    return (short.sum(0) + sigma * C * z) / L
    ### END SOLUTION


book.check(clip_each.EXERCISE, private_round)

# %%
book.show(suspect.EXERCISE)

# %%
def evidence(mean, change, others, C, sigma, L):
    ### BEGIN SOLUTION
    v = change * min(1.0, C / change.norm().item())
    known = others * (C / others.norm(dim=1, keepdim=True)).clamp(max=1)
    y = L * mean - known.sum(0)
    return (y @ v - v @ v / 2) / (sigma * C) ** 2
    ### END SOLUTION


book.check(suspect.EXERCISE, evidence)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
area, spread = one_round.spread(found[0.0])
guess_attack.look_back(f"{area:.0%} without noise (± {spread:.0%} over forty rounds)")

# %% tags=["nbval-ignore-output"]
guess_rank.look_back(f"{mean('LoRA', 1, large):.2f} at rank 1, {mean('LoRA', 8, large):.2f} at rank 8, with σ/L = 1/64")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. You double L, and σ too. What happens to the loss, and to ε?</summary>
# The loss stays: σ/L is the same. ε falls as long as L is well below N: noise helps more than a larger share costs.</details>
#
# <details><summary>2. Clients take ten local steps in the place of one. What does ε do?</summary>
# Nothing: a round clips and noises the whole change once.</details>
#
# <details><summary>3. The server publishes each round's number of clients, and divides by it. What is wrong?</summary>
# It tells who came, and in a small round one client weighs more than C/L.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the records, the sources.

# %%
book.fold(
    "What else is said of federated LoRA, and whether it holds",
    dp_dylora.false_clipped_gradients_bound_a_client,
    dp_dylora.false_noisy_data_bound_a_client,
    dp_dylora.false_dividing_by_those_who_came_is_as_good,
    dp_dylora.false_each_client_may_draw_its_rank,
    dp_dylora.the_server_adds_sigma_c_over_l,
    dp_dylora.false_each_client_adds_its_own_noise,
    dp_dylora.false_clipping_alone_hides_a_client,
    dp_dylora.false_local_steps_cost_privacy,
    dp_dylora.a_client_sends_its_input,
    dp_dylora.false_noise_in_a_product_grows_like_its_square,
    dp_dylora.false_every_row_gets_noise,
    dp_dylora.drawing_clients_dilute_late_rows,
    dp_dylora.false_rows_left_out_cost_nothing,
    dp_dylora.the_mean_of_factors_is_the_mean_of_updates,
    dp_dylora.false_averaging_both_factors_averages_updates,
    dp_dylora.what_averaging_misses_is_a_covariance,
    dp_dylora.a_round_of_one_step_is_a_step_on_all_data,
    dp_dylora.false_a_round_is_its_local_steps_on_all_data,
)

# %%
book.fold(
    "What else is said of differential privacy, and whether it holds",
    privacy.epsilon_is_the_best_renyi_bound,
    privacy.steps_compose_like_one_with_less_noise,
    privacy.false_epsilon_adds_up,
    privacy.sampling_lowers_epsilon,
    privacy.false_sampling_divides_epsilon,
    privacy.the_solved_sigma_keeps_to_the_budget,
    privacy.false_the_textbook_sigma_keeps_to_the_budget,
    privacy.the_loss_distribution_is_exact,
    privacy.renyi_is_an_upper_bound,
    privacy.a_clipped_contribution_has_norm_at_most_c,
    privacy.false_each_tensor_clipped_to_c_bounds_the_whole,
    privacy.one_contribution_moves_the_sum_by_at_most_c,
    privacy.false_clipping_the_batch_bounds_one_example,
    privacy.noise_on_the_mean_is_sigma_c_over_l,
    privacy.false_noise_does_not_depend_on_c,
    privacy.noise_grows_with_the_trained_parameters,
    privacy.a_private_gradient_is_the_batch_gradient,
    privacy.false_clipping_keeps_the_direction,
)

# %% [markdown]
# ### The records, made again
# `federated_runs.record(path)` and `member_runs.record(path)` in `lorabook.arena` run every federation anew into a file of
# your own: a quarter of an hour on a quiet core. ε of the explorer: `epsilons.record(path)`.

# %%
book.source(one_round.areas)

# %% [markdown]
# **Sources.** Xu et al. 2024 (2405.06368): DP-DyLoRA; they report less than 2% of accuracy lost at ε = 2 with a million clients,
# which cannot be checked here. McMahan et al. 2018 (1710.06963): clients' privacy, and few clients standing for many. Dong,
# Roth, Su 2019 (1905.02383): two Gaussians. Mironov 2017 (1702.07476) for the accountant. Zhu, Liu, Han 2019 (1906.08935):
# texts from gradients. Sun et al. 2024 (2403.12313): FFA-LoRA.
