"""What holds of OLoRA, and what is only said of it."""

from lorabook.claims.olora.start import *

ABOUT = "OLoRA"
AXIS = "init"
ORACLE = "PEFT"
PARAMETERS = "as LoRA"
