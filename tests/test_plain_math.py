"""Formulas in a terminal are Unicode."""

import pytest

from lorabook.book.plain_math import in_unicode
from lorabook.claims.discovery import discover
from lorabook.claims.unchecked import unchecked


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"the update $\Delta W=s\,B_iA^\top$ of rank $r$", "the update ΔW=s BᵢAᵀ of rank r"),
        (r"$\tfrac12(L+n)\ne\frac{\alpha}{\sqrt r}$", "1/2(L+n)≠α/√(r)"),
        (r"$\frac{r_V+1}{r(d_{in}+d_{out})}$", "(r_V+1)/(r(dᵢₙ+dₒᵤₜ))"),
        (r"$\operatorname{rank}(W_{end})\le 10^{-3}\|B\|$", "rank(W_{end})≤10⁻³‖B‖"),
        ("half of $5 and nothing else", "half of $5 and nothing else"),
    ],
)
def test_formulas_become_unicode(latex, plain):
    assert in_unicode(latex) == plain


def test_no_statement_of_the_book_keeps_a_command():
    statements = [claim.statement for claim in discover()] + [entry.statement for _, entry in unchecked().values()]
    left = [text for text in map(in_unicode, statements) if "\\" in text or "$" in text or "%s" in text]
    assert len(statements) > 600
    assert not left
