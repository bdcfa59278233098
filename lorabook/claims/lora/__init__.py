"""What holds of LoRA, and what is only said of it."""

from lorabook.claims.lora.attention_score import *
from lorabook.claims.lora.blocks import *
from lorabook.claims.lora.conventions import *
from lorabook.claims.lora.cost import *
from lorabook.claims.lora.form import *
from lorabook.claims.lora.going_wrong import *
from lorabook.claims.lora.kaiming import *
from lorabook.claims.lora.layers import *
from lorabook.claims.lora.merging import *
from lorabook.claims.lora.penalty import *
from lorabook.claims.lora.rate import *
from lorabook.claims.lora.start import *
from lorabook.claims.lora.use import *

ABOUT = "LoRA"
AXIS = "form"
ORACLE = "PEFT, loralib, parametrize"
PARAMETERS = "r(d_in + d_out)"
