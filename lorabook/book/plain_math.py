"""Formulas as a terminal shows them: what a text has between dollars becomes Unicode."""

import re
from functools import cache

from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db
from pylatexenc.latexwalker import LatexMacroNode

LOW = str.maketrans("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
HIGH = str.maketrans("0123456789+-=()in⊤", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱⁿᵀ")
ONE_LETTER = re.compile(r"∂?[^-+ ](_(.|{[^{}]*}))?|\d+|√\(.\)|‖.‖")
SCRIPT = re.compile(r"([_^])(?:\{([^{}]*)\}|(.))")
TAKEN_FOR = {
    r"\tfrac": r"\frac",
    r"\operatorname": r"\mathrm",
    r"\|": r"\lVert{}",
    r"\_": r"\ ",
    r"\bigl": "",
    r"\bigr": "",
}
"""What the converter does not know, and what it knows that looks the same in a line of text."""


def in_unicode(text: str) -> str:
    r"""Return the text with its formulas in Unicode: `$\Delta W=BA^\top$` becomes ΔW=BAᵀ.

    An index of which a letter has no small form stays as LaTeX writes it: W_{end}, B_T.
    """
    return re.sub(r"\$([^$]+)\$", lambda formula: _formula(formula[1]), text)


def _formula(latex: str) -> str:
    for unknown, known in TAKEN_FOR.items():
        latex = latex.replace(unknown, known)
    plain = re.sub(r"(?<=[Δ∂∑⟨‖√]) +", "", _converter().latex_to_text(latex))
    return SCRIPT.sub(_script, plain)


def _script(found: re.Match) -> str:
    small = LOW if found[1] == "_" else HIGH
    inner = found[2] if found[2] is not None else found[3]
    if all(ord(letter) in small for letter in inner):
        return inner.translate(small)
    return f"{found[1]}{inner}" if len(inner) == 1 else f"{found[1]}{{{inner}}}"


@cache
def _converter() -> LatexNodes2Text:
    """Return the library's converter, which here keeps the braces of an index, and a fraction in one piece."""
    known = get_default_latex_context_db()
    # Lambdas: the library looks at the names of the arguments, which a checking decorator would hide.
    macros = [MacroTextSpec(name, lambda node, l2tobj: _inside(node, l2tobj, -1)) for name in ("mathrm", "text")]
    macros += [
        MacroTextSpec("frac", lambda node, l2tobj: _fraction(_inside(node, l2tobj, 0), _inside(node, l2tobj, 1)))
    ]
    macros += [MacroTextSpec("top", "⊤"), MacroTextSpec("ne", "≠")]
    known.add_context_category("lorabook", prepend=True, macros=macros)
    return LatexNodes2Text(latex_context=known, keep_braced_groups=True, keep_braced_groups_minlen=1)


def _fraction(upper: str, lower: str) -> str:
    if re.search(r".[-+·∑]", upper):
        upper = f"({upper})"
    return f"{upper}/{lower}" if ONE_LETTER.fullmatch(lower) else f"{upper}/({lower})"


def _inside(node: LatexMacroNode, converter: LatexNodes2Text, argument: int) -> str:
    text = converter.nodelist_to_text([node.nodeargd.argnlist[argument]])
    return text[1:-1] if text.startswith("{") and text.endswith("}") else text
