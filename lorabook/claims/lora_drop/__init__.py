"""What holds of LoRA-drop, and what is only said of it."""

from lorabook.claims.lora_drop.lora_drop import *

ABOUT = "LoRA-drop"
AXIS = "rule"
ORACLE = "formula written out"
PARAMETERS = "as LoRA, once for all that share"
CALL = "lb.learn_with_drop"
SAYS = "Layers whose E‖ΔWx‖² is a small share of all come to share one adapter."
