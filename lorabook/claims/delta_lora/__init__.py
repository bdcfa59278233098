"""What holds of Delta-LoRA, and what is only said of it."""

from lorabook.claims.delta_lora.form import *
from lorabook.claims.delta_lora.same_run import *

ABOUT = "Delta-LoRA"
AXIS = "rule"
ORACLE = "paper's loop written out"
PARAMETERS = "as LoRA"
