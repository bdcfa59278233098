"""What is true of PiSSA's start, and what is only often said."""

from lorabook.cases import Case
from lorabook.claims import claim, foil
from lorabook.init.pissa import principal
from lorabook.spectrum import nearest_of_rank, singular_values

ABOUT = "PiSSA"

MENG = "Meng, Wang, Zhang 2024 (2404.02948)"
SHAPES = (Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 6))


@claim(statement=r"$W_{res}+sBA=W_0$: the start is the pretrained model.", source=f"{MENG}, equation 4", cases=SHAPES)
def residual_and_factors_add_up(case: Case):
    w0, site = case.w0(), case.site()
    f = principal(w0, site)
    return f.residual + site.scale * f.B @ f.A, w0


@claim(
    statement=r"$sBA$ is the best rank-$r$ approximation of $W_0$, for every $\alpha$: the scale is folded into "
    r"the factors.",
    source=f"{MENG}, equations 2 and 3",
    cases=SHAPES,
)
def the_factors_are_the_top_directions(case: Case):
    w0, site = case.w0(), case.site()
    f = principal(w0, site)
    return site.scale * f.B @ f.A, nearest_of_rank(w0, case.r)


@foil(
    of=the_factors_are_the_top_directions,
    statement=r"$BA$, without $s$, is the best rank-$r$ approximation, so α may be chosen freely afterwards.",
    source="true only at α = r, the default that hides it",
)
def the_scale_does_not_matter(case: Case):
    w0 = case.w0()
    f = principal(w0, case.site())
    return f.B @ f.A, nearest_of_rank(w0, case.r)


@claim(
    statement=r"$\lVert W_{res}\rVert_2=\sigma_{r+1}(W_0)$: what is frozen has lost its largest directions.",
    source=f"{MENG}, section 3",
    cases=SHAPES,
)
def the_residual_starts_at_the_next_singular_value(case: Case):
    w0 = case.w0()
    residual = principal(w0, case.site()).residual
    return singular_values(residual)[0], singular_values(w0)[case.r]
