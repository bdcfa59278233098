"""A formula in LaTeX as MathML, which a browser draws without a script, a font or a network."""


def as_mathml(latex: str, block: bool) -> str:
    """Return the formula as a <math> element.

    Args:
        block: on a line of its own.
    """
    from latex2mathml.converter import convert

    # The converter knows neither \arg nor the escape in \text{kv\_heads}, and would print both as they stand.
    known = latex.replace(r"\arg", r"\operatorname{arg}")
    return convert(known, display="block" if block else "inline").replace(r"\_", "_")
