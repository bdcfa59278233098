"""What holds of S-LoRA, and what is only said of it."""

from lorabook.claims.s_lora.mixed_batch import *
from lorabook.claims.s_lora.pages import *
from lorabook.claims.s_lora.scheduler import *

ABOUT = "S-LoRA"
AXIS = "many"
ORACLE = "PEFT (adapter_names)"
PARAMETERS = "none: it serves"
CALL = "lb.bank"
SAYS = "Many adapters on one base: row n of a batch gets y_n = (W₀ + s·B_iA_i)x_n + b, with i that of the row."
