"""s = α/r, the scale of the LoRA paper."""


def alpha_over_r(alpha: float, r: int) -> float:
    """Return s = α/r.

    Source: Hu et al. 2021 (2106.09685), section 4.1.
    """
    return alpha / r
