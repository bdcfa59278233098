"""The layer of before, where it cannot simply be put back: W₀ in few bits, or with a part that an init took out."""

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.effective_weight import EffectiveWeight
from lorabook.core.frozen import Frozen
from lorabook.core.update import Update


class Original(nn.Module):
    """W₀x + b from the store that the adapter trains beside, plus s·B₀A₀ where an init took that out of W₀.

    It has the plain layer's attributes, and a weight that is built when a number of it is read.
    """

    def __init__(self, base: Frozen, start: Update | None) -> None:
        super().__init__()
        vars(self).update(base.shell.attributes)
        self.base, self.start = base, start

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) if self.start is None else self.start(self.base, x)

    def matrix(self) -> Float[Tensor, "d_out d_in"]:
        """Return W₀ in the dtype of the base."""
        w0 = self.base.matrix
        return w0 if self.start is None else self.base.rounded(self.start.weight(w0))

    @property
    def weight(self) -> EffectiveWeight:
        """W₀, laid out like the plain layer's weight."""
        return EffectiveWeight(self)

    @property
    def bias(self) -> Tensor | None:
        """The plain layer's bias."""
        return self.base.bias
