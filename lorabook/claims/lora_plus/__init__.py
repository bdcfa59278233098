"""What holds of LoRA+, and what is only said of it."""

from lorabook.claims.lora_plus.lora_plus import *
from lorabook.claims.lora_plus.rates import *
from lorabook.claims.lora_plus.start import *
from lorabook.claims.lora_plus.width import *

ABOUT = "LoRA+"
AXIS = "optim"
ORACLE = "PEFT (create_loraplus_optimizer)"
PARAMETERS = "as LoRA"
