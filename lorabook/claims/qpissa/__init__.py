"""What holds of QPiSSA, and what is only said of it."""

from lorabook.claims.qpissa.start import *

ABOUT = "QPiSSA"
AXIS = "init"
ORACLE = "bitsandbytes"
PARAMETERS = "as LoRA"
