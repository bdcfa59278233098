"""No scale at all: the choice of variants whose paper has no α."""


def one(alpha: float, r: int) -> float:
    """Return s = 1, whatever α and r are: HiRA and VeRA have no α to set."""
    return 1.0
