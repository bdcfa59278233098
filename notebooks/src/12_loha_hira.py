# %% [markdown]
# # 12 · LoHa and HiRA
#
# > **Can the same number of parameters reach a higher rank?**
#
# LoRA's $\Delta W$ costs $r(d_{out}+d_{in})$ numbers and has rank $r$. Two variants multiply **entry by entry**
# ($\odot$, the Hadamard product) and get more rank for the same numbers. LoHa multiplies two thin products, HiRA
# multiplies $W_0$ with one.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | LoHa, HiRA | chapter 01: singular values; chapter 02: LoRA's start |

# %%
import torch

import lorabook as lb
from lorabook.arena.tasks import KJV
from lorabook.axes import form
from lorabook.book import reading as book
from lorabook.book.exercises import gated_branch, hadamard_branch
from lorabook.book.figures import first_steps, rank_and_loss
from lorabook.claims import hira, loha

book.axis_strip("form")

# %%
book.diagram("loha")

# %%
book.diagram("hira")

# %% [markdown]
# ## Predict

# %%
guess_reach = book.predict("A 32 × 32 ΔW without any pattern is wanted. With 384 numbers LoRA has rank 6 and reaches "
    "53% of it. With 384 numbers HiRA has rank 32 and reaches …", book.Steps("share", tuple(range(0, 101, 5)), "%"))
guess_reach

# %%
guess_best = book.predict("The King James Bible, equal numbers, each at its own rate. The rank of HiRA's ΔW is far "
    "above LoRA's. After ten seeds HiRA is …", book.Choice("your answer", ("better", "worse", "not told apart")))
guess_best

# %% [markdown]
# ## See it
# A wanted 32 × 32 $\Delta W$, and what four forms make of it with as many numbers; LoKr is chapter 13's. Bars are the
# singular values of each $\Delta W$, the dotted line those of the wish. The share reached is
# $1-\|\Delta W-M\|^2/\|M\|^2$, with $M$ the wish. LoRA's best is known; LoHa's and HiRA's are the best of eight
# searches.

# %%
book.forms(torch.Generator().manual_seed(0))

# %% [markdown]
# 1. Let *no pattern* be wanted, and drag the numbers. HiRA has rank 32 at once: how far ahead of LoRA does it get?
#    Where has LoHa no more rank than LoRA, and what does it gain beyond?
# 2. Let *a Hadamard product* be wanted, of two matrices of rank 3. LoHa with 384 numbers can be exactly that. Is it
#    found? Then give HiRA a $W_0$ that is *half zeros*, and wish for anything.
#
# <details><summary>Answers</summary>
#
# 1. Nowhere: with 128, 256, 384 and 512 numbers HiRA reaches 22, 39, 52 and 62%, and LoRA 22, 39, 53 and 63%. LoHa has
# rank 1 against 2 with 128 numbers and 4 against 4 with 256. With 384 and 512 it has 9 against 6 and 16 against 8, and
# reaches 57% against 53%, then 72% against 63%.
# 2. No: LoHa reaches 94%, and LoRA, which cannot be it, 96%. With half zeros HiRA still reaches all of *W₀ ⊙ two
# directions*, and of anything else at most 54%.
#
# </details>
#
# ## Why
# So rank is not reach. HiRA's $\Delta W$ are LoRA's, each entry stretched by its $W_0$: no more of them, only others.
# And what a form can be, a search need not find. LoHa's gain on *no pattern* we measure, and do not derive.
#
# ### LoHa: every pair of directions
# $\Delta W=s\,(B_1A_1)\odot(B_2A_2)$, with $A_1,A_2$: r × d_in and $B_1,B_2$: d_out × r. Multiply two sums, and you
# have a sum over all pairs: $\Delta W_{ij}=s\sum_{k,l}(B_1)_{ik}(B_2)_{il}\,(A_1)_{kj}(A_2)_{lj}$.

# %%
book.card(loha.a_hadamard_product_of_products_is_a_product)

# %% [markdown]
# LoHa is a LoRA of rank $r^2$ whose rows and columns are not free: they are products of few.

# %%
book.card(loha.loha_has_more_rank_for_its_numbers)

# %% [markdown]
# Another formula goes by LoHa's name:

# %%
book.card(loha.false_loha_multiplies)

# %% [markdown]
# Put it on the book's model before any training, with $BA=0$:

# %%
model = lb.load("tiny").model
before = KJV.score(model)
with torch.no_grad():
    for name, layer in model.named_modules():
        if name.endswith("_proj"):
            layer.weight.mul_(torch.eye(*layer.weight.shape))
print(f"W₀: {before:.1f} nats per token on the Bible.   W₀ ⊙ I: {KJV.score(model):.1f}")

# %% [markdown]
# ### HiRA: W₀ lends its rank
# With ones in the place of $I$ the formula is HiRA: $W=W_0\odot(\mathbf 1+BA)$, a gate on every weight. The smallest
# case: $W_0=I$, and $BA$ all ones, of rank 1. Then $\Delta W=I$ has full rank, from $2d$ numbers.

# %%
book.card(hira.hira_rank_is_a_product)

# %%
book.card(hira.a_zero_stays_zero)

# %% [markdown]
# ### The start, and the rate
# $B=0$ in HiRA, $B_1=0$ in LoHa, and the rest random. No more zeros than that:

# %%
book.card(loha.false_two_zero_factors_can_learn)

# %% [markdown]
# One step of Adam moves each entry of $B$ by $\eta$, as in LoRA. But before that reaches $W$ it is multiplied by a
# small number: an entry of $W_0$, 0.07 on average here, or of a random $B_2A_2$. How far does one step at LoRA's best
# rate go?

# %%
moved = {}
for name, recipe in {"LoRA": lb.LoRA(8, 16), "LoHa": lb.LoHa(4, 8), "HiRA": lb.HiRA(8)}.items():
    model = lb.load("tiny").model
    layers = lb.inject(model, recipe, "_proj", torch.Generator().manual_seed(0)).values()
    start = [layer.weight.detach() for layer in layers]
    lb.fit(model, KJV.stream(0), steps=1, lr=0.008, progress=False)
    squares = [(layer.weight - w).square().sum() for layer, w in zip(layers, start, strict=True)]
    moved[name] = sum(squares).sqrt().item()

# %% jupyter={"source_hidden": true}
tuned = {name: line.rates for name, line in first_steps.recorded("LoRA", "LoHa", "HiRA").items()}
book.table(("", "‖ΔW‖ of the model after one step at 0.008", "best rate in the arena"), [
    (name, f"{size:.3f}", f"{min(tuned[name], key=tuned[name].get):.3f}") for name, size in moved.items()])

# %% [markdown]
# ## The code

# %%
book.source(form.loha.Hadamard.weight)

# %%
book.source(form.loha.row_products)

# %%
book.source(form.hira.ElementwiseScaled.weight)

# %% [markdown]
# Two calls of `row_products` turn LoHa into two thin factors, and then it runs as LoRA does. That pays while
# $3r^2(d_{in}+d_{out})<d_{in}d_{out}$; above, $\Delta W$ is built. HiRA has no such path: $W$ is built in every step.
#
# ## Measured

# %%
table = book.measured("LoHa", "HiRA")
table

# %% jupyter={"source_hidden": true}
line = {each.label: each for each in table.result.lines}
lora, product, gated, larger = (line[name] for name in ("LoRA", "LoHa", "HiRA", "HiRA, its paper's size 32"))
plain = book.measured("LoRA r=32").result.lines[1]
ranks = {name: each.rank for name, each in rank_and_loss.equal_numbers().items()}
rates = sorted(set.intersection(*(set(each) for each in tuned.values())))


def above(one, other):
    return bool((torch.tensor(one.scores) > torch.tensor(other.scores)).all())


book.verdicts({
    "HiRA's ΔW has more than ten times LoRA's effective rank": ranks["HiRA"] > 10 * ranks["LoRA"],
    "HiRA ends below LoRA with every seed": above(lora, gated),
    "LoHa ends above LoRA with every seed": above(product, lora),
    "LoRA with four times the numbers ends below HiRA, with every seed": above(gated, plain),
    "With four times the numbers LoRA and HiRA end within a hundredth of a nat": abs(larger.mean - plain.mean) < 0.01,
    "At LoRA's best rate both end more than 0.15 nats behind it": all(
        tuned[name][lora.lr] - tuned["LoRA"][lora.lr] > 0.15 for name in ("LoHa", "HiRA"))})

# %% [markdown]
# ### “More rank is more quality”
# Six forms with LoRA's numbers, within 7%, and four that have more or fewer; bars are the spread over seeds.

# %%
rank_and_loss.rank_and_loss("With equal numbers (orange) more rank is not less loss. More numbers are.")

# %% [markdown]
# LoKr's $\Delta W$ has twelve times LoRA's effective rank and ends highest; HiRA's has more still and ends lowest, not
# told apart from LoRA. What a matrix can be is set by how its numbers are tied, and not by its rank alone.
#
# ### How could a comparison see a difference?
# It keeps one rate for all. Here is what that does, mean of two other seeds:

# %% jupyter={"source_hidden": true}
book.table(("rate for all", *tuned), [(f"{lr:.3f}", *(f"{each[lr]:.3f}" for each in tuned.values())) for lr in rates])

# %% [markdown]
# At LoRA's best rate, 0.008, HiRA is worse by a third of a nat. At twice that rate LoHa is level with LoRA, which is
# past its best. Train it yourself, then lower HiRA's rate:

# %%
book.training_explorer("HiRA")

# %% [markdown]
# ## When, when not
# * **Stay with LoRA** until something that you measure says otherwise. Here neither is told apart from it.
# * **HiRA** if $W_0$'s large weights should move most, and its zeros not at all. A step takes a third longer than
#   LoRA's and keeps a third more for backward.
# * **LoHa** from $r=3$ on; below, LoRA has as much rank for the same numbers. $r=16$ costs what LoRA of 32 costs, and
#   not what LoRA of 64 does.
# * **Tune the rate** from four times LoRA's upwards.
# * **“Better in vision, or for value projections”** is said of LoHa without a source. We did not check it.
# * **The file**: a server that knows LoRA alone gets LoHa as rank $r^2$, exactly. HiRA it gets merged.
# * **With what**: QLoRA, rsLoRA and LoRA+, yes. Not with PiSSA's start, nor with a second form.
#
# ## Exercises
# Stuck? `book.hint(gated_branch.EXERCISE, 1)`, then 2, then 3; `book.solution(gated_branch.EXERCISE)` comes last.

# %%
book.show(hadamard_branch.EXERCISE)

# %%
def loha_branch(x, A1, B1, A2, B2, s):
    ### BEGIN SOLUTION
    return x @ (s * (B1 @ A1) * (B2 @ A2)).T
    ### END SOLUTION


book.check(hadamard_branch.EXERCISE, loha_branch)

# %%
book.show(gated_branch.EXERCISE)

# %%
def hira_branch(x, w0, A, B):
    ### BEGIN SOLUTION
    return sum((x * a) @ w0.T * b for a, b in zip(A, B.T, strict=True))
    ### END SOLUTION


book.check(gated_branch.EXERCISE, hira_branch)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_reach.look_back("52%: with as many numbers to choose, a matrix without a pattern prefers neither form")

# %% tags=["nbval-ignore-output"]
guess_best.look_back(f"not told apart: LoRA {lora.mean:.3f} nats, HiRA {gated.mean:.3f}")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. LoHa with r = 4 on 192 × 192: how many numbers, which rank, which LoRA costs the same?</summary>
# 3,072; at most 16; rank 8.</details>
#
# <details><summary>2. W₀ has rank 4, and HiRA r = 2. Which rank can ΔW have?</summary>
# 8: W₀ ⊙ BA is a sum of r copies of W₀, each scaled by rows and columns.</details>
#
# <details><summary>3. A colleague tries HiRA at LoRA's rate and finds it worse. What do you ask?</summary>
# To raise the rate: W₀'s entries are small, so the same step moves W twenty times less.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of LoHa, and whether it holds",
    loha.loha_rank_is_at_most_r_squared,
    loha.false_loha_rank_is_at_most_r,
    loha.loha_adds,
    loha.loha_breaks_even,
    loha.loha_trains_twice_as_many,
    loha.false_loha_trains_as_many,
    loha.loha_builds_two_matrices,
    loha.false_loha_computes_as_lora_does,
    loha.one_zero_factor_can_learn,
)

# %%
book.fold(
    "What else is said of HiRA, and whether it holds",
    hira.false_hira_rank_is_r,
    hira.ones_gate_every_entry,
    hira.false_the_identity_gates_every_entry,
)

# %% [markdown]
# **Sources.** Hyeon-Woo, Ye-Bin, Oh 2021 (FedPara, 2108.06098): proposition 1, for federated learning. Yeh et al. 2023
# (LyCORIS, 2309.14859): LoHa, for pictures. Huang et al. 2025 (HiRA, ICLR 2025): equation 3. Slyusar 1996: the row-wise
# product. PEFT: `LoHaConfig`, `HiraConfig`; it sets the other half of the second pair to zero.
