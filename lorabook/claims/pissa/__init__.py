"""What holds of PiSSA, and what is only said of it."""

from lorabook.claims.pissa.start import *

ABOUT = "PiSSA"
AXIS = "init"
ORACLE = "PEFT"
PARAMETERS = "as LoRA"
