"""What holds of QDoRA, and what is only said of it."""

from lorabook.claims.qdora.form import *

ABOUT = "QDoRA"
AXIS = "form"
ORACLE = "PEFT on bitsandbytes"
PARAMETERS = "as DoRA"
CALL = "lb.QLoRA() | lb.DoRA()"
SAYS = "DoRA on a base in four bits: W = m ⊙ (Ŵ + s·BA)/‖Ŵ + s·BA‖, row by row."
