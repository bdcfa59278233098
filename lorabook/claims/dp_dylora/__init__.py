"""What holds of DP-DyLoRA, and what is only said of it."""

from lorabook.claims.dp_dylora.federated import *
from lorabook.claims.dp_dylora.federated_leak import *
from lorabook.claims.dp_dylora.federated_mean import *
from lorabook.claims.dp_dylora.federated_rank import *

ABOUT = "DP-DyLoRA"
AXIS = "many"
ORACLE = "loop written out, Opacus' accountant"
PARAMETERS = "as DyLoRA"
