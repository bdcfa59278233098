"""What holds of paged AdamW, and what is only said of it."""

from lorabook.claims.paged_adamw.same_step import *

ABOUT = "paged AdamW"
AXIS = "optim"
ORACLE = "torch's AdamW"
PARAMETERS = "as LoRA"
CALL = "lb.Recipe(optim=lb.Paged())"
SAYS = "AdamW whose moments lie in pages that may wait in the host's memory; its steps are AdamW's."
