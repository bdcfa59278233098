"""What holds of LoRA-drop, and what is only said of it."""

from lorabook.claims.lora_drop.lora_drop import *

ABOUT = "LoRA-drop"
AXIS = "rule"
ORACLE = "formula written out"
PARAMETERS = "as LoRA, once for all that share"
