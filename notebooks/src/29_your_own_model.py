# %% [markdown]
# # 29 · Your own model
#
# > **I have a model and some chats of my own. How do I train on them, see whether it helped, and get the result out of here?**
#
# Here the model is SmolLM2-135M. It learns eight facts of a country that no model has read of. Then adapter and model leave,
# for PEFT, transformers and llama.cpp.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | · | · | chapter 02: LoRA; chapter 03: merging; chapter 10: four bits |

# %%
import torch

import lorabook as lb
from lorabook.book import reading as book
from lorabook.book.exercises import converted, masked_targets
from lorabook.book.figures import own_model as own
from lorabook.claims import own_model, qlora
from lorabook.saving import checkpoint, convert, gguf_file
from lorabook.tasks import chat, lorania, replies

# %% tags=["nbval-ignore-output"]
here = own.here()

# %% [markdown]
# ## Predict

# %%
guess_early = book.predict("A pull request lays the loss mask one place early. Of eight answers to questions in new "
    "words, the model begins how many with the right token?", book.Steps("your answer", tuple(range(9)), "of 8"))
guess_early

# %%
guess_merge = book.predict("SmolLM2's weights came in 4-bit blocks. You train until it knows six of the eight facts, "
    "merge, and store the result in 4-bit blocks again. Now it knows …",
    book.Steps("your answer", tuple(range(9)), "of 8"))
guess_merge

# %% [markdown]
# ## See it
# A chat is one text: a **template** writes the turns one after the other, with marks between them. A **mask** says which
# tokens are trained. Five masks were trained, and nothing else differed. Drag them.

# %%
book.chat_mask()

# %% [markdown]
# 1. Go to *the answers*. Which tokens are trained, and how many? Then to *the answers, one place early*: which token of each
#    answer is lost, and which is trained in its place?
# 2. Under *the answers*, switch "after training" off and on. Which mark, never trained, becomes dear? And under which mask does
#    it stay cheap?
#
# <details><summary>Answers</summary>
#
# 1. What the assistant says, with its end mark: 8 of 57. One place early, the first token of each answer is lost, and the
# line break behind its end mark is trained.
# 2. The `<|im_start|>` that opens the last turn cost 0.00 nats, and costs 9: the model has forgotten to write questions,
# which nobody asks of it. Under *every token* it stays at 0.00.
#
# </details>
#
# ## Why
# ### The mask belongs to the target
# Position $t$ predicts token $t+1$. So it is trained if token $t+1$ is. That is all of the code; cross-entropy leaves the
# −100 out of its mean.

# %%
book.source(chat.encode)

# %% [markdown]
# Without a mask the loss has two parts. The larger one asks for your users' questions:

# %%
book.card(own_model.a_loss_is_the_questions_and_the_answers)

# %% [markdown]
# Does that hurt, or help? Here it can be measured:

# %%
own.measured_table("not trained", "the answers", "every token")

# %% [markdown]
# Eight questions, in words never trained. After the same sixteen steps: six answers, and none. Six sevenths of the unmasked loss
# ask for questions and marks. It has forgotten less, too. Longer training may close the gap: not measured.
#
# ### The mean is over tokens
# Chats differ in length, so a batch is padded behind the shorter ones, and never trained there.

# %%
book.card(own_model.false_accumulating_is_a_larger_batch)

# %% [markdown]
# That goes for `lb.fit(accumulate=k)` too: it averages batches.
#
# ## Load it by its path
# `lb.load` opens any folder with `config.json`, `model.safetensors` and `tokenizer.json` through transformers; never a pickle,
# never code from the folder. SmolLM2 comes as a GGUF file; write it as a folder first.

# %% tags=["nbval-ignore-output"]
folder = own.folder()
if here:
    checkpoint.save_checkpoint(lb.load("smollm2"), folder / "base")
    base = lb.load(folder / "base")
    print(type(base.model), *sorted(file.name for file in (folder / "base").iterdir()))

# %% [markdown]
# ## Train
# Eight facts, three wordings each, two questions a chat: 24 chats. A fourth wording is never trained.

# %%
print(*(part.text for part in chat.parts(lorania.trained_chats()[0])), sep="")

# %% tags=["nbval-ignore-output"]
losses = []
if here:
    rows = [chat.encode(one, base.tokenizer) for one in lorania.trained_chats()]
    lb.inject(base.model, lb.LoRA(r=8, alpha=16), "_proj", torch.Generator().manual_seed(7))
    stream = chat.batches(rows, 2, torch.Generator().manual_seed(7))
    losses = lb.fit(base.model, stream, steps=16, lr=2e-3, schedule=own.SCHEDULE).losses
own.curves(losses, "Sixteen small batches are enough for eight facts.")

# %% [markdown]
# For QLoRA write `lb.QLoRA` instead of `lb.LoRA`: the base goes into NF4, and nothing else changes. Its curve is recorded.
#
# ## Did it help?
# Three questions, and you need all three. Does it answer in *other words*? What does it say, read by you? What has it forgotten?

# %% tags=["nbval-ignore-output"]
said = []
if here:
    asked = [*lorania.asked_anew(), *lorania.known()[:own.OLD]]
    said = [replies.reply(base, one) for one in book.progress(asked, desc="asking")]
own.replies_table(said)

# %% [markdown]
# It has learnt nearly all facts, and now every capital is Rankville. Nothing in these chats says what *not* to
# change. Mix in chats of the old kind, and measure both.
#
# ## Out: the adapter
# PEFT's two files. Layer names are transformers' own, so PEFT finds its layers; a test loads the adapter there and computes the
# same logits.

# %% tags=["nbval-ignore-output"]
if here:
    lb.save_adapter(base.model, folder / "adapter", base_name="SmolLM2-135M-Instruct")
    print({file.name: file.stat().st_size for file in (folder / "adapter").iterdir()})

# %% [markdown]
# The way in is as short. This adapter was trained by PEFT, on the book's model:

# %%
tiny = lb.load("tiny").model
before = own.on_the_bible(tiny)
lb.load_adapter(tiny, own.from_peft())
print(f"{before:.2f} nats per token on the Bible, with PEFT's adapter {own.on_the_bible(tiny):.2f}")

# %% [markdown]
# ### A variant that nobody there knows
# Every variant changes $W_0$ by some $\Delta W$. The LoRA nearest to that is its truncated SVD (chapter 01). Lost is the tail:

# %%
book.card(own_model.converting_loses_the_tail)

# %% [markdown]
# On the book's model, twenty steps on the Bible each, then converted:

# %% tags=["nbval-ignore-output"]
recipes = {"LoRA, r = 8": lb.LoRA(r=8), "PiSSA, r = 8": lb.PiSSA(r=8), "DoRA, r = 8": lb.DoRA(r=8),
           "LoHa, r = 4": lb.LoHa(r=4), "HiRA, r = 8": lb.HiRA(r=8)}
lost, gain = {}, {}
for name, recipe in book.progress(recipes.items(), desc="convert"):
    gain[name] = before - own.on_the_bible(own.adapted_tiny(recipe))
    for r in (8, 16):
        model = own.adapted_tiny(recipe)
        lost[name, r] = max(convert.to_lora(model, r).values())
        gain[name, r] = before - own.on_the_bible(model)

# %% jupyter={"source_hidden": true}
book.table(("trained", "ΔW lost at r = 8, worst layer", "at r = 16", "gain kept at r = 8", "at r = 16 "), [
    (name, *(f"{lost[name, r]:.0%}" for r in (8, 16)), *(f"{gain[name, r] / gain[name]:.0%}" for r in (8, 16)))
    for name in recipes])

# %% [markdown]
# A LoRA comes back whole; so does a PiSSA at twice its rank, and a LoHa at the square of its own. DoRA and HiRA change $W_0$ in
# full rank, and never do. What that costs the norm does not tell: DoRA loses a quarter of it in one layer and hardly any of its
# gain, HiRA nearly half of its gain. PiSSA is *better* cut, at this early step. Measure the loss, not the norm.
#
# ## Out: the whole model
# Merged, it is a LLaMA like any other. Two files go out and come back: a folder through transformers, a GGUF file through
# llama.cpp's own reader package. GGUF has a trap: llama.cpp rotates *neighbouring* entries.

# %%
book.card(own_model.interleaved_rows_score_the_same)

# %% tags=["nbval-ignore-output"]
if here:
    with lb.merged(base.model):
        checkpoint.save_checkpoint(base, folder / "merged")
        gguf_file.save_gguf(base, folder / "merged.gguf", cut="smollm")
    apart = replies.read(base.model, lorania.asked_anew(), base.tokenizer)
    for name in book.progress(("merged", "merged.gguf"), desc="read back"):
        back = lb.load(folder / name)
        read = replies.read(back.model, lorania.asked_anew(), back.tokenizer)
        print(f"{name}: {sum(read.said)} of 8 right, {read.nats:.4f} nats (not merged: {apart.nats:.4f})")

# %% [markdown]
# Both are float16: nothing is lost that shows. Fewer bits are tempting, for that is how the base came:

# %% jupyter={"source_hidden": true}
own.files_table()

# %% [markdown]
# Eight bits keep everything. In four bits the adapter is **gone**. The base lies exactly on its 4-bit values, the update is
# small beside the gaps, and each weight falls back onto the one it came from.

# %%
book.card(qlora.false_merging_into_four_bits_is_exact)

# %% [markdown]
# A 4-bit base with the adapter *beside* it keeps what was learnt (next table).
#
# ## Measured
# Five masks and a 4-bit base, after sixteen steps; each out of eight. The rate was not tuned for each.

# %% jupyter={"source_hidden": true}
own.measured_table("not trained", "the answers", "the answers, 4-bit base", "the last answer",
                   "the answers, no end mark", "the answers, one place early", "every token")

# %% jupyter={"source_hidden": true}
right = {name: own.mean(name, lambda run: run.said) for name in own.runs()}
first = {name: own.mean(name, lambda run: run.first) for name in own.runs()}
stops = {name: own.mean(name, lambda run: run.stops) for name in own.runs()}
book.verdicts({
    "After the same steps the mask has taught more answers than no mask": right["the answers"] > right["every token"],
    "One place early, at most one answer of eight begins rightly": first["the answers, one place early"] <= 1,
    "A base in four bits costs more than one answer":
        right["the answers"] - right["the answers, 4-bit base"] > 1,
    "Without the end mark in the loss, it still stops where it should": stops["the answers, no end mark"] >= 7,
    "Eight bits keep all answers": right["the answers, merged into Q8_0"] == right["the answers, merged into F16"],
    "Four bits keep one": right["the answers, merged into Q4_1"] > 0})

# %% [markdown]
# One seed each: a difference of one or two may be chance. The large ones are not. One place early, the training loss falls as
# low as with the right mask, and *no* answer begins rightly. Without the end mark the model unlearns to stop. A loss that
# falls says nothing of a mask: read answers.
#
# ## When, when not
# * **Mask the questions** if they are long, or written by others. Read your targets once, token by token.
# * **Use the model's own template.** The marks are tokens that it knows; another template is another language.
# * **Ship the adapter** where the server takes one: it is small, and the base stays whole.
# * **Merge into 16 bits** or eight; into four only after you have measured.
# * **Convert** what others cannot read, and report the error.
# * **Do not** put facts that change into weights. A search beside the model is easier to correct.
#
# ## Exercises
# Stuck? `book.hint(masked_targets.EXERCISE, 1)`, then 2, then 3; `book.solution(masked_targets.EXERCISE)` comes last.

# %%
book.show(masked_targets.EXERCISE)

# %%
def chat_targets(tokens, trained):
    ### BEGIN SOLUTION
    return [token if on else -100 for token, on in zip(tokens[1:], trained[1:], strict=True)]
    ### END SOLUTION


book.check(masked_targets.EXERCISE, chat_targets)

# %%
book.show(converted.EXERCISE)

# %%
def nearest_lora(w0, w, r, alpha):
    ### BEGIN SOLUTION
    u, sigma, vt = torch.linalg.svd(w - w0, full_matrices=False)
    root = (sigma[:r] * r / alpha).sqrt()
    return root[:, None] * vt[:r], u[:, :r] * root
    ### END SOLUTION


book.check(converted.EXERCISE, nearest_lora)

# %% [markdown]
# ## Look back

# %% tags=["nbval-ignore-output"]
guess_early.look_back(f"{own.mean('the answers, one place early', lambda run: run.first):.1f} of 8")

# %% tags=["nbval-ignore-output"]
guess_merge.look_back(f"{own.mean('the answers, merged into Q4_1', lambda run: run.said):.0f} of 8")

# %% [markdown]
# Three questions before you go on. Answer aloud, then open.
#
# <details><summary>1. Your model answers well and then goes on, writing the user's next question. What do you look at?</summary>
# Whether the end mark is trained, and whether whoever generates stops at it.</details>
#
# <details><summary>2. You load a DoRA's A and B into a server that knows LoRA. What have you got?</summary>
# Neither the DoRA nor the LoRA nearest to it: m is missing. Convert W − W₀.</details>
#
# <details><summary>3. Your merged GGUF file loads, and writes nonsense. Which two matrices do you look at first?</summary>
# q and k: their rows must be interleaved.</details>

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## Further
# The other cards, the sources.

# %%
book.fold(
    "What else is said of chats and of files, and whether it holds",
    own_model.a_batch_is_the_mean_of_its_tokens,
    own_model.false_masking_is_cutting_off,
    own_model.false_a_dora_without_m_is_its_lora,
    own_model.a_pissa_converts_at_twice_its_rank,
    own_model.false_rows_go_over_as_they_are,
)

# %% [markdown]
# **Sources.** Hu et al. 2021 (2106.09685): LoRA. Dettmers et al. 2023 (2305.14314): QLoRA. Shi et al. 2024 (2405.14394): when
# training on instructions helps. Ben Allal et al. 2025 (2502.02737): SmolLM2. Eckart, Young 1936. The GGUF specification, and
# llama.cpp's `convert_hf_to_gguf.py`. PEFT: `convert_to_lora`. transformers: chat templates.
