"""What holds of LoRA-FA, and what is only said of it."""

from lorabook.claims.lora_fa.form import *
from lorabook.claims.lora_fa.layer import *

ABOUT = "LoRA-FA"
AXIS = "form"
ORACLE = "PEFT"
PARAMETERS = "r·d_out"
