"""What holds of O-LoRA, and what is only said of it."""

from lorabook.claims.o_lora.cost import *
from lorabook.claims.o_lora.orthogonal import *

ABOUT = "O-LoRA"
AXIS = "many"
ORACLE = "authors' loop written out"
PARAMETERS = "as LoRA"
