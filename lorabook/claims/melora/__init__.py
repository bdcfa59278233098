"""What holds of MELoRA, and what is only said of it."""

from lorabook.claims.melora.form import *

ABOUT = "MELoRA"
AXIS = "form"
ORACLE = "block_diag by parametrize"
PARAMETERS = "r(d_in + d_out), for a rank of n·r"
