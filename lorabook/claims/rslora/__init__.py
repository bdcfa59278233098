"""What holds of rsLoRA, and what is only said of it."""

from lorabook.claims.rslora.rank_laws import *
from lorabook.claims.rslora.rank_steps import *
from lorabook.claims.rslora.scale import *

ABOUT = "rsLoRA"
AXIS = "scale"
ORACLE = "PEFT (use_rslora)"
PARAMETERS = "as LoRA"
