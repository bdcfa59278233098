"""What holds of LoRAHub, and what is only said of it."""

from lorabook.claims.lorahub.hub import *
from lorabook.claims.lorahub.search import *

ABOUT = "LoRAHub"
AXIS = "many"
ORACLE = "authors' loop written out"
PARAMETERS = "a weight for each adapter"
CALL = "lb.compose"
SAYS = "Adapters of other tasks, weighed for a new one: ΔW = s·(Σ w_iB_i)(Σ w_jA_j), with no gradient."
