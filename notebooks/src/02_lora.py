# %% [markdown]
# # 02 · LoRA
#
# > **What exactly do r and α do, and why does LoRA start at zero?**
#
# You have probably typed `r=8, alpha=16` before. Here you find out what the two numbers do to the gradient, to the output
# and to the bill. You write LoRA in eight lines of `torch`, read ours, train it against full fine-tuning, and then break
# it in six ways on purpose.
#
# **After this chapter** you can derive LoRA's gradients on paper, predict what doubling r does to a run, count
# what trains in a 7B model, spot four wrong implementations in a pull request, and tell which knob cures which failure.
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 45 | core | form | LoRA | chapter 01; a matrix product and a gradient |
#
# LoRA is the **origin** of the book's map: every other variant moves away from it on one axis or more. So nothing is lit
# here but the form, $W_0+sBA$, and on each axis you see what LoRA does.

# %%
import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

import lorabook as lb
from lorabook.axes.attention.score_terms import score_terms
from lorabook.book import reading as book
from lorabook.book.exercises import count as counting
from lorabook.book.exercises import scale, two_path
from lorabook.book.figures import lora as pictures
from lorabook.claims.card import card, source
from lorabook.claims.lora import attention_score as scores
from lorabook.claims.lora import form as claims
from lorabook.claims.lora import layers, merging
from lorabook.claims.lora import start as starts
from lorabook.claims.rslora import scale as law
from lorabook.core.layer_types import freeze
from lorabook.core.lora import ORIGIN, KaimingStart, LowRank
from lorabook.core.recipe import LayerSpec
from lorabook.cost import count, memory
from lorabook.cost.peak import peak_bytes
from lorabook.models.convnet import ConvNet
from lorabook.models.recompute import recomputed
from lorabook.tasks import digits, text
from lorabook.tasks.drift import branch_output, kl_from_base
from lorabook.tasks.study import recovered, study, tune
from lorabook.tasks.train import Contender, Setting, train

book.axis_strip("form")

# %% [markdown]
# ## 1 · Predict
# Three guesses before any result. Nobody grades them; the chapter comes back to them at the end.

# %%
guess_gradient = book.predict(
    "Step 0, before anything has moved: how large is the gradient of A, as a share of the gradient of B?",
    book.Steps("your answer", (0, 1, 10, 50, 100, 200, 1000), "%"))
guess_gradient

# %%
guess_double = book.predict(
    "You double r and leave α as it is. After a few steps of Adam, the adapter changes the model's output …",
    book.Choice("your answer", ("a quarter as much", "half as much", "as much", "twice as much", "four times as much")))
guess_double

# %%
guess_share = book.predict(
    "r = 8 on all seven projection matrices of the book's small model (hidden size 192). Which share of its numbers "
    "trains?",
    book.Steps("your answer", (0.1, 0.5, 1, 2, 5, 10, 20, 50), "%"))
guess_share

# %% [markdown]
# ## 2 · The smallest case
# A layer with four inputs and four outputs: $W_0$ is 4 × 4, sixteen numbers, frozen. The update has rank $r=1$: one column
# $B$ (4 × 1) times one row $A$ (1 × 4), eight numbers. With $\alpha=2$ the scale is $s=\alpha/r=2$.

# %%
W0 = torch.eye(4)
A = torch.tensor([[1.0, 0, -1, 0]])
B = torch.zeros(4, 1)
alpha, r = 2.0, 1
s = alpha / r
x = torch.tensor([3.0, 1, 1, 2])
print("at the start:", (W0 + s * B @ A) @ x)

B[2, 0] = 0.5
print("A reads one number off x:  Ax =", (A @ x).tolist())
print("B writes it somewhere:    sB(Ax) =", (s * B @ (A @ x)).tolist())
print("ΔW = sBA, rank", torch.linalg.matrix_rank(B @ A).item())
print(s * B @ A)

# %% [markdown]
# That is all of LoRA. **A reads, B writes.** $A$ reads $r$ numbers off the input (here: first entry minus third), $B$ says
# which outputs get them, $s$ how loudly. At the start $B=0$: nothing is written, and the layer is the pretrained one.
#
# In a real layer the proportions are these. Drawn to scale, one matrix of the model you will train:

# %%
pictures.factors(192, 192, 8, "Grey is frozen, orange trains: both strips together are a twelfth of the square.")

# %% [markdown]
# ## 3 · The derivation
# Notation, once and for the whole book: $W_0$ is $d_{out}\times d_{in}$, $A$ is $r\times d_{in}$, $B$ is $d_{out}\times r$,
# and
# $$W=W_0+sBA,\qquad s=\alpha/r,\qquad y=Wx+b.$$
# Let $G=\partial L/\partial W$, $d_{out}\times d_{in}$: what full fine-tuning would use.
#
# ### The start
# $B=0$, so $W=W_0$ to the last bit.

# %%
card(claims.starts_at_the_base)

# %% [markdown]
# ### Two gradients
# The chain rule on $W=W_0+sBA$ gives both factors their gradient from the same $G$:

# %%
card(claims.gradients_of_the_factors)

# %% [markdown]
# Now put $B=0$ into it. $\partial L/\partial A=sB^\top G=0$, exactly. $\partial L/\partial B=sGA^\top$ is not zero. So in
# the first step **only B moves**; $A$ follows once $B$ is there. The tempting neighbour says that both move at once.

# %%
card(claims.only_b_moves_first)

# %%
card(claims.false_both_factors_move_at_once)

# %% [markdown]
# Then why not start both at zero? Both gradients vanish, for ever: a stationary point. And does one zero factor not have
# the same problem? No. $BA=0$ does not mean that its derivative is zero.

# %%
card(starts.both_zero_never_moves)

# %%
card(starts.false_one_zero_never_moves)

# %% [markdown]
# Why not both random? It trains, but the first forward pass is no longer the pretrained model. You have broken it before
# you begin. The perturbation looks small here; in a deep model it passes through every layer.

# %%
card(starts.false_both_random_starts_at_the_base)

# %% [markdown]
# ### Frozen does not mean "no gradient"
# You will read $\partial L/\partial W_0=0$. It cannot be: if $G$ were zero, both gradients above would be. $W_0$ *has* a
# gradient, the same $G$ as in full fine-tuning. Freezing means that nobody asks for it, so nobody computes or stores it.

# %%
card(claims.the_frozen_weight_has_a_gradient)

# %%
card(claims.false_the_frozen_weight_has_no_gradient)

# %% [markdown]
# ### Rank at most r
# $B$ has $r$ columns, and every column of $BA$ is a mix of them. No training can leave that subspace.

# %%
card(claims.rank_is_at_most_r)

# %% [markdown]
# ### Two paths
# Nothing forces you to build $W$. Matrix products may be bracketed as you like, so $sBAx=sB(Ax)$: two thin products.

# %%
card(claims.two_paths_are_the_definition)

# %% [markdown]
# The commonest wrong LoRA lies right here: $\alpha$ in the place of $\alpha/r$. It is invisible as long as $r=1$.

# %%
card(claims.false_the_scale_is_alpha)

# %% [markdown]
# ### How large is A
# $A$ is drawn uniform on $\pm1/\sqrt{d_{in}}$, so that $Ax$ has about the size of $x$, divided by $\sqrt3$. The library call
# that does this reads the *fan-in* off the tensor's second side. Store $A$ the other way round, $d_{in}\times r$, and the
# same call takes $r$ for the fan-in.

# %%
card(claims.a_is_as_small_as_its_fan_in_asks)

# %%
card(claims.false_a_stored_the_other_way_round)

# %% [markdown]
# ### Merging
# After training, $W_0+sBA$ is a matrix like any other. Put it into a plain layer, and LoRA is gone: no second path, no
# added latency.

# %%
card(claims.merging_is_exact)

# %% [markdown]
# ### What α and r do together
# $r$ is how many directions $B$ and $A$ may use. $\alpha$ appears only in $s=\alpha/r$. So what does dividing by $r$ buy? It
# depends on *how B grows*, and this is where most explanations go wrong. They take a random $B$ and add up variances. But
# $B$ starts at zero and is trained. Three regimes, three laws for the size of $sBAx$ at $s=\alpha/r$:

# %%
card(law.random_b_fades_under_r)

# %%
card(law.sgd_fades_under_r)

# %%
card(law.adam_is_stable_under_r)

# %%
card(law.false_random_b_shows_the_exponent)

# %% [markdown]
# Would another power of $r$ do better? rsLoRA divides by $\sqrt r$. That keeps the size for a random $B$ and after a step of
# gradient descent. It does not survive Adam:

# %%
card(law.random_b_is_stable_under_root_r)

# %%
card(law.sgd_is_stable_under_root_r)

# %%
card(law.false_root_r_is_stable_under_adam)

# %% [markdown]
# Under Adam, on the inputs it trains on, $r$ terms of one sign add up, and the division by $r$ undoes exactly that. This is
# why "fix α, change r" works as well as it does in practice. Under gradient descent $s$ enters twice, once through
# $\partial L/\partial B$, and the update fades as $1/r$. The chapter on rsLoRA starts from there.
#
# Two consequences for your own runs. With Adam, **at a fixed α the first steps change the output equally at every rank**.
# With the popular α = 2r, $s=2$ for every rank, and the change *grows with r*: raising the rank then also raises the step.
# So two runs with the same $s$ are not alike; two with the same α nearly are. Section 6 measures it on a real model.
#
# ## 4 · The code
# ### LoRA from torch alone
# A parametrization computes `weight` anew from what is stored. Give it two factors, freeze the rest: eight lines.

# %%
d_in, d_out, r, alpha = 192, 192, 8, 16
layer, lora = nn.Linear(d_in, d_out).requires_grad_(False), nn.Module()
lora.A = nn.Parameter(torch.empty(r, d_in).uniform_(-(d_in**-0.5), d_in**-0.5))
lora.B = nn.Parameter(torch.zeros(d_out, r))
lora.forward = lambda w0: w0 + alpha / r * lora.B @ lora.A
parametrize.register_parametrization(layer, "weight", lora)
optimiser = torch.optim.AdamW([p for p in layer.parameters() if p.requires_grad], lr=1e-2)
print("trains:", [name for name, p in layer.named_parameters() if p.requires_grad])

# %% [markdown]
# Train it for one step, and it is LoRA: $A$ got no gradient, $B$ did.

# %%
batch = torch.randn(64, d_in)
before = lora.A.clone()
layer(batch).square().mean().backward()
optimiser.step()
print("A moved:", not torch.equal(lora.A, before), "  B moved:", bool(lora.B.abs().max() > 0))

# %% [markdown]
# ### Ours
# Same equation, second line: `weight` is the definition. `forward` is the path, and a test proves the two equal for every
# variant on every layer. `two_paths` is the layer's own way to say $W_0x+sB(Ax)$: a variant in this book never asks which
# type of layer it is on.

# %%
source(LowRank)

# %%
source(KaimingStart)

# %% [markdown]
# Are the eight lines and the library the same thing? Give both the same factors, moved away from the start.

# %%
with torch.no_grad():
    lora.B.normal_(generator=torch.Generator().manual_seed(1))
plain = nn.Linear(d_in, d_out).requires_grad_(False)
plain.load_state_dict({"weight": layer.parametrizations.weight.original, "bias": layer.bias})
ours = nn.Sequential(plain)
update = lb.inject(ours, lb.LoRA(r=r, alpha=alpha), targets="0")["0"].update
update.load_state_dict({"A": lora.A, "B": lora.B})
print("equal:", torch.allclose(ours(batch), layer(batch), atol=1e-4))

# %% [markdown]
# ### What the path saves
# Equal in value, not in cost. The eight lines build a $d_{out}\times d_{in}$ matrix in every forward pass, keep it, and get
# a $d_{out}\times d_{in}$ gradient back. Counted by torch's own counter and measured from what autograd keeps; 512
# positions, $d=1024$, $r=8$, $W_0$ frozen:

# %%
base_layer = freeze(nn.Linear(1024, 1024, bias=False))
spec = LayerSpec("layer", 8, 2.0, 0.0, torch.Generator().manual_seed(0))
branch = LowRank(base_layer, KaimingStart().build(base_layer.matrix, spec), spec)
rows, all_of_it = torch.randn(512, 1024, requires_grad=True), nn.Parameter(torch.randn(1024, 1024))
paths = {"two paths": lambda: branch(base_layer, rows),
         "W₀ + sBA, built": lambda: F.linear(rows, branch.weight(base_layer.matrix)),
         "full fine-tuning": lambda: F.linear(rows, all_of_it)}
for name, path in paths.items():
    with FlopCounterMode(display=False) as flops:
        path().sum().backward()
    kept = count.saved_bytes(path, besides=[rows, base_layer.matrix]) / 2**20
    print(f"{name:17} {flops.get_total_flops() / 1e9:5.2f} GFLOP in both passes, "
          f"{kept:5.2f} MiB kept besides the input")

# %% [markdown]
# Compare the first line with the last: LoRA saves about a third of full fine-tuning's arithmetic, not more. The
# product $W_0^\top g$ is still needed for the layers below. **LoRA's gain is memory**: no gradient, no master copy and no
# Adam moments for $W_0$.
#
# ## 5 · The explorers
# ### Train it
# Your model: a small LLaMA-style decoder, pretrained on Jane Austen. Your text: the King James Bible. Choose a variant and
# its knobs, press **Train**; runs with the same seed see the same batches and are drawn over each other. Two runs are there
# already, recorded: LoRA at its best rate, and full fine-tuning, the dotted line.

# %%
book.training_explorer()

# %% [markdown]
# Three tasks; each is answered by the picture.
#
# 1. **Find two `(r, α)` pairs whose curves begin alike.** Set the learning rate to 0.001 and train (4, 16), (16, 16),
#    (16, 64); α stands under *more* and moves with the rank, so set it last. Which number do the two alike ones share, α or α/r? Which of the cards above says so?
# 2. **Find the rank at which more rank stops paying** on this task (targets *q, v*, then *all seven*). What else could you
#    spend the same number of trained numbers on?
# 3. **Find the learning rate at which LoRA breaks.** How far is it from the best one? Is full fine-tuning's in the same place?
#
# ### The scale law
# The claims above, as a picture: the size of the update's output against $r$, for both scales. Move *B is* and *measured
# on*, and find the two settings in which the flat line changes hands.

# %%
book.scale_law(torch.Generator().manual_seed(0), seeds=3)

# %% [markdown]
# ## 6 · On a real model
# ### What trains

# %%
base = lb.load("tiny")
bible = text.tokenize("kjv", text.read("kjv")[:400_000], base.tokenizer)
austen = text.tokenize("austen", text.read("austen")[-200_000:], base.tokenizer)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


model = copy.deepcopy(base.model)
adapted = lb.inject(model, lb.LoRA(r=8, alpha=16), targets="_proj", generator=seeded(0))
everything, ours = count.parameters(base.model), count.trainable(model)
print(f"{len(adapted)} matrices adapted, {ours:,} of {everything:,} numbers train: {ours / everything:.1%}")

# %% [markdown]
# Full fine-tuning trains all of them. Each trained number costs a gradient and two Adam moments besides itself.
#
# ### Who moves first
# Theory says $B$ first, then $A$. The gradient norms of both, all matrices together, over the first steps:

# %%
norms = {"gradient of A": ([], []), "gradient of B": ([], [])}


def note(step, loss):
    for name, factor in (("gradient of A", "A"), ("gradient of B", "B")):
        squares = [getattr(one.update, factor).grad.square().sum() for one in adapted.values()]
        norms[name][0].append(step)
        norms[name][1].append(sum(squares).sqrt().item())


stream = text.batches(bible, 4, 64, seeded(0))
lb.fit(model, stream, steps=8, lr=1e-2, on_step=note, progress=False)
measured_share = norms["gradient of A"][1][0] / norms["gradient of B"][1][0]
pictures.lines(norms, "A has no gradient at step 0, and catches up within a few steps.", "step", "gradient norm")

# %%
print(f"step 0: gradient of A is {measured_share:.0%} of the gradient of B")
print("step 7: A's gradient is above zero:", norms["gradient of A"][1][-1] > 0)

# %% [markdown]
# ### Doubling r, keeping α, or keeping s
# Six steps of Adam, then the size of what the adapters add to the logits. In the first two runs $s$ stays 2, as with α = 2r;
# in the last two α stays 16.

# %% tags=["nbval-ignore-output"]
def change_after(r, alpha, steps=6):
    model = copy.deepcopy(base.model)
    lb.inject(model, lb.LoRA(r=r, alpha=alpha), targets="_proj", generator=seeded(0))
    lb.fit(model, text.batches(bible, 4, 64, seeded(0)), steps=steps, lr=1e-3, progress=False)
    return branch_output(model, bible.val[:512].view(8, 64)).item()


moved = {pair: change_after(*pair) for pair in ((4, 8), (16, 32), (4, 16), (16, 16))}
for (r, alpha), size in moved.items():
    print(f"r = {r:2}, α = {alpha:2}, s = {alpha / r:4g}: logits change by {size:.2f}")
doubling = (moved[16, 16] / moved[4, 16]) ** 0.5
print(f"doubling r at fixed α: × {doubling:.2f}")

# %%
print("same α, four times the rank: within a third of each other:", 2 / 3 < moved[16, 16] / moved[4, 16] < 3 / 2)
print("same s, four times the rank: more than twice as much:", moved[16, 32] / moved[4, 8] > 2)

# %% [markdown]
# ### Tune both, then compare
# A comparison at one learning rate is a comparison of learning rates. So each contender gets its own sweep first. LoRA wants
# a larger one, by a factor of several: its factors are small, and two of them share the work.

# %%
setting = Setting(base, bible, batch=4, length=64, steps=24)
lora8 = Contender("LoRA, r = 8", lb.LoRA(r=8, alpha=16), lr=1e-2)
full = Contender("full fine-tuning", None, lr=3e-3)
found = {lora8.name: tune(setting, lora8, (3e-3, 1e-2, 3e-2), seed=9)}

# %%
found[full.name] = tune(setting, full, (1e-3, 3e-3, 9e-3), seed=9)
pictures.tuning(found, setting.start, "Each method has its own best learning rate; LoRA's is larger.")

# %%
best = {name: min(losses, key=losses.get) for name, losses in found.items()}
for name, rate in best.items():
    print(f"{name:17} best rate of the three: {rate:g}")

# %% [markdown]
# Now five seeds each, at those rates, and a third contender with the **same number of trained numbers** on q and v only:
# the layers that the paper chose, with a rank to match.

# %%
SEEDS = range(5)
narrow = Contender("q and v, r = 42", lb.LoRA(r=42, alpha=84), 1e-2, "q_proj|v_proj")
wide, qv = study(setting, [lora8, narrow], SEEDS)

# %%
(reference,) = study(setting, [full], SEEDS)
outcomes = [wide, qv, reference]
share, spread = recovered(wide, reference, setting.start)
pictures.comparison(setting, outcomes, "Same batches, own best rate: spread over layers, few numbers go a long way.")

# %% tags=["nbval-ignore-output"]
print(f"base, not tuned: {setting.start:.2f} nats per token on unseen text")
for one in outcomes:
    part = recovered(one, reference, setting.start)
    print(f"{one.contender.name:17} {one.trained:9,} trained  {one.mean:.2f} ± {one.spread:.2f}   "
          f"share of full fine-tuning's gain {part[0]:.0%} ± {part[1]:.0%}")

# %% [markdown]
# What this must show for the chapter to stand:

# %%
print("yes" if wide.mean < setting.start and share > 0.5 else "no ", "LoRA recovers more than half of the gain")
ahead = all(lora > best for lora, best in zip(wide.finals, reference.finals, strict=True))
print("yes" if ahead else "no ", "full fine-tuning is ahead on every seed")
print("yes" if max(wide.finals) < min(qv.finals) else "no ", "a little rank everywhere beats much rank on q and v")
print(f"equal budgets: {wide.trained / qv.trained:.2f} times as many numbers")

# %% [markdown]
# Honestly: in so few steps, on a text so far from Austen, **LoRA does not reach full fine-tuning here**. The paper reports
# that it matches it on GPT-3 with 175 billion parameters, adapted to narrow tasks. A small model has little to spare, a
# broad shift asks for many directions (chapter 01), and the tied embedding, which full fine-tuning moves, stays frozen
# under LoRA. What does carry over is the order of the three.
#
# Where the same budget goes in a 7B model is counted below in exercise C. The published LoRA of the first paper puts it on
# q and v; QLoRA's authors report that adapters on all layers are what it takes to match full fine-tuning.
#
# ### The same, GPU-sized
# The cell runs the same study on SmolLM2 (135 million parameters) where there is a CUDA device and the package that carries
# its weights. On a CPU, the explorer above trains it in a shorter run: *more*, *model*.

# %% tags=["nbval-ignore-output"]
if torch.cuda.is_available():
    big = lb.load("smollm2", device="cuda")
    large = Setting(big, text.tokenize("kjv", text.read("kjv")[:2_000_000], big.tokenizer), 16, 256, 100)
    lora_big = Contender("LoRA, r = 8", lb.LoRA(r=8, alpha=16), 1e-3)
    for one in study(large, [lora_big, Contender(full.name, None, 5e-5)], SEEDS):
        print(f"{one.contender.name:17} {one.trained:11,} trained  {one.mean:.2f} ± {one.spread:.2f} "
              f"(base {large.start:.2f})")
else:
    print("No CUDA device here, so the GPU-sized study is not run.")

# %% [markdown]
# ## 7 · Layers
# ### A convolution
# A kernel is a matrix too: flatten it, $c_{out}\times c_{in}k^2$. Then $A$ is $r$ small kernels and $B$ a 1 × 1 convolution:
# a bottleneck.

# %%
card(layers.a_convolution_is_a_bottleneck)

# %%
card(layers.false_one_by_one_comes_first)

# %% [markdown]
# Try it: a small net learns the 8 × 8 digits, then meets them lying on their side. LoRA on its three convolutions, the
# linear head frozen:

# %%
plain_digits, turned = digits.digits(), digits.rotated(digits.digits())
net = ConvNet(seeded(0))
lb.fit(net, digits.batches(plain_digits, 64, seeded(0)), steps=150, lr=3e-3, progress=False)
before, numbers = (digits.accuracy(net, plain_digits), digits.accuracy(net, turned)), count.parameters(net)

lb.inject(net, lb.LoRA(r=4, alpha=8), targets="conv", generator=seeded(0))
lb.fit(net, digits.batches(turned, 64, seeded(0)), steps=200, lr=1e-2, progress=False)
after = digits.accuracy(net, turned)
with lb.disabled(net):
    again = digits.accuracy(net, plain_digits)
print(f"LoRA trains {count.trainable(net):,} of {numbers:,} numbers")
print("turned digits: below a quarter right before, above three quarters after:", before[1] < 0.25, after > 0.75)
print("adapters off, the old net is back:", again == before[0])

# %% tags=["nbval-ignore-output"]
print(f"digits {before[0]:.0%}, turned digits {before[1]:.0%} → {after:.0%}")

# %% [markdown]
# ### An embedding
# Row $i$ of the table is $W$ applied to the one-hot vector of $i$. So $A$ learns in the columns of tokens that were read.
# The tempting conclusion, that only *those rows of the table* change, is false: $B$ is shared.

# %%
card(layers.an_embedding_learns_what_it_reads)

# %%
card(layers.false_only_rows_that_were_read_change)

# %% [markdown]
# In this model the embedding is also the output head: one matrix in two places. Adapting one of the two would untie them
# behind your back, so the library refuses, and says what to do:

# %%
try:
    lb.inject(copy.deepcopy(base.model), lb.LoRA(), targets="embed_tokens")
except ValueError as error:
    print(error)

# %% [markdown]
# ### Attention: what LoRA does to a score
# With adapters on q and k, a score is a product of two changed things, and falls into three parts: frozen, first order in
# $s$, second order. In a model with rotary positions each part must be rotated first; texts that forget it do not add up.

# %%
card(scores.a_score_has_three_parts)

# %%
card(scores.false_rotation_may_be_left_out)

# %%
card(scores.the_parts_grow_as_s_and_s_squared)

# %%
card(scores.false_the_whole_change_is_proportional_to_alpha)

# %% [markdown]
# How large are they while you train? The second layer of the model, on text that it does not train on:

# %%
model = copy.deepcopy(base.model)
lb.inject(model, lb.LoRA(r=8, alpha=16), targets=r"q_proj|k_proj", generator=seeded(0))
attention, held_out, seen = model.layers[1].self_attn, bible.val[:256].view(4, 64), []
attention.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
parts = {"frozen q₀·k₀": ([], []), "first order": ([], []), "second order": ([], [])}


def measure(step, loss):
    with torch.no_grad():
        model(held_out)
    for (steps, sizes), size in zip(parts.values(), score_terms(attention, *seen[-1]).sizes(), strict=True):
        steps.append(step + 1)
        sizes.append(size)


lb.fit(model, text.batches(bible, 4, 64, seeded(0)), steps=20, lr=1e-2, on_step=measure, progress=False)
pictures.lines(parts, "The first-order part leads; the second catches up as q and k both move.", "step",
               "RMS of the part of q·k/√d", log=True)

# %%
frozen, first, second = (sizes for _, sizes in parts.values())
print("first order is larger than second order at step 1:", first[0] > second[0])
print("second order grows faster:", second[-1] / second[0] > first[-1] / first[0])

# %% [markdown]
# ### SwiGLU
# The feed-forward part is $\mathrm{down}(\mathrm{silu}(\mathrm{gate}\,x)\odot\mathrm{up}\,x)$. Adapters on gate and up meet
# in a product, so what they do together is more than the sum of what each does alone.

# %%
card(layers.gate_and_up_multiply)

# %%
card(layers.false_adapters_of_a_block_add_up)

# %% [markdown]
# ## 8 · Merging
# Exact in real numbers. In which arithmetic do you merge? The same trained model, merged in three dtypes; the gap is the
# largest difference in the logits, relative to the largest logit.

# %%
tuned, _ = train(setting, lora8, seed=0)
tokens = bible.val[:256].view(4, 64)


@torch.no_grad()
def gap_in(dtype):
    model = copy.deepcopy(tuned).to(dtype)
    before = model(tokens).double()
    with lb.merged(model):
        return ((model(tokens).double() - before).abs().max() / before.abs().max()).item()


for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-4), (torch.bfloat16, 1e-3)):
    print(f"{str(dtype):15} gap below {limit:g}: {gap_in(dtype) < limit}")

# %%
card(merging.false_merging_is_exact_in_bf16)

# %% [markdown]
# bf16 keeps 8 bits of a number. $W_0$ is large, $sBA$ small, and their sum is rounded to $W_0$'s grid. Merge in float32,
# then round once, if you must.
#
# **Un-merging by subtraction does not give $W_0$ back**, not even in float32: $(W_0+\Delta)-\Delta$ rounds twice.

# %%
layer = tuned.get_submodule("layers.0.self_attn.q_proj")
w0, delta = layer.base.matrix, (layer.update.s * layer.update.B @ layer.update.A).detach()
lost = {}
for dtype in (torch.float32, torch.bfloat16):
    w, d = w0.to(dtype), delta.to(dtype)
    back = (w + d) - d
    print(f"{str(dtype):15} W₀ is back: {torch.equal(back, w)}")
    lost[dtype] = (back != w).float().mean().item()

# %% tags=["nbval-ignore-output"]
print("entries that differ:", ", ".join(f"{dtype} {share:.1%}" for dtype, share in lost.items()))

# %% [markdown]
# So the library keeps the modules: `with lb.merged(model)` gives plain layers inside the block, and the same adapters, bit
# for bit, after it.
#
# What does merging buy? Two thin products and an addition per layer. At one sequence at a time they cost more than their
# arithmetic, because each is a call of its own:

# %% tags=["nbval-ignore-output"]
from torch.utils.benchmark import Timer

short = tokens[:1]
with torch.no_grad():
    apart = Timer("model(x)", globals={"model": tuned, "x": short}).blocked_autorange(min_run_time=0.3).median
    with lb.merged(tuned):
        one = Timer("model(x)", globals={"model": tuned, "x": short}).blocked_autorange(min_run_time=0.3).median
print(f"64 tokens: {1e3 * apart:.1f} ms with adapters, {1e3 * one:.1f} ms merged")

# %% [markdown]
# Merge when you serve one adapter. Keep them apart when you serve many from one base (chapter S-LoRA).
#
# Adapters may also be stacked: merge one, train the next on top. They add up.

# %%
card(merging.stacked_adapters_add_up)

# %%
card(merging.false_stacked_adapters_average)

# %% [markdown]
# ## 9 · Memory
# Weights, gradients, optimiser, activations. Which of them does LoRA touch? Start at full fine-tuning of 7B, switch to
# LoRA, and watch which bars vanish and which does not move.

# %%
book.memory_calculator()

# %% [markdown]
# 1. Find the smallest GPU on which LoRA fine-tunes 7B at a length of 2048. Which knob got you there?
# 2. Put `r` from 8 to 64. How many GiB is that? Compare with one step of `batch`.
# 3. Find the setting in which activations weigh more than the weights. Does the rank help there?

# %% [markdown]
# ## 10 · How training goes wrong
# Six failures. Each is produced here on purpose, and cured. The order is the order in which you meet them.
#
# ### Out of memory
# The first advice you hear is "lower the rank". The calculator disagrees. 7B, LoRA on all layers, 8 sequences of 2048:

# %%
def needs(r=64, size=8, base_format=memory.BF16, checkpointing=False):
    method = memory.Adapters(r, "proj", base_format)
    return memory.training(count.LLAMA["7B"], method, memory.MIXED, memory.ADAMW, memory.Batch(size, 2048),
                           checkpointing=checkpointing).device / memory.GIB  # fmt: skip


levers = {"as it is": {}, "rank 64 → 8": {"r": 8}, "4-bit base": {"base_format": memory.NF4_DOUBLE},
          "batch 8 → 1, accumulate 8": {"size": 1}, "checkpointing": {"checkpointing": True}}
levers["all four"] = {key: value for lever in levers.values() for key, value in lever.items()}
for name, change in levers.items():
    print(f"{name:27} {needs(**change):6.1f} GiB")

# %% [markdown]
# The rank is the weakest lever. Now for real: suppose your device has 32 MiB. Sixteen sequences do not fit. Two cures give
# *the same gradient*: four times four sequences, accumulated; or all sixteen with checkpointing, which computes each layer
# twice.

# %%
model = copy.deepcopy(base.model)
lb.inject(model, lb.LoRA(), targets="_proj", generator=seeded(0))
batch = next(text.batches(bible, 16, 64, seeded(0)))


def gradient(*pieces):
    model.zero_grad()
    for piece in pieces:
        (text.language_loss(model, piece) / len(pieces)).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


quarters = list(zip(*(half.split(4) for half in batch), strict=True))
at_once, in_parts = gradient(batch), gradient(*quarters)
cures = {"16 at once": peak_bytes(lambda: gradient(batch)),
         "4 × 4, accumulated": peak_bytes(lambda: gradient(*quarters))}
with recomputed(model):
    again = gradient(batch)
    cures["16, checkpointed"] = peak_bytes(lambda: gradient(batch))
for name, most in cures.items():
    print(f"{name:19} {'fits' if most < 32 * 2**20 else 'OUT OF MEMORY'}")
print("same gradient:", torch.allclose(at_once, in_parts, atol=1e-4), torch.allclose(at_once, again, atol=1e-6))

# %% [markdown]
# ### Divergence
# Thirty times the best rate. The loss rises above $\ln 1024$, which is what knowing nothing costs.

# %%
def curve(lr, recipe=None, targets="_proj", steps=20, **options):
    model = copy.deepcopy(base.model)
    lb.inject(model, recipe or lb.LoRA(r=8, alpha=16), targets=targets, generator=seeded(0))
    history = lb.fit(model, text.batches(bible, 4, 64, seeded(0)), steps=steps, lr=lr, progress=False, **options)
    return model, history.losses


_, wild = curve(0.3)
_, calm = curve(0.01)
print("worse than knowing nothing:", max(wild) > math.log(1024),
      "| at a thirtieth of it the loss falls:", calm[-1] < calm[0])
pictures.cure({"lr = 0.3": wild}, {"lr = 0.01": calm},
              "A rate far too large undoes the pretraining within a few steps.", "loss (nats per token)")

# %% [markdown]
# Cures, in this order: a smaller rate; warm-up (`schedule=warmup_cosine`); clipping (`clip=1.0`). A smaller α does the same
# as a smaller rate, under Adam. When the loss is no number any more, the library stops *before* the step that would have
# used it:

# %%
try:
    curve(1e20)
except lb.Diverged as error:
    print(str(error).split(" at step")[0], "…", str(error).split("; ")[1])

# %% [markdown]
# ### Underfitting
# Rank 1 on one matrix of the first layer: the loss hardly falls. More rank on the same matrix? Or the same rank in more
# places?

# %%
ONE = r"layers\.0\.self_attn\.q_proj"
tries = {"r = 1, one matrix": curve(1e-2, lb.LoRA(1, 2), ONE), "r = 64, one matrix": curve(1e-2, lb.LoRA(64, 128), ONE),
         "r = 1, everywhere": curve(1e-2, lb.LoRA(1, 2), "_proj")}
fitted = {name: (count.trainable(model), setting.score(model)) for name, (model, _) in tries.items()}
gained = {name: setting.start - loss for name, (_, loss) in fitted.items()}
least, rank64, places = gained.values()
print("one matrix, r = 1, gains a tenth of what r = 1 everywhere gains, or less:", least < places / 10)
print("64 times the rank there is still less than half of it:", rank64 < places / 2)

# %% tags=["nbval-ignore-output"]
for name, (numbers, loss) in fitted.items():
    print(f"{name:19} {numbers:6,} trained, {loss:.2f} nats per token (base {setting.start:.2f})")

# %% [markdown]
# More places beat more rank, with fewer numbers. Raise the rank only when every layer already has an adapter.
#
# ### Overfitting
# Train on three pages of the Bible, over and over. The training loss is delighted. Unseen text is not.

# %%
page = text.tokenize("page", text.read("kjv")[:8_000], base.tokenizer)
small = text.Corpus("page", page.train, bible.val, bible.val_bytes)


def watched(recipe, lr):
    model, unseen = copy.deepcopy(base.model), [text.evaluate(base.model, bible, 64, pieces=24).nats_per_token]
    lb.inject(model, recipe, targets="_proj", generator=seeded(0))

    def keep(step, loss):
        if step % 5 == 4:
            unseen.append(text.evaluate(model, bible, 64, pieces=24).nats_per_token)

    history = lb.fit(model, text.batches(small, 4, 64, seeded(0)), steps=40, lr=lr, on_step=keep, progress=False)
    return history.losses, unseen


losses, unseen = watched(lb.LoRA(r=32, alpha=64), 1e-2)
turn = min(range(len(unseen)), key=unseen.__getitem__)
marks = list(range(0, 45, 5))
pictures.lines({"training": (marks[1:], [sum(losses[m - 5:m]) / 5 for m in marks[1:]]), "unseen text": (marks, unseen)},
               f"Unseen text is best after {marks[turn]} steps; the rest is learning by heart.", "step",
               "loss (nats per token)")

# %%
print("training loss falls on:", losses[-1] < losses[marks[turn]], "| unseen text turns:", 0 < turn < len(unseen) - 1)
print("stopping early is better than the end:", min(unseen) < unseen[-1])
calmer = watched(lb.LoRA(r=32, alpha=64, dropout=0.2), 3e-3)[1]
print("a smaller rate and dropout turn less:", calmer[-1] - min(calmer) < unseen[-1] - unseen[turn])

# %% [markdown]
# Early stopping is the cure that always works, because it looks at what you want. Dropout acts on the
# *input of the branch* only; the frozen path stays whole, and `eval()` switches it off.
#
# ### Quantisation trouble
# Train on a 4-bit base (chapter 10), gently, so that $\Delta W$ is small. Then make the two usual mistakes: merge into the
# *original* $W_0$, which the adapter never met, or put the merged matrix back into four bits.

# %%
from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.axes.base.qlora import QLoRA

quantised = copy.deepcopy(base.model)
lb.inject(quantised, QLoRA(r=8, alpha=16), targets="_proj", generator=seeded(0))
lb.fit(quantised, text.batches(bible, 4, 64, seeded(0)), steps=15, lr=1e-3, progress=False)
one = lb.adapted(quantised)["layers.1.mlp.up_proj"]
with torch.no_grad():
    original = base.model.get_submodule("layers.1.mlp.up_proj").weight
    merged_w = one.update.weight(one.base.matrix)
    change = (merged_w - one.base.matrix).norm()
    wrong_base = ((original - one.base.matrix).norm() / change).item()
    again = ((DoubleQuant(merged_w).dense() - merged_w).norm() / change).item()
print("larger than ΔW itself: the error of the wrong base:", wrong_base > 1, "| of four bits again:", again > 1)

# %%
def rebuilt(of):
    model = copy.deepcopy(quantised)
    for name, layer in lb.adapted(model).items():
        w = of(name, layer.update.weight(layer.base.matrix), layer.base.matrix).detach()
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], layer.base.to_layer(w, layer.base.bias))
    return setting.score(model)


ways = {"adapter on its 4-bit base": setting.score(quantised),
        "merged in full precision": rebuilt(lambda name, w, w4: w),
        "merged into the original": rebuilt(lambda name, w, w4: base.model.get_submodule(name).weight + w - w4),
        "merged, then 4 bits again": rebuilt(lambda name, w, w4: DoubleQuant(w).dense())}
on_base, exact, original_base, four_bits = ways.values()
print("merging in full precision changes nothing:", abs(exact - on_base) < 1e-3)
print("the original base, which it never met: as good, within a tenth of what was learnt:",
      abs(original_base - on_base) < 0.1 * (setting.start - on_base))
print("four bits again: more than half of what was learnt is gone:",
      four_bits - on_base > 0.5 * (setting.start - on_base))

# %% tags=["nbval-ignore-output"]
for name, loss in ways.items():
    print(f"{name:27} {loss:.3f} nats per token")

# %% [markdown]
# Cure: merge $\hat W_0+sBA$ with the *dequantised* $\hat W_0$ that training saw, keep the result in bf16 or more, or do not
# merge at all. The two errors have the same size and not the same price. The wrong base is forgiven here: it errs *towards*
# $W_0$, which is the better model. **Four bits again wipe out the update**: steps smaller than half a bin are rounded away, so
# the merged model is the 4-bit base again.
#
# ### Adapters in conflict
# Three kinds. **Two wishes on one axis**: refused, with both names.

# %%
try:
    lb.rsLoRA(r=8) | lb.LoRA(r=16)
except lb.AxisConflict as error:
    print(error)

# %% [markdown]
# **Two adapters on one layer**, by accident: refused. On purpose: merge the first, then inject the second.

# %%
model = copy.deepcopy(tuned)
try:
    lb.inject(model, lb.LoRA(), targets="q_proj")
except ValueError as error:
    print(error)
print("after merging:", len(lb.inject(lb.merge(model), lb.LoRA(), targets="q_proj")), "fresh adapters")

# %% [markdown]
# **Two adapters trained apart, then added.** The arithmetic is exact (see the card on stacking), and still each was trained
# as if it were alone. One knows the Bible, the other writes Austen IN CAPITALS. Add both to the base:

# %%
capitals = text.tokenize("AUSTEN", text.read("austen").upper()[-400_000:], base.tokenizer)
loud = Setting(base, capitals, 4, 64, 20)
other, _ = train(loud, lora8, seed=0)


def together(model):
    both = copy.deepcopy(model)
    for name, layer in lb.adapted(both).items():
        added = lb.adapted(other)[name].update
        layer.base.store.w0 = layer.base.matrix + (added.s * added.B @ added.A).detach()
    return both


both = together(tuned)
alone, added = (setting.score(tuned), loud.score(other)), (setting.score(both), loud.score(both))
print("both are worse than each on its own task:", added[0] > alone[0], added[1] > alone[1])
print("and better than the base:", added[0] < setting.start, added[1] < loud.start)

# %% tags=["nbval-ignore-output"]
print(f"Bible:    base {setting.start:.2f}, its own adapter {alone[0]:.2f}, both added {added[0]:.2f}")
print(f"CAPITALS: base {loud.start:.2f}, its own adapter {alone[1]:.2f}, both added {added[1]:.2f}")

# %%
on_top = lb.merge(copy.deepcopy(tuned))
lb.inject(on_top, lb.LoRA(r=8, alpha=16), targets="_proj", generator=seeded(0))
lb.fit(on_top, text.batches(capitals, 4, 64, seeded(0)), steps=20, lr=1e-2, progress=False)
print("CAPITALS, trained on top of the merged first:",
      "better than added" if loud.score(on_top) < added[1] else "no better")
print("… and the Bible:", "forgotten in part" if setting.score(on_top) > alone[0] else "kept")

# %% [markdown]
# Training on top cures the new task and costs the old one. What to do about *that* is the subject of the chapters on many
# adapters (O-LoRA, LoRAHub).
#
# ### Watch the drift
# One number belongs on your dashboard beside the loss: how far the model has moved on text it *should* read as before. The
# library switches the adapters off for the comparison, so no second model is needed.

# %%
source(kl_from_base)

# %%
own = austen.val[:512].view(8, 64)
drift = {lr: kl_from_base(curve(lr)[0], own) for lr in (1e-3, 1e-2)}
print("drift on Austen, lr = 0.001 against 0.01: smaller rate, smaller drift:", drift[1e-3] < drift[1e-2])
forgotten = [text.evaluate(one, austen, 64, 32).nats_per_token for one in (base.model, tuned)]
print("Austen itself is read worse after the Bible:", forgotten[1] > forgotten[0])

# %% tags=["nbval-ignore-output"]
print(f"drift {drift[1e-3]:.3f} and {drift[1e-2]:.3f} nats per token; Austen {forgotten[0]:.2f} → {forgotten[1]:.2f}")

# %% [markdown]
# LoRA forgets too. Do not believe a figure that says otherwise at one learning rate: forgetting is bought with learning, and
# only a curve over rates compares two methods.
#
# ### Mixed precision and dropout
# `autocast` computes the forward pass in bf16; the factors and Adam's moments stay in float32. And dropout is not free: it
# keeps a mask and a masked copy of the input, for every adapted matrix.

# %%
_, half = curve(1e-2, autocast=torch.bfloat16, clip=1.0, accumulate=2, steps=4)
print("bf16, clipped, two batches a step: the loss falls:", half[-1] < half[0])


def kept_with(dropout):
    model = copy.deepcopy(base.model).train()
    lb.inject(model, lb.LoRA(r=8, dropout=dropout), targets="_proj")
    alive = [*model.parameters(), *model.buffers()]
    return count.saved_bytes(lambda: text.language_loss(model, batch), alive) / 2**20


print(f"kept for backward: {kept_with(0.0):.0f} MiB without dropout, {kept_with(0.1):.0f} MiB with")

# %% [markdown]
# ## 11 · When to use it, and when not
# **Use it** when memory is the limit, when many tasks share one base, when a task is narrow. Start with a small rank on *all*
# linear layers, α = 2r, and tune the rate first.
#
# **Do not** when you have the memory for full fine-tuning and the data to need it: a new language, a new script, a broad
# shift. Above, full fine-tuning was ahead on every seed. And do not expect speed: a third of the arithmetic at most.
#
# **It composes** with everything, because it is the origin: another start (PiSSA), another scale (rsLoRA), another base
# (QLoRA), other rates (LoRA+), another form around it (DoRA). One line each:

# %%
for recipe in (lb.rsLoRA(), lb.PiSSA(), lb.DoRA(), lb.LoRAPlus(16), QLoRA() | lb.rsLoRA()):
    print(f"{recipe.label:15} moves on: {', '.join(recipe.changes(ORIGIN))}")

# %% [markdown]
# ## 12 · Exercises
# Write your code in the place of `raise NotImplementedError()`, run the cell, run the check below it. A wrong answer tells you
# *which* mistake it found. Nothing is stored, nobody is told.
#
# ### A · Repair the scale

# %%
book.show(scale.EXERCISE)


# %%
def delta_w(A, B, alpha, r):
    """Return LoRA's ΔW, d_out × d_in."""
    # the pull request says: return alpha * (A @ B)
    ### BEGIN SOLUTION
    return alpha / r * (B @ A)
    ### END SOLUTION


# %%
book.check(scale.EXERCISE, delta_w)

# %% [markdown]
# Stuck? `book.hint(scale.EXERCISE, 2)` says more than the first hint below. After the last one,
# `book.solution(scale.EXERCISE)` shows one way to do it.

# %%
book.hint(scale.EXERCISE, 1)

# %% [markdown]
# ### B · The two-path forward

# %%
book.show(two_path.EXERCISE)


# %%
def forward(x, w0, bias, A, B, s):
    """Return W₀x + b + s·B(Ax) for every row of x."""
    ### BEGIN SOLUTION
    frozen = F.linear(x, w0.detach(), bias.detach())
    return frozen + s * F.linear(F.linear(x, A), B)
    ### END SOLUTION


# %%
book.check(two_path.EXERCISE, forward)

# %%
book.hint(two_path.EXERCISE, 1)

# %% [markdown]
# ### C · Count what trains

# %%
book.show(counting.EXERCISE)


# %%
def how_many(shapes, layers, r):
    """Return how many numbers LoRA trains."""
    ### BEGIN SOLUTION
    return layers * sum(r * (d_out + d_in) for d_out, d_in in shapes)
    ### END SOLUTION


# %%
book.check(counting.EXERCISE, how_many)

# %% [markdown]
# Three figures are in circulation for LLaMA-7B at r = 16: 8.4M, 16.8M and 40.0M. Which layers does each one mean? The library
# counts; when your function passes, call it on the same shapes: `count.matched(seven, targets).values()`.

# %%
seven, total = count.LLAMA["7B"], count.decoder_parameters(count.LLAMA["7B"])
for targets in ("q_proj|v_proj", "self_attn", "proj"):
    n = count.lora_parameters(seven, 16, targets)
    print(f"{targets:15} {n:11,} = {n / 1e6:.2f}M, {n / total:.2%} of {total:,}")

# %%
book.hint(counting.EXERCISE, 1)

# %% [markdown]
# ## 13 · Look back
# Your predictions against what happened.

# %%
guess_gradient.look_back(f"{measured_share:.0%}")

# %% tags=["nbval-ignore-output"]
guess_double.look_back(f"as much: × {doubling:.2f} for each doubling")

# %%
guess_share.look_back(f"{ours / everything:.1%}")

# %% [markdown]
# Surprised by the last one? The cost of LoRA grows with $d$, that of $W_0$ with $d^2$. The same rank on the same layers of
# larger models:

# %%
for name, shape in count.LLAMA.items():
    print(f"{name:>4}: {count.lora_parameters(shape, 8, 'proj') / count.decoder_parameters(shape):.2%}")

# %% [markdown]
# **From chapter 01**, without scrolling back:
#
# 1. Which share of a matrix's energy does rank $r$ keep *at least*, whatever the matrix?
# 2. One gradient has rank at most the number of tokens. Why does that not make a trained $\Delta W$ low rank?
# 3. Cut a full $\Delta W$ to rank 8, or train at rank 8: which is better, and why?
#
# **Sources.** Hu et al. 2021, *LoRA* (2106.09685) · He et al. 2015, initialisation (1502.01852) · Kalajdzievski 2023, the
# scale (2312.03732) · Dettmers et al. 2023, which layers (2305.14314) · Chen et al. 2016, checkpointing (1604.06174) ·
# Biderman et al. 2024, *LoRA learns less and forgets less* (2405.09673): the comparison of section 6 at the size where both
# effects show. Every claim above runs again with `lorabook check low_rank`.
