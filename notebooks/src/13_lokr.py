# %% [markdown]
# # 13 · LoKr
#
# > **How few numbers can still fill the matrix?**
#
# $\Delta W$ with every entry non-zero, and of full rank: what does that cost? LoKr (Yeh et al. 2023) writes it as a
# **Kronecker product** of two small matrices, $\Delta W=s\,(C\otimes D)$: a grid of copies of $D$, copy $(i,j)$ times
# $C_{ij}$.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | form | LoKr | chapter 02: what r does |

# %%
import torch

from lorabook.arena.record import Record
from lorabook.axes.form import lokr
from lorabook.book import reading as book
from lorabook.book.exercises import folded
from lorabook.claims import lokr as claims

book.axis_strip("form")

# %%
book.diagram("lokr")

# %% [markdown]
# ## Predict

# %%
guess_few = book.predict("ΔW is 192 × 192: 36,864 entries. For rank 192, a Kronecker product needs …",
    book.Choice("your answer", ("400 numbers", "3,072, as LoRA of rank 8", "18,432, half of them", "36,864")))
guess_few

# %%
guess_best = book.predict("The King James Bible, at equal numbers, each at its own rate: ΔW of full rank, or nearly, "
    "by LoKr, and of rank 8 by LoRA. Which ends lower?", book.Choice("your answer", ("LoKr", "LoRA", "no difference")))
guess_best

# %% [markdown]
# ## See it
# A wanted 24 × 24 $\Delta W$, and the nearest $C\otimes D$. Each frame is one copy of $D$. Blue is positive, orange
# negative. Below, an input goes through.

# %%
picture = book.kronecker(torch.Generator().manual_seed(0))
picture

# %% [markdown]
# 1. How few numbers give $\Delta W$ rank 24? Let *no pattern* be wanted: what do they reach of it, and what does the LoRA
#    that costs about as much? And of *two directions*?
# 2. Let *copies of a block* be wanted. How few numbers reach all of it? Then move the factor one step either way.
#
# <details><summary>Answers</summary>
#
# 1. 52, at factor 4 with r = 3 or factor 6 with r = 2. Of no pattern they reach 17% and 13%, LoRA of rank 1 14%. Of two
# directions they reach 22% and 30%, and that LoRA 61%.
# 2. 52 again, factor 4 and r = 3, where LoRA reaches 27%. One step either way, and less than a quarter is left.
#
# </details>
#
# ## Why
# The singular values of $C\otimes D$ are all products of one of $C$'s and one of $D$'s. So ranks multiply:

# %%
book.card(claims.lokr_ranks_multiply)

# %% [markdown]
# With $D=BA$ the rank is $r$ times $C$'s. Full it is only where $D$ is kept whole.

# %%
book.card(claims.false_lokr_has_full_rank)

# %% [markdown]
# **Rank is nearly free, and so it says little.** Write each copy as one row: row $(i,j)$ is $C_{ij}\operatorname{vec}(D)$.
# The same entries, sorted so, are an outer product, like LoRA of rank 1. A matrix without a pattern
# prefers neither order: that was your first task.
#
# $C\otimes D$ is never built. Fold $x$ to $X$ ($m\times n$), and:

# %%
book.card(claims.the_vec_trick)

# %% [markdown]
# ## The code
# Definition, and path:

# %%
book.source(lokr.Kronecker.weight)

# %%
book.source(lokr.kronecker)

# %% [markdown]
# The `factor` sets $C$'s sides; −1 takes divisors near the root, where a whole $D$ is cheapest. From
# $r\ge\max(k,n)/2$ on $D$ is kept whole. Then more $r$ adds no number, and still divides: $s=\alpha/r$.
#
# ## Measured
# With LoRA's numbers (factor 4, $r=40$) and with a twelfth of them (factor 8, $r=4$).

# %%
table = book.measured("LoKr", "LoKr factor=8")
table

# %% jupyter={"source_hidden": true}
line = {each.name: each for each in table.result.lines}
base, equal, small = (line[name] for name in ("LoRA", "LoKr", "LoKr factor=8"))
fewer = book.measured("LoRA r=2").result.lines[1]
start = table.result.start
kept = {each.name: (start - each.mean) / (start - base.mean) for each in (small, fewer)}


def rank(line):
    rows = [row.rank for row in Record().rows() if row.task == "kjv" and (row.method, row.lr) == (line.name, line.lr)]
    return sum(rows) / len(rows)


book.verdicts({
    "At equal numbers LoKr ends above LoRA in every seed": bool(
        (torch.tensor(equal.scores) > torch.tensor(base.scores)).all()),
    "What it trained has more than ten times LoRA's effective rank": rank(equal) > 10 * rank(base),
    "With less than a twelfth of LoRA's numbers it keeps more than half of LoRA's gain":
        12 * small.trained < base.trained and kept["LoKr factor=8"] > 0.5,
    "LoRA of rank 2, with a quarter of the numbers, keeps more than four fifths": kept["LoRA r=2"] > 0.8,
    "LoKr's step is faster than LoRA's": equal.step_ratio < 1})

# %% [markdown]
# Plainly: ten times the rank, for the same numbers, and five hundredths of a nat worse. Our guess why: this text wants a
# few directions, and no copies.
#
# ## When, when not
# * **Stay with LoRA** unless the file must be smaller than that of LoRA of rank 1. LoKr goes below it.
# * **Not for speed**: two small products are fewer operations than $\Delta W$, and slower here than LoRA's two.
# * **Mind the order**: a file of $C\otimes D$ read as $D\otimes C$ loads without an error.
# * **With what**: QLoRA, rsLoRA and LoRA+, yes. Not with PiSSA's start, nor with a second form.
#
# ## Exercises
# Stuck? `book.hint(folded.EXERCISE, 1)`, then 2, then 3; `book.solution(folded.EXERCISE)` comes last.

# %%
book.show(folded.EXERCISE)

# %%
def lokr_branch(x, C, D, s):
    ### BEGIN SOLUTION
    X = x.view(len(x), C.shape[1], D.shape[1])
    return s * (C @ X @ D.T).flatten(1)
    ### END SOLUTION


book.check(folded.EXERCISE, lokr_branch)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
form = lokr.LoKrForm()
guess_few.look_back(f"{form.count(192, 192, r=8)} numbers: C is 12 × 12, D is 16 × 16 and whole")

# %% tags=["nbval-ignore-output"]
guess_best.look_back(f"LoRA {base.mean:.3f} nats, LoKr {equal.mean:.3f}")

# %% [markdown]
# <details><summary>1. C is p × m of rank p ≤ m, D is BA of rank r. The rank of C ⊗ D, and the numbers?</summary>
# pr; pm + r(k + n).</details>
#
# <details><summary>2. What must x's shape be before it goes through, and what must not be built?</summary>
# m × n, by rows; C ⊗ D, which is as large as W₀.</details>
#
# <details><summary>3. Rank 24 with 52 numbers. Why does it reach no more of a random matrix than LoRA of rank 1?</summary>
# Sorted by copies it is of rank 1 too. It has as many numbers to choose, and a random matrix prefers no order.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of LoKr, and whether it holds",
    claims.false_the_factors_may_be_swapped,
    claims.folding_is_cheaper_than_building,
    claims.lokr_counts,
    claims.false_lokr_counts_as_lora,
)

# %% [markdown]
# **Sources.** Yeh et al. 2023 (2309.14859), LyCORIS: section 3. Edalati et al. 2022 (2212.10650), KronA: both factors whole.
# Horn, Johnson, *Topics in Matrix Analysis*, section 4.3. Van Loan, Pitsianis 1993: the nearest Kronecker product.
