"""The memory calculator: where the bytes go when a LLaMA-shaped model is fine-tuned or served.

    training = weights + constants + adapters + gradients + optimiser + activations + logits + workspace
    serving  = weights + constants + adapters + KV cache + workspace

Each term is a function below, with its formula and its source. Sizes are bytes; 1 GiB = 2³⁰ bytes. The CUDA context
and the allocator's fragments (0.5 to 2 GiB in practice) are in no formula here.
"""

from dataclasses import dataclass, fields

from lorabook.core.whole_number import refuse_unless_whole
from lorabook.cost.count import decoder_parameters, layer_matrices, linear_parameters, lora_parameters, matched
from lorabook.models.decoder import DecoderConfig

GIB = 2**30


@dataclass(frozen=True)
class Format:
    """How a weight of a linear layer is kept: bits for its code, and its share of the scaling constants."""

    bits: float
    constant_bits: float = 0.0


FP32 = Format(32)
BF16 = Format(16)
INT8 = Format(8, 32 / 64)
NF4 = Format(4, 32 / 64)
NF4_DOUBLE = Format(4, 8 / 64 + 32 / (64 * 256))
"""A block of 64 shares one fp32 absmax (0.5 bits a weight); double quantisation keeps each absmax in 8 bits and one
fp32 constant for 256 of them (0.127 bits). Source: arXiv 2305.14314, section 3."""


@dataclass(frozen=True)
class Precision:
    """Bytes of a number as a weight, as its gradient, as the optimiser's master copy, as a kept activation."""

    weight: int
    gradient: int
    master: int
    activation: int


MIXED = Precision(weight=2, gradient=2, master=4, activation=2)
SINGLE = Precision(weight=4, gradient=4, master=0, activation=4)
"""bf16 with an fp32 master copy, and fp32 throughout. Source: arXiv 1910.02054, section 3.1."""


@dataclass(frozen=True)
class Optimiser:
    """Bytes of state for each trained number, and whether the pages of that state may lie in host memory."""

    state: float
    paged: bool = False


ADAMW = Optimiser(8)
ADAMW_8BIT = Optimiser(2 * (1 + 4 / 256))
SGD = Optimiser(0)
"""Two fp32 moments; two 8-bit moments with an fp32 absmax for 256 of them (arXiv 2110.02861, section 2); nothing."""


@dataclass(frozen=True)
class FullFineTuning:
    """Every parameter trains, so W₀ is kept in the training precision."""


@dataclass(frozen=True)
class Adapters:
    """W₀ is frozen and kept in `base`; LoRA of rank r on `targets` trains in fp32."""

    r: int
    targets: str
    base: Format


Method = FullFineTuning | Adapters


@dataclass(frozen=True)
class Batch:
    """What is in flight at once: `size` sequences of `length` tokens each."""

    size: int
    length: int

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("length", self.length)):
            refuse_unless_whole(f"Batch: {name}", value)

    @property
    def tokens(self) -> int:
        """Tokens in the batch."""
        return self.size * self.length


@dataclass(frozen=True)
class Budget:
    """Bytes by purpose. `host` lies in the machine's own memory, all else on the device."""

    weights: float = 0.0
    constants: float = 0.0
    adapters: float = 0.0
    gradients: float = 0.0
    optimiser: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    kv: float = 0.0
    workspace: float = 0.0
    host: float = 0.0

    @property
    def device(self) -> float:
        """Bytes that must fit on the device."""
        return sum(getattr(self, field.name) for field in fields(self) if field.name != "host")


def weight_bytes(shape: DecoderConfig, method: Method, precision: Precision) -> tuple[float, float]:
    """Return the bytes of W₀ and of its quantisation constants.

    linear·bits/8 + (embedding, head, norms)·precision, and linear·constant_bits/8: only the seven matrices of a layer
    are quantised. Source: arXiv 2305.14314, section 3.
    """
    if isinstance(method, FullFineTuning):
        return float(decoder_parameters(shape) * precision.weight), 0.0
    linear = linear_parameters(shape)
    rest = (decoder_parameters(shape) - linear) * precision.weight
    return linear * method.base.bits / 8 + rest, linear * method.base.constant_bits / 8


def workspace_bytes(shape: DecoderConfig, method: Method, precision: Precision) -> float:
    """Return the bytes of the one dense matrix that a quantised base rebuilds at a time: max d_out·d_in · activation.

    Source: arXiv 2305.14314, equation 5 (W₀ is dequantised to bf16 for the product).
    """
    if isinstance(method, FullFineTuning) or method.base.constant_bits == 0:
        return 0.0
    return float(max(d_out * d_in for d_out, d_in in layer_matrices(shape).values()) * precision.activation)


def layer_activations(shape: DecoderConfig, method: Method, precision: Precision) -> float:
    """Return the bytes that one layer keeps for its backward pass, for each token.

    With h = hidden, a = heads·d_head, kv = kv_heads·d_head and f = ffn, always: 2h (what the norms read), 2a + 2kv
    (q, k, v and the attention's output), 3f (gate, silu(gate), up), and in fp32 one mean square a norm and one
    log-sum-exp a head. A linear layer keeps its input only for something that trains in it: h for q, k, v together, h
    for gate and up together, f for down (o reads the attention's output, already kept); LoRA keeps Ax too, r a target.
    Attention is fused: no length × length matrix is kept (arXiv 2205.14135, section 3.1).

    Source: counted operation by operation as in arXiv 2205.05198, section 4.1. A test compares it with `saved_bytes`
    on this library's Decoder, which repeats k and v for all heads and so keeps 2(a − kv) more.
    """
    h, f = shape.hidden, shape.ffn
    a, kv = shape.heads * shape.d_head, shape.kv_heads * shape.d_head
    names = layer_matrices(shape) if isinstance(method, FullFineTuning) else matched(shape, method.targets)
    reduced = 0 if isinstance(method, FullFineTuning) else method.r * len(names)
    attention_in = h * any(f"self_attn.{p}_proj" in names for p in "qkv")
    mlp_in = h * any(f"mlp.{p}_proj" in names for p in ("gate", "up"))
    product = f * ("mlp.down_proj" in names)
    numbers = 2 * h + 2 * a + 2 * kv + 3 * f + attention_in + mlp_in + product + reduced
    return float(numbers * precision.activation + 4 * (2 + shape.heads))


def activation_bytes(
    shape: DecoderConfig, method: Method, precision: Precision, batch: Batch, *, checkpointing: bool
) -> float:
    """Return the bytes kept for backward by all layers: layers · (tokens · layer_activations + rounded_factors).

    With checkpointing each layer keeps only its input, h a token, and one layer at a time is computed again:
    tokens · (layers · h · activation + layer_activations) + rounded_factors. Source: arXiv 1604.06174, section 4.
    """
    one = batch.tokens * layer_activations(shape, method, precision) + rounded_factors(shape, method, precision)
    if checkpointing:
        return batch.tokens * shape.layers * shape.hidden * precision.activation + one
    return shape.layers * one


def rounded_factors(shape: DecoderConfig, method: Method, precision: Precision) -> float:
    """Return the bytes of one layer's A and B in the activations' dtype, kept beside the fp32 ones until backward."""
    if isinstance(method, FullFineTuning) or precision.activation == SINGLE.weight:
        return 0.0
    return lora_parameters(shape, method.r, method.targets) / shape.layers * precision.activation


def logit_bytes(shape: DecoderConfig, batch: Batch) -> float:
    """Return the bytes of the log-probabilities and of their gradient: 2 · 4 · vocab a token, both in fp32."""
    return float(8 * shape.vocab * batch.tokens)


def kv_bytes(shape: DecoderConfig, precision: Precision, batch: Batch) -> float:
    """Return the bytes of the keys and values of all earlier tokens: 2·layers·kv_heads·d_head·activation a token.

    Source: arXiv 2309.06180, section 3; with grouped heads, arXiv 2305.13245, section 2.2.
    """
    return float(2 * shape.layers * shape.kv_heads * shape.d_head * precision.activation * batch.tokens)


def training(
    shape: DecoderConfig, method: Method, precision: Precision, optimiser: Optimiser, batch: Batch, *,
    checkpointing: bool,
) -> Budget:  # fmt: skip
    """Return what one training step holds at its peak, by purpose.

    A trained parameter costs weight + gradient + master copy + state; LoRA's factors train in fp32 and need no master
    copy. Source: arXiv 1910.02054, section 3.1.
    """
    weights, constants = weight_bytes(shape, method, precision)
    full = isinstance(method, FullFineTuning)
    trained = decoder_parameters(shape) if full else lora_parameters(shape, method.r, method.targets)
    own = precision if full else SINGLE
    state = trained * optimiser.state
    return Budget(
        weights=weights,
        constants=constants,
        adapters=0.0 if full else float(trained * own.weight),
        gradients=float(trained * own.gradient),
        optimiser=trained * own.master + (0.0 if optimiser.paged else state),
        activations=activation_bytes(shape, method, precision, batch, checkpointing=checkpointing),
        logits=logit_bytes(shape, batch),
        workspace=workspace_bytes(shape, method, precision),
        host=state if optimiser.paged else 0.0,
    )


def serving(shape: DecoderConfig, method: Method, precision: Precision, batch: Batch, *, adapters: int) -> Budget:
    """Return what generating holds: W₀ once, `adapters` sets of factors, and the keys and values of every sequence.

    Factors are served in the model's precision. A fully fine-tuned model is a whole copy for each task.
    Source: arXiv 2311.03285, section 5 (one base, many adapters).
    """
    if adapters < 0:
        raise ValueError(f"serving: adapters={adapters}; expected 0 (the base alone) or more.")
    weights, constants = weight_bytes(shape, method, precision)
    if isinstance(method, FullFineTuning):
        weights, factors = weights * max(adapters, 1), 0
    else:
        factors = adapters * lora_parameters(shape, method.r, method.targets) * precision.weight
    return Budget(
        weights=weights,
        constants=constants,
        adapters=float(factors),
        kv=kv_bytes(shape, precision, batch),
        workspace=workspace_bytes(shape, method, precision),
    )
