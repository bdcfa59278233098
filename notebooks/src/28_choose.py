# %% [markdown]
# # 28 · Choose
#
# > **Which of these do I take?**
#
# You know the card, the length of the texts, the job, and who will serve the result. You do not know how the training will
# go. So no question here asks for that. What you know decides what LoRA needs beside it; for the rest there are
# measurements.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | · | · | chapter 02: r, α; chapter 10: four bits |

# %%
from lorabook.book import reading as book
from lorabook.book.exercises import ladder
from lorabook.claims import counting, memory, variants
from lorabook.saving import servers

# %% [markdown]
# ## Predict

# %%
guess = book.predict("Sixteen variants that merge into W₀ learn the King James Bible, each with as many numbers as "
    "LoRA of rank 8 (VeRA: fewer) and at its own best rate, ten seeds. Found to be better than LoRA are …",
    book.Choice("your answer", ("none", "one or two", "about half", "nearly all")))
guess

# %% [markdown]
# ## See it
# Memory is arithmetic for LLaMA's shapes, one sequence at a time. What merges, and who can read a file, was tried on a small
# model. Losses are the arena's.

# %%
picture = book.choose()
picture

# %% [markdown]
# 1. Take the 16 GiB card and texts of 2,048 tokens. What is added first? Then take 70B (*more*): on which of the cards does
#    it fit?
# 2. Let it run in llama.cpp. Who remains? What is wrong with DoRA?
#
# <details><summary>Answers</summary>
#
# 1. Checkpointing: 14.4 GiB instead of 23.1. With 70B four bits come on top: 41.0 GiB, so 48 is enough.
# 2. LoRA, and five that write a plain pair: rsLoRA, LoRA+, LoRA-FA, PiSSA, OLoRA. DoRA's magnitude has no place there:
#    merge it.
#
# </details>
#
# ## Why
# ### Memory first
# Few numbers train, and the model is there whole:

# %%
book.card(memory.lora_holds_the_whole_base)

# %%
book.card(memory.false_lora_trains_seventy_billion_in_40_gigabytes)

# %% [markdown]
# So there are two means. Checkpointing shrinks activations and costs a forward pass. Four bits shrink $W_0$, and nothing
# else:

# %%
book.card(counting.qlora_trains_as_many_as_lora)

# %% [markdown]
# ### Then the job
# Tasks in turn, many on a server, a mix of what you have, private data: each has a method of its own, and LoRA inside.
#
# ### Then who serves it
# Merged, every update of a matrix is a matrix, and every program reads it. Beside the model, each program reads what its
# authors wrote:

# %%
book.source(servers.vllm)

# %%
book.source(servers.llama_cpp)

# %% [markdown]
# Both are read off these programs' sources, and they change. llama.cpp refuses most of what it does not know. PEFT's
# `use_rslora` it *passes over*: such an adapter weighs $\sqrt r$ times too little, without an error. `save_adapter` writes
# no such flag: it says $\alpha\sqrt r$ for $\alpha$.
#
# ## Measured

# %%
table = book.measured("DoRA", "HiRA", "QLoRA", "LoRA r=32", "bottleneck")
table

# %% jupyter={"source_hidden": true}
everyone = picture.result.contenders
better = [name for name, says in zip(everyone.names, everyone.says, strict=True) if says == "better"]
line = {each.name: each for each in table.result.lines if each.label == each.name}
gained = {name: table.result.start - each.mean for name, each in line.items()}
book.verdicts({
    "At equal numbers one contender was measured better than LoRA": len(better) == 1,
    "It merges into W₀": any(n in better and not w for n, w in zip(everyone.names, everyone.against, strict=True)),
    "LoRA of rank 32 is ahead of every other form with a quarter of its numbers": line["LoRA r=32"].mean < min(
        each.mean for name, each in line.items() if name not in ("LoRA r=32", "full fine-tuning")),
    "LoRA of rank 32 reaches 85% of full fine-tuning's gain": gained["LoRA r=32"] > 0.85 * gained["full fine-tuning"],
    "QLoRA keeps 99% of LoRA's gain": gained["QLoRA"] > 0.99 * gained["LoRA"]})

# %% [markdown]
# That is one small model, one text and 60 steps; chapter 27 has the other tasks. How small a difference its seeds
# would have shown depends on the spread: 0.007 nats for QLoRA, 0.026 for LoHa.
#
# ## When, when not
# * **Begin** with LoRA on all matrices. Search its rate.
# * **Add** only what the card, the length, the job or the server forces.
# * **What is left**, spend on rank. Another form is worth its trouble where it buys what you can name: a tiny file (VeRA),
#   or smaller adapters inside one file (DyLoRA).
#
# ## Exercises
# Stuck? `book.hint(ladder.EXERCISE, 1)`, 2, 3; `book.solution(ladder.EXERCISE)` comes last.

# %%
book.show(ladder.EXERCISE)

# %%
def means_needed(linear, other, kept, again, rest, gpu):
    ### BEGIN SOLUTION
    four_bits = linear * 4.127 / 16
    needs = [matrices + other + acts + rest for matrices in (linear, four_bits) for acts in (kept, again)]
    return next((i for i, gib in enumerate(needs) if gib <= gpu), 4)
    ### END SOLUTION


book.check(ladder.EXERCISE, means_needed)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
merging = [name for name, why_not in zip(everyone.names, everyone.against, strict=True) if not why_not]
guess.look_back(", ".join(name for name in merging if name in better) or "none")

# %% [markdown]
# <details><summary>Why does the explorer not ask whether B learns more slowly than A?</summary>
# You would have to train to know. A rate that you search anyway answers it.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "How many variants there are, and what memory is said to be",
    variants.one_of_the_names_is_the_origin,
    variants.false_every_name_is_a_variant,
    variants.there_are_more_than_sixteen,
    variants.false_sixteen_are_all,
    memory.qlora_fits_seventy_billion_into_48_gigabytes,
    memory.false_qlora_fits_seventy_billion_into_10_gigabytes,
)

# %% [markdown]
# **Sources.** vLLM, `lora/peft_helper.py`; llama.cpp, `convert_lora_to_gguf.py`. Memory: the formulas of chapter 10, in
# `lorabook/cost/memory.py`.
