"""What holds of AdaLoRA, and what is only said of it."""

from lorabook.claims.adalora.adalora import *
from lorabook.claims.adalora.allocator import *
from lorabook.claims.adalora.form import *
from lorabook.claims.adalora.importance import *
from lorabook.claims.adalora.schedule import *

ABOUT = "AdaLoRA"
AXIS = "rule"
ORACLE = "PEFT"
PARAMETERS = "r(d_in + d_out + 1)"
