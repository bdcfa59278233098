# %% [markdown]
# # 15 · GLoRA
#
# > **One layer, five moves: which of them does a task need?**
#
# LoRA adds $BA$ to $W_0$. GLoRA (Chavan et al. 2023) makes five moves: $A$ weighs the entries of $W_0$, $B$ is added to
# them, and $C$, $D$, $E$ move the bias. Each comes in a size of its own, which a search chooses.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | form | GLoRA | chapter 02: LoRA and merging |

# %%
import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import merged_terms
from lorabook.book.figures import generations
from lorabook.claims import glora as claims

book.axis_strip("form")

# %%
book.diagram("glora")

# %% [markdown]
# ## Predict

# %%
guess = book.predict("A layer has a 10 × 12 matrix and a bias. A task wants both at half strength. LoRA of rank 2 has "
    "44 numbers. How many does GLoRA need to do all of it?", book.Choice("your answer", (1, 2, 20, 44, 88, 130)))
guess

# %% [markdown]
# ## See it
# A term is *none*, a *constant* (one number), a *vector* (one per output; for $C$, per input) or *lora* (a product of
# rank 2), each with the best numbers that we found. *Reach* 30%: so much of the wanted change, in squares.

# %%
book.terms(torch.Generator().manual_seed(0))

# %% [markdown]
# 1. Everything at half strength: reach 100% with the fewest numbers. ($C$ and $D$: *more*.)
# 2. Each output louder or softer: which $A$ is enough? Then which of $C$, $D$, $E$ completes the bias?
#
# <details><summary>Answers</summary>
#
# 1. $A$ and $D$ constant: two numbers. LoRA's 44 reach 30%, for $W_0$ has full rank, and the bias stays.
# 2. A vector. Any of the three as a vector: 10 numbers in $D$ or $E$, 12 in $C$.
#
# </details>
#
# ## Why

# %%
book.card(claims.glora_weighs_adds_and_moves_the_bias)

# %% [markdown]
# Known methods are single switches: $B$ as lora is LoRA, $A$ as lora HiRA, $A$ as a vector DoRA's lengths without its
# directions, $E$ as a vector BitFit. And $C$, $D$, $E$ end in one $b$: a vector $E$ reaches all that the three reach.
#
# In use it is one $W$ and one $b$:

# %%
book.card(claims.a_merged_glora_costs_nothing)

# %% [markdown]
# ### Who chooses?
# Not the gradient:

# %%
book.card(claims.false_the_optimiser_picks_the_terms)

# %% [markdown]
# The paper trains a **supernet**: each term holds its largest kind, and smaller ones are parts of it. Every step trains one
# of 432 configurations per layer, drawn at random. Then evolution crosses and mutates the best, and trains nothing.
#
# ## The code
# Outputs louder or softer, and a limit:

# %%
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(12, 10))
x = torch.randn(512, 12)
batch = x, (torch.linspace(0.5, 1.5, 10) * model(x)).detach()
lb.inject(model, lb.GLoRASupernet(r=2), "0", torch.Generator().manual_seed(0))


def error(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


lb.fit(model, [batch] * 300, steps=300, lr=0.02, loss=error, progress=False)
for limit in (20, 48):
    found = lb.search_kinds(model, lambda m: error(m, batch), limit=limit, progress=False)
    print(f"at most {limit}: {found.configuration['0']}")

# %% [markdown]
# At 20 it finds what you found by hand; with more room, a product where a vector would do.
# `lb.cut_supernet(model, found.configuration)` leaves the adapter alone.
#
# ## Measured
# ### The form
# The book's decoder has no biases, so $A$ and $B$ alone: rank 4 where LoRA has 8.

# %%
book.measured("GLoRA")

# %% [markdown]
# ### The search
# Digits lying on their side, four layers with biases: $432^4$ configurations. 400 steps, then 20 generations, or as many
# draws. Five seeds, recorded.

# %% jupyter={"source_hidden": true}
runs = generations.reported()
search = generations.searched(runs[generations.SUPERNET])
generations.generations(search, "In one supernet, evolution finds better configurations than draws.")

# %% [markdown]
# *Alone*: the winner's kinds, or drawn ones, from their start at GLoRA's rate.

# %% jupyter={"source_hidden": true}
generations.search_table(runs)

# %% jupyter={"source_hidden": true}
loss = generations.losses_on_test(runs)
found, drawn, alone = (loss[name] for name in (generations.SUPERNET, generations.DRAWS, generations.WINNER))
book.verdicts({
    "In every seed evolution ends below the draws, on held-out pictures":
        (search.best("evolution")[:, -1] < search.best("draws")[:, -1]).all(),
    "On new pictures too, in every seed": (found < drawn).all(),
    "The winner in its supernet comes within twice LoRA's loss": found.mean() < 2 * loss["LoRA"].mean(),
    "Its kinds, trained alone, do": alone.mean() < 2 * loss["LoRA"].mean(),
    "They are ahead of a LoRA of their size, on average": alone.mean() < loss[generations.SMALL].mean(),
    "They are ahead of drawn kinds, trained alone, in at least four of five seeds":
        (alone < loss[generations.DRAWN]).sum() >= 4})

# %% [markdown]
# The search works, and does not pay here. The supernet's numbers fall behind, not the kinds. Of winner and drawn kinds the
# larger is ahead in every seed: that lead may be size alone. Longer supernets we did not measure.
#
# ## When, when not
# * **First try LoRA**: no worse here, and its step is shorter.
# * **Take one switch** where you know the move: $E$ for shifted outputs, a vector $A$ for their strength.
# * **If you search**, train the winner's kinds alone.
# * **Not with** dropout, PiSSA, OLoRA: there is no branch beside $W_0$.
#
# ## Exercises
# Stuck? `book.hint(merged_terms.EXERCISE, 1)`, 2, 3; `book.solution(merged_terms.EXERCISE)` comes last.

# %%
book.show(merged_terms.EXERCISE)

# %%
def merged_glora(w0, b0, A, B, C, D, E):
    ### BEGIN SOLUTION
    return w0 + w0 * A + B, b0 + D * b0 + E + w0 @ C
    ### END SOLUTION


book.check(merged_terms.EXERCISE, merged_glora)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess.look_back("2: A and D, one number each")

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of GLoRA, and whether it holds",
    claims.false_glora_mixes_inputs,
    claims.a_weighs_every_entry,
    claims.false_a_is_a_matrix_product,
    claims.glora_reaches_full_rank,
    claims.false_a_matrix_product_reaches_full_rank,
    claims.glora_holds_lora,
    claims.without_a_and_b_the_bias_moves,
    claims.false_without_a_and_b_it_is_an_adapter,
    claims.glora_is_affine,
    claims.false_an_adapter_is_affine,
    claims.training_leaves_no_term_out,
    claims.glora_trains_twice_lora_and_vectors,
    claims.false_glora_always_costs_more,
    claims.a_step_of_glora_costs_more,
    claims.the_subnet_is_the_supernet_there,
    claims.false_the_subnet_is_the_whole_supernet,
    claims.a_supernet_holds_its_largest_member,
    claims.false_a_supernet_holds_every_kind_apart,
    claims.a_layer_has_432_configurations,
    claims.false_a_layer_has_1024_configurations,
    claims.a_step_trains_what_was_drawn,
    claims.false_a_step_trains_every_kind,
    claims.kinds_are_drawn_evenly,
    claims.evolution_finds_the_best_more_often,
    claims.false_evolution_always_finds_the_best,
)

# %% [markdown]
# **Sources.** Chavan et al. 2023 (2306.07967): equation 10 and section 3.3; the official code for ⊙ and for what kinds
# share. Guo et al. 2020 (1904.00420): the evolutionary search. LyCORIS calls another method "glora": $W_0A$ is a matrix
# product there. Ben Zaken et al. 2021 (2106.10199): BitFit.
