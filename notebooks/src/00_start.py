# %% [markdown]
# # 00 · Start here
#
# > **How do I read this, and does everything work here?**
#
# **lorabook** is LoRA and its variants as a book that runs. Its equations are computed while you read, its pictures have
# the variant's own knobs, and its chapters train a real language model that ships with the book.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 10 | short | · | · | PyTorch, and to have used LoRA once |
#
# Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %%
import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.models.generate import generate
from lorabook.tasks import text

# %% tags=["nbval-ignore-output"]
book.environment()

# %% [markdown]
# A ✗ stops a part of the book, a ○ does not. Its line says what to do.
#
# ## A first taste
# The base model has read Jane Austen and nothing else. Ask it to go on with a verse of the Bible:

# %% tags=["nbval-ignore-output"]
base = lb.load("tiny")
verse = "And the LORD said unto"
print(generate(base, verse, length=40, generator=torch.Generator().manual_seed(1)))

# %% [markdown]
# You are about to teach this model without training one of its weights.

# %%
book.diagram("lora")

# %%
guess = book.predict("LoRA of rank 8 goes onto all seven matrices of each layer. "
                     "For 100 numbers in the model, how many train?",
                     book.Steps("per 100", (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)))
guess

# %% [markdown]
# Three verbs. **Inject** puts a small adapter beside every matrix whose name fits, and freezes the rest. **Fit** trains
# what is not frozen: twenty steps on the King James Bible. **Merge** adds each adapter to its matrix, and the model is plain
# again.

# %%
whole = sum(p.numel() for p in base.model.parameters())
layers = lb.inject(base.model, lb.LoRA(r=8, alpha=16), targets="_proj")
trained = sum(p.numel() for p in base.model.parameters() if p.requires_grad)
measured = f"{100 * trained / whole:.1f} in 100: {trained:,} of {whole:,}, in {len(layers)} adapters"
guess.look_back(measured)

# %% tags=["nbval-ignore-output"]
bible = text.tokenize("kjv", text.read("kjv")[-200_000:], base.tokenizer)
before = text.evaluate(base.model, bible, pieces=8).nats_per_token
lb.fit(base.model, text.batches(bible, 4, 128, torch.Generator().manual_seed(0)), steps=20, lr=1e-2)
after = text.evaluate(base.model, bible, pieces=8).nats_per_token
print(f"loss on verses it has not seen: {before:.2f} → {after:.2f} nats per token")

# %%
tokens = torch.tensor([base.tokenizer.encode(verse)])
with torch.no_grad():
    two_paths, merged = base.model(tokens), lb.merge(base.model)(tokens)
book.verdicts({
    "Twenty steps took more than half a nat off the loss": after < before - 0.5,
    "The merged model has no adapters left": not lb.adapted(base.model),
    "It answers as the one with adapters did, to a thousandth": (two_paths - merged).abs().max().item() < 1e-3,
})

# %% tags=["nbval-ignore-output"]
print(generate(base, verse, length=40, generator=torch.Generator().manual_seed(1)))

# %% [markdown]
# Twenty steps make no prophet. But verses surprise the model less, as the loss says, and you saw the whole of LoRA's life.
#
# ## The map
# Every variant answers the same few questions, and most differ from LoRA in *one* answer. So the book has **axes**, and a
# variant moves away from LoRA on some of them.

# %%
book.axis_map()

# %% [markdown]
# Recipes combine with `|`. Two that want the same axis are a conflict that names both.

# %%
print((lb.rsLoRA() | lb.LoRAPlus()).label)
try:
    lb.DoRA() | lb.LoHa()
except lb.AxisConflict as conflict:
    print("AxisConflict:", conflict)

# %% [markdown]
# ## How to read a chapter
# * **Predict** before you see. No grade; a wrong guess is remembered.
# * **See it**: move the variant's own knobs. <kbd>Tab</kbd> reaches a slider; the arrow keys, <kbd>PageUp</kbd>,
#   <kbd>PageDown</kbd>, <kbd>Home</kbd> and <kbd>End</kbd> move it.
# * **Why**: short steps, each with a card that computes both sides. ✓ holds; ✗, with a dashed edge, is *often said, and
#   false*.
# * **Measured**: what it does to a real model.
# * **Exercises**, checked at once; the check says *which* mistake it was.
#
# What the first reading does not need is folded away at the end of a chapter, under **Further**. <kbd>Ctrl</kbd>+<kbd>B</kbd>
# hides the list of files and gives the pictures room. A letter that you forgot is in [Symbols and terms](symbols.md), a
# paper in the [Bibliography](bibliography.md).
#
# ## The chapters

# %%
book.contents()

# %% [markdown]
# Where you are, by the notebooks you saved:

# %% tags=["nbval-ignore-output"]
book.your_progress()

# %% [markdown]
# Now turn to chapter 01. Or take one of [two paths](paths.md): one hour, one day.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further

# %% [markdown]
# ### The ledger
# What this book claims, it computes. Here is everything at once: each claim's two sides are worked out now, on this
# machine, and compared. A false statement in circulation must *fail*, or it is listed as not reproduced.

# %%
book.ledger()

# %% [markdown]
# In a terminal, `lorabook check` prints each of them with both sides, the gap and the source; `lorabook check dora` only
# those with that word.
