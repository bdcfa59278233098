"""What holds of GLoRA, and what is only said of it."""

from lorabook.claims.glora.cost import *
from lorabook.claims.glora.form import *
from lorabook.claims.glora.search import *

ABOUT = "GLoRA"
AXIS = "form"
ORACLE = "PEFT"
PARAMETERS = "2r(d_in + d_out) + d_in + 2d_out"
