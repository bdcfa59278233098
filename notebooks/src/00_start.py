# %% [markdown]
# # 00 · Start here
#
# **lorabook** is LoRA and its variants as a book that runs. Every equation in it is computed while you read, every
# picture has the variant's own knobs, and every chapter ends on a real language model that ships with the book.
#
# > **How do I read this, and does everything work here?**
#
# | time | you need | it builds on |
# | --- | --- | --- |
# | 10 minutes | PyTorch, and to have used LoRA once | nothing |
#
# Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %%
import torch
from IPython.display import Markdown

import lorabook as lb
from lorabook.book import overview
from lorabook.book import reading as book
from lorabook.claims.discovery import discover
from lorabook.core.lora import ORIGIN
from lorabook.models.generate import generate
from lorabook.models.paths import notebooks_dir
from lorabook.tasks import text

# %% [markdown]
# ## Does everything work here?
# A ✗ stops a part of the book, and the line says what to do. A ○ is optional and not here. `lorabook doctor` in a terminal
# says more.

# %% tags=["nbval-ignore-output"]
Markdown(overview.environment())

# %% [markdown]
# ## A first taste
# The base model has read Jane Austen and nothing else. Ask it to go on with a verse of the Bible:

# %% tags=["nbval-ignore-output"]
base = lb.load("tiny")
verse = "And the LORD said unto"
print(generate(base, verse, length=40, generator=torch.Generator().manual_seed(1)))

# %% [markdown]
# You are about to change this model without changing one of its weights. Before you do: a guess.

# %%
guess = book.predict("LoRA of rank 8 on q and v, in all four layers. How many numbers train, out of 100 in the model?",
                book.Steps("per 100", (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)))
guess

# %% [markdown]
# Three verbs. **Inject** puts a small adapter beside every matrix whose name fits, and freezes the rest. **Fit** trains
# what is not frozen: ten steps on the King James Bible. **Merge** adds each adapter to its matrix, and the model is plain
# again.

# %%
whole = sum(p.numel() for p in base.model.parameters())
layers = lb.inject(base.model, lb.LoRA(r=8, alpha=16), targets=r"q_proj|v_proj")
trained = sum(p.numel() for p in base.model.parameters() if p.requires_grad)
print(f"{len(layers)} adapters, {trained:,} of {whole:,} numbers train")
guess.look_back(f"{100 * trained / whole:.1f} in 100")

# %% tags=["nbval-ignore-output"]
bible = text.tokenize("kjv", text.read("kjv")[-200_000:], base.tokenizer)
before = text.evaluate(base.model, bible, pieces=8).nats_per_token
history = lb.fit(base.model, text.batches(bible, 8, 128, torch.Generator().manual_seed(0)), steps=10, lr=2e-2)
after = text.evaluate(base.model, bible, pieces=8).nats_per_token
print(f"loss on verses it has not seen: {before:.2f} → {after:.2f} nats per token, in {history.seconds:.0f} s")

# %%
tokens = torch.tensor([base.tokenizer.encode(verse)])
with torch.no_grad():
    two_paths = base.model(tokens)
    one_matrix = lb.merge(base.model)(tokens)
print("adapters left:", len(lb.adapted(base.model)))
print("merged and unmerged agree to 1e-3:", bool((two_paths - one_matrix).abs().max() < 1e-3))
print("ten steps lowered the loss:", after < before - 0.2)

# %% tags=["nbval-ignore-output"]
print(generate(base, verse, length=40, generator=torch.Generator().manual_seed(1)))

# %% [markdown]
# Ten steps make no prophet. They do bring a different music, and you saw the whole of LoRA's life: inject, train, merge.
#
# ## The map
# Every variant of LoRA answers the same few questions, and most differ from LoRA in *one* answer. So the book has axes, and
# a variant is a displacement from LoRA along some of them. This picture is made from the library's recipes, not drawn.

# %%
book.axis_map()

# %% [markdown]
# The same as a table. A dot means "as in LoRA". Recipes combine with `|`: rows that do not share an axis can be added, and
# two that want one axis are a conflict that names both.

# %%
book.displacements()

# %%
both = lb.rsLoRA() | lb.LoRAPlus()
print(both.label, "moves on", ", ".join(both.changes(ORIGIN)))
try:
    lb.DoRA() | lb.LoHa()
except lb.AxisConflict as conflict:
    print("AxisConflict:", conflict)

# %% [markdown]
# ## How to read a chapter
# | | you do | why |
# | --- | --- | --- |
# | **Predict** | answer before you see; no grade | a wrong guess is remembered, a read sentence is not |
# | **Run** | the smallest case first, then the equation | a card computes both sides in front of you |
# | **Move** | drag the variant's own knobs in the explorer | you see what a formula says |
# | **Derive** | follow short steps, each with its card | green and ✓ holds; dashed and ✗ is *often said, and false* |
# | **Solve** | two or three exercises, checked at once | the check says *which* mistake it was |
#
# Sliders know the keyboard: <kbd>Tab</kbd> to reach one, <kbd>←</kbd> <kbd>→</kbd> a step, <kbd>PageUp</kbd>
# <kbd>PageDown</kbd> further, <kbd>Home</kbd> <kbd>End</kbd> to the ends. <kbd>Esc</kbd> and the arrow keys move between cells;
# <kbd>Shift</kbd>+<kbd>Enter</kbd> runs one. Everything follows Lab's light or dark theme.
#
# ## The chapters

# %%
Markdown(overview.contents(notebooks_dir()))

# %% [markdown]
# ## The ledger
# What this book claims, it computes. Here is everything at once: each claim's two sides are worked out now, on this
# machine, and compared. A false statement in circulation must *fail*, or it would be listed as not reproduced.

# %%
table, broken = overview.ledger(discover())
Markdown(table)

# %%
print("not reproduced:", broken)

# %% [markdown]
# In a terminal, `lorabook check` prints each of them with both sides, the gap and the source; `lorabook check dora` only
# those with that word. Now turn to chapter 01.
