"""What holds of QPiSSA, and what is only said of it."""

from lorabook.claims.qpissa.start import *

ABOUT = "QPiSSA"
AXIS = "init"
ORACLE = "bitsandbytes"
PARAMETERS = "as LoRA"
CALL = "lb.QLoRA() | lb.PiSSA()"
SAYS = "PiSSA whose residual is kept in four bits: W = Q(W₀ − s·B₀A₀) + s·BA."
