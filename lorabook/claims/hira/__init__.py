"""What holds of HiRA, and what is only said of it."""

from lorabook.claims.hira.form import *

ABOUT = "HiRA"
AXIS = "form"
ORACLE = "PEFT"
PARAMETERS = "r(d_in + d_out)"
