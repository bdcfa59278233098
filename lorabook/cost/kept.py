"""What one decoder layer keeps for its backward pass, tensor by tensor: the formula.

`lorabook.cost.kept_measured` has the same rows as autograd stores them; a test holds the two together.
"""

from dataclasses import dataclass

from lorabook.cost.count import layer_matrices
from lorabook.models.decoder import DecoderConfig

H = "h"
Q_K_V = "q, k, v"
OUT = "attention's output"
MIDDLE = "h + attention"
MLP = "gate, silu(gate), up"
X_ATTENTION = "RMSNorm(h)"
X_MLP = "RMSNorm(h + attention)"
X_DOWN = "silu(gate) ⊙ up"
AX = "Ax, of each matrix"
DROPPED = "x after dropout, each"
MASKS = "dropout's masks, each"
ALWAYS = (H, Q_K_V, OUT, MIDDLE, MLP)
"""What the way back through attention, the norms and silu reads, whatever trains."""
TRAINED = (X_ATTENTION, X_MLP, X_DOWN, AX, DROPPED, MASKS)
"""What is there for something that trains in the seven matrices."""


@dataclass(frozen=True)
class Trained:
    """What trains in the seven matrices of a layer, as far as backward cares.

    Args:
        reads_x: whether some gradient is a product with a matrix's input x: that of W₀, and that of A.
        r: the rank of the adapters, whose B reads Ax; 0 without them.
        dropout: whether the adapters read x through a dropout of their own.
    """

    reads_x: bool
    r: int = 0
    dropout: bool = False


NOTHING = Trained(reads_x=False)
MATRICES = Trained(reads_x=True)


def lora(r: int, dropout: bool = False) -> Trained:
    """Return what LoRA trains: ∂L/∂A = s·Bᵀgxᵀ reads x, ∂L/∂B = s·g(Ax)ᵀ reads Ax."""
    return Trained(True, r, dropout)


def lora_fa(r: int, dropout: bool = False) -> Trained:
    """Return what LoRA-FA trains: ∂L/∂B = s·g(Ax)ᵀ reads Ax."""
    return Trained(False, r, dropout)


def kept_numbers(shape: DecoderConfig, trained: Trained) -> dict[str, int]:
    """Return how many numbers a token each row keeps; W₀ and what a frozen matrix reads are not among them.

    k and v are counted as this library's Decoder keeps them, repeated for all heads; each norm keeps one mean square,
    attention one log-sum-exp a head. q, k and v share one input, gate and up another, and o reads the attention's
    output, which is kept anyway; behind a dropout each matrix has an input of its own.

    Source: counted operation by operation as in arXiv 2205.05198, section 4.1.
    """
    h, f, a = shape.hidden, shape.ffn, shape.heads * shape.d_head
    shared, inputs = made(shape, trained), sum(d_in for _, d_in in layer_matrices(shape).values())
    always = {H: h + 1, Q_K_V: 3 * a + shape.heads, OUT: a, MIDDLE: h + 1, MLP: 3 * f}
    once = trained.reads_x and not trained.dropout
    return always | {
        **{row: shared[row] if once else 0 for row in (X_ATTENTION, X_MLP, X_DOWN)},
        AX: shared[AX],
        DROPPED: inputs if trained.dropout and trained.reads_x else 0,
        MASKS: inputs if trained.dropout else 0,
    }


def made(shape: DecoderConfig, trained: Trained) -> dict[str, int]:
    """Return how many numbers a token the forward pass makes of each row of TRAINED, kept or not."""
    inputs = sum(d_in for _, d_in in layer_matrices(shape).values()) if trained.dropout else 0
    ax = len(layer_matrices(shape)) * trained.r
    return {X_ATTENTION: shape.hidden, X_MLP: shape.hidden, X_DOWN: shape.ffn, AX: ax, DROPPED: inputs, MASKS: inputs}
