"""A picture in a notebook: a matplotlib figure that needs no pyplot, and the sentence that says what it shows."""

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure. `sentence` is what a reader without the picture is told."""

    sentence: str
    figure: "Figure" = field(repr=False)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, object], dict[str, object]]:
        buffer = io.BytesIO()
        # Drawn larger than it is shown, so that it stays sharp on a dense screen.
        self.figure.savefig(buffer, format="png", transparent=True, dpi=1.4 * self.figure.dpi)
        width, height = (int(side * self.figure.dpi) for side in self.figure.get_size_inches())
        data = {"text/plain": self.sentence, "image/png": buffer.getvalue()}
        return data, {"image/png": {"width": width, "height": height, "alt": self.sentence}}
