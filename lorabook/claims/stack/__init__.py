"""What holds of stack, and what is only said of it."""

from lorabook.claims.stack.combine import *
from lorabook.claims.stack.conflicts import *

ABOUT = "stack"
AXIS = "many"
ORACLE = "PEFT (add_weighted_adapter)"
PARAMETERS = "none: they are added up"
CALL = "lb.stack"
SAYS = "Adapters added up: W = W₀ + Σ w_i·s_i·B_iA_i."
