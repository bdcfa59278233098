"""What holds of DyLoRA, and what is only said of it."""

from lorabook.claims.dylora.cut import *
from lorabook.claims.dylora.rule import *

ABOUT = "DyLoRA"
AXIS = "rule"
ORACLE = "LyCORIS (block size 1)"
PARAMETERS = "as LoRA"
