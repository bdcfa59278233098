"""What holds of QLoRA, and what is only said of it."""

from lorabook.claims.qlora.double_quant import *
from lorabook.claims.qlora.nf4 import *
from lorabook.claims.qlora.qlora import *
from lorabook.claims.qlora.storage import *

ABOUT = "QLoRA"
AXIS = "base"
ORACLE = "bitsandbytes"
PARAMETERS = "as LoRA"
