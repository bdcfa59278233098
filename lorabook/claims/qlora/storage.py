"""What of a model QLoRA keeps in four bits, what it trains, and what the four bits cost at every step."""

import torch
from torch import Tensor, nn

from lorabook.axes.base.code_books import nearest_in, nf4_codes
from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.axes.base.nf4 import NF4
from lorabook.axes.base.qlora import QLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.qlora.qlora import layer, products
from lorabook.claims.unchecked import Unchecked
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA, LowRankForm
from lorabook.core.recipe import Recipe
from lorabook.cost.count import decoder_parameters, linear_parameters, lora_parameters, trainable
from lorabook.models.decoder import Decoder, DecoderConfig

QLORA = "Dettmers et al. 2023 (2305.14314)"
SMALL = DecoderConfig(vocab=40, hidden=64, layers=2, heads=4, kv_heads=2, d_head=16, ffn=96, context=8, tied=False)
RANKS = (Case(64, 64, 1), Case(64, 64, 4), Case(64, 64, 8))


def decoder(recipe: Recipe) -> Decoder:
    """Return a small decoder with every linear layer of its blocks adapted."""
    model = Decoder(SMALL)
    inject(model, recipe, "_proj")
    return model


def bytes_in_stores_and_beside(model: nn.Module) -> Tensor:
    """Return the bytes of quantised matrices with their constants, and those of all else that the model keeps."""
    stores = {id(m): m.nbytes for m in model.modules() if isinstance(m, DoubleQuant)}
    whole = sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    return torch.tensor([float(sum(stores.values())), float(whole - sum(stores.values()))])


@claim(
    statement=r"Four bits are for the frozen matrices of the blocks; embedding, head, norms and the factors keep their "
    r"own dtype (stacked: bytes of the matrices, bytes of the rest).",
    source=f"{QLORA}, section 3; the second number is 4·(parameters − matrices + r·Σ(d_in + d_out)) in float32",
    when="what is quantised is named: storage of frozen matrices, and neither what trains nor what is computed with",
    tol=0,
    cases=RANKS,
)
def four_bits_are_for_frozen_matrices(case: Case):
    blocks = [m.shape.numel() // 64 for m in decoder(QLoRA(case.r)).modules() if isinstance(m, DoubleQuant)]
    codes = linear_parameters(SMALL) / 2 + sum(b + 4 * -(-b // 256) + 4 for b in blocks)
    rest = decoder_parameters(SMALL) - linear_parameters(SMALL) + lora_parameters(SMALL, case.r, "proj")
    return bytes_in_stores_and_beside(decoder(QLoRA(case.r))), torch.tensor([codes, 4 * rest], dtype=torch.float64)


@misconception(
    of=four_bits_are_for_frozen_matrices,
    statement="QLoRA keeps the whole model in four bits, adapters too.",
    source="teaching texts: “quantises the weights to 4 bits”",
)
def false_four_bits_are_for_everything(case: Case):
    every = decoder_parameters(SMALL) + lora_parameters(SMALL, case.r, "proj")
    kept = bytes_in_stores_and_beside(decoder(QLoRA(case.r)))
    return kept.sum(), torch.tensor(every / 2, dtype=torch.float64)


@claim(
    statement="QLoRA trains exactly the numbers that LoRA trains; what quantisation adds is frozen constants.",
    source=f"{QLORA}, section 3",
    tol=0,
    cases=RANKS,
)
def qlora_trains_what_lora_trains(case: Case):
    return torch.tensor(trainable(decoder(QLoRA(case.r)))), torch.tensor(trainable(decoder(LoRA(case.r))))


@misconception(
    of=qlora_trains_what_lora_trains,
    statement="QLoRA trains LoRA's numbers and one constant for each block of 64 weights.",
    source="a comparison table that lists “same + quant overhead” under trained parameters",
)
def false_qlora_trains_its_constants(case: Case):
    constants = linear_parameters(SMALL) // 64
    return torch.tensor(trainable(decoder(QLoRA(case.r)))), torch.tensor(trainable(decoder(LoRA(case.r))) + constants)


def dequantised(adapted: Adapted, x: Tensor) -> list[Tensor]:
    """Return every matrix that is dequantised in one forward and backward pass."""
    built, dense = [], adapted.base.store.dense

    def watched() -> Tensor:
        built.append(dense())
        return built[-1]

    adapted.base.store.dense = watched
    adapted(x.requires_grad_()).sum().backward()
    return built


@claim(
    statement=r"A training step dequantises every weight twice: once forward, and once more for the gradient of the "
    r"input. What it makes adds up to $2\hat W$.",
    source=f"{QLORA}, equation 5; nothing dense is kept in between",
    tol=2e-7,  # constants and products are float32
)
def a_step_dequantises_twice(case: Case):
    return sum(dequantised(layer(case, NF4), case.x())), 2 * nearest_in(case.w0(), nf4_codes())


@misconception(
    of=a_step_dequantises_twice,
    statement="The weights are dequantised once, when the model is loaded.",
    source="then they would lie there in 16 bits, and nothing would be saved",
)
def false_weights_are_dequantised_when_loaded(case: Case):
    return sum(dequantised(layer(case, NF4), case.x())), nearest_in(case.w0(), nf4_codes())


def operations_and_dequantised(case: Case) -> tuple[Tensor, Tensor]:
    """Return the operations of a step's products without LoRA's own, and how many numbers it dequantises."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    adapted = inject(model, QLoRA(case.r), "0")["0"]
    operations = products(adapted, case.x()) - 6 * len(case.x()) * LowRankForm().count(case.d_out, case.d_in, case.r)
    return operations, torch.tensor(float(sum(w.numel() for w in dequantised(adapted, case.x()))))


@claim(
    statement=r"On $n$ positions a step makes $2n$ operations with $\hat W$ for every number that it dequantises: the "
    r"batch shares the extra work.",
    source="4n·d_out·d_in operations and 2·d_out·d_in numbers; LoRA's own operations are left out",
    when="“slightly slower” needs many positions at once; on one, as in generating, a weight is unpacked for one use",
    tol=0,
    cases=RANKS,
)
def the_batch_shares_the_dequantising(case: Case):
    operations, numbers = operations_and_dequantised(case)
    return operations, 2 * len(case.x()) * numbers


@misconception(
    of=the_batch_shares_the_dequantising,
    statement=r"Four bits are read faster than sixteen, so a step does less than LoRA's: a quarter of the operations.",
    source="bytes read, mistaken for work; the products stay, and dequantising comes on top",
)
def false_dequantising_is_no_work(case: Case):
    operations, numbers = operations_and_dequantised(case)
    return operations, 2 * len(case.x()) * numbers / 4


AS_GOOD_AS_SIXTEEN_BITS = Unchecked(
    statement="QLoRA keeps the quality of fine-tuning in 16 bits, or loses next to nothing against LoRA.",
    source=f"{QLORA}, section 4",
    reason="benchmarks (GLUE, MMLU, chat) of models from 0.1B to 65B; what is lost in the weights is in the claims",
)
TUNING_FOR_QUANTISATION = Unchecked(
    statement="Quantisation needs additional tuning.",
    source="a teaching text, without saying of what",
    reason="an experience with runs that are not described; QLoRA itself trains what LoRA trains, with its own rate",
)
GUANACO = Unchecked(
    statement="QLoRA is what Guanaco was trained with; its paper is “QLoRA: Efficient Finetuning of Quantized LLMs”.",
    source=f"{QLORA}, title and section 5; one text gives the title with “Quantized Language Models”",
    reason="who published what under which title is read, not computed",
)
